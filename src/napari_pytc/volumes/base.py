"""What every volume on disk shares: axes, box check, voxel size; a kind of file adds how to fetch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape
from napari_pytc.volumes.layout import AxisLayout, check_box, check_dtype
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import VolumeSpec


class FileVolume(ABC):
    """A `VolumeSource` over an array with any order of axes.

    A subclass calls `_describe` when it is constructed and implements `_fetch`; one that holds a file open sets
    `_closing`.
    """

    _closing: Callable[[], object] | None = None

    def _describe(self, name: str, layout: AxisLayout, dtype: np.dtype, found: FoundSpace, spec: VolumeSpec) -> None:
        self.name = name
        self.layout = layout
        self.n_channels = layout.n_channels
        self.shape: Shape = layout.shape
        self.dtype: np.dtype = check_dtype(dtype, name)
        if spec.voxel_size_nm is not None:
            found = found.replaced(spec.voxel_size_nm)
        self.space = found.space
        self.space_found = found
        self.spec: VolumeSpec = spec

    @abstractmethod
    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        """The voxels of an index into the file's own axes, all of which are kept."""

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box; see `VolumeSource.read`. Safe to call from several threads."""
        check_box(box, self.shape)
        if box.is_empty:
            return np.zeros(box.shape, self.dtype)
        try:
            data = self._fetch(self.layout.index(box))
        except OSError as error:
            raise VolumeError(
                f"Voxels {box} of {self.name} could not be read: {error}.", "The file may be damaged, moved or offline."
            ) from error
        return self.layout.arrange(data, box.shape)

    def close(self) -> None:
        """Give back what the file holds open; a volume that is no longer used does so by itself."""
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
    return path
