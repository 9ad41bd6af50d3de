"""Protocols of volumes that can be read and written."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.volumes.spec import VolumeSpec


@runtime_checkable
class VolumeSource(Protocol):
    """A readable volume of one channel, axes (z, y, x); a 2D image is a volume of one section."""

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
    def spec(self) -> VolumeSpec:
        """Spec by which another process opens the same volume."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the reader assumed, converted or left out; empty where it read what is there."""

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box that lies within the volume, shape ``box.shape``; the caller pads."""


class ImageSource(Protocol):
    """A readable image of one or several channels, axes (c, z, y, x); a 2D image has one section."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels, the same in all channels."""

    @property
    def dtype(self) -> np.dtype:
        """Type of a voxel, which holds the values of all channels."""

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin in nm."""

    @property
    def spec(self) -> VolumeSpec:
        """Spec by which another process opens the same image with `open_image_spec`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the reader assumed, converted or left out, the channels that are not read among them."""

    @property
    def channels(self) -> tuple[VolumeSource, ...]:
        """Each channel as a volume of its own."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Name of each channel; "" where the file has none."""

    @property
    def n_channels(self) -> int:
        """Number of channels that are read; at least 1."""

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box that lies within the image, shape ``(c, *box.shape)``; the caller pads."""


class BoundaryReader(Protocol):
    """A reader of the probability that each voxel is a boundary between objects."""

    def read(self, box: Box) -> np.ndarray:
        """float32 of shape ``box.shape``, 0 to 1; 1 = boundary."""


@runtime_checkable
class VolumeSink(Protocol):
    """A writable volume; (z, y, x), or (c, z, y, x) where it has channels."""

    def write(self, box: Box, data: np.ndarray) -> None:
        """Store the voxels of a box, shape ``box.shape``, or ``(c, *box.shape)`` where the sink has channels."""
