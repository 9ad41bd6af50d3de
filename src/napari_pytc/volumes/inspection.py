"""What lies at a path, without reading voxels: the answer of ``info PATH`` and of the window's data panel."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Shape
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.containers import find_arrays
from napari_pytc.volumes.hdf5 import datasets_of, hdf5_axes, hdf5_space, open_hdf5
from napari_pytc.volumes.kvstore import MetadataStore
from napari_pytc.volumes.opening import kind_of, local_path, open_volume, split_dataset
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import VolumeSpec
from napari_pytc.volumes.tiff import open_tiff
from napari_pytc.volumes.tiff_space import tiff_space

_Lengths = tuple[float, float, float]


class _Info(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArrayInfo(_Info):
    """An array of a file or container, in its own order of axes."""

    name: str = Field(description="What to write behind the colon.")
    shape: tuple[int, ...]
    axes: str = Field(description="A letter an axis; empty where the file does not name them.")
    dtype: str
    chunk_shape: tuple[int, ...] | None = None
    voxel_size_nm: _Lengths | None = None
    voxel_size_source: str = "unknown"


class VolumeInfo(_Info):
    """A file, folder or container, its arrays, and the volume that opening it gives."""

    where: str
    kind: str
    arrays: tuple[ArrayInfo, ...]
    problem: str = Field("", description="Why it cannot be opened as it was written; empty where it can.")
    spec: VolumeSpec | None = Field(None, description="What opening it gives; none where nothing can be opened.")
    shape: Shape | None = Field(None, description="Lengths along z, y, x of the volume that opens.")
    dtype: str | None = None
    n_channels: int | None = None
    voxel_size_nm: _Lengths | None = None
    voxel_size_source: str = "unknown"
    n_bytes: int | None = Field(None, description="Bytes of the voxels of one channel, uncompressed.")
    n_file_bytes: int | None = Field(None, description="Bytes of the file, where it is a single local one.")


def describe_volume(where: str | Path) -> VolumeInfo:
    """Look at a file, folder or URL.

    Parameters
    ----------
    where : str or Path
        As for `open_volume`.

    Raises
    ------
    VolumeError
        If there is nothing, or nothing that can be read; what can be read but not opened as written is a `problem`.
    """
    path, _ = split_dataset(str(where))
    kind, place = kind_of(path), local_path(path)
    arrays = _arrays(kind, path if place is None else str(place))
    volume, problem = _opened(where)
    size = place.stat().st_size if place is not None and place.is_file() else None
    if volume is None:
        return VolumeInfo(where=str(where), kind=kind, arrays=arrays, problem=problem, n_file_bytes=size)
    info = VolumeInfo(
        where=str(where),
        kind=kind,
        arrays=arrays,
        problem=problem,
        spec=volume.spec,
        shape=volume.shape,
        dtype=volume.dtype.name,
        n_channels=volume.n_channels,
        voxel_size_nm=_known(volume.space_found),
        voxel_size_source=volume.space_found.source,
        n_bytes=math.prod(volume.shape) * volume.dtype.itemsize,
        n_file_bytes=size,
    )
    volume.close()
    return info


def _opened(where: str | Path) -> tuple[FileVolume | None, str]:
    """The volume, of several channels the first, and why it does not open as written."""
    problem = ""
    for channel in (None, 0):
        try:
            volume = open_volume(where, channel=channel)
        except VolumeError as error:
            problem = problem or str(error)
            continue
        if isinstance(volume, FileVolume):
            return volume, problem
    return None, problem


def _known(found: FoundSpace) -> _Lengths | None:
    return found.space.voxel_size_nm if found.space.known else None


def _arrays(kind: str, path: str) -> tuple[ArrayInfo, ...]:
    match kind:
        case "hdf5":
            return _hdf5_arrays(Path(path))
        case "tiff":
            return _tiff_arrays(Path(path))
        case "chunked":
            return tuple(
                ArrayInfo(
                    name=array.path,
                    shape=array.lengths,
                    axes=array.axes,
                    dtype=array.dtype,
                    chunk_shape=array.chunk_lengths or None,
                    voxel_size_nm=_known(array.found),
                    voxel_size_source=array.found.source,
                )
                for array in find_arrays(MetadataStore(path))
            )
    return ()


def _hdf5_arrays(path: Path) -> tuple[ArrayInfo, ...]:
    with open_hdf5(path) as file:
        return tuple(
            ArrayInfo(
                name=name,
                shape=tuple(dataset.shape or ()),
                axes=hdf5_axes(dataset),
                dtype=str(dataset.dtype),
                chunk_shape=dataset.chunks,
                voxel_size_nm=_known(found),
                voxel_size_source=found.source,
            )
            for name, dataset in datasets_of(file).items()
            for found in [hdf5_space(dataset)]
        )


def _tiff_arrays(path: Path) -> tuple[ArrayInfo, ...]:
    with open_tiff(path) as tiff:
        found = [
            tiff_space(tiff, i, s.shape[s.axes.index("Z")] if "Z" in s.axes else s.shape[0] if len(s.shape) > 2 else 1)
            for i, s in enumerate(tiff.series)
        ]
        return tuple(
            ArrayInfo(
                name=str(i),
                shape=tuple(int(n) for n in series.shape),
                axes=series.axes.lower(),
                dtype=np.dtype(series.dtype).name,
                voxel_size_nm=_known(found[i]),
                voxel_size_source=found[i].source,
            )
            for i, series in enumerate(tiff.series)
        )
