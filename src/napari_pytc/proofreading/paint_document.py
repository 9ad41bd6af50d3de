"""Strokes or object labels as a document that the journal changes."""

from __future__ import annotations

import numpy as np

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape
from napari_pytc.proofreading.changes import Change, Target


class PaintDocument:
    """Strokes or object labels as edits read and change them; changes are on the disk at once."""

    def __init__(self, store: PaintStore, target: Target = "annotations") -> None:
        self._store, self._target = store, target

    @property
    def shape(self) -> Shape:
        """Lengths of the volume along z, y, x."""
        return self._store.shape

    def labels(self, box: Box) -> np.ndarray:
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
            raise InvalidInput(f"Painted labels take changes of {self._target}, got one of {change.target}.")
        self._store.apply(change.patches)
