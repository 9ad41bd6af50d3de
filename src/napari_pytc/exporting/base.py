"""Exporters, the arrays that they read, and the blocks in which they read them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.exporting.options import Compression, Content, Layout, OmeVersion
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobContext

BLOCK_BYTES = 64 * 2**20
"""Bytes of an array that an exporter reads at a time."""


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


class ExportOptions(BaseModel):
    """Options of an export; a format ignores those that it does not use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compression: Compression = Field(
        "auto", title="Compression", description="auto is zlib, which everything reads; for OME-Zarr it is zstd."
    )
    dataset: str = Field("main", title="Dataset", description="Name of the dataset in an HDF5 file.")
    layout: Layout = Field("plain", description="Whether an HDF5 file says that it is one of the CREMI challenge.")
    class_names: tuple[str, ...] = Field((), description="Names of the labels 1, 2, ..., told in the file's metadata.")
    colours: dict[int, str] = Field(default_factory=dict, description="Colours of labels as #rrggbb, where few.")
    content: Content = Field("labels", description="Whether the voxels are ids, or intensities that have a mean.")
    name: str = Field("labels", description="Name of the labels, where a format has a place for it.")
    pyramid: bool = Field(
        True, title="Pyramid", description="Write smaller copies too, so that a viewer can zoom out of a large volume."
    )
    ome: OmeVersion = Field("0.5", title="OME version", description="0.5 is Zarr 3, 0.4 is Zarr 2.")
    overwrite: bool = Field(False, title="Overwrite", description="Replace a file that is there already.")
    block_bytes: int = Field(
        BLOCK_BYTES, ge=1, description="About how many bytes to hold at once, whatever the size of the volume."
    )


@dataclass(frozen=True)
class ExportPlan:
    """What an exporter will write.

    Parameters
    ----------
    dtype : np.dtype
        Type of a voxel in the file.
    shapes : tuple of Shape
        Lengths along z, y, x of each level of the pyramid, the full resolution first.
    notes : tuple of str
        What is converted, assumed or left out, a sentence each.
    """

    dtype: np.dtype
    shapes: tuple[Shape, ...]
    notes: tuple[str, ...] = ()

    def n_bytes(self, n_channels: int) -> int:
        """Bytes without compression of all levels."""
        return sum(math.prod(shape) for shape in self.shapes) * self.dtype.itemsize * max(1, n_channels)


class Exporter(Protocol):
    """Writes an array of any size to one kind of file."""

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the file; reads no voxel.

        Raises
        ------
        InvalidInput
            Where the format cannot hold the array, or the options do not fit it.
        """

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write `array` to `path`, all of it or nothing.

        The file grows under a temporary name in the same folder and is renamed when it is complete. After a cancel or
        an error nothing new is left, and what was at `path` before is untouched.

        Raises
        ------
        InvalidInput
            As `plan`.
        VolumeError
            Where the file cannot be written: folder missing, target in the way, disk full.
        """


def holds_labels(array: ArrayReader, options: ExportOptions) -> bool:
    """Whether the voxels are ids: whole numbers without channels that are not said to be an image."""
    return options.content == "labels" and array.dtype.kind in "iu" and not array.channels


def pyramid_method(array: ArrayReader, options: ExportOptions) -> Literal["mean", "mode"]:
    """How smaller copies are made: ids are never averaged, whatever type they are written in."""
    return "mode" if options.content == "labels" and not array.channels else "mean"


def voxel_bytes(array: ArrayReader) -> int:
    """Bytes of one voxel with all its channels."""
    return array.dtype.itemsize * max(1, len(array.channels))


def chunk_blocks(array: ArrayReader, chunk_shape: Shape, block_bytes: int) -> TileGrid:
    """Blocks of whole chunks, each chunk in one block, of at most `block_bytes` (but at least a chunk)."""
    return TileGrid(
        Box.of_shape(array.shape), block_of_chunks(array.shape, chunk_shape, block_bytes // voxel_bytes(array))
    )


def block_of_chunks(shape: Shape, chunk_shape: Shape, n_voxels: int) -> Shape:
    """A block of whole chunks with at most so many voxels (but at least a chunk) for a volume of a shape."""
    block = list(chunk_shape)
    growing = True
    while growing:
        growing = False
        for axis in (2, 1, 0):
            wider = [2 * n if a == axis else n for a, n in enumerate(block)]
            if block[axis] < shape[axis] and wider[0] * wider[1] * wider[2] <= n_voxels:
                block, growing = wider, True
    return (block[0], block[1], block[2])
