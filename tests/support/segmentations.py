"""Segmentations on disk, from synthetic tissue: cells cut into supervoxels, with a graph and its scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.labels.segmentation import (
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
    digest_of,
)
from napari_pytc.proofreading.document import LabelDocument
from tests.support.tissue import Tissue, make_tissue


@dataclass(frozen=True)
class ArrayBoundary:
    """A boundary map in memory."""

    array: np.ndarray

    def read(self, box: Box) -> np.ndarray:
        return self.array[box.slices]


@dataclass(frozen=True)
class SegmentedTissue:
    """A segmentation and what it was made of: `supervoxels` and `segments` are arrays of the whole volume."""

    segmentation: Segmentation
    tissue: Tissue
    supervoxels: np.ndarray
    segments: np.ndarray
    boundary: ArrayBoundary


class FolderDocuments:
    """Documents of a project folder: ``segments/<id>/`` and ``annotations.zarr`` where it is there."""

    def __init__(
        self,
        folder: Path,
        boundary: ArrayBoundary | None = None,
        annotations: PaintStore | None = None,
        writable: bool = True,
    ) -> None:
        self.folder, self.boundary, self.annotations, self.writable = folder, boundary, annotations, writable
        strokes = folder / "annotations.zarr"
        if annotations is None and strokes.exists():
            self.annotations = PaintStore.open(strokes, writable)
        self.objects: PaintStore | None = None
        if self.annotations is not None:
            store = self.annotations
            self.objects = PaintStore(
                folder / "objects.zarr", store.shape, store.space, np.uint32, writable, store.lock
            )

    def open(self, segmentation: str) -> LabelDocument:
        opened = Segmentation.open(self.folder / "segments" / segmentation)
        return LabelDocument(opened, self.boundary, self.writable)


def cut_cells(cells: np.ndarray, thickness: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells cut by planes into supervoxels with ids from 1, and the cell of each (index 0 is the background)."""
    z, y, x = np.ogrid[tuple(slice(0, n) for n in cells.shape)]
    block = (z // thickness) * 10_000 + (y // width) * 100 + x // width
    keys = cells.astype(np.int64) * 100_000_000 + np.broadcast_to(block, cells.shape)
    keys[cells == 0] = 0
    values, inverse = np.unique(keys, return_inverse=True)
    if values[0] != 0:
        values, inverse = np.r_[0, values], inverse + 1
    return inverse.reshape(cells.shape).astype(np.uint32), (values // 100_000_000).astype(np.uint32)


def make_segmentation(
    folder: Path,
    shape: tuple[int, int, int] = (16, 64, 64),
    n_cells: int = 20,
    seed: int = 0,
    thickness: int = 8,
    width: int = 24,
    merged: bool = False,
    membranes: bool = False,
    classes: tuple[str, ...] = (),
) -> SegmentedTissue:
    """Make a segmentation in `folder`, whose name is its id.

    Parameters
    ----------
    thickness, width : int
        Cells are cut into supervoxels by planes at these distances along z, and along y and x.
    merged : bool
        False: a segment is a cell, with the id of its smallest supervoxel. True: pairs of cells are one segment, which
        is what a split has to mend.
    membranes : bool
        Leave the membranes between cells as background.
    classes : tuple of str
        Semantic classes, given to the supervoxels by turns.
    """
    tissue = make_tissue(shape, n_cells, seed=seed)
    cells = np.where(tissue.classes == 1, 0, tissue.cells) if membranes else tissue.cells
    supervoxels, cell_of = cut_cells(cells, thickness, width)
    boundary = ndimage.gaussian_filter((tissue.classes == 1).astype(np.float32), (0, 0.7, 0.7))
    # A cell's own cuts are no boundaries: only what lies between two cells is.
    graph = contact_edges(supervoxels, 1 - boundary)
    same = cell_of[graph.edges[:, 0]] == cell_of[graph.edges[:, 1]]
    graph.scores[:] = np.where(same, np.maximum(graph.scores, 0.6), np.minimum(graph.scores, 0.4))
    groups = (cell_of + 1) // 2 if merged else cell_of
    smallest: dict[int, int] = {}
    for supervoxel, group in enumerate(groups.tolist()):
        smallest.setdefault(group, supervoxel)
    segments = np.array([smallest[group] if k else 0 for k, group in enumerate(groups.tolist())], np.uint32)
    boxes = np.zeros((len(cell_of), 6), np.int32)
    for k, found in enumerate(ndimage.find_objects(supervoxels), start=1):
        boxes[k] = [part.start for part in found] + [part.stop for part in found]
    kinds = np.zeros(len(cell_of), np.uint8)
    if classes:
        kinds[1:] = np.arange(1, len(cell_of)) % len(classes) + 1
    sizes = np.bincount(supervoxels.ravel(), minlength=len(cell_of)).astype(np.uint64)
    sizes[0] = 0
    writer = Segmentation.create(folder, shape, tissue.space)
    writer.supervoxels.write(Box.of_shape(shape), supervoxels)
    record = SegmentationRecord(
        id=folder.name,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        decoder={"kind": "synthetic"},
        n_supervoxels=len(cell_of) - 1,
        n_segments=len(np.unique(segments)) - 1,
        voxel_size_nm=tissue.space.voxel_size_nm,
        checksum=checksum_text(digest_of(supervoxels, (0, 0, 0), shape)),
        classes=classes,
    )
    segmentation = writer.finish(SegmentationTables(segments, sizes, boxes, kinds), graph, record)
    return SegmentedTissue(segmentation, tissue, supervoxels, segments[supervoxels], ArrayBoundary(boundary))


def make_project(folder: Path, **options: object) -> SegmentedTissue:
    """A folder with one segmentation, ``segments/first``, and an empty store of strokes."""
    made = make_segmentation(folder / "segments" / "first", **options)  # type: ignore[arg-type]
    PaintStore.create(folder / "annotations.zarr", made.segmentation.shape, made.segmentation.space)
    return made
