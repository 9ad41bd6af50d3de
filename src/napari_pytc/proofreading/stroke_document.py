"""The strokes of a project, and its objects to learn from, as documents that the journal changes."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from typing import Protocol

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.proofreading.changes import Change, Target


class PaintedStore(Protocol):
    """What is painted into: an `AnnotationStore` or an `ObjectStore`."""

    @property
    def shape(self) -> Shape:
        """Lengths of the volume along z, y, x."""

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""

    def changing(self) -> AbstractContextManager[None]:
        """Keep other threads from changing labels in the block."""

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""

    def write(self, box: Box, data: np.ndarray) -> None:
        """Replace the labels of a box, durably."""


class StrokeDocument:
    """What an edit of strokes, or of objects to learn from, sees of a project; changes are on the disk at once."""

    def __init__(self, store: PaintedStore, target: Target = "annotations") -> None:
        self._store, self._target = store, target

    @property
    def shape(self) -> Shape:
        """Lengths of the volume along z, y, x."""
        return self._store.shape

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self._store.space

    def annotations(self, box: Box) -> np.ndarray:
        """Strokes of a box, uint8, or ids of objects, uint32."""
        return self._store.read(box)

    def apply(self, change: Change) -> None:
        """Write a change; doing it twice is the same as once.

        Raises
        ------
        VolumeError
            If the disk refuses; what was written of the change is taken back where the disk lets it.
        """
        if change.target != self._target:
            raise InvalidInput(f"Strokes take changes of {self._target}, got one of {change.target}.")
        with self._store.changing():
            former: list[tuple[Box, np.ndarray]] = []
            try:
                for patch in change.patches:
                    labels = self._store.read(patch.box)
                    former.append((patch.box, labels.copy()))
                    patch.apply_to(labels, patch.box.start)
                    self._store.write(patch.box, labels)
            except VolumeError:
                for box, labels in reversed(former):
                    with suppress(VolumeError):
                        self._store.write(box, labels)
                raise
