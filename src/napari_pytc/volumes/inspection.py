"""Descriptions of files and containers without reading voxels, for ``info PATH`` and the window's Data tab."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Shape
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.formats.bigdataviewer import BigDataViewerVolume
from napari_pytc.volumes.formats.chunked.array_choice import choose_array
from napari_pytc.volumes.formats.chunked.containers import find_arrays
from napari_pytc.volumes.formats.chunked.found_array import FoundArray
from napari_pytc.volumes.formats.hdf5 import hdf5_axes, hdf5_space
from napari_pytc.volumes.formats.hdf5_file import datasets_of, dtype_name, open_hdf5
from napari_pytc.volumes.formats.sections.images import SUFFIXES, open_section
from napari_pytc.volumes.formats.sections.series import find_series, image_files
from napari_pytc.volumes.formats.spim_data import shape_zyx, spim_data
from napari_pytc.volumes.formats.tiff.choice import find_stacks
from napari_pytc.volumes.formats.tiff.pages import segment_cache
from napari_pytc.volumes.formats.tiff.space import tiff_space
from napari_pytc.volumes.formats.tiff.volume import open_tiff, understood
from napari_pytc.volumes.image import channel_numbers, open_image
from napari_pytc.volumes.kvstore import MetadataStore
from napari_pytc.volumes.opening import kind_of, local_path, split_dataset
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import BigDataViewerSpec, ReadOptions, VolumeSpec

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
    n_channels: int | None = Field(None, description="Number of channels or colours in the file.")
    channel_names: tuple[str, ...] = Field((), description='Names of all of them; "" for one that has none.')
    channels: tuple[int, ...] | None = Field(
        None, description="Numbers of those that are read; none where the colours are mixed to grey."
    )
    voxel_size_nm: _Lengths | None = None
    voxel_size_source: str = "unknown"
    origin_nm: _Lengths | None = Field(None, description="Place of the first voxel along z, y, x, where it is known.")
    n_bytes: int | None = Field(None, description="Bytes of the voxels of one channel, uncompressed.")
    n_file_bytes: int | None = Field(None, description="Bytes of the file, where it is a single local one.")
    notes: tuple[str, ...] = Field((), description="What the reader assumed, converted or left out.")


def describe_volume(where: str | Path, options: ReadOptions | None = None) -> VolumeInfo:
    """Describe a file, folder or URL.

    Parameters
    ----------
    where, options
        As for `open_volume`.

    Raises
    ------
    VolumeError
        If there is nothing, or nothing that can be read; what can be read but not opened as written is a `problem`.
    """
    path, _ = split_dataset(str(where))
    kind, place = kind_of(path), local_path(path)
    arrays = _arrays(kind, path if place is None else str(place))
    image, problem = _opened(where, options or ReadOptions())
    size = place.stat().st_size if place is not None and place.is_file() else None
    if image is None:
        return VolumeInfo(where=str(where), kind=kind, arrays=arrays, problem=problem, n_file_bytes=size)
    volume = image.channels[0]
    assert isinstance(volume, FileVolume)
    numbers = channel_numbers(image)
    info = VolumeInfo(
        where=str(where),
        kind=kind,
        arrays=arrays,
        problem=problem,
        spec=image.spec,
        shape=image.shape,
        dtype=image.dtype.name,
        n_channels=volume.n_channels,
        channel_names=volume.channel_names,
        channels=tuple(n for n in numbers if n is not None) or None,
        voxel_size_nm=_known(volume.space_found),
        voxel_size_source=volume.space_found.source,
        origin_nm=volume.space.origin_nm if volume.space.known else None,
        n_bytes=math.prod(image.shape) * image.dtype.itemsize,
        n_file_bytes=size,
        notes=image.notes,
    )
    volume.close()
    return info


def _opened(where: str | Path, read: ReadOptions) -> tuple[ImageSource | None, str]:
    """The image, of several channels of which none was chosen the first, and why it does not open as written."""
    problem = ""
    for channel in (read.channel, 0):
        try:
            image = open_image(where, read.model_copy(update={"channel": channel}))
        except VolumeError as error:
            problem = problem or str(error)
            continue
        return image, problem
    return None, problem


def _known(found: FoundSpace) -> _Lengths | None:
    return found.space.voxel_size_nm if found.space.known else None


def _arrays(kind: str, path: str) -> tuple[ArrayInfo, ...]:
    match kind:
        case "hdf5":
            return _hdf5_arrays(Path(path))
        case "tiff":
            return _tiff_arrays(Path(path))
        case "sections" if Path(path).is_dir():
            return _section_arrays(Path(path))
        case "bigdataviewer":
            return _xml_arrays(Path(path))
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
                for array in _chunked_arrays(path)
            )
    return ()


def _chunked_arrays(path: str) -> Iterator[FoundArray]:
    """The arrays of a container; one that is named by its own folder as the groups around it describe it."""
    for array in find_arrays(MetadataStore(path)):
        yield array if array.path else replace(choose_array(path, None)[1], path="")


def _xml_arrays(path: Path) -> tuple[ArrayInfo, ...]:
    """The setups of an XML of BigDataViewer, all of the type of the first."""
    data = spim_data(path)
    time = data.times.index(data.first_time(data.setups[0]))
    dtype = "unknown"
    with suppress(VolumeError):  # its data is missing: what the XML says can be listed all the same
        first = BigDataViewerVolume(BigDataViewerSpec(path=path, setup=data.setups[0].key, time=time))
        dtype = first.dtype.name
        first.close()
    return tuple(
        ArrayInfo(
            name=setup.key,
            shape=(len(data.times), *shape),
            axes="tzyx",
            dtype=dtype,
            voxel_size_nm=_known(found),
            voxel_size_source=found.source,
        )
        for setup in data.setups
        if (shape := shape_zyx(setup)) is not None
        for found in [data.space(setup, data.times[0])]
    )


def _hdf5_arrays(path: Path) -> tuple[ArrayInfo, ...]:
    with open_hdf5(path) as file:
        return tuple(
            ArrayInfo(
                name=name,
                shape=tuple(dataset.shape or ()),
                axes=hdf5_axes(dataset),
                dtype=dtype_name(dataset),
                chunk_shape=dataset.chunks,
                voxel_size_nm=_known(found),
                voxel_size_source=found.source,
            )
            for name, dataset in datasets_of(file).items()
            for found in [hdf5_space(file, name)]
        )


def _section_arrays(path: Path) -> tuple[ArrayInfo, ...]:
    """The series of sections in a folder, where there are several to choose from."""
    found = [series for suffix in SUFFIXES for series in find_series(image_files(path, suffix))]
    if len(found) < 2:
        return ()
    infos = []
    for series in found:
        try:
            section = open_section(series.files[0], ReadOptions(), segment_cache())
        except VolumeError:  # one odd file beside the sections is no reason not to list these
            continue
        shape = (len(series.files), *section.kind.plane)
        infos.append(ArrayInfo(name=series.name, shape=shape, axes="zyx", dtype=section.kind.dtype.name))
    return tuple(infos)


def _tiff_arrays(path: Path) -> tuple[ArrayInfo, ...]:
    with open_tiff(path) as tiff, understood(path):
        return tuple(
            ArrayInfo(
                name=stack.name,
                shape=stack.lengths,
                axes=stack.axes,
                dtype=stack.dtype.name,
                voxel_size_nm=_known(found),
                voxel_size_source=found.source,
            )
            for stack in find_stacks(tiff, path)
            for found in [tiff_space(tiff, stack, dict(zip(stack.axes, stack.lengths, strict=True)).get("z", 1))]
        )
