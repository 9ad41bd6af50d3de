"""Segmentations on disk from arrays, with contacts scored on a boundary map, and what benchmarks ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from scipy import ndimage
from simulated_annotator import DATA

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.labels.segmentation import (
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
    digest_of,
)
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.volumes.ridges import RidgeReader

SPACE = VoxelSpace((10.0, 10.0, 10.0))


@dataclass(frozen=True)
class ArrayBoundary:
    """A boundary map in memory."""

    array: np.ndarray

    def read(self, box: Box) -> np.ndarray:
        return self.array[box.slices]


@dataclass(frozen=True)
class Medulla:
    """The real volume: `raw`, `neurons` (truth) and `gala` (another system's supervoxels)."""

    raw: np.ndarray
    neurons: np.ndarray
    gala: np.ndarray

    @classmethod
    def load(cls, sections: slice = slice(None)) -> Medulla:
        with h5py.File(DATA / "medulla.h5") as file:
            return cls(*(file[name][sections] for name in ("raw", "neurons", "gala_supervoxels")))


def smoothed_darkness(raw: np.ndarray) -> np.ndarray:
    """The simplest boundary map: how dark it is, 0 to 1."""
    smooth = ndimage.gaussian_filter(raw.astype(np.float32), 1.0)
    low, high = np.percentile(smooth, [1, 99])
    return np.clip((high - smooth) / (high - low), 0, 1).astype(np.float32)


def ridge_map(raw: np.ndarray, space: VoxelSpace = SPACE) -> np.ndarray:
    """Dark sheets: what proofreading has where nothing was predicted."""
    reader = RidgeReader(lambda box: raw[box.slices], raw.shape, space, float(raw.std()))
    return reader.read(Box.of_shape(raw.shape))


def make_document(
    folder: Path,
    labels: np.ndarray,
    owners: np.ndarray,
    boundary: np.ndarray,
    space: VoxelSpace = SPACE,
    graph: RegionGraph | None = None,
) -> LabelDocument:
    """A document of supervoxels in an array.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        Supervoxels from 1 without gaps; 0 is background.
    owners : ndarray, shape (n + 1,)
        What each supervoxel belongs to, in any ids; 0 to 0.
    boundary : ndarray of float32
    graph : RegionGraph, optional
        Contacts; scored on the boundary by default.
    """
    n = len(owners) - 1
    smallest: dict[int, int] = {}
    for supervoxel, owner in enumerate(owners.tolist()):
        smallest.setdefault(owner, supervoxel)
    segments = np.array([smallest[owner] if k else 0 for k, owner in enumerate(owners.tolist())], np.uint32)
    boxes = np.zeros((n + 1, 6), np.int32)
    for k, part in enumerate(ndimage.find_objects(labels, n), start=1):
        if part is not None:
            boxes[k] = [s.start for s in part] + [s.stop for s in part]
    sizes = np.bincount(labels.ravel(), minlength=n + 1).astype(np.uint64)
    sizes[0] = 0
    writer = Segmentation.create(folder, labels.shape, space)
    writer.supervoxels.write(Box.of_shape(labels.shape), labels)
    record = SegmentationRecord(
        id=folder.name,
        created=datetime.now(UTC),
        decoder={"kind": "benchmark"},
        n_supervoxels=n,
        n_segments=len(np.unique(segments)) - 1,
        voxel_size_nm=space.voxel_size_nm,
        checksum=checksum_text(digest_of(labels, (0, 0, 0), labels.shape)),
    )
    tables = SegmentationTables(segments, sizes, boxes, np.zeros(n + 1, np.uint8))
    graph = contact_edges(labels, 1 - boundary) if graph is None else graph
    segmentation = writer.finish(tables, graph, record)
    return LabelDocument(segmentation, ArrayBoundary(boundary))
