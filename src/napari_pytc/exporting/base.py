"""What an exporter is, what it reads from, and which one writes a file of a given name."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext

BLOCK_BYTES = 64 * 2**20


class ArrayReader(Protocol):
    """A readable volume, with channels (a prediction) or without (classes, instances)."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""

    @property
    def dtype(self) -> np.dtype:
        """Type of a voxel."""

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin in nm."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels; empty for an array without a channel axis."""

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box within the volume: (c, z, y, x) with channels, else (z, y, x)."""


Compression = Literal["auto", "zlib", "zstd", "none"]


class ExportOptions(BaseModel):
    """How to write a file; what a format has no use for it leaves aside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compression: Compression = Field(
        "auto", title="Compression", description="auto is zlib, which everything reads; for OME-Zarr it is zstd."
    )
    dataset: str = Field("main", title="Dataset", description="Name of the dataset in an HDF5 file.")
    class_names: tuple[str, ...] = Field((), description="Names of the labels 1, 2, ..., told in the file's metadata.")
    overwrite: bool = Field(False, title="Overwrite", description="Replace a file that is there already.")
    block_bytes: int = Field(
        BLOCK_BYTES, ge=1, description="About how many bytes to hold at once, whatever the size of the volume."
    )


class Exporter(Protocol):
    """Writes an array of any size to one kind of file."""

    suffixes: ClassVar[tuple[str, ...]]

    def export(self, labels: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write `labels` to `path`, all of it or nothing.

        The file grows under a temporary name in the same folder and is renamed when it is complete. After a cancel or
        an error nothing new is left, and what was at `path` before is untouched.

        Raises
        ------
        InvalidInput
            Where the options do not fit the format.
        VolumeError
            Where the file cannot be written: folder missing, target in the way, disk full.
        """


def exporter_for(path: Path) -> Exporter:
    """The exporter for a file of this name.

    Raises
    ------
    InvalidInput
        Where no exporter knows the suffix.
    """
    # Imported here: describing an export should not load the libraries of three file formats.
    from napari_pytc.exporting.hdf5 import Hdf5Exporter
    from napari_pytc.exporting.tiff import TiffExporter
    from napari_pytc.exporting.zarr import ZarrExporter

    exporters: tuple[Exporter, ...] = (TiffExporter(), Hdf5Exporter(), ZarrExporter())
    name = path.name.lower()
    for exporter in exporters:
        if name.endswith(exporter.suffixes):
            return exporter
    known = ", ".join(suffix for exporter in exporters for suffix in exporter.suffixes)
    raise InvalidInput(
        f"The name of an export must end in a known suffix, got {path.name!r}.", f"Known suffixes: {known}."
    )
