"""Volumes as napari's layers index them, without ever being in memory."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.geometry import Box, Shape
from napari_pytc.ui.canvas.section_cache import WHOLE, Section, SectionCache
from napari_pytc.volumes.source import VolumeSource

MOST_BYTES = 512 * 2**20
"""More than this is never read at once: 3D display, "save as" and plugins request whole volumes."""


@dataclass(frozen=True)
class Selection:
    """Voxels that an index selects of a volume: the box around them, and the rest of the index within that box.

    Parameters
    ----------
    box : Box
        Around all selected voxels.
    inside : tuple
        Index into the box's voxels that gives the selected ones.
    """

    box: Box
    inside: tuple[Any, ...]

    @classmethod
    def of(cls, key: Any, shape: Shape) -> Selection:
        """Read an index as numpy does: integers, slices with steps, an ellipsis, and arrays of integers.

        Raises
        ------
        IndexError
            If it reaches beyond the volume or is of another kind.
        """
        parts = list(key) if isinstance(key, tuple) else [key]
        places = [k for k, part in enumerate(parts) if part is Ellipsis]
        if len(places) > 1 or len(parts) - len(places) > 3:
            raise IndexError(f"A volume has three axes, got the index {key!r}.")
        gap = places[0] if places else len(parts)
        parts[gap : gap + len(places)] = [slice(None)] * (3 - (len(parts) - len(places)))
        found = [_along(part, n) for part, n in zip(parts, shape, strict=True)]
        box = Box(tuple(f[0] for f in found), tuple(f[1] for f in found))  # type: ignore[arg-type]
        return cls(box, tuple(f[2] for f in found))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the selected voxels."""
        # An array without memory: numpy's own rules decide.
        return np.broadcast_to(np.zeros(1, bool), self.box.shape)[self.inside].shape

    def section(self, shape: Shape) -> Section | None:
        """The whole section that is selected, along any axis; None if anything else is."""
        numbers = [axis for axis, part in enumerate(self.inside) if isinstance(part, int)]
        thin = numbers or [k for k in range(3) if self.box.shape[k] == 1 < shape[k]]
        if len(thin) != 1:
            return None
        (axis,) = thin
        rest = [k for k in range(3) if k != axis]
        whole = all(self.box.shape[k] == shape[k] and self.inside[k] == slice(0, shape[k], 1) for k in rest)
        return Section(axis, self.box.start[axis]) if whole else None


def _along(part: Any, n: int) -> tuple[int, int, Any]:
    """First voxel, first voxel behind, and the index between the two."""
    if isinstance(part, slice):
        wanted = range(*part.indices(n))
        if not wanted:
            return 0, 0, slice(0, 0, 1)
        low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
        stop = wanted[-1] - low + (1 if wanted.step > 0 else -1)
        return low, high + 1, slice(wanted[0] - low, stop if stop >= 0 else None, wanted.step)
    if np.ndim(part) == 0:
        try:
            index = operator.index(part)
        except TypeError as error:
            raise IndexError(f"An index is made of integers and slices, got {part!r}.") from error
        if not -n <= index < n:
            raise IndexError(f"Index {index} is out of bounds for an axis of {n}.")
        return index % n, index % n + 1, 0
    places = np.asarray(part)
    if places.dtype.kind not in "iu":
        if places.size:
            raise IndexError(f"An index is made of integers and slices, got an array of {places.dtype}.")
        places = places.astype(int)
    if not places.size:
        return 0, 0, places
    if places.min() < -n or places.max() >= n:
        raise IndexError(f"Indices from {places.min()} to {places.max()} are out of bounds for an axis of {n}.")
    places = np.where(places < 0, places.astype(np.int64) + n, places)
    low, high = int(places.min()), int(places.max())
    return low, high + 1, places - low


def check_size(box: Box, itemsize: int) -> None:
    """Refuse to read more than a machine may have.

    Raises
    ------
    InvalidInput
        If the box is larger than `MOST_BYTES`.
    """
    if box.size * itemsize > MOST_BYTES:
        raise InvalidInput(
            f"{' x '.join(map(str, box.shape))} voxels are too many to hold in memory.",
            "Look at sections in 2D, or export the volume from the PyTC workspace.",
        )


class Pending:
    """A section that is read when its voxels are needed.

    Napari takes ``array[0]`` at every dab of the brush, and only reads its type.
    """

    def __init__(self, array: Any, index: int) -> None:
        self._array, self._index = array, index
        self.dtype: np.dtype = array.dtype
        self.shape: tuple[int, ...] = array.shape[1:]
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        return self._array[(self._index, *parts)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._array[self._index, :, :], dtype)


class LazyArray:
    """Base of the arrays of our layers; napari reads shape, type and indices, and nothing else."""

    shape: Shape
    dtype: np.dtype
    ndim = 3

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Number of voxels."""
        return Box.of_shape(self.shape).size

    @property
    def nbytes(self) -> int:
        """Bytes it would take in memory."""
        return self.size * self.dtype.itemsize

    def read(self, selection: Selection) -> Any:
        """The voxels of a selection."""
        raise NotImplementedError

    def voxels(self, box: Box) -> np.ndarray:
        """The voxels of a box, all of them read however long it takes, for writing to files."""
        return np.asarray(self.read(Selection.of(box.slices, self.shape)))

    def in_3d(self) -> np.ndarray:
        """All voxels as far as they are there, for 3D display."""
        return np.asarray(self.read(Selection.of((), self.shape)))

    def __getitem__(self, key: Any) -> Any:
        """Voxels as numpy would give them; a plain number gives a section that is read when it is needed.

        ``array[:, :, :]`` is the index by which napari reads a volume for 3D display, before anybody can prevent it;
        of a volume that is too large it gets a single 0. `ProjectLayers` then switches the layer off.
        """
        if isinstance(key, tuple) and len(key) == 3 and all(isinstance(k, slice) and k == slice(None) for k in key):
            return np.zeros((1, 1, 1), self.dtype) if self.nbytes > MOST_BYTES else self.in_3d()
        if not isinstance(key, tuple | slice) and key is not Ellipsis and np.ndim(key) == 0:
            return Pending(self, Selection.of(key, self.shape).box.start[0])
        return self.read(Selection.of(key, self.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All voxels, where they are few enough to be held in memory."""
        return np.asarray(self.read(Selection.of((), self.shape)), dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyArray:
        """Itself: a layer that the user duplicates shows the same volume."""
        return self


class VolumeArray(LazyArray):
    """A volume for napari to look at. Sections come from a cache; one that is not there in time comes in pieces.

    Parameters
    ----------
    cache : SectionCache
        The cache of the sections.
    plane : int, optional
        Index of the plane, where the cache holds several of each section.
    """

    def __init__(self, cache: SectionCache, plane: int | None = None) -> None:
        self._cache, self._plane = cache, plane
        self.shape: Shape = cache.shape
        self.dtype = cache.dtype

    def read(self, selection: Selection) -> Any:
        """Voxels, for sections perhaps with zeros where they are still being read."""
        section = selection.section(self.shape)
        if section is None:
            check_size(selection.box, self.dtype.itemsize)
            block = self._of_plane(self._cache.read(selection.box))
            return block[selection.inside]
        block = self._of_plane(self._cache.get(section))
        return np.expand_dims(block, section.axis)[selection.inside]

    def in_3d(self) -> np.ndarray:
        """Zeros until the reader has all voxels; the cache then calls `on_arrival`."""
        return self._of_plane(self._cache.get(WHOLE))

    def voxels(self, box: Box) -> np.ndarray:
        """The voxels of a box, past the cache, whose sections may be incomplete."""
        return self._of_plane(self._cache.read(box))

    def _of_plane(self, block: np.ndarray) -> np.ndarray:
        return block if self._plane is None else block[self._plane]


class FileArray(LazyArray):
    """A volume that is read where napari looks at it."""

    def __init__(self, source: VolumeSource) -> None:
        self._source = source
        self.shape, self.dtype = source.shape, np.dtype(source.dtype)

    def read(self, selection: Selection) -> Any:
        """The voxels of a selection, from the file."""
        check_size(selection.box, self.dtype.itemsize)
        return self.voxels(selection.box)[selection.inside]

    def voxels(self, box: Box) -> np.ndarray:
        """The voxels of a box, however many."""
        return np.zeros(box.shape, self.dtype) if box.is_empty else self._source.read(box)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Nothing is ever written into the user's file."""
        raise PytcError(
            "This layer shows a file, which is not painted into.",
            "Make a project of the image in the PyTC workspace and paint there, or save the layer and open the copy.",
        )
