"""Segmentations of other programs, made ours block by block to proofread them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import cc3d
import numpy as np

from napari_pytc.annotations.label_transform import PlacedLabels
from napari_pytc.annotations.special_values import NO_LABEL, UNKNOWN, ignored_notes, whole_numbers
from napari_pytc.decoding.blocks.block_results import BlockResults
from napari_pytc.decoding.blocks.block_steps import BlockSteps
from napari_pytc.decoding.blocks.blockwise import block_shape_for
from napari_pytc.decoding.blocks.stitching import touching_pairs
from napari_pytc.decoding.imports.boundary_map import ridges_of
from napari_pytc.decoding.jobs import ImportSegmentationJob
from napari_pytc.decoding.partition import components_of, counted
from napari_pytc.decoding.tables import BlockTables, VolumeTables, add_up
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.labels.segmentation import (
    IMPORTED,
    RECORD,
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
)
from napari_pytc.volumes.fingerprint import check_image
from napari_pytc.volumes.image import open_image_spec
from napari_pytc.volumes.opening import open_spec
from napari_pytc.volumes.source import BoundaryReader

_CONNECTIVITY = 26


def import_segmentation(job: ImportSegmentationJob, ctx: JobContext) -> dict[str, Any]:
    """Import labels as a segmentation, going on where an earlier run of the same job stopped.

    ::

        decode    connected parts of each id in each block                    -> results
        stitch    parts of one id that touch across blocks                    -> one supervoxel
        measure   contacts with scores, sizes, boxes of each block            -> results, added up
        write     each block with its last ids                                -> supervoxels.zarr
        finish    a segment of all parts of an id, and the table of ids       -> tables, record

    The parts of one id are supervoxels of one segment, so that a split can take them apart.

    Raises
    ------
    InvalidInput
        If the values are no ids, or lie outside of the image.
    VolumeError
        If a file cannot be read, changed since, or the disk is full; what is done by then stays.
    """
    begin = time.perf_counter()
    if (job.output / RECORD).exists():
        raise InvalidInput(f"There is already a segmentation at {job.output}.", "Choose another output.")
    run = _Import(job, ctx)
    record = run.run(begin).record
    box = record.box or Box.of_shape(run.shape)
    ctx.artifact("segments", box)
    return {
        "segmentation": record.id,
        "folder": str(job.output),
        "n_supervoxels": record.n_supervoxels,
        "n_segments": record.n_segments,
        "n_contacts": run.n_contacts,
        "n_blocks": len(run.grid),
        "box": str(box),
        "notes": list(record.notes),
        "seconds": round(record.seconds, 3),
        "mvoxel_per_s": round(box.size / 1e6 / record.seconds, 4),
    }


class _Import:
    """A run of an import."""

    def __init__(self, job: ImportSegmentationJob, ctx: JobContext) -> None:
        self.job, self.ctx, self.space = job, ctx, job.space
        source, image = open_spec(job.labels), open_image_spec(job.image)
        check_image(source, job.labels_digest, "file of the labels")
        check_image(image, job.digest)
        self.shape: Shape = image.shape
        self.placed: PlacedLabels = job.transform.place(source, image.shape, job.space)
        self.boundary: BoundaryReader
        if job.boundaries is not None:
            self.boundary = job.boundaries.open()
        else:
            self.boundary = ridges_of(image.channels[job.image_channel], job.space)
        self.box = self.placed.box
        block = job.block_shape or block_shape_for(job.space, self.box.shape)
        self.grid = TileGrid(self.box, block)
        self.reach = _reach(job.gap_um, job.space)
        self.notes: list[str] = []
        self.n_contacts = 0
        self._note(job.notes)

    def run(self, begin: float) -> Segmentation:
        """Do all steps and return the finished segmentation."""
        job, n = self.job, len(self.grid)
        work = f"{job.model_dump_json(exclude={'workers', 'output', 'notes'})} {self.grid.tile_shape}"
        self.results = BlockResults(job.output, work, self.shape, self.space)
        self.steps = BlockSteps(self.grid, self.results, job.workers, self.ctx)
        self.steps.run_once("decode", self._find_parts, "finding the parts of each id")
        self.results.count(n)
        ids = np.concatenate(
            [np.zeros(1, np.uint64), *(self.results.load("decode", i, ["ids"])["ids"][1:] for i in range(n))]
        )
        self._note([*self._ignored(), *self._mapped()])
        self.stitched = self._stitch(ids)
        self.steps.run_once("graph", self._measure, "measuring contacts")
        self.steps.report("adding up")
        blocks = [BlockTables.of(self.results.load("graph", index)) for index in range(n)]
        tables = add_up(blocks, int(self.stitched.max()))
        ids_of_parts = np.zeros(len(tables.sizes), np.uint64)
        ids_of_parts[self.stitched] = ids
        tables, final, segments, original = _segments_of(tables, ids_of_parts)
        self.ctx.check()
        writer = Segmentation.create(job.output, self.shape, self.space)
        digest = self.steps.write(writer, final[self.stitched])
        self.n_contacts = len(tables.graph)
        self._note(_notes_on(segments, len(original) - 1, tables.graph, job.gap_um))
        original_ids = OriginalIds(original)
        original_ids.save(job.output)
        finished = writer.finish(
            SegmentationTables(segments, tables.sizes, tables.boxes, np.zeros(len(segments), np.uint8)),
            tables.graph,
            self._record(begin, len(segments) - 1, len(original) - 1, digest),
        )
        self.results.remove()
        return finished

    def _record(self, begin: float, n_supervoxels: int, n_segments: int, digest: int) -> SegmentationRecord:
        job = self.job
        boundaries = None if job.boundaries is None else job.boundaries.model_dump(mode="json")
        how = {"kind": IMPORTED, "labels": job.labels.model_dump(mode="json"), "gap_um": job.gap_um}
        how |= {"image_channel": job.image_channel} if job.image_channel else {}
        return SegmentationRecord(
            id=job.output.name,
            created=datetime.now(UTC),
            box=None if self.box == Box.of_shape(self.shape) else self.box,
            decoder=how,
            n_supervoxels=n_supervoxels,
            n_segments=n_segments,
            voxel_size_nm=self.space.voxel_size_nm,
            checksum=checksum_text(digest),
            seconds=time.perf_counter() - begin,
            notes=tuple(self.notes),
            boundaries=boundaries,
        )

    def _find_parts(self, index: int) -> None:
        """Save the connected parts of each id in a block, from 1, and their ids."""
        box = self.grid[index].write
        values = whole_numbers(self.placed.read(box))
        ids, ignored = self._ids(values, box)
        parts, n = cc3d.connected_components(ids, connectivity=_CONNECTIVITY, return_N=True)
        parts = parts.astype(np.uint32, copy=False)
        of_part = np.zeros(int(n) + 1, np.uint64)
        of_part[parts.ravel()] = ids.ravel()
        self.results.raw.write(box, parts)
        self.results.save("decode", index, {"n": np.array(int(n)), "ids": of_part, "ignored": ignored})

    def _ids(self, values: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Ids of a block, with 0 for all that is none, and pairs of ignored values and their numbers of voxels."""
        lowest = np.iinfo(values.dtype).min
        special = [v for v in self._special() if lowest <= v <= np.iinfo(values.dtype).max]
        ids = np.ascontiguousarray(values).copy()
        counts = []
        for value in special:
            here = ids == np.asarray(value, ids.dtype)
            counts.append((value, int(np.count_nonzero(here))))
            ids[here] = 0
        places = [(values == value, id) for value, id in self.job.transform.mapped_ids().items()]
        for here, _ in places:
            ids[here] = 0
        if lowest < 0 and (low := int(ids.min())) < 0:
            raise InvalidInput(
                f"The labels hold {low} in {box}, but an id is 1 or more, and 0 is none.",
                f"If it means that there is no object, say --ignore-value {low}.",
            )
        unsigned = ids.view(f"u{ids.dtype.itemsize}") if lowest < 0 else ids
        if max((id for _, id in places), default=0) > np.iinfo(unsigned.dtype).max:
            unsigned = unsigned.astype(np.uint64)
        for here, id in places:
            unsigned[here] = id
        # Values are at most 2^64 - 1, so both columns fit uint64; negative ones are kept modulo 2^64.
        return unsigned, np.array([(v % 2**64, n) for v, n in counts if n], np.uint64).reshape(-1, 2)

    def _special(self) -> list[int]:
        """Values that are no ids."""
        is_uint64 = self.placed.dtype == np.uint64
        return [*dict.fromkeys([*self.job.transform.ignored, *((NO_LABEL, *UNKNOWN) if is_uint64 else ())])]

    def _ignored(self) -> list[str]:
        """Notes on values that were left out."""
        names = {value % 2**64: value for value in self._special()}
        counts: dict[int, int] = {}
        for index in range(len(self.grid)):
            for value, n in self.results.load("decode", index, ["ignored"])["ignored"].tolist():
                counts[names[int(value)]] = counts.get(names[int(value)], 0) + int(n)
        return ignored_notes(counts, self.job.transform.ignored, self.placed.dtype == np.uint64)

    def _mapped(self) -> list[str]:
        """Note on the ids that values were taken for."""
        mapped = self.job.transform.mapped_ids()
        told = ", ".join(f"{value} is {id or 'no object'}" for value, id in mapped.items())
        return [f"Values are mapped as asked: {told}; exports have these ids."] if mapped else []

    def _stitch(self, ids: np.ndarray) -> np.ndarray:
        """The supervoxel of each label of `BlockResults.read`, counted from 1: uint32 (n_labels + 1,)."""
        found: dict[int, np.ndarray] = {}

        def pairs_of(index: int) -> None:
            around = self.grid[index].write.grow((1, 1, 1)).intersect(self.box)
            pairs = touching_pairs(self.results.read(around, self.grid), _CONNECTIVITY)
            found[index] = pairs[ids[pairs[:, 0]] == ids[pairs[:, 1]]]

        self.steps.run(pairs_of, "joining parts across blocks")
        pairs = np.concatenate([np.zeros((0, 2), np.uint32), *(found[index] for index in range(len(self.grid)))])
        return counted(components_of(pairs, self.results.n_labels + 1))

    def _measure(self, index: int) -> None:
        """Save sizes, boxes and contacts of the supervoxels in a block."""
        tile = self.grid[index]
        near = Box(tile.write.start, tile.write.grow((1, 1, 1)).stop).intersect(self.box)
        around = near.grow(self.reach).intersect(self.box)
        labels = self.stitched[self.results.read(around, self.grid)]
        own = labels[tile.write.relative_to(around.start).slices]
        touching = self._across_gaps(labels)[near.relative_to(around.start).slices]
        graph = RegionGraph.empty()
        if _has_two(touching):  # else the boundary map need not be read
            join = 1 - self.boundary.read(near)
            graph = contact_edges(touching, join, near.start, tile.write.shape)
        tables = BlockTables.measured(own, tile.write, self.shape, lambda labels, n: np.zeros((n, 0)), graph)
        self.results.save("graph", index, tables.arrays())

    def _across_gaps(self, labels: np.ndarray) -> np.ndarray:
        """Supervoxels grown into the background from both sides, so that those touch that lie near enough."""
        if not self.job.gap_um or not labels.any() or labels.all():
            return labels
        from scipy import ndimage

        distance, nearest = ndimage.distance_transform_edt(
            labels == 0, sampling=self.space.voxel_size_nm, return_indices=True
        )
        return np.where(distance <= _growth_nm(self.job.gap_um, self.space), labels[tuple(nearest)], 0)

    def _note(self, sentences: Iterable[str]) -> None:
        """Report notes, and keep them for the record."""
        for sentence in sentences:
            self.notes.append(sentence)
            self.ctx.warn(sentence)


def _segments_of(tables: VolumeTables, ids: np.ndarray) -> tuple[VolumeTables, np.ndarray, np.ndarray, np.ndarray]:
    """Number supervoxels so that segments are 1 to the number of ids: first parts of ids come before all others.

    Returns
    -------
    tables : VolumeTables
        In the new order.
    final : ndarray of uint32
        The new number of each supervoxel.
    segments : ndarray of uint32
        The segment of each new supervoxel.
    original : ndarray of uint64
        The file's id of segments 0, 1, ...
    """
    by_first = np.argsort(tables.firsts, kind="stable")
    by_first = by_first[by_first > 0]
    _, first = np.unique(ids[by_first], return_index=True)
    rank = np.ones(len(ids), np.uint8)
    rank[by_first[first]] = 0
    keep = np.ones(len(ids), bool)
    keep[0] = False
    ordered, final = tables.in_order_of(keep, rank)
    new_ids = np.zeros(len(ids), np.uint64)
    new_ids[final] = ids
    n_segments = len(first)
    original = new_ids[: n_segments + 1]
    order = np.argsort(original, kind="stable")
    segments = order[np.searchsorted(original[order], new_ids)].astype(np.uint32)
    return ordered, final, segments, original


def _reach(gap_um: float, space: VoxelSpace) -> Shape:
    """Voxels around a block that decide which supervoxels touch across a gap."""
    growth = _growth_nm(gap_um, space)
    z, y, x = (math.ceil(growth / edge) + 1 if gap_um else 0 for edge in space.voxel_size_nm)
    return (z, y, x)


def _growth_nm(gap_um: float, space: VoxelSpace) -> float:
    """Growth of either side of a gap: half of it, and half a voxel, for distances are between centres of voxels."""
    return (1e3 * gap_um + min(space.voxel_size_nm)) / 2


def _has_two(labels: np.ndarray) -> bool:
    """Whether there are two different supervoxels, 0 being none."""
    there = labels[labels > 0]
    return bool(len(there)) and bool((there != there[0]).any())


def _notes_on(segments: np.ndarray, n_segments: int, graph: RegionGraph, gap_um: float) -> list[str]:
    """Notes on what was found."""
    if not n_segments:
        return ["The labels hold no id but 0: there is no segment."]
    notes = []
    counts = np.bincount(segments[1:])
    n_several = int(np.count_nonzero(counts > 1))
    if n_several:
        which = "1 id fills" if n_several == 1 else f"{n_several} ids fill"
        of_all = "1 id" if n_segments == 1 else f"{n_segments} ids"
        notes.append(
            f"{which} separate parts, {len(segments) - 1} parts of {of_all} in all: each part is a supervoxel "
            "of its id's segment, and a split takes them apart."
        )
    if n_segments > 1 and not len(graph):
        notes.append(
            f"No two segments touch{f' within {gap_um:g} µm' if gap_um else ''}, so the review queue has no contact to "
            "offer. Where background lies between them, import again with a gap (--gap) that is as wide, in µm."
        )
    return notes
