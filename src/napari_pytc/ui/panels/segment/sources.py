"""Segments that are tried on the canvas: a small preview, and another grouping of the current segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.proofreading.changes import SegmentState

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.labels.region_graph import RegionGraph
    from napari_pytc.proofreading.document import LabelDocument

_NEW = SegmentState()


class PreviewSource:
    """A small segmentation in memory, as a `SegmentSource`; safe from any thread.

    Parameters
    ----------
    box : Box
        The box outside of which it is 0.
    supervoxels : ndarray of uint32, shape box.shape
        Ids from 1.
    segments : ndarray of uint32, shape (n + 1,)
        The segment of each supervoxel.
    sizes : ndarray of uint64, shape (n + 1,)
        Voxels of each.
    notes : tuple of str
        What the decoder dropped, joined or left out.
    """

    def __init__(
        self,
        shape: Shape,
        space: VoxelSpace,
        box: Box,
        supervoxels: np.ndarray,
        segments: np.ndarray,
        sizes: np.ndarray,
        graph: RegionGraph,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.shape, self.space, self.box, self.notes = shape, space, box, notes
        self._supervoxels, self._segments, self._sizes, self.graph = supervoxels, segments, sizes, graph

    @classmethod
    def read(cls, folder: Path, box: Box) -> PreviewSource:
        """Take a segmentation's voxels in a box, its tables and its graph into memory."""
        from napari_pytc.labels.segmentation import Segmentation

        found = Segmentation.open(folder)
        graph_in_memory = found.graph.take(np.arange(len(found.graph)))
        voxels = found.supervoxels.read(box)
        tables, notes = (np.array(found.segments), np.array(found.sizes)), found.record.notes
        return cls(found.shape, found.space, box, voxels, *tables, graph_in_memory, notes)

    @property
    def n_segments(self) -> int:
        """Number of segments now."""
        return _count(self._segments)

    @property
    def n_supervoxels(self) -> int:
        """Number of supervoxels that the segments are made of."""
        return len(self._segments) - 1

    def partition(self, decoder: DecoderSettings) -> np.ndarray:
        """Compute the segments that other settings make of the same supervoxels; changes nothing."""
        fitted = decoder.fitted(self.box.shape, self.space)
        return np.asarray(fitted.partition(self.graph, self._sizes, self.space), np.uint32)

    def set_segments(self, segments: np.ndarray) -> None:
        """Group the supervoxels into other segments from now on."""
        self._segments = segments

    def segments(self, box: Box) -> np.ndarray:
        """Segments of a box of the volume."""
        found = np.zeros(box.shape, np.uint32)
        both = self.box.intersect(box)
        if not both.is_empty:
            inner = self._supervoxels[both.relative_to(self.box.start).slices]
            found[both.relative_to(box.start).slices] = self._segments[inner]
        return found

    def segment_at(self, voxel: Shape) -> int:
        """The segment of a voxel."""
        return int(self.segments(Box.at(voxel, (1, 1, 1)))[0, 0, 0])

    def state(self, segment: int) -> SegmentState:
        """Neither locked, deleted nor of a class."""
        return _NEW

    def noted_segments(self) -> tuple[int, ...]:
        """None."""
        return ()


class RegroupedSource:
    """The supervoxels of a document under another merge table, as a `SegmentSource`.

    Supervoxels that edits made are left out.

    Parameters
    ----------
    segments : ndarray of uint32, shape (n + 1,)
        The segment of each supervoxel as decoded.
    """

    def __init__(self, document: LabelDocument, segments: np.ndarray) -> None:
        self._document, self.table = document, segments
        self.shape: Shape = document.shape

    @property
    def n_segments(self) -> int:
        """Number of segments now."""
        return _count(self.table)

    def segments(self, box: Box) -> np.ndarray:
        """Segments of a box."""
        supervoxels = self._document.supervoxels(box)
        table = self.table
        return np.asarray(table[np.where(supervoxels < len(table), supervoxels, 0)])

    def segment_at(self, voxel: Shape) -> int:
        """The segment of a voxel."""
        return int(self.segments(Box.at(voxel, (1, 1, 1)))[0, 0, 0])

    def state(self, segment: int) -> SegmentState:
        """Neither locked, deleted nor of a class."""
        return _NEW

    def noted_segments(self) -> tuple[int, ...]:
        """None."""
        return ()


def _count(table: np.ndarray) -> int:
    return int(np.count_nonzero(np.bincount(table[1:])[1:])) if len(table) > 1 else 0
