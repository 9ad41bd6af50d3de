"""OME-Zarr 0.5 that this program writes: one level, (z, y, x) or (c, z, y, x), in nanometres."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.files import atomic_write, is_access_problem, plain_path, wait_for_all
from napari_pytc.geometry import Box, Shape, VoxelSpace, cells
from napari_pytc.volumes.kvstore import kvstore_spec, tensorstore_reason
from napari_pytc.volumes.layout import check_box, check_dtype
from napari_pytc.volumes.ome_metadata import multiscale_of, ome_attributes
from napari_pytc.volumes.spec import ChunkedSpec

LEVEL = "0"
"""Name of the full resolution in an OME-Zarr that this program writes."""
_CHUNK: Shape = (32, 128, 128)
_CACHE_BYTES = 128 * 2**20

_PARENTS = 5
"""Folders above an array that may have moved with it: project, volumes, v1, predictions, and one more."""


class ChunkedArray:
    """An OME-Zarr of this program, opened for reading or writing; chunks never written read as 0.

    Made by `create_ome_zarr` and `open_ome_zarr`. Reads and writes are safe from several threads, also into one chunk.
    """

    def __init__(self, path: Path, array: Any, group: dict[str, Any]) -> None:
        self.path = path
        self._parents = {parent: parent.stat().st_ino for parent in list(path.absolute().parents)[:_PARENTS]}
        self._array = array
        own = group.get("napari_pytc") or {}
        self.attributes: dict[str, Any] = own.get("attributes", {})
        self.channels: tuple[str, ...] = tuple(own.get("channels", ()))
        multiscale = multiscale_of(group)
        self.space = multiscale.space(0, is_own=True).space if multiscale else VoxelSpace.unknown()
        self.dtype: np.dtype = np.dtype(array.dtype.numpy_dtype)
        n_z, n_y, n_x = array.shape[-3:]
        self.shape: Shape = (n_z, n_y, n_x)
        c_z, c_y, c_x = array.chunk_layout.write_chunk.shape[-3:]
        self.chunk_shape: Shape = (c_z, c_y, c_x)
        self.notes: tuple[str, ...] = ()

    @property
    def spec(self) -> ChunkedSpec:
        """Spec by which another process opens the array; of several channels it then picks one."""
        return ChunkedSpec(url=str(self.path), driver="zarr3", array=LEVEL)

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box, ``(c, *box.shape)`` where there are channels."""
        check_box(box, self.shape)
        try:
            return np.asarray(self._array[self._index(box)].read().result())
        except (ValueError, OSError) as error:
            raise VolumeError(
                f"Voxels {box} of {self.path} could not be read: {tensorstore_reason(error)}.",
                "Check its disk and its permissions."
                if is_access_problem(error)
                else "Delete it and compute it again.",
            ) from error

    def write(self, box: Box, data: np.ndarray) -> None:
        """Store the voxels of a box; they are on disk when this returns.

        Raises
        ------
        InvalidInput
            If the data's shape is not that of the box.
        VolumeError
            If the disk is full or the array is open for reading only; chunks written before stay whole.
        """
        check_box(box, self.shape)
        expected = (len(self.channels), *box.shape) if self.channels else box.shape
        if data.shape != expected:
            raise InvalidInput(f"Expected data of shape {expected} for the box {box}, got {data.shape}.")
        if not self._exists():  # tensorstore would make the folder again, without a description
            raise self._missing_error()
        failure = None
        try:
            self._write_chunks(box, np.ascontiguousarray(data, self.dtype))
        except (ValueError, OSError) as error:
            failure = error
        if not self._exists():
            self._remove_leftovers()
            raise self._missing_error() from failure
        if failure is not None:
            raise VolumeError(
                f"Voxels {box} could not be written to {self.path}: {tensorstore_reason(failure)}.",
                "Free space on the disk or choose another folder.",
            ) from failure

    def _write_chunks(self, box: Box, data: np.ndarray) -> None:
        writes = []
        for piece in cells(box, self.chunk_shape):
            inner = piece.relative_to(box.start).slices
            if self.channels:
                writes += [self._array[(c, *piece.slices)].write(of[inner]) for c, of in enumerate(data)]
            else:
                writes.append(self._array[piece.slices].write(data[inner]))
        wait_for_all(writes)

    def _exists(self) -> bool:
        return (self.path / "zarr.json").exists()

    def _missing_error(self) -> VolumeError:
        return VolumeError(f"{self.path} is gone: it was deleted or moved while it was written.", "Start again.")

    def _remove_leftovers(self) -> None:
        """Remove what a write in flight made in place of the deleted folder, and nothing else."""
        if (self.path / LEVEL / "zarr.json").exists():
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # a parent that holds anything else stays
            for parent, number in self._parents.items():
                if parent.stat().st_ino == number:
                    return
                parent.rmdir()

    def _index(self, box: Box) -> tuple[slice, ...]:
        return (slice(None), *box.slices) if self.channels else box.slices

    def __repr__(self) -> str:
        return f"ChunkedArray({self.path}, shape={self.shape}, dtype={self.dtype}, channels={self.channels})"


def create_ome_zarr(
    path: str | Path,
    shape: Sequence[int],
    dtype: np.dtype | type | str,
    space: VoxelSpace,
    *,
    channels: Sequence[str] | None = None,
    chunk_shape: Sequence[int] | None = None,
    attributes: dict[str, Any] | None = None,
) -> ChunkedArray:
    """Make an empty OME-Zarr 0.5; a folder of that name appears only once it is complete.

    Parameters
    ----------
    path : str or Path
        Folder to make; must not exist.
    shape : sequence of int
        Lengths along z, y, x.
    channels : sequence of str, optional
        Names along a first axis c; (z, y, x) without it.
    chunk_shape : sequence of int, optional
        Chunk along z, y, x; one channel a chunk.
    attributes : dict, optional
        JSON values kept with the array.

    Raises
    ------
    VolumeError
        If the folder exists or cannot be made.
    """
    path = plain_path(path)
    kind = check_dtype(np.dtype(dtype), str(path))
    names = list(channels or ())
    lengths = [len(names), *shape] if names else list(shape)
    if len(shape) != 3 or min(shape) < 1:
        raise InvalidInput(f"A volume has three lengths of at least 1 (z, y, x), got {tuple(shape)}.")
    if path.exists():
        raise VolumeError(f"{path} exists already.", "Delete it or choose another name.")
    chunk = [min(c, n) for c, n in zip(chunk_shape or _CHUNK, shape, strict=True)]
    white = float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
    own = {"channels": names, "attributes": attributes or {}}
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": ome_attributes(path.stem, space, names, white, own),
    }
    metadata = {
        "shape": [int(n) for n in lengths],
        "data_type": kind.name,
        "dimension_names": list("czyx" if names else "zyx"),
        "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, *chunk] if names else chunk}},
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}} if kind.itemsize > 1 else {"name": "bytes"},
            {"name": "zstd", "configuration": {"level": 1}},
        ],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as aside:
            aside.mkdir()
            _array(aside, create=True, metadata=metadata)
            (aside / "zarr.json").write_text(json.dumps(group, indent=1), encoding="utf-8")
    except (ValueError, OSError) as error:
        raise VolumeError(
            f"{path} cannot be made: {tensorstore_reason(error)}.", "Choose a folder that can be written."
        ) from error
    return open_ome_zarr(path, writable=True)


def open_ome_zarr(path: str | Path, *, writable: bool = False, synced: bool = True) -> ChunkedArray:
    """Open what `create_ome_zarr` made, in this process or another.

    Parameters
    ----------
    synced : bool
        Whether a write waits until the disk itself has it; without, a power cut may lose chunks, which is no loss for
        what is computed again anyway.

    Raises
    ------
    VolumeError
        If it is not there or not whole.
    """
    path = plain_path(path)
    if not path.exists():
        raise VolumeError(f"There is no folder {path}.", "Run the prediction first, or check the path.")
    try:
        group = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        return ChunkedArray(path, _array(path, synced=synced, read=True, write=writable), group)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        if is_access_problem(error) and not isinstance(error, FileNotFoundError):
            raise VolumeError(
                f"{path} cannot be read: {tensorstore_reason(error)}.", "Check its disk and its permissions."
            ) from error
        raise VolumeError(
            f"{path} is not an OME-Zarr that this program wrote, or it is damaged: {tensorstore_reason(error)}.",
            "Delete it and compute it again.",
        ) from error


def _array(folder: Path, synced: bool = True, **options: Any) -> Any:
    metadata = {"metadata": options.pop("metadata")} if "metadata" in options else {}
    spec = {
        "driver": "zarr3",
        "kvstore": kvstore_spec(str(folder), LEVEL),
        "context": {"cache_pool": {"total_bytes_limit": _CACHE_BYTES}, "file_io_sync": synced},
        **metadata,
    }
    return ts.open(spec, **options).result()
