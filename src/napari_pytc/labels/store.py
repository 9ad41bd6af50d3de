"""Editable integer volumes on disk, whose chunks are made where something is written."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from napari_pytc.errors import InvalidInput, PytcError, VolumeError
from napari_pytc.files import is_access_problem, plain_path, wait_for_all
from napari_pytc.geometry import Box, Shape, VoxelSpace, cells

CHUNK_SHAPE: Shape = (16, 128, 128)
_ARRAY = "0"
_REVISION = "revision"
_NOTE = "napari_pytc"
_DISK_FULL = ("No space left", "os_error_code='28'", "File too large", "Disk quota exceeded", "disk space")


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk that holds labels, without its voxels.

    Parameters
    ----------
    box : Box
        The voxels it holds, cut at the volume's edge.
    changed : float
        When it was last written, in seconds since the epoch.
    version : tuple of int
        Differs when the chunk was written again.
    """

    box: Box
    changed: float
    version: tuple[int, int, int] = (0, 0, 0)


class LabelStore:
    """Integer labels of a volume, 0 where nothing was written; OME-Zarr 0.5 with one scale.

    Every write is on the disk when it returns. A chunk is written aside and renamed, so that a kill or a full disk
    leaves it as it was; other processes may read meanwhile, only one may write.

    ::

        <path>/zarr.json          OME-Zarr group: axes z, y, x and the voxel size
        <path>/revision           grows by a byte with every write: its length is the revision
        <path>/0/zarr.json        the array
        <path>/0/c/<z>/<y>/<x>    chunks; one that is all 0 has no file
    """

    def __init__(self, path: Path, array: Any, space: VoxelSpace, attributes: dict[str, Any], writable: bool) -> None:
        self.path = path
        self.space = space
        self.attributes = attributes
        self.writable = writable
        self._array = array
        self.dtype = np.dtype(array.dtype.numpy_dtype)
        z, y, x = array.shape
        self.shape: Shape = (z, y, x)
        z, y, x = array.chunk_layout.read_chunk.shape
        self.chunk_shape: Shape = (z, y, x)

    @classmethod
    def create(
        cls,
        path: str | Path,
        shape: Shape,
        dtype: np.dtype | type | str,
        space: VoxelSpace,
        chunk_shape: Shape = CHUNK_SHAPE,
        attributes: dict[str, Any] | None = None,
        revision: int = 0,
    ) -> LabelStore:
        """Make an empty store.

        Parameters
        ----------
        path : Path
            A folder that does not exist yet.
        shape, chunk_shape : tuple of int
            Lengths along z, y, x; chunks are cut down to the volume.
        attributes : dict, optional
            JSON kept in the metadata.
        revision : int
            First revision, where the store takes the place of another.

        Raises
        ------
        VolumeError
            If the folder exists or cannot be written.
        """
        path, dtype = Path(path), np.dtype(dtype)
        if dtype.kind not in "iu" or min(shape) < 1:
            raise InvalidInput(f"Labels are integers of at least one voxel, got {dtype} of shape {tuple(shape)}.")
        if path.exists():
            raise VolumeError(f"There is already something at {path}.", "Choose another name.")
        metadata = {
            "shape": list(shape),
            "data_type": dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [min(c, n) for c, n in zip(chunk_shape, shape, strict=True)]},
            },
            "chunk_key_encoding": {"name": "default"},
            "fill_value": 0,
            "codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 1}}],
            "dimension_names": ["z", "y", "x"],
        }
        if dtype.itemsize > 1:
            metadata["codecs"][0]["configuration"] = {"endian": "little"}  # type: ignore[index]
        try:
            path.mkdir(parents=True)
            ts.open(_spec(path) | {"metadata": metadata}, create=True).result()
            (path / _REVISION).write_bytes(b"." * revision)
            _write_synced(path / "zarr.json", json.dumps(_group(space, attributes or {}), indent=2))
        except (OSError, ValueError) as error:
            raise _disk_error(path, error, "written") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path, writable: bool = True) -> LabelStore:
        """Open a store; its chunks are read on demand.

        Raises
        ------
        VolumeError
            If there is none or it is damaged.
        """
        path = Path(path)
        try:
            group = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
            multiscale = group["ome"]["multiscales"][0]
            transforms = multiscale["datasets"][0]["coordinateTransformations"]
            note = group.get(_NOTE, {})
            space = VoxelSpace(transforms[0]["scale"], transforms[1]["translation"], note.get("voxel_size_known", True))
            array = ts.open(_spec(path), read=True, write=writable).result()
        except FileNotFoundError as error:
            raise VolumeError(f"There is no label store at {path}.", "Check the path.") from error
        except (OSError, ValueError, KeyError, IndexError, TypeError, PytcError) as error:
            if is_access_problem(error):
                raise _disk_error(path, error, "read") from error
            raise VolumeError(f"The label store {path} is damaged: {_first_line(error)}", "Restore it.") from error
        return cls(path, array, space, note.get("attributes", {}), writable)

    @property
    def revision(self) -> int:
        """Grows with every write, also one by another process."""
        try:
            return (self.path / _REVISION).stat().st_size
        except OSError:
            return 0

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box within the volume, shape ``box.shape``."""
        self._check_inside(box)
        try:
            return np.array(self._array[box.slices].read().result())
        except (OSError, ValueError) as error:
            raise _disk_error(self.path, error, "read") from error

    def write(self, box: Box, data: np.ndarray) -> None:
        """Store the labels of a box, durably.

        Raises
        ------
        VolumeError
            If the disk is full or refuses; chunks that were not reached are as before.
        """
        data = np.asarray(data)
        self._check_inside(box)
        if data.shape != box.shape or data.dtype.kind not in "iub" or not np.can_cast(data.dtype, self.dtype):
            raise InvalidInput(
                f"Labels of {box} must be {self.dtype} of shape {box.shape}, got {data.dtype} of shape {data.shape}."
            )
        if not box.is_empty:
            self.write_boxes({box: data.astype(self.dtype, copy=False)})

    def write_boxes(self, labels: Mapping[Box, np.ndarray]) -> None:
        """Store the labels of several boxes, of the store's type, durably and side by side; errors as in `write`."""
        if not self.writable:
            raise VolumeError(f"The label store {self.path} is open for reading only.")
        try:
            self._write_chunks(labels)
            # Afterwards: a reader of the new revision must find the new voxels.
            self._grow_revision()
        except (OSError, ValueError) as error:
            raise _disk_error(self.path, error, "written") from error

    def chunks(self) -> list[StoredChunk]:
        """The disjoint chunks on disk in order, without reading a voxel; all else is 0."""
        found = []
        for index, entry in _chunk_files(self.path / _ARRAY / "c", ()):
            try:
                status = entry.stat()
            except FileNotFoundError:  # erased since
                continue
            start = [i * n for i, n in zip(index, self.chunk_shape, strict=True)]
            box = Box.at(start, self.chunk_shape).intersect(Box.of_shape(self.shape))
            found.append(StoredChunk(box, status.st_mtime, (status.st_mtime_ns, status.st_size, status.st_ino)))
        return sorted(found, key=lambda chunk: chunk.box)

    def set_changed(self, box: Box, changed: float) -> None:
        """Let the chunks of a box count as last written at a time, in seconds since the epoch."""
        ranges = [range(a // n, -(-b // n)) for a, b, n in zip(box.start, box.stop, self.chunk_shape, strict=True)]
        for z, y, x in itertools.product(*ranges):
            with suppress(FileNotFoundError):  # all 0
                os.utime(self.path / _ARRAY / "c" / str(z) / str(y) / str(x), (changed, changed))

    def _check_inside(self, box: Box) -> None:
        if not Box.of_shape(self.shape).contains(box):
            raise InvalidInput(f"The box {box} does not lie within the volume {Box.of_shape(self.shape)}.")

    def _write_chunks(self, labels: Mapping[Box, np.ndarray]) -> None:
        writes = []
        for box, data in labels.items():
            pieces = cells(box, self.chunk_shape)
            writes += [self._array[p.slices].write(data[p.relative_to(box.start).slices]) for p in pieces]
        wait_for_all(writes)

    def _grow_revision(self) -> None:
        descriptor = os.open(self.path / _REVISION, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, b".")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _spec(path: Path) -> dict[str, Any]:
    # Without a cache: what another process wrote is seen at once.
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{plain_path(path / _ARRAY).as_posix()}/"},
        "context": {"cache_pool": {"total_bytes_limit": 0}},
    }


def _group(space: VoxelSpace, attributes: dict[str, Any]) -> dict[str, Any]:
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    transforms = [
        {"type": "scale", "scale": list(space.voxel_size_nm)},
        {"type": "translation", "translation": list(space.origin_nm)},
    ]
    multiscale = {
        "name": "labels",
        "axes": axes,
        "datasets": [{"path": _ARRAY, "coordinateTransformations": transforms}],
    }
    note = {"voxel_size_known": space.known, "attributes": attributes}
    ome = {"version": "0.5", "multiscales": [multiscale]}
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, _NOTE: note}}


def _chunk_files(folder: Path | str, index: Sequence[int]) -> list[tuple[tuple[int, ...], os.DirEntry[str]]]:
    """Chunk files below a folder with their indices; the temporary names of writes in progress are no numbers."""
    found: list[tuple[tuple[int, ...], os.DirEntry[str]]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.isdecimal():
                    continue
                inner = (*index, int(entry.name))
                if len(inner) < 3:
                    found += _chunk_files(entry.path, inner)
                else:
                    found.append((inner, entry))
    except (FileNotFoundError, NotADirectoryError):  # nothing written yet
        pass
    return found


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _first_line(error: BaseException) -> str:
    line = (str(error) or repr(error)).splitlines()[0].split(" [")[0]
    return f"{line.rstrip('.')}."


def _disk_error(path: Path, error: Exception, verb: str) -> VolumeError:
    if any(sign in str(error) for sign in _DISK_FULL):
        return VolumeError(
            f"The disk is full: the last change of {path} is not saved; all earlier ones are.",
            "Free space on the disk and repeat the last change.",
        )
    return VolumeError(f"{path} could not be {verb}: {_first_line(error)}", "Check the disk and the permissions.")
