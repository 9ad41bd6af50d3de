"""Documents in which what belongs apart is one segment, from synthetic tissue, and what tests ask of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pytc.geometry import Box, Voxel, VoxelSpace
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.labels.segmentation import (
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
    digest_of,
)
from napari_pytc.proofreading.document import LabelDocument
from tests.support.segmentations import ArrayBoundary, SegmentedTissue, make_segmentation


class MergedCells:
    """A document in which pairs of cells are one segment."""

    def __init__(self, made: SegmentedTissue) -> None:
        self.made = made
        self.cells = made.tissue.cells
        self.document = LabelDocument(made.segmentation, made.boundary)
        self.whole = Box.of_shape(self.document.shape)

    def pairs(self) -> list[tuple[int, int, int]]:
        """Segments of two cells that touch, each with its cells."""
        found = []
        for segment in np.unique(self.made.segments).tolist():
            cells = np.unique(self.cells[self.made.segments == segment])
            if segment and len(cells) == 2 and self._touch(*cells.tolist()):
                found.append((segment, *cells.tolist()))
        assert found
        return found

    def _touch(self, a: int, b: int) -> bool:
        return bool((ndimage.binary_dilation(self.cells == a) & (self.cells == b)).any())

    def deep(self, cell: int) -> Voxel:
        """The innermost voxel of a cell."""
        depth = ndimage.distance_transform_edt(np.pad(self.cells == cell, 1))[1:-1, 1:-1, 1:-1]
        z, y, x = np.unravel_index(depth.argmax(), depth.shape)
        return (int(z), int(y), int(x))

    def all_segments(self) -> np.ndarray:
        return self.document.segments(self.whole)

    def overlap(self, segment: int, cell: int) -> float:
        """IoU of a segment and a cell."""
        found, cells = self.all_segments() == segment, self.cells == cell
        return float((found & cells).sum() / (found | cells).sum())


def of_many_supervoxels(folder: Path) -> MergedCells:
    """Cells of several supervoxels each."""
    return MergedCells(make_segmentation(folder / "fine", shape=(24, 64, 64), n_cells=16, merged=True))


def of_one_supervoxel(folder: Path) -> MergedCells:
    """Pairs of cells that are one supervoxel each."""
    made = make_segmentation(folder / "cells", shape=(24, 64, 64), n_cells=16, merged=True, thickness=99, width=99)
    labels = np.unique(made.segments, return_inverse=True)[1].reshape(made.segments.shape).astype(np.uint32) + 1
    segmentation = segmentation_of(folder / "lumps", labels.astype(np.uint32), made.boundary.array, made.tissue.space)
    return MergedCells(SegmentedTissue(segmentation, made.tissue, labels, labels, made.boundary))


def segmentation_of(folder: Path, labels: np.ndarray, boundary: np.ndarray, space: VoxelSpace) -> Segmentation:
    """A segmentation in which every supervoxel is a segment; labels without gaps, 0 is background."""
    n = int(labels.max())
    boxes = np.zeros((n + 1, 6), np.int32)
    for k, part in enumerate(ndimage.find_objects(labels), start=1):
        boxes[k] = [s.start for s in part] + [s.stop for s in part]
    sizes = np.bincount(labels.ravel(), minlength=n + 1).astype(np.uint64)
    sizes[0] = 0
    writer = Segmentation.create(folder, labels.shape, space)
    writer.supervoxels.write(Box.of_shape(labels.shape), labels)
    record = SegmentationRecord(
        id=folder.name,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        n_supervoxels=n,
        n_segments=n,
        voxel_size_nm=space.voxel_size_nm,
        checksum=checksum_text(digest_of(labels, (0, 0, 0), labels.shape)),
    )
    tables = SegmentationTables(np.arange(n + 1, dtype=np.uint32), sizes, boxes, np.zeros(n + 1, np.uint8))
    return writer.finish(tables, contact_edges(labels, 1 - boundary), record)


def document_of(
    folder: Path, labels: np.ndarray, voxel_size_nm: tuple[float, float, float] = (10, 10, 10)
) -> LabelDocument:
    """A document of an array of supervoxels, each a segment, on a flat boundary map."""
    boundary = np.zeros(labels.shape, np.float32)
    made = segmentation_of(folder, labels.astype(np.uint32), boundary, VoxelSpace(voxel_size_nm))
    return LabelDocument(made, ArrayBoundary(boundary))
