"""Export as a job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.base import BLOCK_BYTES, ArrayReader, Compression, ExportOptions, exporter_for
from napari_pytc.exporting.table import check_table_name, write_table
from napari_pytc.exporting.views import Crop, MostProbable
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.volumes.channels import ClassRole, roles_of
from napari_pytc.volumes.zarr_output import open_ome_zarr

What = Literal["classes", "probabilities", "segments", "table"]


class ExportJob(JobSpec):
    """Write a prediction, or the segments made of one, to a file that other programs read."""

    kind: Literal["export"] = "export"
    prediction: Path | None = Field(None, description="The OME-Zarr (c, z, y, x) of uint8 probabilities.")
    segmentation: Path | None = Field(None, description="Folder of the segmentation, for segments and their table.")
    what: What = Field(
        "classes",
        description="The most probable class of each voxel (0 = not predicted), every class's probability, the "
        "segments (0 = none) with all edits that were flushed, or a table of them.",
    )
    output: Path = Field(description="The file to write; its suffix says the format.")
    box: Box | None = Field(None, description="Voxels to export; the whole volume by default.")
    dataset: str = Field("main", description="Name of the dataset in an HDF5 file.")
    compression: Compression = "auto"
    class_names: tuple[str, ...] = Field((), description="Names of the classes; those of the prediction by default.")
    overwrite: bool = Field(False, description="Replace a file that is there already.")

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Export; returns output, bytes on disk, seconds, and shape, dtype and voxel_size_nm (None if not known).

        Of a table it returns the number of rows instead of shape and dtype.
        """
        begin = time.perf_counter()
        ctx.report(0, 1, "opening what is exported")
        told = self._write_table(ctx) if self.what == "table" else self._write_array(ctx)
        told |= {"bytes": bytes_on_disk(self.output), "seconds": time.perf_counter() - begin}
        return {"output": str(self.output), **told}

    def array(self) -> ArrayReader:
        """What is written, or what a table is made of; opened anew.

        Raises
        ------
        PytcError
            If there is no such prediction or segmentation, or it cannot be written as asked.
        """
        source: ArrayReader = self._segments() if self.what in ("segments", "table") else self._prediction()
        if self.what == "table":
            return source
        part = source if self.box is None else Crop(source, self.box)
        return MostProbable(part) if self.what == "classes" else part

    def _write_array(self, ctx: JobContext) -> dict[str, Any]:
        exporter, array = exporter_for(self.output), self.array()
        names, block_bytes = array.channels, BLOCK_BYTES
        if isinstance(array, MostProbable):
            names = array.probabilities.channels
            # A block of classes is made from one of probabilities, which is this many times as large.
            block_bytes //= len(names)
        options = ExportOptions(
            compression=self.compression,
            dataset=self.dataset,
            class_names=self.class_names or tuple(names),
            overwrite=self.overwrite,
            block_bytes=block_bytes,
        )
        exporter.export(array, self.output, options, ctx)
        return {
            "shape": [len(array.channels), *array.shape] if array.channels else list(array.shape),
            "dtype": np.dtype(array.dtype).name,
            "voxel_size_nm": list(array.space.voxel_size_nm) if array.space.known else None,
        }

    def _write_table(self, ctx: JobContext) -> dict[str, Any]:
        check_table_name(self.output)
        segments = self._segments()
        n_rows = write_table(segments, self.output, self.box, self.overwrite, ctx)
        space = segments.space
        return {"rows": n_rows, "voxel_size_nm": list(space.voxel_size_nm) if space.known else None}

    def _segments(self) -> SegmentsView:
        if self.segmentation is None:
            raise InvalidInput("To export segments, say of which segmentation.", "Name its folder.")
        self._check_apart(self.segmentation, "segmentation")
        return SegmentsView.open(self.segmentation)

    def _prediction(self) -> ArrayReader:
        if self.prediction is None:
            raise InvalidInput(f"To export {self.what}, say of which prediction.", "Name its folder.")
        self._check_apart(self.prediction, "prediction")
        prediction = open_ome_zarr(self.prediction)
        if not prediction.channels:
            raise VolumeError(
                f"A prediction has axes c, z, y, x, but {self.prediction} has no channels.",
                "Choose a Zarr that predict wrote.",
            )
        if self.what == "classes":
            roles = roles_of(prediction.attributes, prediction.channels)
            others = [role.title for role in roles if not isinstance(role, ClassRole)]
            if others:
                raise InvalidInput(
                    f"{self.prediction.name} predicts {_listed(others)}, so it has no classes to export.",
                    "Export its probabilities, or segment it and export the segments.",
                )
        return prediction

    def _check_apart(self, source: Path, what: str) -> None:
        ours, theirs = source.resolve(), self.output.resolve()
        if ours == theirs or ours in theirs.parents or theirs in ours.parents:
            raise InvalidInput(
                f"A {what} cannot be exported over itself, got {self.output}.",
                "Choose another place for the export.",
            )


def _listed(titles: Sequence[str]) -> str:
    n_affinities = sum(title.startswith("affinity") for title in titles)
    others = [title for title in titles if not title.startswith("affinity")]
    return " and ".join([*([f"{n_affinities} affinities"] if n_affinities else []), *others])


def bytes_on_disk(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
