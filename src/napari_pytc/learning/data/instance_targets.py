"""Targets of channels from the objects of a patch; see `napari_pytc.learning.data.targets`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.targets.encoding import IGNORED, ONE, ZERO, LabelledPatch, pair_slices
from napari_pytc.learning.data.targets.make import object_targets
from napari_pytc.volumes.roles import ChannelRole

__all__ = ["IGNORED", "ONE", "ZERO", "instance_targets", "pair_slices"]


def instance_targets(
    labels: np.ndarray, roles: Sequence[ChannelRole], space: VoxelSpace, apart: np.ndarray | None = None
) -> np.ndarray:
    """Targets of all channels, (c, z, y, x) uint8; see `LabelledPatch` and `object_targets`."""
    return object_targets(LabelledPatch(labels, space, apart), roles)
