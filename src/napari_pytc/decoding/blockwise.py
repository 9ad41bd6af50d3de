"""Decoding block by block: what is held in memory depends on the block and on the graph, never on the volume."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.decoding.base import (
    DecoderSettings,
    class_sums,
    contact_join,
    in_order,
    most_probable,
)
from napari_pytc.decoding.evidence import Evidence, EvidenceReader
from napari_pytc.decoding.former import Former, Taken, hold
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.joining import opposite, overlapping_pairs, slabs, touching_pairs
from napari_pytc.decoding.partition import components_of
from napari_pytc.decoding.parts import Parts
from napari_pytc.decoding.straddling import reach_of
from napari_pytc.decoding.tables import BlockTables, VolumeTables, add_up
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, Tile, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.ledger import Ledger
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.labels.segmentation import (
    RECORD,
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    SegmentationWriter,
    checksum_text,
    count_segments,
    digest_of,
    replace_segments,
)

_THICK_BLOCK: Shape = (16, 512, 512)
_CUBIC_BLOCK: Shape = (96, 256, 256)
_NEIGHBOURHOOD = (2, 2, 2)


def segment_blockwise(job: SegmentJob, ctx: JobContext) -> dict[str, Any]:
    """Segment as a job says, going on where an earlier run of the same job stopped.

    ::

        decode    each block with a halo, and what it sees of its neighbours  -> parts
                  (or take its supervoxels over, where nothing changed)
        join      labels that two blocks gave to the same voxels              -> one id for what is one
        measure   contacts, sizes, boxes, classes of each block               -> parts, added up
        write     each block with its last ids                                -> supervoxels.zarr
        finish    one partition of the whole graph                            -> tables, record

    Raises
    ------
    InvalidInput
        If the decoder does not suit the prediction, or the box lies outside of it.
    VolumeError
        If the prediction cannot be read or the disk is full; what is done by then stays.
    """
    begin = time.perf_counter()
    if (job.output / RECORD).exists():
        raise InvalidInput(f"There is already a segmentation at {job.output}.", "Choose another output.")
    run = _Blockwise(job, ctx)
    segmentation = run.run(begin)
    record = segmentation.record
    ctx.artifact("segments", record.box or Box.of_shape(segmentation.shape))
    return {
        "segmentation": record.id,
        "folder": str(job.output),
        "n_supervoxels": record.n_supervoxels,
        "n_segments": record.n_segments,
        "n_blocks": run.n_blocks,
        "n_reused": run.n_reused,
        "seconds": round(record.seconds, 3),
        "mvoxel_per_s": round((record.box or Box.of_shape(segmentation.shape)).size / 1e6 / record.seconds, 4),
    }


def repartition(folder: Path, decoder: DecoderSettings) -> SegmentationRecord:
    """Give the supervoxels of a segmentation that nobody edited the segments of other settings; returns its record.

    Raises
    ------
    InvalidInput
        If the decoder is not one that groups supervoxels, or groups others than those.
    """
    segmentation = Segmentation.open(folder)
    check_repartition(segmentation.record, decoder)
    segments = decoder.partition(segmentation.graph, segmentation.sizes, segmentation.space)
    return replace_segments(folder, segments, decoder.model_dump(mode="json"))


def check_repartition(record: SegmentationRecord, decoder: DecoderSettings) -> None:
    """Raise `InvalidInput` if a segmentation's supervoxels are not those of a decoder that groups them."""
    before = record.decoder.get("kind", "")
    if decoder.slider is None or getattr(DecoderSettings.variants().get(before), "slider", None) is None:
        raise InvalidInput(
            f"Only the supervoxels of agglomeration and multicut can be grouped again, got those of "
            f"{before or 'an unknown decoder'} and {decoder.kind}.",
            "Segment again.",
        )


def block_shape_for(space: VoxelSpace, shape: Shape) -> Shape:
    """Blocks that suit the voxel size and the chunks on disk, no larger than the volume."""
    from napari_pytc.decoding.flooding import is_thick

    z, y, x = (min(b, n) for b, n in zip(_THICK_BLOCK if is_thick(space) else _CUBIC_BLOCK, shape, strict=True))
    return (z, y, x)


class _Blockwise:
    """One run of one job."""

    def __init__(self, job: SegmentJob, ctx: JobContext) -> None:
        self.job, self.ctx = job, ctx
        self.decoder: DecoderSettings = job.decoder
        self.reader: EvidenceReader = job.reader()
        origin = self.reader.space.origin_nm
        self.space = self.reader.space if job.voxel_size_nm is None else VoxelSpace(job.voxel_size_nm, origin)
        if not self.space.known:
            ctx.warn("The voxel size is not known: sizes in µm are reckoned with voxels of 10 nm.")
        whole = Box.of_shape(self.reader.shape)
        self.box = whole if job.box is None else job.box
        if self.box.is_empty or not whole.contains(self.box):
            raise InvalidInput(f"The box {self.box} does not lie within the prediction {whole}.", "Choose another box.")
        block = job.block_shape or block_shape_for(self.space, self.box.shape)
        self.grid = TileGrid(self.box, block, self.decoder.halo(self.space))
        self.former = Former(job, self.reader.shape, self.box)
        self.done = 0

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return len(self.grid)

    @property
    def n_reused(self) -> int:
        """How many of them were taken over."""
        return sum(self.former.is_reused(tile) for tile in self.grid)

    def run(self, begin: float) -> Segmentation:
        """All passes."""
        job, n = self.job, len(self.grid)
        work = job.model_dump_json(exclude={"workers", "output"}) + f" {self.grid.tile_shape} {self.former.work}"
        self.parts = Parts(job.output, work, self.reader.shape, self.space)
        self.former.look(self.grid, self.ctx.check)
        self._with_ledger("decode", self._decode)
        self.parts.count(n)
        self.taken = self._taken()
        self.joined = self._join()
        self._with_ledger("graph", self._measure)
        self.ctx.report(self.done, 4 * n, "adding up")
        tables = add_up([BlockTables.of(self.parts.load("graph", index)) for index in range(n)], int(self.joined.max()))
        self.ctx.check()
        locks = np.zeros(len(tables.sizes), np.uint32)
        locks[self.joined] = np.maximum(locks[self.joined], self.taken.locks)
        keep = self.decoder.kept(tables.sizes, tables.graph, self.space) | (locks > 0)
        tables, final = tables.in_order_of(keep)
        held = np.zeros(len(tables.sizes), np.uint32)
        held[final] = self.former.locked_segments(locks)
        held[0] = 0
        self.final = final[self.joined]
        writer = Segmentation.create(job.output, self.reader.shape, self.space)
        digest = self._write(writer)
        self.ctx.report(self.done, 4 * n, "grouping")
        segments = self._partition(tables, held)
        self.ctx.check()
        record = SegmentationRecord(
            id=job.output.name,
            created=datetime.now(UTC),
            box=job.box,
            decoder=self.decoder.model_dump(mode="json"),
            prediction=str(job.prediction),
            mask=None if (mask := job.mask()) is None else mask.model_dump(mode="json"),
            n_supervoxels=len(tables.sizes) - 1,
            n_segments=count_segments(segments),
            voxel_size_nm=self.space.voxel_size_nm,
            checksum=checksum_text(digest),
            seconds=time.perf_counter() - begin,
            classes=self.reader.kind.class_names,
        )
        classes = most_probable(tables.class_sums)
        finished = writer.finish(
            SegmentationTables(segments, tables.sizes, tables.boxes, classes), tables.graph, record
        )
        self.parts.remove()
        return finished

    def _decode(self, index: int) -> None:
        """Labels of one block from 1, where they come from, and those it gives to voxels of its neighbours."""
        tile = self.grid[index]
        seen, origins, locks = self._seen(tile)
        labels = in_order(seen[tile.inner.slices])
        own = np.zeros(len(origins), np.uint32)
        own[seen[tile.inner.slices]] = labels
        n = int(labels.max())
        arrays = {"n": np.array(n)}
        for name, source in (("origins", origins), ("locks", locks)):
            arrays[name] = np.zeros(n + 1, np.uint32)
            arrays[name][own[source > 0]] = source[source > 0]
            arrays[name][0] = 0
        if self.decoder.joining != "touching":
            for name, box in slabs(tile, self.grid):
                arrays[name] = own[seen[box.relative_to(tile.read.start).slices]]
        self.parts.raw.write(tile.write, labels)
        self.parts.save("decode", index, arrays)

    def _seen(self, tile: Tile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels of what a block reads, and by label the reused and the locked supervoxel it is of, 0 for none."""
        locked = self.former.locked(tile.read)
        if self.former.is_reused(tile):
            box = tile.write if self.decoder.joining == "touching" else tile.read
            seen = np.zeros(tile.read.shape, np.uint32)
            connectivity = getattr(self.decoder, "connectivity", 26)
            seen[box.relative_to(tile.read.start).slices], origins = self.former.pieces(box, connectivity)
        else:
            evidence = self.reader.read(tile.read)
            if locked is not None:  # nothing grows into what is locked
                free = locked == 0
                evidence = replace(
                    evidence, predicted=free if evidence.predicted is None else evidence.predicted & free
                )
            seen = in_order(self.decoder.supervoxels(evidence, self.space))
            origins = np.zeros(int(seen.max()) + 1, np.uint32)
        locks = np.zeros(len(origins), np.uint32)
        if locked is not None:
            here = locked > 0
            ids, inverse = np.unique(locked[here], return_inverse=True)
            seen[here] = inverse.reshape(-1) + len(origins)
            locks, origins = np.r_[locks, ids], np.r_[origins, np.zeros(len(ids), np.uint32)]
        return seen, origins, locks

    def _taken(self) -> Taken:
        """Where the labels of all blocks come from."""
        stored = [self.parts.load("decode", index) for index in range(len(self.grid))]
        none = np.zeros(1, np.uint32)
        origins, locks = (np.concatenate([none, *(one[name][1:] for one in stored)]) for name in ("origins", "locks"))
        return Taken(origins, locks)

    def _partition(self, tables: VolumeTables, held: np.ndarray) -> np.ndarray:
        """The segment of each supervoxel; those of locked segments join no other."""
        graph = tables.graph
        if held.any():
            free = ~held[graph.edges].any(axis=1)
            graph = RegionGraph(graph.edges[free], graph.scores[free], graph.contacts[free], graph.places[free])
        segments = self.decoder.partition(graph, tables.sizes, self.space)
        return hold(segments, held) if held.any() else segments

    def _join(self) -> np.ndarray:
        """One id, from 1, for all labels that are one: by label of `Parts.read`, uint32 (n_labels + 1,)."""
        found: dict[int, np.ndarray] = {}

        def pairs_of(index: int) -> None:
            found[index] = self._touching(index) if self.decoder.joining == "touching" else self._overlapping(index)

        self._each_block(range(len(self.grid)), pairs_of, "joining blocks")
        pairs = np.concatenate([self.taken.pairs(self.former), *(found[index] for index in range(len(self.grid)))])
        groups = components_of(pairs, self.parts.n_labels + 1)
        if self.decoder.joining != "touching":
            groups = components_of(self.taken.apart(pairs, groups), self.parts.n_labels + 1)
        is_first = groups == np.arange(len(groups))
        return np.asarray((np.cumsum(is_first) - 1)[groups].astype(np.uint32))

    def _touching(self, index: int) -> np.ndarray:
        around = self.grid[index].write.grow((1, 1, 1)).intersect(self.box)
        return self.taken.allowed(
            touching_pairs(self.parts.read(around, self.grid), getattr(self.decoder, "connectivity", 6))
        )

    def _overlapping(self, index: int) -> np.ndarray:
        """Pairs across the far faces of a block."""
        found = [np.zeros((0, 2), np.uint32)]
        tile = self.grid[index]
        beyond = self._beyond(index)
        for name, above in slabs(tile, self.grid):
            axis = int(name[-1])
            if not name.startswith("high"):
                continue
            (other,) = self.grid.overlapping(above)
            theirs = self._beyond(other)[opposite(name)]
            below = Box.at(
                [s if a != axis else tile.write.stop[axis] - theirs.shape[axis] for a, s in enumerate(above.start)],
                theirs.shape,
            )
            here, there = self.parts.read(below, self.grid), self.parts.read(above, self.grid)
            contact = np.stack([here.take(-1, axis).ravel(), there.take(0, axis).ravel()], axis=1)
            pairs = overlapping_pairs(
                np.concatenate([here, beyond[name]], axis),
                np.concatenate([theirs, there], axis),
                contact,
            )
            found.append(self.taken.allowed(pairs, contact))
        return np.concatenate(found)

    def _beyond(self, index: int) -> dict[str, np.ndarray]:
        """What a block calls the voxels beyond its faces, with ids as `Parts.read` gives them."""
        stored = self.parts.load("decode", index)
        start = np.uint32(self.parts.starts[index])
        return {name: np.where(a > 0, a + start, 0).astype(np.uint32) for name, a in stored.items() if a.ndim == 3}

    def _measure(self, index: int) -> None:
        """Sizes, boxes, classes and contacts of the labels in one block."""
        tile = self.grid[index]
        near = Box(tile.write.start, tile.write.grow((1, 1, 1)).stop).intersect(self.box)
        reach = np.maximum(_NEIGHBOURHOOD, reach_of(self.reader.kind.offsets)).tolist()
        around = near.grow(reach).intersect(self.box)
        labels = self.joined[self.parts.read(near, self.grid)]
        evidence = self.reader.read(around)
        join = contact_join(evidence)
        if join is not None:
            join = join[(..., *near.relative_to(around.start).slices)]
        graph = contact_edges(labels, join, near.start, tile.write.shape)
        inner = tile.write.relative_to(around.start)
        own = labels[tile.write.relative_to(near.start).slices]
        tables = BlockTables.measured(own, tile.write, self.reader.shape, _classes_of(evidence, inner), graph)
        self.parts.save("graph", index, tables.arrays())

    def _write(self, writer: SegmentationWriter) -> int:
        """Write the last ids of every block; returns their digest."""
        digests: dict[int, int] = {}

        def write(index: int) -> None:
            box = self.grid[index].write
            labels = self.final[self.parts.read(box, self.grid)]
            writer.supervoxels.write(box, labels)
            digests[index] = digest_of(labels, box.start, self.reader.shape)

        self._each_block(range(len(self.grid)), write, "writing")
        return sum(digests.values())

    def _with_ledger(self, step: str, work: Callable[[int], None]) -> None:
        """Do a step of every block that an earlier run has not done."""
        with Ledger(self.parts.folder / f"{step}.ledger", self.parts.work) as ledger:
            before = ledger.done()
            self.done += len(before)

            def work_and_mark(index: int) -> None:
                work(index)
                ledger.mark(index)

            left = [index for index in range(len(self.grid)) if index not in before]
            self._each_block(left, work_and_mark, "decoding" if step == "decode" else "measuring contacts")

    def _each_block(self, indices: Iterable[int], work: Callable[[int], None], note: str) -> None:
        """Do something with every block, several at a time; what it comes to must not depend on their order."""
        stop = threading.Event()

        def guarded(index: int) -> None:
            if not stop.is_set():
                self.ctx.check()
                work(index)

        total = 4 * len(self.grid)
        self.ctx.report(self.done, total, note)
        waiting: set[Future[None]] = set()
        with ThreadPoolExecutor(self.job.workers, "segment") as pool:
            try:
                for index in indices:
                    waiting.add(pool.submit(guarded, index))
                    if len(waiting) > self.job.workers:
                        waiting = self._collect(waiting, total, note)
                while waiting:
                    waiting = self._collect(waiting, total, note)
            finally:
                stop.set()  # after an error or a cancel, blocks not begun are left

    def _collect(self, waiting: set[Future[None]], total: int, note: str) -> set[Future[None]]:
        ready, left = wait(waiting, return_when=FIRST_COMPLETED)
        for future in ready:
            future.result()
            self.done += 1
            self.ctx.report(self.done, total, note)
        return left


def _classes_of(evidence: Evidence, inner: Box) -> Callable[[np.ndarray, int], np.ndarray]:
    """Sums of the classes over labels of the inner box."""
    classes = None if evidence.classes is None else evidence.classes[(slice(None), *inner.slices)]
    names = evidence.class_names
    if classes is None:
        return lambda labels, n: np.zeros((n, 0))
    return lambda labels, n: class_sums(labels, Evidence(classes=classes, class_names=names), n)
