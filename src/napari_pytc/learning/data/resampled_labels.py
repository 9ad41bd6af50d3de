"""Strokes and object labels on voxels of another size."""

from __future__ import annotations

import numpy as np

from napari_pytc.annotations.source import AnnotationSource
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.labels.store import StoredChunk
from napari_pytc.learning.data.objects import ObjectSource
from napari_pytc.volumes.resampling import ResampledGrid

_CHUNK: Shape = (16, 128, 128)


class ResampledLabels:
    """Labels of a volume on voxels of another size: an `ObjectSource`; see `ResampledGrid.nearest_labels`.

    Parameters
    ----------
    source : ObjectSource or AnnotationSource
        The labels on the volume's own voxels.
    grid : ResampledGrid
        The voxels that are read.
    """

    def __init__(self, source: ObjectSource | AnnotationSource, grid: ResampledGrid) -> None:
        self._labels, self._grid = source, grid
        self.shape: Shape = grid.shape

    def chunks(self) -> list[StoredChunk]:
        """The disjoint chunks in which labels may lie; each changed when the latest of those below it did."""
        cells = TileGrid(Box.of_shape(self.shape), _CHUNK)
        below: dict[int, list[StoredChunk]] = {}
        for chunk in self._labels.chunks():
            for index in cells.overlapping(self._grid.covering(chunk.box)):
                below.setdefault(index, []).append(chunk)
        return [
            StoredChunk(
                cells[index].write,
                max(chunk.changed for chunk in found),
                (len(found), hash(tuple(chunk.version for chunk in found)), 0),
            )
            for index, found in sorted(below.items())
        ]

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box, of the source's type."""
        if box.is_empty:
            return np.zeros(box.shape, np.uint8)
        read = self._grid.label_box(box)
        return self._grid.nearest_labels(self._labels.read(read), read, box)


class ResampledAnnotations(ResampledLabels):
    """Strokes of classes on voxels of another size: an `AnnotationSource`."""

    def __init__(self, source: AnnotationSource, grid: ResampledGrid) -> None:
        super().__init__(source, grid)
        self._annotations = source

    @property
    def revision(self) -> int:
        """That of the strokes."""
        return self._annotations.revision
