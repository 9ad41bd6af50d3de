"""A table of segments in CSV, a row each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import cc3d
import fastremap
import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import BLOCK_BYTES, ArrayReader, chunk_blocks
from napari_pytc.exporting.target import export_target
from napari_pytc.exporting.views import Crop
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.context import JobContext
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.skeletons.skeleton import Skeleton

SUFFIX = ".csv"
COLUMNS = (
    "id", "voxels", "volume_um3", "area_um2",
    "z_start", "y_start", "x_start", "z_stop", "y_stop", "x_stop",
    "centroid_z_nm", "centroid_y_nm", "centroid_x_nm", "class", "locked",
)  # fmt: skip
SKELETON_COLUMNS = ("path_length_um", "branch_points", "end_points")
_ROWS_AT_ONCE = 4096


class SegmentReader(ArrayReader, Protocol):
    """Segments with their classes and locks."""

    @property
    def chunk_shape(self) -> Shape:
        """Shape of the pieces on disk."""

    def segment_ids(self) -> np.ndarray:
        """All segments that are not deleted, ascending; uint32."""

    def class_name(self, segment: int) -> str:
        """Semantic class; empty for none."""

    def is_locked(self, segment: int) -> bool:
        """Whether the segment is locked."""


class SegmentMeasures:
    """Size, box and centre of many segments, gathered block by block.

    Parameters
    ----------
    ids : ndarray of uint32
        The segments to measure, ascending; others are left out.
    """

    def __init__(self, ids: np.ndarray) -> None:
        n = len(ids)
        self.ids = ids
        self.sizes = np.zeros(n, np.uint64)
        self.starts = np.full((n, 3), np.iinfo(np.int64).max)
        self.stops = np.zeros((n, 3), np.int64)
        self._sums = np.zeros((n, 3))

    @property
    def centroids(self) -> np.ndarray:
        """Mean place of the voxels' centres, shape (n, 3), in voxels where voxel 0 has its centre at 0."""
        return self._sums / np.maximum(self.sizes, 1)[:, None]

    def add(self, labels: np.ndarray, origin: Shape) -> None:
        """Count a block whose first voxel is `origin`."""
        small, names = fastremap.renumber(labels, in_place=False)
        found = cc3d.statistics(small, no_slice_conversion=True)
        number_of = {number: segment for segment, number in names.items() if segment}
        numbers = np.fromiter(number_of.keys(), np.int64, len(number_of))
        segments = np.fromiter(number_of.values(), np.int64, len(number_of))
        at = np.minimum(np.searchsorted(self.ids, segments), max(len(self.ids) - 1, 0))
        known = self.ids[at] == segments if len(self.ids) else np.zeros(len(segments), bool)
        at, numbers = at[known], numbers[known]
        counts = found["voxel_counts"][numbers].astype(np.uint64)
        boxes = np.asarray(found["bounding_boxes"], np.int64).reshape(-1, 3, 2)[numbers]
        first = np.asarray(origin, np.int64)
        self.sizes[at] += counts
        self._sums[at] += (found["centroids"][numbers] + first) * counts[:, None]
        self.starts[at] = np.minimum(self.starts[at], boxes[:, :, 0] + first)
        self.stops[at] = np.maximum(self.stops[at], boxes[:, :, 1] + 1 + first)


def check_table_name(path: Path) -> None:
    """Raise unless a file of this name holds a table."""
    if path.suffix.lower() != SUFFIX:
        raise InvalidInput(f"A table is written to a name that ends in {SUFFIX}, got {path.name!r}.", "Rename it.")


def write_table(
    segments: SegmentReader,
    path: Path,
    box: Box | None,
    overwrite: bool,
    ctx: JobContext,
    block_bytes: int = BLOCK_BYTES,
    ids: OriginalIds | None = None,
    skeletons: Callable[[], Iterable[Skeleton]] | None = None,
) -> int:
    """Write a row for each segment that has a voxel in the box, all rows or none; returns how many.

    Sizes, boxes and centres are of the voxels inside of the box; by default of all. Boxes are half-open and in voxels
    of the whole volume, centres in nm of the image. The size is an area where the volume is a single section, else a
    volume; the other is empty. Where the voxel size is not known, both and the centres are empty. With `ids` the column
    id has those of the file that the segmentation was imported from. `skeletons` gives those of the segments, for
    columns of their path lengths, branch and end points.
    """
    check_table_name(path)
    region = Box.of_shape(segments.shape) if box is None else Crop(segments, box).box
    columns, n_rows = [*COLUMNS, *(() if skeletons is None else SKELETON_COLUMNS)], 0
    # First, as a name that is taken is refused before the work.
    with export_target(path, overwrite) as aside:
        measures = SegmentMeasures(segments.segment_ids())
        grid = chunk_blocks(segments, segments.chunk_shape, block_bytes)
        for tile in grid:
            ctx.check()
            part = tile.write.intersect(region)
            if not part.is_empty:
                measures.add(segments.read(part), part.start)
            ctx.report(tile.index + 1, len(grid), "blocks")
        made = () if skeletons is None else skeletons()
        more = {one.segment: _measured(one, segments.space.known) for one in made}
        with aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for segment, row in _rows(segments, measures, ids):
                writer.writerow([*row, *more.get(segment, ())])
                n_rows += 1
                if n_rows % _ROWS_AT_ONCE == 0:
                    ctx.check()
    return n_rows


def _measured(skeleton: Skeleton, is_known: bool) -> list[object]:
    length = f"{skeleton.length_nm / 1000:.9g}" if is_known else ""
    return [length, skeleton.n_branch_points, skeleton.n_end_points]


def _rows(
    segments: SegmentReader, measures: SegmentMeasures, ids: OriginalIds | None
) -> Iterator[tuple[int, list[object]]]:
    """Each segment with a voxel, and its row."""
    names = measures.ids if ids is None else ids.lookup(measures.ids)
    space = segments.space
    edges_um = np.asarray(space.voxel_size_nm) / 1e3
    is_flat = segments.shape[0] == 1
    voxel_size = float(np.prod(edges_um[1:] if is_flat else edges_um))
    centroids = measures.centroids
    for k in np.flatnonzero(measures.sizes):
        segment, size = int(measures.ids[k]), int(measures.sizes[k])
        physical: list[object] = [""] * 5
        if space.known:
            places = zip(centroids[k], space.voxel_size_nm, space.origin_nm, strict=True)
            text = f"{size * voxel_size:.9g}"
            physical = ["" if is_flat else text, text if is_flat else "", *(f"{c * v + o:.1f}" for c, v, o in places)]
        yield (
            segment,
            [
                int(names[k]),
                size,
                *physical[:2],
                *measures.starts[k].tolist(),
                *measures.stops[k].tolist(),
                *physical[2:],
                segments.class_name(segment),
                int(segments.is_locked(segment)),
            ],
        )
