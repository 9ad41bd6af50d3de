"""Small segmentations written down voxel by voxel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.labels.segmentation import (
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
    digest_of,
)

CUBIC = VoxelSpace((10.0, 10.0, 10.0))


def write_segmentation(
    folder: Path, supervoxels: np.ndarray, owners: dict[int, int] | None = None, space: VoxelSpace = CUBIC
) -> Segmentation:
    """Make a segmentation of an array of supervoxels from 1.

    Parameters
    ----------
    owners : dict of int to int, optional
        The segment of supervoxels that are not a segment of their own.
    """
    labels = supervoxels.astype(np.uint32)
    n = int(labels.max())
    segments = np.arange(n + 1, dtype=np.uint32)
    for supervoxel, segment in (owners or {}).items():
        segments[supervoxel] = segment
    boxes = np.zeros((n + 1, 6), np.int32)
    for k, part in enumerate(ndimage.find_objects(labels.astype(np.int32), n), start=1):
        if part is not None:
            boxes[k] = [s.start for s in part] + [s.stop for s in part]
    sizes = np.bincount(labels.ravel(), minlength=n + 1).astype(np.uint64)
    sizes[0] = 0
    writer = Segmentation.create(folder, labels.shape, space)
    writer.supervoxels.write(Box.of_shape(labels.shape), labels)
    record = SegmentationRecord(
        id=folder.name,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        decoder={"kind": "written by hand"},
        n_supervoxels=n,
        n_segments=len(np.unique(segments)) - 1,
        voxel_size_nm=space.voxel_size_nm,
        checksum=checksum_text(digest_of(labels, (0, 0, 0), labels.shape)),
    )
    tables = SegmentationTables(segments, sizes, boxes, np.zeros(n + 1, np.uint8))
    return writer.finish(tables, contact_edges(labels), record)
