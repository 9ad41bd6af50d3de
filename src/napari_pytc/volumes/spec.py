"""How a volume is opened again, in this process or another: one small frozen model a kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    voxel_size_nm: tuple[float, float, float] | None = Field(
        None, description="Voxel size along z, y, x in nm that replaces what the file says."
    )
    channel: int | None = Field(None, ge=0, description="Which channel, where the file has several.")


class Hdf5Spec(_Spec):
    """A dataset of an HDF5 file."""

    kind: Literal["hdf5"] = "hdf5"
    path: Path
    dataset: str


class TiffSpec(_Spec):
    """A TIFF file: OME, ImageJ, BigTIFF or plain."""

    kind: Literal["tiff"] = "tiff"
    path: Path
    series: int = 0


class SectionsSpec(_Spec):
    """A folder of numbered sections (TIFF, PNG, JPEG), one file a section."""

    kind: Literal["sections"] = "sections"
    path: Path
    suffix: str


class ChunkedSpec(_Spec):
    """A chunked array that tensorstore opens, on disk or remote."""

    kind: Literal["chunked"] = "chunked"
    url: str = Field(description="Folder or URL of the container.")
    driver: Literal["zarr", "zarr3", "n5", "neuroglancer_precomputed"]
    array: str = Field("", description="Path of the array inside the container.")
    scale: int = Field(0, description="Scale index of a precomputed volume.")


class NpySpec(_Spec):
    """A NumPy .npy file, memory-mapped: how volumes that live in memory are handed to another process."""

    kind: Literal["npy"] = "npy"
    path: Path


VolumeSpec = Annotated[Hdf5Spec | TiffSpec | SectionsSpec | ChunkedSpec | NpySpec, Field(discriminator="kind")]
