"""Semantic classes as the target of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.targets.base import Target
from napari_pytc.volumes.roles import ChannelRole, ClassRole


class ClassesTarget(Target):
    """A semantic class for every voxel, learnt from strokes of classes."""

    kind: Literal["classes"] = "classes"

    @property
    def learns_classes(self) -> bool:
        """Always."""
        return True

    @property
    def learns_objects(self) -> bool:
        """Never."""
        return False

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One channel a class."""
        return tuple(ClassRole(name=name) for name in classes)
