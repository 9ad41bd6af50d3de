"""NumPy .npy files, mapped into memory a read at a time."""

from __future__ import annotations

import tokenize
from pathlib import Path

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.files import atomic_write
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.layout import layout_of
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import NpySpec

# What NumPy raises for headers that are no header, beside errors of the system.
_DAMAGED = (ValueError, EOFError, OverflowError, TypeError, SyntaxError, tokenize.TokenError, MemoryError)


class NpyVolume(FileVolume):
    """A .npy file; the map is made anew for each read, so that resident memory follows the box."""

    def __init__(self, spec: NpySpec) -> None:
        self._path = existing_file(spec.path)
        array = self._map()
        name = str(spec.path)
        layout = layout_of("", array.shape, spec, name)
        self._describe(name, layout, array.dtype, FoundSpace.nothing(), spec)

    def _map(self) -> np.ndarray:
        try:
            return np.load(self._path, mmap_mode="r", allow_pickle=False)
        except _DAMAGED as error:
            raise VolumeError(
                f"{self._path} is not a whole .npy file: {error}.", "Write it again with numpy.save."
            ) from error

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        return np.array(self._map()[index])


def save_npy(path: Path, array: np.ndarray) -> Path:
    """Write an array so that a half-written file never bears the name."""
    with atomic_write(path) as aside, aside.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    return path
