"""Milliseconds of merge, split, paint, undo and redo, and bytes of the journal, on a small and a large volume.

Run ``python benchmarks/proofreading.py [--rounds 40] [--slow-rounds 5]``.

The small volume is 64x256x256 voxels of synthetic tissue, the large one 256x1024x1024: the same tissue 64 times over,
so that an edit meets the same neighbourhood in both. Every time is that of the whole edit: planned, written to the
journal with a full sync, and made. What the disk alone asks for such a
write is the bare durable commit. Beside them, on the same labels in memory, what programs without supervoxels do:
relabel the whole array, undo by a whole copy, and scikit-image's watershed in the segment's box. Sizes and variants
take turns.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
from rounds import print_bar
from scipy import ndimage
from skimage.segmentation import watershed

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.segmentations import cut_cells
from tests.support.tissue import make_tissue

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.labels.segmentation import (
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
    digest_of,
)
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Merge, Paint, SwitchSegmentation
from napari_pytc.proofreading.edits.split import Split
from napari_pytc.proofreading.journal.journal import Journal

TILE: Shape = (64, 256, 256)
PATCH_HEAD = 60
"""Bytes of a patch before what is deflated."""


@dataclass(frozen=True)
class Tile:
    """The tissue of which both volumes are made, and its graph; ids from 1."""

    supervoxels: np.ndarray
    cells: np.ndarray
    boundary: np.ndarray
    graph: RegionGraph
    space: VoxelSpace

    def read(self, box: Box) -> np.ndarray:
        """The boundary map, which repeats itself."""
        index = [np.arange(a, b) % n for a, b, n in zip(box.start, box.stop, TILE, strict=True)]
        return self.boundary[np.ix_(*index)]


def make_tile(n_cells: int) -> Tile:
    tissue = make_tissue(TILE, n_cells)
    supervoxels, cells = cut_cells(tissue.cells, 16, 64)
    boundary = ndimage.gaussian_filter((tissue.classes == 1).astype(np.float32), (0, 0.7, 0.7))
    return Tile(supervoxels, cells, boundary, contact_edges(supervoxels, 1 - boundary), tissue.space)


def make_volume(folder: Path, tile: Tile, counts: Shape) -> np.ndarray:
    """A segmentation of the tile repeated; a segment is a cell. Returns the decoded segments as an array."""
    shape: Shape = tuple(n * c for n, c in zip(TILE, counts, strict=True))  # type: ignore[assignment]
    n = len(tile.cells) - 1
    writer = Segmentation.create(folder, shape, tile.space)
    first_of_cell = np.zeros(int(tile.cells.max()) + 1, np.uint32)
    first_of_cell[tile.cells[::-1]] = np.arange(n, -1, -1)
    first_of_cell[0] = 0
    local_boxes = np.zeros((n + 1, 6), np.int32)
    for k, found in enumerate(ndimage.find_objects(tile.supervoxels), start=1):
        local_boxes[k] = [part.start for part in found] + [part.stop for part in found]
    local_sizes = np.bincount(tile.supervoxels.ravel(), minlength=n + 1)
    segments, sizes, boxes = [np.zeros(1, np.uint32)], [np.zeros(1, np.uint64)], [np.zeros((1, 6), np.int32)]
    edges, places = [], []
    labels, digest = np.empty(shape, np.uint32), 0
    for number, index in enumerate(np.ndindex(counts)):
        start = tuple(i * m for i, m in zip(index, TILE, strict=True))
        box, offset = Box.at(start, TILE), number * n
        block = np.where(tile.supervoxels > 0, tile.supervoxels + np.uint32(offset), 0).astype(np.uint32)
        writer.supervoxels.write(box, block)
        digest += digest_of(block, start, shape)
        of_cell = first_of_cell[tile.cells]
        labels[box.slices] = np.where(tile.supervoxels > 0, of_cell[tile.supervoxels] + np.uint32(offset), 0)
        segments.append(of_cell[1:] + np.uint32(offset))
        sizes.append(local_sizes[1:].astype(np.uint64))
        boxes.append(local_boxes[1:] + np.array([*start, *start], np.int32))
        edges.append(tile.graph.edges + np.uint32(offset))
        places.append(tile.graph.places + np.array(start, np.float32))
    repeats = len(edges)
    graph = RegionGraph(
        np.concatenate(edges),
        np.tile(tile.graph.scores, repeats),
        np.tile(tile.graph.contacts, repeats),
        np.concatenate(places),
    )
    n_all = repeats * n
    record = SegmentationRecord(
        id=folder.name,
        created=datetime.now(UTC),
        n_supervoxels=n_all,
        n_segments=repeats * int(tile.cells.max()),
        voxel_size_nm=tile.space.voxel_size_nm,
        checksum=checksum_text(digest),
    )
    tables = SegmentationTables(
        np.concatenate(segments), np.concatenate(sizes), np.concatenate(boxes), np.zeros(n_all + 1, np.uint8)
    )
    writer.finish(tables, graph, record)
    return labels


class Project:
    """A volume with its journal, and the same labels in memory."""

    annotations = None

    def __init__(self, folder: Path, tile: Tile, counts: Shape) -> None:
        self.folder, self.tile = folder, tile
        self.labels = make_volume(folder / "segments" / "first", tile, counts)
        self.journal = Journal(folder / "journal.sqlite", self)
        self.journal.apply(SwitchSegmentation(after="first"))
        self.document = self.open_now()
        segmentation = self.document.segmentation
        ends = segmentation.segments[segmentation.graph.edges]
        self.pairs = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)

    def open(self, segmentation: str) -> LabelDocument:
        return LabelDocument(Segmentation.open(self.folder / "segments" / segmentation), self.tile)

    def open_now(self) -> LabelDocument:
        document = self.journal.document
        assert document is not None
        return document

    def bare_commit(self, connection: sqlite3.Connection) -> None:
        """What the disk asks for any durable edit."""
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (b) VALUES (?)", (bytes(600),))
        connection.execute("COMMIT")


class Timer:
    """Milliseconds by name."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        self.taken[name].append(1000 * (time.perf_counter() - started))

    def print(self, title: str) -> None:
        width = max(map(len, self.taken))
        print(f"\n{title}\n{'':{width}}  rounds  median ms   p95 ms  best ms")
        for name, taken in self.taken.items():
            p95 = float(np.percentile(taken, 95))
            print(f"{name:{width}}  {len(taken):6}  {median(taken):9.2f}  {p95:7.2f}  {min(taken):7.2f}")


def points_in(project: Project, segment: int, rng: np.random.Generator, n: int = 3) -> tuple[tuple[int, int, int], ...]:
    """Voxels of a segment, deep inside."""
    document = project.document
    box = document.box(segment)
    depth = ndimage.distance_transform_edt(document.segments(box) == segment)
    places = np.argwhere(depth >= 0.5 * depth.max())
    chosen = places[rng.integers(0, len(places), n)] + box.start
    return tuple((int(z), int(y), int(x)) for z, y, x in chosen)


def round_of(project: Project, name: str, timer: Timer, rng: np.random.Generator, slow: bool) -> None:
    """Every edit once, each taken back."""
    journal, document = project.journal, project.document
    first, second = (int(k) for k in project.pairs[rng.integers(len(project.pairs))])
    timer(f"{name}: merge", lambda: journal.apply(Merge(segments=(first, second))))
    merged = int(document.lookup(np.array([first], np.uint32))[0])
    timer(f"{name}: undo of a merge", journal.undo)
    timer(f"{name}: redo of a merge", journal.redo)
    journal.undo()
    seeds = {1: points_in(project, first, rng), 2: points_in(project, second, rng)}
    journal.apply(Merge(segments=(first, second)))
    timer(f"{name}: split between supervoxels", lambda: journal.apply(Split(seeds=seeds)))
    timer(f"{name}: undo of a split", journal.undo)
    timer(f"{name}: redo of a split", journal.redo)
    journal.undo()
    within = max(document.members(merged).tolist(), key=lambda k: int(document.sizes(np.array([k]))[0]))
    box = document.box_of(np.array([within]))
    places = np.argwhere(document.supervoxels(box) == within) + box.start
    ends = places[[0, -1]].tolist()
    shared = {1: (tuple(ends[0]),), 2: (tuple(ends[1]),)}
    timer(f"{name}: split within a supervoxel", lambda: journal.apply(Split(seeds=shared)))
    timer(f"{name}: undo of that split", journal.undo)
    if slow:
        whole = document.box(merged)
        inside = document.segments(whole) == merged
        markers = np.zeros(whole.shape, np.int32)
        for colour, points in seeds.items():
            for point in points:
                markers[tuple(p - a for p, a in zip(point, whole.start, strict=True))] = colour
        boundary = document.boundary(whole)
        timer(f"{name}: scikit-image watershed in the box", lambda: watershed(boundary, markers, mask=inside))
    journal.undo()
    paint(project, name, timer, rng)
    z = int(rng.integers(0, document.shape[0]))
    section = Box((z, 0, 0), (z + 1, min(1024, document.shape[1]), min(1024, document.shape[2])))
    timer(f"{name}: a section, first look", lambda: document.segments(section))
    timer(f"{name}: a section again", lambda: document.segments(section))
    if slow:
        labels = project.labels
        timer(f"{name}: labels[labels == a] = b", lambda: labels.__setitem__(labels == first, second))
        timer(f"{name}: whole copy for undo", labels.copy)


def paint(project: Project, name: str, timer: Timer, rng: np.random.Generator) -> None:
    """A round brush of 20 voxels through three sections, given to a segment nearby."""
    journal, document = project.journal, project.document
    start = [int(rng.integers(0, n - m)) for n, m in zip(document.shape, (3, 21, 21), strict=True)]
    box = Box.at(start, (3, 21, 21))
    y, x = np.ogrid[-10:11, -10:11]
    mask = np.broadcast_to(y**2 + x**2 <= 100, box.shape)
    edit = Paint.of(box, mask, 0)
    document.supervoxels(box)  # painted where one looks
    timer(f"{name}: paint", lambda: journal.apply(edit))
    timer(f"{name}: undo of paint", journal.undo)
    timer(f"{name}: redo of paint", journal.redo)


def print_bytes(project: Project, name: str) -> None:
    """What painted voxels cost in the journal."""
    rows = project.journal._file.rows(
        "SELECT SUM(length(change) + length(edit)), SUM(n_voxels) FROM entries WHERE kind = 'paint'"
    )
    stored, n_voxels = rows[0]
    deepest = 0.0
    for _, change in project.journal.edits_of("first"):
        for patch in change.patches:
            content = zlib.decompress(patch.to_bytes()[PATCH_HEAD:])
            deepest = max(deepest, (len(content) + PATCH_HEAD) / patch.n_voxels)
    print(f"\n{name}: {n_voxels} voxels painted")
    print(f"  {stored / n_voxels:.2f} bytes of the journal a voxel, edit and deflated change together")
    print_bar("  most bytes a voxel before they are deflated", deepest, at_most=16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--slow-rounds", type=int, default=5)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--counts", type=int, nargs=3, default=(4, 4, 4), help="copies of the tile along z, y, x")
    arguments = parser.parse_args()
    rng, timer = np.random.default_rng(0), Timer()
    tile = make_tile(arguments.cells)
    with tempfile.TemporaryDirectory() as folder:
        z, y, x = arguments.counts
        projects = {
            "small": Project(Path(folder) / "small", tile, (1, 1, 1)),
            "large": Project(Path(folder) / "large", tile, (z, y, x)),
        }
        connection = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode = PERSIST")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        every = max(1, arguments.rounds // max(1, arguments.slow_rounds))
        for turn in range(-2, arguments.rounds):
            names = list(projects) if turn % 2 else list(projects)[::-1]
            kept = Timer() if turn < 0 else timer
            for name in names:
                round_of(projects[name], name, kept, rng, slow=turn >= 0 and turn % every == 0)
            kept("bare durable commit", lambda: projects["small"].bare_commit(connection))
        connection.close()
        shapes = ", ".join(f"{name} {'x'.join(map(str, p.document.shape))}" for name, p in projects.items())
        timer.print(shapes)
        taken = timer.taken
        merge = median(taken["large: merge"])
        print_bar("merge on the large volume, median ms", merge, at_most=10)
        print_bar("the same without a bare durable commit", merge - median(taken["bare durable commit"]), at_most=10)
        ratio = median(taken["large: merge"]) / median(taken["small: merge"])
        print_bar("merge, large / small", ratio, at_most=2)
        for kind in ("split between supervoxels", "split within a supervoxel"):
            print_bar(f"{kind}, p95 ms", float(np.percentile(taken[f"large: {kind}"], 95)), at_most=300)
        for kind in ("a merge", "a split", "paint"):
            print_bar(f"undo of {kind}, median ms", median(taken[f"large: undo of {kind}"]), at_most=20)
        print_bar("a section again, median ms", median(taken["large: a section again"]), at_most=50)
        for name, project in projects.items():
            print_bytes(project, name)
            project.journal.close()


if __name__ == "__main__":
    main()
