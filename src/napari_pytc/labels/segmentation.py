"""Segmentations on disk: supervoxels, their segments, and their contacts."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.files import atomic_write, sync_file, sync_folder, write_text_durably
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph, open_array
from napari_pytc.labels.store import CHUNK_SHAPE, LabelStore

RECORD = "segmentation.json"
"""Name of the file that is written last into a segmentation's folder."""
SUPERVOXELS = "supervoxels.zarr"
"""Name of the store of its supervoxels."""
IMPORTED = "imported"
"""Stands for the kind of decoder where a segmentation is of another program."""
_TABLES = ("segments", "sizes", "boxes", "classes")
_FIRST, _SECOND, _THIRD = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class SegmentationRecord(BaseModel):
    """Origin of a segmentation; written last, so that a folder with it is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    created: datetime
    box: Box | None = Field(None, description="The voxels that were decoded; the whole volume by default.")
    decoder: dict[str, Any] = Field(default_factory=dict, description="Kind and settings of the decoder.")
    prediction: str = Field("", description="Id or path of the prediction.")
    mask: dict[str, Any] | None = Field(None, description="What restricted it.")
    n_supervoxels: int
    n_segments: int
    voxel_size_nm: tuple[float, float, float]
    checksum: str = Field("", description="Of the supervoxels, as `digest_of` and `checksum_text` make it.")
    seconds: float = 0.0
    classes: tuple[str, ...] = Field((), description="Names of the semantic classes; class k is the k-th, 0 is none.")
    notes: tuple[str, ...] = Field((), description="What was assumed, dropped or given away, as sentences.")
    boundaries: dict[str, Any] | None = Field(
        None, description="The boundary map that scored the contacts of an imported segmentation."
    )


@dataclass(frozen=True, eq=False)
class SegmentationTables:
    """Properties of every supervoxel; index 0 is the background.

    Parameters
    ----------
    segments : ndarray of uint32, shape (n + 1,)
        The segment of each supervoxel.
    sizes : ndarray of uint64, shape (n + 1,)
        Voxels of each supervoxel.
    boxes : ndarray of int32, shape (n + 1, 6)
        Around each supervoxel: start z, y, x, stop z, y, x.
    classes : ndarray of uint8, shape (n + 1,)
        Semantic class of each supervoxel, 0 for none.
    """

    segments: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.segments)
        shapes = tuple(getattr(self, name).shape for name in _TABLES)
        if n < 1 or shapes != ((n,), (n,), (n, 6), (n,)):
            raise InvalidInput(
                f"Tables of supervoxels are segments (n + 1,), sizes (n + 1,), boxes (n + 1, 6) and classes (n + 1,), "
                f"got {shapes}."
            )


@dataclass(frozen=True, eq=False)
class Segmentation:
    """An open segmentation: its tables are memory-mapped, its voxels are read on demand.

    Opening costs the same for a hundred supervoxels as for a hundred million.
    """

    folder: Path
    record: SegmentationRecord
    supervoxels: LabelStore
    segments: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    graph: RegionGraph

    @property
    def shape(self) -> Shape:
        """Lengths of the volume along z, y, x."""
        return self.supervoxels.shape

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self.supervoxels.space

    @staticmethod
    def create(folder: str | Path, shape: Shape, space: VoxelSpace) -> SegmentationWriter:
        """Begin a segmentation, or go on with one that was begun and never finished.

        Raises
        ------
        VolumeError
            If there is a finished one, or the folder cannot be written.
        """
        return SegmentationWriter(Path(folder), shape, space)

    @classmethod
    def open(cls, folder: str | Path) -> Segmentation:
        """Open a finished segmentation for reading.

        Raises
        ------
        VolumeError
            If there is none, or it is damaged.
        """
        folder = Path(folder)
        record = read_record(folder)
        store = LabelStore.open(folder / SUPERVOXELS, writable=False)
        try:
            tables = SegmentationTables(*(open_array(folder / f"{name}.npy") for name in _TABLES))
        except (OSError, ValueError, InvalidInput) as error:
            raise VolumeError(f"The segmentation {folder} is damaged: {error}", "Segment again.") from error
        graph = RegionGraph.load(folder)
        return cls(folder, record, store, tables.segments, tables.sizes, tables.boxes, tables.classes, graph)


class SegmentationWriter:
    """A segmentation that is being made: write into `supervoxels`, then `finish`."""

    def __init__(self, folder: Path, shape: Shape, space: VoxelSpace) -> None:
        self.folder = folder
        if (folder / RECORD).exists():
            raise VolumeError(f"There is already a segmentation at {folder}.", "Choose another name.")
        store = folder / SUPERVOXELS
        if store.exists():
            with suppress(VolumeError):  # one that a kill left without its description is made again
                begun = LabelStore.open(store)
                if begun.shape == tuple(shape) and begun.space == space and begun.dtype == np.uint32:
                    self.supervoxels = begun
                    return
            shutil.rmtree(store)
        self.supervoxels = LabelStore.create(store, shape, np.uint32, space, CHUNK_SHAPE)

    def finish(self, tables: SegmentationTables, graph: RegionGraph, record: SegmentationRecord) -> Segmentation:
        """Write tables, graph and record, in this order and durably, and open the segmentation.

        Raises
        ------
        VolumeError
            If the disk is full or refuses; the segmentation is then not finished, and can be once there is space.
        """
        try:
            for name, dtype in zip(_TABLES, (np.uint32, np.uint64, np.int32, np.uint8), strict=True):
                np.save(self.folder / f"{name}.npy", getattr(tables, name).astype(dtype, copy=False))
            graph.save(self.folder)
            for file in self.folder.glob("*.npy"):
                sync_file(file)
            sync_folder(self.folder)
            write_text_durably(self.folder / RECORD, record.model_dump_json(indent=1))
        except OSError as error:
            raise VolumeError(
                f"The segmentation {self.folder} could not be written: {error.strerror or error}.",
                "Free space on the disk and start it again: it goes on from there.",
            ) from error
        return Segmentation.open(self.folder)


def read_record(folder: Path) -> SegmentationRecord:
    """The record of a finished segmentation.

    Raises
    ------
    VolumeError
        If there is none, or it is damaged.
    """
    try:
        return SegmentationRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VolumeError(f"There is no finished segmentation at {folder}.", "Run the segmentation first.") from error
    except (OSError, ValidationError) as error:
        raise VolumeError(f"The record of the segmentation {folder} is damaged.", "Segment again.") from error


def replace_segments(
    folder: Path, segments: np.ndarray, decoder: dict[str, Any], notes: tuple[str, ...]
) -> SegmentationRecord:
    """Assign new segments to the supervoxels of an unedited segmentation, and return its new record.

    Raises
    ------
    InvalidInput
        If the table is not as long as the one it replaces.
    VolumeError
        If it cannot be written.
    """
    record = read_record(folder)
    if segments.shape != (record.n_supervoxels + 1,):
        raise InvalidInput(
            f"The segmentation has {record.n_supervoxels} supervoxels, got segments of {len(segments) - 1}."
        )
    new = record.model_copy(update={"decoder": decoder, "n_segments": count_segments(segments), "notes": notes})
    try:
        with atomic_write(folder / "segments.npy") as aside:
            _save(aside, segments.astype(np.uint32, copy=False))
        write_text_durably(folder / RECORD, new.model_dump_json(indent=1))
    except OSError as error:
        raise VolumeError(
            f"The segments of {folder} could not be written: {error.strerror or error}.", "Free space on the disk."
        ) from error
    return new


def count_segments(segments: np.ndarray) -> int:
    """Number of segments besides the background."""
    return len(np.unique(segments[1:][segments[1:] > 0]))


def digest_of(labels: np.ndarray, start: Shape, shape: Shape) -> int:
    """A sum over the voxels that are not 0, modulo 2**64; of a volume it is the sum over any boxes that partition it.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        Labels of a box of the volume.
    start : tuple of int
        First voxel of the box.
    shape : tuple of int
        Lengths of the volume.
    """
    where = np.nonzero(labels)
    z, y, x = (indices.astype(np.uint64) + np.uint64(first) for indices, first in zip(where, start, strict=True))
    places = (z * np.uint64(shape[1]) + y) * np.uint64(shape[2]) + x
    mixed = places * _FIRST + labels[where].astype(np.uint64) * _SECOND
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _SECOND
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _THIRD
    return int((mixed ^ (mixed >> np.uint64(31))).sum(dtype=np.uint64))


def checksum_text(digest: int) -> str:
    """A digest as it is written in records."""
    return f"{digest % 2**64:016x}"


def _save(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)
