"""The strokes of a project as a document that the journal changes."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.proofreading.changes import Change


class StrokeDocument:
    """What an edit of strokes sees of a project; changes are on the disk at once."""

    def __init__(self, store: AnnotationStore) -> None:
        self._store = store

    @property
    def shape(self) -> Shape:
        """Lengths of the volume along z, y, x."""
        return self._store.shape

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self._store.space

    def annotations(self, box: Box) -> np.ndarray:
        """Strokes of a box, uint8."""
        return self._store.read(box)

    def apply(self, change: Change) -> None:
        """Write a change of strokes; doing it twice is the same as once.

        Raises
        ------
        VolumeError
            If the disk refuses; what was written of the change is taken back where the disk lets it.
        """
        if change.target != "annotations":
            raise InvalidInput(f"Strokes take changes of annotations, got one of {change.target}.")
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
