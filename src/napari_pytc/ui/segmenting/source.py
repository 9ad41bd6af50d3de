"""Segments of supervoxels that are held in memory: a preview, whose grouping follows a slider."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.proofreading.changes import SegmentState

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings

_NOTHING = SegmentState()


class PreviewSource:
    """A `SegmentSource` of a small segmentation; it needs its folder no longer. Any thread.

    Parameters
    ----------
    box : Box
        Where it is not 0.
    supervoxels : ndarray of uint32, shape box.shape
        Ids from 1.
    segments : ndarray of uint32, shape (n + 1,)
        The segment of each supervoxel.
    sizes : ndarray of uint64, shape (n + 1,)
        Voxels of each.
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
    ) -> None:
        self.shape, self.space, self.box = shape, space, box
        self._supervoxels, self._segments, self._sizes, self.graph = supervoxels, segments, sizes, graph

    @classmethod
    def read(cls, folder: Path, box: Box) -> PreviewSource:
        """Take a segmentation's voxels in a box, its tables and its graph into memory."""
        from napari_pytc.labels.segmentation import Segmentation

        found = Segmentation.open(folder)
        graph = found.graph
        held = RegionGraph(
            np.array(graph.edges), np.array(graph.scores), np.array(graph.contacts), np.array(graph.places)
        )
        voxels = found.supervoxels.read(box)
        return cls(found.shape, found.space, box, voxels, np.array(found.segments), np.array(found.sizes), held)

    @property
    def n_segments(self) -> int:
        """How many segments there are now."""
        return int(np.count_nonzero(np.bincount(self._segments[1:])[1:])) if len(self._segments) > 1 else 0

    @property
    def n_supervoxels(self) -> int:
        """How many supervoxels they are made of."""
        return len(self._segments) - 1

    def partitioned(self, decoder: DecoderSettings) -> np.ndarray:
        """The segments that other settings make of the same supervoxels; changes nothing."""
        return np.asarray(decoder.partition(self.graph, self._sizes, self.space), np.uint32)

    def take(self, segments: np.ndarray) -> None:
        """Show other segments from now on."""
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
        """Nobody has said anything of them."""
        return _NOTHING

    def noted_segments(self) -> tuple[int, ...]:
        """None."""
        return ()
