"""Data that an XML of BigDataViewer or BigStitcher describes, in HDF5 or N5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.formats.chunked.array_choice import choose_array
from napari_pytc.volumes.formats.chunked.volume import ChunkedVolume
from napari_pytc.volumes.formats.hdf5 import Hdf5Volume
from napari_pytc.volumes.formats.spim_data import Setup, SpimData, ZarrImage, shape_zyx, spim_data
from napari_pytc.volumes.layout import AxisLayout, layout_of
from napari_pytc.volumes.spec import BigDataViewerSpec, ChunkedSpec, Hdf5Spec

_MOST_OPEN = 8


class BigDataViewerVolume(FileVolume):
    """Setups of an XML as channels, with their time points.

    The axes are t, c, z, y, x: setups of one size that differ by their channel alone are the channels of one volume;
    of tiles and angles one is named.
    """

    reads_channels_together = False
    spec: BigDataViewerSpec

    def __init__(self, spec: BigDataViewerSpec) -> None:
        self._data = spim_data(existing_file(spec.path))
        name = f"{spec.path}:{spec.setup}" if spec.setup else str(spec.path)
        self._setups = setups_of(self._data, spec.setup)
        self._open: ByteBoundedCache[tuple[int, int], FileVolume] = ByteBoundedCache(_MOST_OPEN, size_of=lambda view: 1)
        first = self._view(self._data.first_time(self._setups[0]), self._setups[0])
        lengths = (len(self._data.times), len(self._setups), *first.shape)
        self._describe_setup(name, layout_of("tczyx", lengths, spec, name), spec)

    def _describe_setup(self, name: str, layout: AxisLayout, spec: BigDataViewerSpec) -> None:
        setup, time = self._setups[layout.channel], self._data.times[layout.time]
        view, found = self._view(time, setup), self._data.space(setup, time)
        if view.shape != layout.shape:
            raise VolumeError(
                f"Setup {setup.key} of {name} has {' x '.join(map(str, view.shape))} voxels (z, y, x), and the first "
                f"has {' x '.join(map(str, layout.shape))}.",
                f"Name one, for example {self._data.path}:{setup.key}.",
            )
        told = [n for n in view.notes if n not in view.space_found.all_notes]
        names = [s.name or s.channel for s in self._setups]
        self._describe(name, layout, view.dtype, found, spec, [*self._notes(setup), *told], names)

    def with_channel(self, channel: int) -> Self:
        """Another setup of the same XML, which may have voxels of another type."""
        other = super().with_channel(channel)
        other._describe_setup(self.name, other.layout, other.spec)
        return other

    def _notes(self, setup: Setup) -> list[str]:
        notes = [f"The voxels are in {self._data.data.name}."]
        if len(self._data.setups) > 1:
            titles = ", ".join(f"{s.key} {s.name}".strip() for s in self._data.setups[:8])
            notes.append(f"This is setup {setup.key} of {len(self._data.setups)}: {titles}.")
        return notes

    def close(self) -> None:
        """Close the files of the views."""
        for view in self._open.values():
            view.close()

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        t, c, z, y, x = index
        box = Box((z.start, y.start, x.start), (z.stop, y.stop, x.stop))
        data = np.empty((t.stop - t.start, c.stop - c.start, *box.shape), self.dtype)
        for i, time in enumerate(self._data.times[t]):
            for k, setup in enumerate(self._setups[c]):
                data[i, k] = self._view(time, setup).read(box)
        return data

    def _view(self, time: int, setup: Setup) -> FileVolume:
        """One time point of one setup at full resolution."""
        return self._open.get((time, setup.number), lambda: _open_view(self._data, time, setup))


def _open_view(data: SpimData, time: int, setup: Setup) -> FileVolume:
    if (time, setup.number) in data.missing:
        raise VolumeError(
            f"{data.path} says that time point {time} of setup {setup.key} is missing.", "Choose another time point."
        )
    if data.loader == "bdv.hdf5":
        view: FileVolume = Hdf5Volume(Hdf5Spec(path=data.data, dataset=f"t{time:05d}/{setup.key}/0/cells"))
    elif data.loader == "bdv.n5":
        array = f"setup{setup.number}/timepoint{time}/s0"
        view = ChunkedVolume(ChunkedSpec(url=str(data.data), driver="n5", array=array))
    elif image := data.images.get((time, setup.number)):
        view = _open_image(data, image)
    else:
        raise VolumeError(
            f"{data.path} names its voxels as {data.loader or 'nothing'}; read are bdv.hdf5, bdv.n5 and images of a "
            "Zarr on this machine.",
            "Open the file or folder with the voxels itself, or save the XML as HDF5 or N5 with BigStitcher.",
        )
    expected = shape_zyx(setup)
    if expected is not None and expected != view.shape:
        raise VolumeError(
            f"{data.path} says that setup {setup.key} has {' x '.join(map(str, expected))} voxels (z, y, x), but "
            f"{data.data.name} has {' x '.join(map(str, view.shape))}.",
            "The XML belongs to other data; open the data itself.",
        )
    return view


def _open_image(data: SpimData, image: ZarrImage) -> FileVolume:
    """The finest level of an OME-Zarr image, of several channels and time points the one that the XML names."""
    spec, found = choose_array(str(data.data), image.path or None)
    lengths = dict(zip(found.axes, found.lengths, strict=False))
    options = {
        "channel": image.channel if lengths.get("c", 1) > 1 else None,
        "time": image.time if lengths.get("t", 1) > 1 else None,
    }
    return ChunkedVolume(spec.model_copy(update=options), found)


def setups_of(data: SpimData, named: str) -> tuple[Setup, ...]:
    """The setup of a number, key or name, or all where they are channels of one image.

    Raises
    ------
    VolumeError
        If there is none, or several that are no channels; the message lists them.
    """
    setups = data.setups
    listed = ", ".join(f"{s.key} {s.name}".strip() for s in setups[:12])
    if named:
        wanted = named.strip("/").removeprefix("setup")
        for setup in setups:
            if wanted in (setup.key, str(setup.number), setup.name):
                return (setup,)
        raise VolumeError(f"{data.path} has no setup {named!r}; it has {listed}.", f"Name one: {data.path}:s00.")
    if len(setups) > 1 and not _are_channels(setups):
        raise VolumeError(
            f"{data.path} has {len(setups)} setups that are no channels of one image: {listed}.",
            f"Name one, for example {data.path}:{setups[0].key}.",
        )
    return setups


def _are_channels(setups: Sequence[Setup]) -> bool:
    alike = {(s.size_xyz, s.voxel_size_xyz, s.unit, s.others) for s in setups}
    return len(alike) == 1 and len({s.channel for s in setups}) == len(setups)
