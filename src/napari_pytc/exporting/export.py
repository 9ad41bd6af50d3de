"""Export of an image, classes, probabilities, segments, or a table or the skeletons of segments."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import BLOCK_BYTES, ArrayReader, Exporter, ExportOptions, ExportPlan
from napari_pytc.exporting.formats import CREMI_DATASETS, ExportFormat, exporter_for, format_for
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.exporting.skeletons import made_skeletons, write_skeletons
from napari_pytc.exporting.sources import ExportSource, exported_ids, open_source, open_table_source
from napari_pytc.exporting.table import check_table_name, write_table
from napari_pytc.jobs.context import JobContext
from napari_pytc.skeletons.skeleton import Skeleton


def export(job: ExportJob, ctx: JobContext) -> dict[str, Any]:
    """Export; returns output, bytes, seconds, notes, shape, dtype, levels and voxel_size_nm (None if not known).

    `notes` are sentences on what was converted, assumed or left out. Of a table it returns the number of rows instead
    of shape, dtype and levels, of skeletons what `write_skeletons` does.
    """
    begin = time.perf_counter()
    ctx.report(0, 1, "opening what is exported")
    write = {"table": _write_table, "skeletons": _write_skeletons}.get(job.what, _write_array)
    result = write(job, ctx)
    result |= {"bytes": bytes_on_disk(job.output), "seconds": time.perf_counter() - begin}
    return {"output": str(job.output), **result}


@dataclass(frozen=True)
class PlannedExport:
    """An export that is ready to run.

    Parameters
    ----------
    source : ExportSource
        The array to write, with names and colours.
    plan : ExportPlan
        What the file will be; its notes begin with those on the source.
    """

    format: ExportFormat
    exporter: Exporter
    source: ExportSource
    options: ExportOptions
    plan: ExportPlan

    @property
    def array(self) -> ArrayReader:
        """The array to write."""
        return self.source.array


def plan_export(job: ExportJob) -> PlannedExport:
    """Open what is exported and describe what will be written; reads no voxel.

    Raises
    ------
    PytcError
        If the job would fail at once: no such format, prediction or segmentation, a box outside of it, an option that
        the format has not, voxels that it cannot hold.
    """
    found = format_for(job.output, job.format)
    _check_options(job, found)
    source = open_source(job)
    exporter = exporter_for(job.output, job.format)
    options = ExportOptions(
        compression=job.compression,
        dataset=job.dataset or (CREMI_DATASETS.get(job.what, "main") if job.layout == "cremi" else "main"),
        layout=job.layout or "plain",
        class_names=source.class_names,
        content="labels" if job.what in ("classes", "segments") else "image",
        name=job.what,
        pyramid=job.pyramid is not False,
        ome=job.ome or "0.5",
        overwrite=job.overwrite,
        block_bytes=max(1, BLOCK_BYTES // source.bytes_read_per_byte),
    )
    plan = exporter.plan(source.array, options)
    notes = (*source.notes, *plan.notes)
    return PlannedExport(found, exporter, source, options, ExportPlan(plan.dtype, plan.shapes, notes))


def check_table(job: ExportJob) -> None:
    """Refuse a name and options that a table does not have.

    Raises
    ------
    InvalidInput
        If the name does not end as that of a table, or an option would do nothing.
    """
    check_table_name(job.output)
    _refuse(_of_arrays(job) | _of_files_of_skeletons(job), "A table")
    if not job.skeletons:
        _refuse(_of_teasar(job), "A table without skeletons")


def check_skeletons(job: ExportJob) -> None:
    """Refuse options that skeletons do not have.

    Raises
    ------
    InvalidInput
        If an option would do nothing.
    """
    given = _of_arrays(job) | {"skeletons": job.skeletons}
    del given["format"]
    _refuse(given, "An SWC file")


def _refuse(given: dict[str, bool], subject: str) -> None:
    for option, is_given in given.items():
        if is_given:
            raise InvalidInput(f"{subject} has no option {option}.", f"Leave out --{option}.")


def _of_arrays(job: ExportJob) -> dict[str, bool]:
    return {
        "format": job.format is not None,
        "dtype": job.dtype is not None,
        "compression": job.compression != "auto",
        **_given_options(job),
    }


def _of_teasar(job: ExportJob) -> dict[str, bool]:
    return {
        "teasar-scale": job.teasar_scale is not None,
        "teasar-constant": job.teasar_constant_nm is not None,
    }


def _of_files_of_skeletons(job: ExportJob) -> dict[str, bool]:
    return {"unit": job.unit is not None, "segments": job.segments is not None}


def _given_options(job: ExportJob) -> dict[str, bool]:
    return {
        "dataset": job.dataset is not None,
        "layout": job.layout is not None,
        "pyramid": job.pyramid is True,
        "ome": job.ome is not None,
    }


def _check_options(job: ExportJob, found: ExportFormat) -> None:
    """Refuse options that the format does not use: they would be ignored without a word."""
    _refuse({"skeletons": job.skeletons, **_of_files_of_skeletons(job), **_of_teasar(job)}, found.title)
    for option, is_given in _given_options(job).items():
        if is_given and option not in found.options:
            raise InvalidInput(
                f"{found.title} has no option {option}.", f"Leave out --{option}, or choose another format."
            )
    if job.layout == "cremi" and job.what not in CREMI_DATASETS:
        raise InvalidInput(
            f"The CREMI layout has an image, segments and classes, got {job.what}.", "Leave out --layout cremi."
        )


def _write_array(job: ExportJob, ctx: JobContext) -> dict[str, Any]:
    planned = plan_export(job)
    array, plan = planned.array, planned.plan
    options = planned.options
    if planned.format.key == "zarr":
        options = options.model_copy(update={"colours": planned.source.colours()})
    planned.exporter.export(array, job.output, options, ctx)
    return {
        "format": planned.format.title,
        "shape": [len(array.channels), *array.shape] if array.channels else list(array.shape),
        "dtype": plan.dtype.name,
        "voxel_size_nm": list(array.space.voxel_size_nm) if array.space.known else None,
        "levels": [list(shape) for shape in plan.shapes],
        "notes": list(plan.notes),
    } | ({"dataset": options.dataset} if planned.format.key == "h5" else {})


def _write_table(job: ExportJob, ctx: JobContext) -> dict[str, Any]:
    check_table(job)
    segments = open_table_source(job)
    ids, notes = exported_ids(job, segments)

    def measured() -> Iterator[Skeleton]:
        return made_skeletons(segments, segments.segment_ids(), job, ctx)

    skeletons = measured if job.skeletons else None
    n_rows = write_table(segments, job.output, job.box, job.overwrite, ctx, ids=ids, skeletons=skeletons)
    space = segments.space
    return {"rows": n_rows, "voxel_size_nm": list(space.voxel_size_nm) if space.known else None, "notes": list(notes)}


def _write_skeletons(job: ExportJob, ctx: JobContext) -> dict[str, Any]:
    check_skeletons(job)
    return write_skeletons(job, ctx)


def bytes_on_disk(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
