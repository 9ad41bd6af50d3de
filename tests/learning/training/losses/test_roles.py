"""The loss of every role of a channel where none is named: masked voxels, and outputs of any size."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.instance_targets import IGNORED, ONE, ZERO
from napari_pytc.learning.training.losses import make_loss
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets.channel_kinds import CHANNEL_KINDS
from napari_pytc.volumes.roles import ChannelRole, activations_of

NEEDED: dict[str, dict[str, Any]] = {"affinity": {"offset": [-1, 0, 0]}, "polarity": {"side": "pre"}}
NAMES = [str(kind.model_fields["role"].default) for kind in CHANNEL_KINDS]
ENTRIES = [{"role": name, **NEEDED.get(name, {})} for name in NAMES]
ENTRIES += [{"role": name, "levels": 3} for name in ("instance_distance", "skeleton_distance")]
ENTRIES += [{"role": "distance", "activation": "none"}, {"role": "foreground", "activation": "scaled_sigmoid"}]
SHAPE = (2, 3, 4, 4)


def targets_of(roles: tuple[ChannelRole, ...]) -> torch.Tensor:
    """Random targets, of which about a third is not known; one of the channels that exclude one another is 1."""
    generator = torch.Generator().manual_seed(0)
    found = torch.randint(0, 256, (2, len(roles), *SHAPE[1:]), generator=generator, dtype=torch.uint8)
    unknown = torch.rand(found.shape, generator=generator) < 0.3
    if activations_of(roles)[0] == "softmax":
        chosen = torch.randint(0, len(roles), (2, 1, *SHAPE[1:]), generator=generator)
        found = torch.where(chosen == torch.arange(len(roles))[:, None, None, None], ONE, ZERO).to(torch.uint8)
        unknown = unknown[:, :1].expand(found.shape)
    elif roles[0].is_probability:
        found = torch.where(found < 128, ZERO, ONE).to(torch.uint8)
    return found.masked_fill(unknown, IGNORED)


@pytest.mark.parametrize("small_object_weight", [1.0, 5.0])
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: " ".join(map(str, entry.values())))
def test_a_masked_voxel_has_no_gradient_and_no_output_makes_nan(
    entry: dict[str, Any], small_object_weight: float
) -> None:
    target = {"kind": "channels", "channels": [entry], "small_object_weight": small_object_weight}
    plan = TrainPlan.model_validate({"target": target})
    roles = plan.target.roles(("a", "b"), VoxelSpace((10, 10, 10)))
    loss, targets = make_loss(plan, roles), targets_of(roles)
    sizes = torch.randint(1, 3, (2, 1, *SHAPE[1:]), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    labels = torch.cat([targets, sizes], dim=1) if small_object_weight > 1 else targets
    normal = torch.randn(targets.shape, generator=torch.Generator().manual_seed(2))
    for dtype in (torch.float32, torch.bfloat16):
        for outputs in (normal, 1e4 * normal.sign()):
            logits = outputs.to(dtype, copy=True).requires_grad_()
            value = loss(logits, labels)
            value.backward()
            assert torch.isfinite(value)
            assert logits.grad is not None
            assert torch.isfinite(logits.grad).all()
            assert not logits.grad[targets == IGNORED].any()
            if outputs is normal:
                assert (logits.grad[targets != IGNORED] != 0).float().mean() > 0.9
