"""Volumes in memory."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.volumes.formats.npy import save_npy
from napari_pytc.volumes.layout import check_box, check_dtype
from napari_pytc.volumes.spec import NpySpec


class MemoryVolume:
    """An array as a `VolumeSource` and `VolumeSink`; the array is not copied.

    Parameters
    ----------
    array : np.ndarray
        (z, y, x), or (y, x) for one section.
    space : VoxelSpace, optional
        Voxel size; unknown if not given.
    """

    def __init__(self, array: np.ndarray, space: VoxelSpace | None = None) -> None:
        if array.ndim not in (2, 3):
            raise InvalidInput(f"A volume has axes (z, y, x) or (y, x), got an array of shape {array.shape}.")
        self.array = array if array.ndim == 3 else array[None]
        self.dtype = check_dtype(array.dtype, "The array")
        self.space = space or VoxelSpace.unknown()
        self.notes: tuple[str, ...] = ()
        self._saved: Path | None = None

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        n_z, n_y, n_x = self.array.shape
        return (n_z, n_y, n_x)

    @property
    def spec(self) -> NpySpec:
        """A copy on disk that other processes open, written on first use and removed with this volume.

        Later writes to the array do not reach the copy.
        """
        if self._saved is None:
            folder = Path(tempfile.mkdtemp(prefix="napari-pytc-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            try:
                self._saved = save_npy(folder / "volume.npy", self.array)
            except OSError as error:
                raise VolumeError(
                    f"The volume in memory could not be written to {folder}: {error}.",
                    "Save it to a file and open that.",
                ) from error
        return NpySpec(path=self._saved, voxel_size_nm=self.space.voxel_size_nm if self.space.known else None)

    def read(self, box: Box) -> np.ndarray:
        """A copy of the voxels of a box."""
        check_box(box, self.shape)
        return np.array(self.array[box.slices], dtype=self.dtype, order="C")

    def write(self, box: Box, data: np.ndarray) -> None:
        """Store the voxels of a box."""
        check_box(box, self.shape)
        if data.shape != box.shape:
            raise InvalidInput(f"The box {box} holds {box.shape} voxels, got data of shape {data.shape}.")
        self.array[box.slices] = data
