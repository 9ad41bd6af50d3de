"""What an export will write, before it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.zarr_output import open_ome_zarr

if TYPE_CHECKING:
    from napari_pytc.exporting.jobs import ExportJob

_FORMATS = {"TiffExporter": "TIFF", "Hdf5Exporter": "HDF5", "ZarrExporter": "OME-Zarr 0.5"}


@dataclass(frozen=True)
class ExportPreview:
    """What an export will write.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x), or (c, z, y, x) of probabilities.
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
    """What a job will write; reads the prediction's description alone.

    Raises
    ------
    PytcError
        Where the job would fail at once: no such format, no prediction, a box outside of it.
    """
    from napari_pytc.exporting.base import exporter_for
    from napari_pytc.exporting.views import Crop, MostProbable

    exporter = exporter_for(job.output)
    prediction = open_ome_zarr(job.prediction)
    if not prediction.channels:
        raise VolumeError(f"{job.prediction} has no channels, so it is no prediction.", "Choose another one.")
    part = Crop(prediction, job.box if job.box is not None else Box.of_shape(prediction.shape))
    array = MostProbable(part) if job.what == "classes" else part
    shape = (len(array.channels), *array.shape) if array.channels else array.shape
    return ExportPreview(
        shape=shape,
        dtype=array.dtype.name,
        n_bytes=math.prod(shape) * array.dtype.itemsize,
        voxel_size_nm=array.space.voxel_size_nm if array.space.known else None,
        format=_FORMATS[type(exporter).__name__],
    )
