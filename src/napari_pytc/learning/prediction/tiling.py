"""How a network predicts boxes of a volume: in exact tiles or in overlapping windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.learning.prediction.window_inferer import WindowInferer
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.windows import Tiling, Windows
from napari_pytc.volumes.roles import ChannelRole


def training_tiling(network: Network, plan: TrainPlan, space: VoxelSpace) -> Tiling:
    """Limits of exact tiles, or windows of the training patch, of a network that is about to be trained."""
    if plan.network.tiles() == "exact":
        limits = network.limits()
        plan.network.check_several_voxels(plan.patch(space, limits.alignment), limits.alignment)
        return limits
    patch = plan.patch(space, plan.network.window_multiple(space))
    plan.network.check_patch(patch)
    return Windows(shape=patch)


def make_inferer(
    network: Network,
    tiling: Tiling,
    device: torch.device,
    precision: Precision,
    *,
    warn: Callable[[str], None] = lambda _: None,
    roles: Sequence[ChannelRole] = (),
) -> BoxInferer:
    """The inferer of boxes for a network in eval mode; see `Inferer` and `WindowInferer`."""
    if isinstance(tiling, NetworkLimits):
        return Inferer(network, tiling, device, precision, warn=warn, roles=roles)
    return WindowInferer(network, tiling, device, precision, warn=warn, roles=roles)
