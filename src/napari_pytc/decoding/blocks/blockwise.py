"""Decoding of volumes block by block: memory depends on the block and the graph, never on the volume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from napari_pytc.decoding.base import (
    DecoderSettings,
    class_sums,
    contact_join,
    in_order,
    most_probable,
)
from napari_pytc.decoding.blocks.block_pieces import BlockPieces
from napari_pytc.decoding.blocks.block_results import BlockResults
from napari_pytc.decoding.blocks.block_steps import BlockSteps
from napari_pytc.decoding.blocks.reuse import PreviousSegmentation, Reused, fallen_apart, keep_ids
from napari_pytc.decoding.blocks.stitching import slabs
from napari_pytc.decoding.blocks.unseeded import joined_to_seeded
from napari_pytc.decoding.evidence import Evidence, EvidenceReader
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.long_range import reach_of
from napari_pytc.decoding.notes import BlockCounts, DecodingNotes, unused_channels
from napari_pytc.decoding.partition import components_of, counted
from napari_pytc.decoding.tables import BlockTables, VolumeTables, add_up
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, Tile, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.labels.segmentation import (
    RECORD,
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
    count_segments,
)

_THICK_BLOCK: Shape = (16, 512, 512)
_CUBIC_BLOCK: Shape = (96, 256, 256)
_NEIGHBOURHOOD = (2, 2, 2)
_SEEDED = 2**31
"""Stands for the number of seed voxels of what is taken over, which needs none."""
_UNKNOWN_SIZE = "The voxel size is not known: sizes in µm are reckoned with voxels of 10 nm."


def segment_blockwise(job: SegmentJob, ctx: JobContext) -> dict[str, Any]:
    """Segment a prediction, going on where an earlier run of the same job stopped.

    ::

        decode    each block with a halo, and its labels beyond its faces       -> results
                  (or take its supervoxels over, where nothing changed)
        stitch    labels that two blocks gave to the same voxels              -> one id for what is one
        measure   contacts, sizes, boxes, classes of each block               -> results, added up
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
        "notes": list(record.notes),
        "seconds": round(record.seconds, 3),
        "mvoxel_per_s": round((record.box or Box.of_shape(segmentation.shape)).size / 1e6 / record.seconds, 4),
    }


def block_shape_for(space: VoxelSpace, shape: Shape) -> Shape:
    """Blocks that suit the voxel size and the chunks on disk, no larger than the volume."""
    from napari_pytc.decoding.flooding import is_thick

    z, y, x = (min(b, n) for b, n in zip(_THICK_BLOCK if is_thick(space) else _CUBIC_BLOCK, shape, strict=True))
    return (z, y, x)


class _Blockwise:
    """A run of a segmentation job."""

    def __init__(self, job: SegmentJob, ctx: JobContext) -> None:
        self.job, self.ctx = job, ctx
        self.reader: EvidenceReader = job.reader()
        origin = self.reader.space.origin_nm
        self.space = self.reader.space if job.voxel_size_nm is None else VoxelSpace(job.voxel_size_nm, origin)
        self.notes: list[str] = []
        self._note([*job.notes, *([] if self.space.known else [_UNKNOWN_SIZE])])
        self._note(unused_channels(self.reader.kind.unused))
        self._note(job.decoder.assumptions(self.reader.kind))
        whole = Box.of_shape(self.reader.shape)
        self.box = whole if job.box is None else job.box
        if self.box.is_empty or not whole.contains(self.box):
            raise InvalidInput(f"The box {self.box} does not lie within the prediction {whole}.", "Choose another box.")
        self.decoder: DecoderSettings = job.decoder.fitted(self.box.shape, self.space)
        self.explain = DecodingNotes(job.decoder, self.box.shape, self.space)
        block = job.block_shape or block_shape_for(self.space, self.box.shape)
        self.grid = TileGrid(self.box, block, self.decoder.halo(self.space))
        self.previous = PreviousSegmentation(job, self.reader.shape, self.box)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.grid)

    @property
    def n_reused(self) -> int:
        """Number of blocks that reuse supervoxels of the previous segmentation."""
        return sum(self.previous.is_reused(tile) for tile in self.grid)

    def run(self, begin: float) -> Segmentation:
        """Do all steps and return the finished segmentation."""
        job, n = self.job, len(self.grid)
        work = (
            job.model_dump_json(exclude={"workers", "output", "notes"})
            + f" {self.grid.tile_shape} {self.previous.work}"
        )
        self.results = BlockResults(job.output, work, self.reader.shape, self.space)
        self.previous.find_affected(self.grid, self.ctx.check)
        self.steps = BlockSteps(self.grid, self.results, job.workers, self.ctx)
        self.steps.run_once("decode", self._decode, "decoding")
        self.results.count(n)
        self.reused, self.seeds = self._load_reused(), self._load_seeds()
        self._note(self.explain.on_blocks(self._block_counts()))
        self.stitched = self._stitch()
        self.steps.run_once("graph", self._measure, "measuring contacts")
        self.steps.report("adding up")
        tables = add_up(
            [BlockTables.of(self.results.load("graph", index)) for index in range(n)], int(self.stitched.max())
        )
        self.ctx.check()
        locks = np.zeros(len(tables.sizes), np.uint32)
        locks[self.stitched] = np.maximum(locks[self.stitched], self.reused.locks)
        keep = self.decoder.large_enough(tables.sizes, tables.graph, self.space) | (locks > 0)
        seeded = self._well_seeded(len(tables.sizes))
        self._note(self.explain.on_dropped(keep, seeded))
        keep &= True if seeded is None else seeded
        tables, final = tables.in_order_of(keep)
        fixed = np.zeros(len(tables.sizes), np.uint32)
        fixed[final] = self.previous.locked_segments(locks)
        fixed[0] = 0
        writer = Segmentation.create(job.output, self.reader.shape, self.space)
        digest = self.steps.write(writer, final[self.stitched])
        self.steps.report("grouping")
        segments = self._partition(tables, fixed)
        self.ctx.check()
        record = SegmentationRecord(
            id=job.output.name,
            created=datetime.now(UTC),
            box=job.box,
            decoder=job.decoder.model_dump(mode="json"),
            prediction=str(job.prediction),
            mask=None if (mask := job.mask()) is None else mask.model_dump(mode="json"),
            n_supervoxels=len(tables.sizes) - 1,
            n_segments=count_segments(segments),
            voxel_size_nm=self.space.voxel_size_nm,
            checksum=checksum_text(digest),
            seconds=time.perf_counter() - begin,
            classes=self.reader.kind.class_names,
            notes=tuple(self.notes),
        )
        classes = most_probable(tables.class_sums)
        finished = writer.finish(
            SegmentationTables(segments, tables.sizes, tables.boxes, classes), tables.graph, record
        )
        self.results.remove()
        return finished

    def _decode(self, index: int) -> None:
        """Save the labels of a block, from 1, their origins, and its labels of voxels of its neighbours."""
        tile = self.grid[index]
        labelled, origins, locks, counts, seeds = self._label_tile(tile)
        labels = in_order(labelled[tile.inner.slices])
        own = np.zeros(len(origins), np.uint32)
        own[labelled[tile.inner.slices]] = labels
        n = int(labels.max())
        arrays = {"n": np.array(n), "counts": counts}
        for name, source in (("origins", origins), ("locks", locks)):
            arrays[name] = np.zeros(n + 1, np.uint32)
            arrays[name][own[source > 0]] = source[source > 0]
            arrays[name][0] = 0
        if seeds is not None:
            found = np.bincount(labels[seeds[tile.inner.slices]], minlength=n + 1)
            arrays["seeds"] = np.where((arrays["origins"] > 0) | (arrays["locks"] > 0), _SEEDED, found)
        if self.decoder.stitching == "matching":
            for name, box in slabs(tile, self.grid):
                arrays[name] = own[labelled[box.relative_to(tile.read.start).slices]]
        self.results.raw.write(tile.write, labels)
        self.results.save("decode", index, arrays)

    def _label_tile(self, tile: Tile) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Labels of the box that a block reads, and for each its reused and its locked supervoxel, 0 for none.

        Then the numbers of unpredicted and of swallowed voxels in the block, as `BlockCounts` adds them, and the seeds.
        """
        counts, seeds = np.zeros(2, np.int64), None
        locked = self.previous.locked(tile.read)
        if self.previous.is_reused(tile):
            box = tile.read if self.decoder.stitching == "matching" else tile.write
            labelled = np.zeros(tile.read.shape, np.uint32)
            pieces, origins = self.previous.pieces(box, self.decoder.piece_connectivity)
            if self.decoder.stitching == "joined" and self.previous.is_affected(origins).any():
                # That two voxels touch does not say that they are still one: the faces between them do.
                parts = self.decoder.supervoxels(self._evidence(tile, locked), self.space)[tile.inner.slices]
                pieces, origins = fallen_apart(pieces, origins, parts, self.previous.is_affected(origins))
            labelled[box.relative_to(tile.read.start).slices] = pieces
        else:
            evidence = self._evidence(tile, locked)
            labelled = in_order(self.decoder.supervoxels(evidence, self.space))
            counts[:] = self._left_out(evidence, labelled, tile, locked)
            seeds = self.decoder.seed_voxels(evidence)
            origins = np.zeros(int(labelled.max()) + 1, np.uint32)
        locks = np.zeros(len(origins), np.uint32)
        if locked is not None:
            here = locked > 0
            ids, inverse = np.unique(locked[here], return_inverse=True)
            labelled[here] = inverse.reshape(-1) + len(origins)
            locks, origins = np.r_[locks, ids], np.r_[origins, np.zeros(len(ids), np.uint32)]
        return labelled, origins, locks, counts, seeds

    def _evidence(self, tile: Tile, locked: np.ndarray | None) -> Evidence:
        """The evidence that a block reads, without the voxels of locked segments, which no object grows into."""
        evidence = replace(self.reader.read(tile.read), goes_on=_goes_on(tile.read, self.box))
        if locked is None:
            return evidence
        free = locked == 0
        return replace(evidence, predicted=free if evidence.predicted is None else evidence.predicted & free)

    def _load_seeds(self) -> np.ndarray | None:
        """Seed voxels of each label of `BlockResults.read`, (n_labels + 1,); None where objects need none."""
        stored = [self.results.load("decode", index, ["seeds", "n"]) for index in range(len(self.grid))]
        if not any("seeds" in one for one in stored):
            return None
        counts = [one["seeds"][1:] if "seeds" in one else np.full(int(one["n"]), _SEEDED) for one in stored]
        return np.concatenate([np.zeros(1, np.int64), *counts])

    def _well_seeded(self, n: int) -> np.ndarray | None:
        """Mask of n objects, the background included: those that hold enough of their seeds, in all blocks together."""
        if self.seeds is None:
            return None
        return self.decoder.well_seeded(np.bincount(self.stitched, weights=self.seeds, minlength=n))

    def _left_out(
        self, evidence: Evidence, labelled: np.ndarray, tile: Tile, locked: np.ndarray | None
    ) -> tuple[int, int]:
        """Numbers of voxels in a block that are not predicted and not locked, and that the decoder dropped."""
        n_unpredicted = n_dropped = 0
        kind = self.reader.kind
        # Only classes add up to 1: of other channels all may be 0 where there is nothing.
        is_of_classes = not (kind.boundary or kind.distance or kind.offsets or kind.mask_names)
        if evidence.predicted is not None and is_of_classes:
            missing = ~evidence.predicted if locked is None else ~evidence.predicted & (locked == 0)
            n_unpredicted = int(np.count_nonzero(missing[tile.inner.slices]))
        dropped = self.decoder.dropped(evidence, labelled, self.space)
        if dropped is not None:
            n_dropped = int(np.count_nonzero(dropped[tile.inner.slices]))
        return n_unpredicted, n_dropped

    def _block_counts(self) -> BlockCounts:
        stored = [self.results.load("decode", index, ["counts"]).get("counts") for index in range(len(self.grid))]
        return BlockCounts.total([counts for counts in stored if counts is not None], self.box.size)

    def _note(self, sentences: Iterable[str]) -> None:
        """Report notes, and keep them for the record."""
        for sentence in sentences:
            self.notes.append(sentence)
            self.ctx.warn(sentence)

    def _load_reused(self) -> Reused:
        """The origins of the labels of all blocks."""
        stored = [self.results.load("decode", index, ["origins", "locks"]) for index in range(len(self.grid))]
        none = np.zeros(1, np.uint32)
        origins, locks = (np.concatenate([none, *(one[name][1:] for one in stored)]) for name in ("origins", "locks"))
        return Reused(origins, locks)

    def _partition(self, tables: VolumeTables, fixed: np.ndarray) -> np.ndarray:
        """The segment of each supervoxel; those of locked segments join no other."""
        graph = tables.graph
        if fixed.any():
            graph = graph.take(~fixed[graph.edges].any(axis=1))
        groups = self.decoder.group(graph, tables.sizes, self.space)
        segments = self.decoder.join_small(groups, graph, tables.sizes, self.space)
        self._note(self.explain.on_joined(groups[fixed == 0], segments[fixed == 0]))
        return keep_ids(segments, fixed) if fixed.any() else segments

    def _stitch(self) -> np.ndarray:
        """The object of each label of `BlockResults.read`, counted from 1: uint32 (n_labels + 1,)."""
        found: dict[int, np.ndarray] = {}
        near: dict[int, np.ndarray] = {}
        is_matching = self.decoder.stitching == "matching"

        pieces = BlockPieces(self.grid, self.results, self.reader, self.decoder, self.reused)

        def pairs_of(index: int) -> None:
            if is_matching:
                found[index], near[index] = pieces.overlapping(index)
            else:
                found[index] = pieces.touching(index)

        self.steps.run(pairs_of, "stitching blocks")
        blocks = range(len(self.grid))
        pairs = np.concatenate([self.reused.pairs(self.previous), *(found[index] for index in blocks)])
        groups = components_of(pairs, self.results.n_labels + 1)
        if is_matching:
            groups = components_of(self.reused.separated(pairs, groups), self.results.n_labels + 1)
        if is_matching and self.seeds is not None:
            every = np.concatenate([near[index] for index in blocks])
            groups = joined_to_seeded(groups, self.seeds, every, self.decoder.well_seeded)
        return counted(groups)

    def _measure(self, index: int) -> None:
        """Save sizes, boxes, classes and contacts of the labels in a block."""
        tile = self.grid[index]
        near = Box(tile.write.start, tile.write.grow((1, 1, 1)).stop).intersect(self.box)
        reach = np.maximum(_NEIGHBOURHOOD, reach_of(self.reader.kind.offsets)).tolist()
        around = near.grow(reach).intersect(self.box)
        labels = self.stitched[self.results.read(near, self.grid)]
        evidence = self.reader.read(around)
        join = contact_join(evidence)
        if join is not None:
            join = join[(..., *near.relative_to(around.start).slices)]
        histograms = self.decoder.needs_histograms
        graph = contact_edges(labels, join, near.start, tile.write.shape, histograms=histograms)
        inner = tile.write.relative_to(around.start)
        own = labels[tile.write.relative_to(near.start).slices]
        tables = BlockTables.measured(own, tile.write, self.reader.shape, _classes_of(evidence, inner), graph)
        self.results.save("graph", index, tables.arrays())


def _goes_on(read: Box, whole: Box) -> tuple[tuple[bool, bool], ...]:
    """Along z, y, x: whether the whole goes on before and beyond a box."""
    return tuple((read.start[a] > whole.start[a], read.stop[a] < whole.stop[a]) for a in range(3))


def _classes_of(evidence: Evidence, inner: Box) -> Callable[[np.ndarray, int], np.ndarray]:
    """Sums of the classes over labels of the inner box."""
    classes = None if evidence.classes is None else evidence.classes[(slice(None), *inner.slices)]
    names = evidence.class_names
    if classes is None:
        return lambda labels, n: np.zeros((n, 0))
    return lambda labels, n: class_sums(labels, Evidence(classes=classes, class_names=names), n)
