"""Skeletons of segments: an SWC file of all, or a folder with a file for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc import __version__
from napari_pytc.errors import InvalidInput, listed
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.exporting.sources import exported_ids, open_table_source
from napari_pytc.exporting.target import export_target, write_mark
from napari_pytc.exporting.views import Crop
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.swc import write_swc
from napari_pytc.skeletons.teasar import Teasar, skeletonise_segments
from napari_pytc.skeletons.units import FILE, FOLDER, SUFFIX, SkeletonUnit

_WRITER = f"napari-pytc {__version__}"


@dataclass(frozen=True)
class PlannedSkeletons:
    """Skeletons that are ready to be made.

    Parameters
    ----------
    view : SegmentsView
        The segments with all edits.
    ids : OriginalIds, optional
        The ids to write; None for those of the window.
    segments : ndarray of uint32
        The segments of the window that get a skeleton, ascending.
    is_folder : bool
        Whether each has a file of its own.
    notes : tuple of str
        What is assumed or left out, a sentence each.
    """

    view: SegmentsView
    ids: OriginalIds | None
    segments: np.ndarray
    unit: SkeletonUnit
    is_folder: bool
    notes: tuple[str, ...]


def teasar_of(job: ExportJob) -> Teasar:
    """Settings of TEASAR that a job has."""
    usual = Teasar()
    return Teasar(usual.scale if job.teasar_scale is None else job.teasar_scale, job.teasar_constant_nm)


def plan_skeletons(job: ExportJob) -> PlannedSkeletons:
    """Open the segments and describe the files; reads no voxel.

    Raises
    ------
    PytcError
        If the job would fail at once: no such segmentation or segment, a box outside of it, a name or option that
        skeletons do not have.
    """
    is_folder = _is_folder(job)
    teasar_of(job)
    view = open_table_source(job)
    if job.box is not None:
        Crop(view, job.box)  # which refuses a box outside
    ids, notes = exported_ids(job, view)
    segments = view.segment_ids()
    if job.segments is not None:
        segments = _chosen(segments, ids, job.segments)
    unit: SkeletonUnit = job.unit or ("nm" if view.space.known else "voxels")
    if not view.space.known:
        if unit != "voxels":
            raise InvalidInput(
                f"Skeletons cannot be written in {unit}: the voxel size is not known.",
                "Say it when the project is made (--voxel-size), or write them with --unit voxels.",
            )
        notes = (*notes, "The voxel size is not known: skeletons are in voxels.")
    return PlannedSkeletons(view, ids, segments, unit, is_folder, notes)


def write_skeletons(job: ExportJob, ctx: JobContext) -> dict[str, Any]:
    """Write the skeletons of segments, all or none.

    Returns
    -------
    dict
        Numbers of ``skeletons`` and ``nodes``, ``path_length_nm`` (None where the voxel size is not known), ``unit``,
        ``format``, ``voxel_size_nm`` and ``notes``.
    """
    planned = plan_skeletons(job)
    space, unit = planned.view.space, planned.unit
    counts = _Counts()
    found = counts.of(_named(made_skeletons(planned.view, planned.segments, job, ctx), planned.ids))
    with export_target(job.output, job.overwrite) as aside:
        if planned.is_folder:
            aside.mkdir()
            for skeleton in found:
                _write(aside / f"{skeleton.segment}{SUFFIX}", [skeleton], space, unit)
            write_mark(aside, {"files": rf"\d+\{SUFFIX}"})
        else:
            _write(aside, found, space, unit)
    n_empty = len(planned.segments) - counts.skeletons
    notes = [*planned.notes]
    if n_empty:
        notes.append(f"{n_empty} segments have no voxel{' in the box' if job.box else ''}, so they have no skeleton.")
    return {
        "format": "SWC series" if planned.is_folder else "SWC",
        "skeletons": counts.skeletons,
        "nodes": counts.nodes,
        "path_length_nm": counts.length_nm if space.known else None,
        "unit": unit,
        "voxel_size_nm": list(space.voxel_size_nm) if space.known else None,
        "notes": notes,
    }


def made_skeletons(view: SegmentsView, segments: np.ndarray, job: ExportJob, ctx: JobContext) -> Iterator[Skeleton]:
    """Skeletons of some segments as a job says, with its progress."""

    def report(done: int, total: int) -> None:
        ctx.check()
        ctx.report(done, total, "skeletons")

    return skeletonise_segments(view, view.space, job.box, segments, teasar_of(job), report)


class _Counts:
    """Counts of the skeletons that pass."""

    def __init__(self) -> None:
        self.skeletons = self.nodes = 0
        self.length_nm = 0.0

    def of(self, skeletons: Iterator[Skeleton]) -> Iterator[Skeleton]:
        """The same skeletons, counted."""
        for skeleton in skeletons:
            self.skeletons += 1
            self.nodes += skeleton.n_nodes
            self.length_nm += skeleton.length_nm
            yield skeleton


def _write(path: Path, skeletons: Iterable[Skeleton], space: VoxelSpace, unit: SkeletonUnit) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        write_swc(skeletons, file, space, unit, _WRITER)


def _named(skeletons: Iterator[Skeleton], ids: OriginalIds | None) -> Iterator[Skeleton]:
    """Skeletons with the ids that are written."""
    for one in skeletons:
        segment = one.segment if ids is None else int(ids.lookup(np.array([one.segment], np.uint32))[0])
        yield Skeleton(segment, one.nodes_nm, one.edges, one.radii_nm)


def _chosen(segments: np.ndarray, ids: OriginalIds | None, wanted: Sequence[int]) -> np.ndarray:
    """The segments of the window that have ids as they are written."""
    names = segments if ids is None else ids.lookup(segments)
    known = {int(name): k for k, name in enumerate(names)}
    missing = [segment for segment in wanted if segment not in known]
    if missing:
        raise InvalidInput(
            f"Skeletons were asked for of {listed(missing)}, but there is no such segment.",
            "The table of segments lists all ids (--what table).",
        )
    return np.unique(segments[[known[segment] for segment in wanted]])


def _is_folder(job: ExportJob) -> bool:
    """Whether a folder is meant by the name and the format of an export."""
    if job.format not in (None, FILE, FOLDER):
        raise InvalidInput(
            f"Skeletons are written as {FILE} or {FOLDER}, got the format {job.format!r}.", "Leave out --format."
        )
    suffix = job.output.suffix.lower()
    if job.format == FOLDER or (job.format is None and not suffix):
        if suffix == SUFFIX:
            raise InvalidInput(
                f"{job.output.name} is named like one file, but a folder of files is asked for ({FOLDER}).",
                "Leave out the suffix.",
            )
        return True
    if suffix != SUFFIX:
        raise InvalidInput(
            f"Skeletons are written to a name that ends in {SUFFIX}, or to a folder without a suffix, got "
            f"{job.output.name!r}.",
            "Rename it.",
        )
    return False
