"""Preview of an export: shape, type and size of what it will write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_pytc.exporting.jobs import ExportJob

_ROW_BYTES = 90
"""About the length of a row of a table."""
_SKELETON_BYTES = 20_000
"""About the size of a skeleton of some hundred nodes."""


@dataclass(frozen=True)
class ExportPreview:
    """Shape, type and size of what an export will write.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x), or (c, z, y, x) of probabilities, or rows and columns of a table, or the number of skeletons.
    n_bytes : int
        Size without compression.
    voxel_size_nm : tuple of float, optional
        Along z, y, x; None if it is not known.
    format : str
        For people, as "HDF5".
    n_levels : int
        Levels of its pyramid; 1 without one.
    notes : tuple of str
        What will be converted, assumed or left out, a sentence each.
    """

    shape: tuple[int, ...]
    dtype: str
    n_bytes: int
    voxel_size_nm: tuple[float, float, float] | None
    format: str
    n_levels: int = 1
    notes: tuple[str, ...] = ()


def preview(job: ExportJob) -> ExportPreview:
    """Preview an export; reads no voxel.

    Raises
    ------
    PytcError
        If the job would fail at once: no such format, no prediction or segmentation, a box outside of it.
    """
    from napari_pytc.exporting.export import check_skeletons, check_table, plan_export
    from napari_pytc.exporting.skeletons import plan_skeletons
    from napari_pytc.exporting.sources import open_table_source
    from napari_pytc.exporting.table import COLUMNS, SKELETON_COLUMNS

    if job.what == "skeletons":
        check_skeletons(job)
        skeletons = plan_skeletons(job)
        n, space = len(skeletons.segments), skeletons.view.space
        size = space.voxel_size_nm if space.known else None
        name = "SWC, a file each" if skeletons.is_folder else "SWC"
        return ExportPreview((n,), "text", n * _SKELETON_BYTES, size, name, notes=skeletons.notes)
    if job.what == "table":
        check_table(job)
        segments = open_table_source(job)
        n_rows = len(segments.segment_ids())
        size = segments.space.voxel_size_nm if segments.space.known else None
        n_columns = len(COLUMNS) + (len(SKELETON_COLUMNS) if job.skeletons else 0)
        return ExportPreview((n_rows, n_columns), "text", n_rows * _ROW_BYTES, size, "CSV")
    planned = plan_export(job)
    array, plan = planned.array, planned.plan
    return ExportPreview(
        shape=(len(array.channels), *array.shape) if array.channels else array.shape,
        dtype=plan.dtype.name,
        n_bytes=plan.n_bytes(len(array.channels)),
        voxel_size_nm=array.space.voxel_size_nm if array.space.known else None,
        format=planned.format.title + (f" {planned.options.ome}" if planned.format.key == "zarr" else ""),
        n_levels=len(plan.shapes),
        notes=plan.notes,
    )
