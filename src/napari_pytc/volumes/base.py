"""Base of the volumes on disk: axes, box check, voxel size. A kind of file adds how to fetch voxels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape
from napari_pytc.volumes.layout import FILES_OF_ONE_CHANNEL, AxisLayout, check_box, dtype_notes, read_dtype
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import VolumeSpec


class FileVolume(ABC):
    """A `VolumeSource` over an array with any order of axes.

    A subclass calls `_describe` when it is constructed and implements `_fetch`; one that holds a file open sets
    `_closing`.
    """

    reads_channels_together: ClassVar[bool] = True
    """Whether channels are positions along an axis of one array, so that neighbours can be read at once."""
    _closing: Callable[[], object] | None = None
    _opened_by: FileVolume | None = None

    def _describe(
        self,
        name: str,
        layout: AxisLayout,
        dtype: np.dtype,
        found: FoundSpace,
        spec: VolumeSpec,
        notes: Sequence[str] = (),
        channel_names: Sequence[str] = (),
    ) -> None:
        """Set the attributes; `notes` are what the reader assumed or left out, beside space, axes and type.

        `channel_names` are those of all channels of the file, where it names them.
        """
        self.name = name
        self.layout = layout
        self._describe_channels(
            layout.n_channels,
            layout.image_channels,
            channel_names if any(channel_names) and len(channel_names) == layout.n_channels else layout.colour_names,
        )
        self.shape: Shape = layout.shape
        self.dtype: np.dtype = read_dtype(dtype, name)
        if spec.voxel_size_nm is not None:
            found = found.replaced(spec.voxel_size_nm)
        self.space = found.space
        self.space_found = found
        self.spec: VolumeSpec = spec
        self.notes: tuple[str, ...] = (*notes, *found.all_notes, *layout.notes, *dtype_notes(dtype))

    def _describe_channels(self, n_channels: int, image_channels: tuple[int, ...], names: Sequence[str]) -> None:
        """Set how many channels the file has, which of them are intensities, and their names, "" where it has none."""
        self.n_channels, self.image_channels = n_channels, image_channels
        self.channel_names = tuple(names) if len(names) == n_channels else ("",) * n_channels

    @property
    def shown_channel(self) -> int:
        """Number of the channel that is read, where colours are not mixed."""
        return self.layout.channel

    @property
    def is_mixed(self) -> bool:
        """Whether colours are mixed to grey."""
        return self.layout.n_mixed > 1 and self.layout.are_colours

    @abstractmethod
    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        """The voxels of an index into the file's own axes, all of which are kept."""

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box; see `VolumeSource.read`. Safe to call from several threads."""
        check_box(box, self.shape)
        if box.is_empty:
            return np.zeros(box.shape, self.dtype)
        return self._read(self.layout.index(box), box, box.shape)

    def with_channel(self, channel: int) -> Self:
        """Another channel of the same file, which stays open until neither is used any more.

        Raises
        ------
        VolumeError
            If there is no such channel, or it cannot be read beside this one.
        """
        self.check_channel(channel)
        other = copy(self)
        # A file is closed when the volume that opened it is no longer used, so the other one holds on to that.
        other._opened_by = self
        other.layout = replace(self.layout, channel=channel)
        other.spec = self.spec.model_copy(update={"channel": channel})
        return other

    def check_channel(self, channel: int) -> None:
        """Refuse a channel that the file does not have."""
        if channel >= self.n_channels:
            n, plural = self.n_channels, "s" if self.n_channels > 1 else ""
            hint = (
                f"Give channels from 0 to {n - 1} with --channel."
                if n > 1
                else f"Leave --channel out. {FILES_OF_ONE_CHANNEL}"
            )
            raise VolumeError(f"{self.name} has {n} channel{plural}, so there is no channel {channel}.", hint)

    def read_together(self, box: Box, n_channels: int) -> np.ndarray:
        """The voxels of a box of so many channels from this volume's own on, (c, z, y, x).

        For volumes whose `reads_channels_together` says so.
        """
        check_box(box, self.shape)
        shape = (n_channels, *box.shape)
        if box.is_empty:
            return np.zeros(shape, self.dtype)
        return self._read(self.layout.index(box, n_channels), box, shape)

    def _read(self, index: tuple[slice, ...], box: Box, shape: tuple[int, ...]) -> np.ndarray:
        try:
            data = self._fetch(index)
        except OSError as error:
            raise VolumeError(
                f"Voxels {box} of {self.name} could not be read: {error}.", "The file may be damaged, moved or offline."
            ) from error
        return self.layout.arrange(data, shape)

    def close(self) -> None:
        """Close the file; a volume that is no longer used does so by itself."""
        if self._closing is not None:
            self._closing()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, shape={self.shape}, dtype={self.dtype})"


def existing_file(path: Path) -> Path:
    """The path, or an error if there is no such file."""
    if not path.exists():
        raise VolumeError(f"There is no file {path}.", "Check the path, or tell the project where the image moved to.")
    if path.is_dir():
        raise VolumeError(f"Expected a file, but {path} is a folder.", "Give the file inside it.")
    if not path.is_file():
        raise VolumeError(f"Expected a file, but {path} is a device or a pipe.", "Give a file on a disk.")
    return path
