"""Images and normalisations of one channel or several, in memory."""

from __future__ import annotations

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.plans.normalisation import ImageNormalisation, Normalisation
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.spec import NpySpec


def one_channel(**values: float) -> ImageNormalisation:
    """The normalisation of an image of one channel."""
    return ImageNormalisation.of([Normalisation(**values)])


def memory_image(array: np.ndarray, space: VoxelSpace | None = None) -> MemoryImage:
    """An array (z, y, x) as an image of one channel, or (c, z, y, x) as one of several."""
    return MemoryImage(array if array.ndim == 4 else array[None], space)


class MemoryImage:
    """An array (c, z, y, x) as an `ImageSource`."""

    def __init__(self, array: np.ndarray, space: VoxelSpace | None = None, names: tuple[str, ...] = ()) -> None:
        self.array = array
        self._volumes = tuple(MemoryVolume(channel, space) for channel in array)
        self.channels: tuple[VolumeSource, ...] = self._volumes
        self.n_channels = len(array)
        self.channel_names = names or ("",) * len(array)
        self.dtype, self.space = array.dtype, self._volumes[0].space
        self.notes: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        return self._volumes[0].shape

    @property
    def spec(self) -> NpySpec:
        spec = self._volumes[0].spec
        return spec if self.n_channels == 1 else spec.model_copy(update={"channel": tuple(range(self.n_channels))})

    def read(self, box: Box) -> np.ndarray:
        return np.stack([volume.read(box) for volume in self._volumes])
