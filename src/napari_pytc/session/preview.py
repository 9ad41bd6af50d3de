"""What an export will write, before it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_pytc.exporting.jobs import ExportJob

_FORMATS = {"TiffExporter": "TIFF", "Hdf5Exporter": "HDF5", "ZarrExporter": "OME-Zarr 0.5"}
_ROW_BYTES = 90
"""About how long a row of a table is."""


@dataclass(frozen=True)
class ExportPreview:
    """What an export will write.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x), or (c, z, y, x) of probabilities, or rows and columns of a table.
    n_bytes : int
        Size without compression.
    voxel_size_nm : tuple of float, optional
        Along z, y, x; None if it is not known.
    format : str
        For people, as "HDF5".
    """

    shape: tuple[int, ...]
    dtype: str
    n_bytes: int
    voxel_size_nm: tuple[float, float, float] | None
    format: str


def preview(job: ExportJob) -> ExportPreview:
    """What a job will write; reads no voxel.

    Raises
    ------
    PytcError
        Where the job would fail at once: no such format, no prediction or segmentation, a box outside of it.
    """
    from napari_pytc.exporting.base import exporter_for
    from napari_pytc.exporting.table import COLUMNS, check_table_name
    from napari_pytc.labels.segments_view import SegmentsView

    if job.what == "table":
        check_table_name(job.output)
        segments = job.array()
        assert isinstance(segments, SegmentsView)
        n_rows = len(segments.segment_ids())
        size = segments.space.voxel_size_nm if segments.space.known else None
        return ExportPreview((n_rows, len(COLUMNS)), "text", n_rows * _ROW_BYTES, size, "CSV")
    exporter = exporter_for(job.output)
    array = job.array()
    shape = (len(array.channels), *array.shape) if array.channels else array.shape
    return ExportPreview(
        shape=shape,
        dtype=array.dtype.name,
        n_bytes=math.prod(shape) * array.dtype.itemsize,
        voxel_size_nm=array.space.voxel_size_nm if array.space.known else None,
        format=_FORMATS[type(exporter).__name__],
    )
