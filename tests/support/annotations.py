"""Annotations in memory."""

from __future__ import annotations

import numpy as np

from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.labels.store import StoredChunk


class MemoryAnnotations:
    """A label array as an `AnnotationSource`; `paint` changes it as a user does while a job runs.

    Parameters
    ----------
    labels : np.ndarray
        (z, y, x) uint8, 0 = not annotated.
    chunk_shape : Shape
        Shape of the boxes it tells.
    changed : dict, optional
        When a chunk changed, by the start of its box; 0 for the others.
    """

    def __init__(
        self,
        labels: np.ndarray,
        chunk_shape: Shape = (8, 32, 32),
        changed: dict[tuple[int, int, int], float] | None = None,
    ) -> None:
        self.labels = labels.astype(np.uint8)
        self._grid = TileGrid(Box.of_shape(labels.shape), chunk_shape)
        self._changed = changed or {}
        self.revision = 0

    @property
    def shape(self) -> Shape:
        return self.labels.shape  # type: ignore[return-value]

    def chunks(self) -> list[StoredChunk]:
        return [
            StoredChunk(tile.write, self._changed.get(tile.write.start, 0.0))
            for tile in self._grid
            if self.labels[tile.write.slices].any()
        ]

    def read(self, box: Box) -> np.ndarray:
        assert Box.of_shape(self.shape).contains(box)
        return self.labels[box.slices].copy()

    def paint(self, box: Box, value: int) -> None:
        self.labels[box.slices] = value
        self.revision += 1
