"""Export as a job."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.base import BLOCK_BYTES, ArrayReader, Compression, ExportOptions, exporter_for
from napari_pytc.exporting.views import Crop, MostProbable
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.volumes.zarr_output import open_ome_zarr


class ExportJob(JobSpec):
    """Write a prediction to a file that other programs read."""

    kind: Literal["export"] = "export"
    prediction: Path = Field(description="The OME-Zarr (c, z, y, x) of uint8 probabilities.")
    what: Literal["classes", "probabilities"] = Field(
        "classes",
        description="The most probable class of each voxel (0 = not predicted), or every class's probability.",
    )
    output: Path = Field(description="The file to write; its suffix says the format.")
    box: Box | None = Field(None, description="Voxels to export; the whole volume by default.")
    dataset: str = Field("main", description="Name of the dataset in an HDF5 file.")
    compression: Compression = "auto"
    class_names: tuple[str, ...] = Field((), description="Names of the classes; those of the prediction by default.")
    overwrite: bool = Field(False, description="Replace a file that is there already.")

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Export; returns output, shape, dtype, bytes on disk, voxel_size_nm (None if not known) and seconds."""
        begin = time.perf_counter()
        ctx.report(0, 1, "opening the prediction")
        exporter = exporter_for(self.output)
        prediction = self._prediction()
        array: ArrayReader = prediction if self.box is None else Crop(prediction, self.box)
        block_bytes = BLOCK_BYTES
        if self.what == "classes":
            array = MostProbable(array)
            # A block of classes is made from one of probabilities, which is this many times as large.
            block_bytes //= len(prediction.channels)
        options = ExportOptions(
            compression=self.compression,
            dataset=self.dataset,
            class_names=self.class_names or tuple(prediction.channels),
            overwrite=self.overwrite,
            block_bytes=block_bytes,
        )
        exporter.export(array, self.output, options, ctx)
        return {
            "output": str(self.output),
            "shape": [len(array.channels), *array.shape] if array.channels else list(array.shape),
            "dtype": np.dtype(array.dtype).name,
            "bytes": bytes_on_disk(self.output),
            "voxel_size_nm": list(array.space.voxel_size_nm) if array.space.known else None,
            "seconds": time.perf_counter() - begin,
        }

    def _prediction(self) -> ArrayReader:
        ours, theirs = self.prediction.resolve(), self.output.resolve()
        if ours == theirs or ours in theirs.parents or theirs in ours.parents:
            raise InvalidInput(
                f"A prediction cannot be exported over itself, got {self.output}.",
                "Choose another place for the export.",
            )
        prediction = open_ome_zarr(self.prediction)
        if not prediction.channels:
            raise VolumeError(
                f"A prediction has axes c, z, y, x, but {self.prediction} has no channels.",
                "Choose a Zarr that predict wrote.",
            )
        return prediction


def bytes_on_disk(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
