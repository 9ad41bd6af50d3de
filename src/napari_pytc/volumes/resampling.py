"""Volumes read on voxels of another size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.volumes.layout import check_box
from napari_pytc.volumes.source import ImageSource, VolumeSource
from napari_pytc.volumes.spec import VolumeSpec

VoxelSize = tuple[float, float, float]
"""Edge lengths of a voxel along z, y, x in nm."""

_SIMILAR = 1.1
"""Voxel sizes within this factor count as the same."""
_FUZZ = 1e-9


def differs(size_nm: VoxelSize, other_nm: VoxelSize, shape: Shape = (2, 2, 2)) -> bool:
    """Whether two voxel sizes differ by more than a tenth along any axis.

    Parameters
    ----------
    shape : Shape
        That of the volume: the thickness of a single section does not matter.
    """
    pairs = zip(size_nm, other_nm, shape, strict=True)
    return any(max(a / b, b / a) > _SIMILAR + _FUZZ for a, b, n in pairs if n > 1)


def size_text(size_nm: VoxelSize) -> str:
    """A voxel size for people: "40 x 4 x 4"."""
    return " x ".join(f"{round(length, 3):g}" for length in size_nm)


@dataclass(frozen=True)
class _Axis:
    """One axis of a `ResampledGrid`: `n` voxels, each `factor` times as long as one of the `n_source` below."""

    n_source: int
    n: int
    factor: float

    @property
    def width(self) -> float:
        """Half the width of the triangle that weights voxels below, in their lengths."""
        return max(1.0, self.factor)

    def centres(self, start: int, stop: int) -> np.ndarray:
        """Centres of voxels in coordinates of the voxels below, whose own centres are the integers."""
        found: np.ndarray = (np.arange(start, stop) + 0.5) * self.factor - 0.5
        return found

    def taps(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and weights of the voxels below, (taps, voxels) each; weights of a voxel add up to 1."""
        centres = self.centres(start, stop)
        first = np.floor(centres - self.width).astype(np.int64) + 1
        below = first + np.arange(math.ceil(2 * self.width))[:, None]
        weights = np.maximum(0.0, 1 - np.abs(below - centres) / self.width)
        weights /= weights.sum(axis=0)
        return np.clip(below, 0, self.n_source - 1), weights.astype(np.float32)

    def inside(self, start: int, stop: int) -> list[np.ndarray]:
        """Indices of the voxels below whose centres lie in a voxel, the nearest to its centre first, (voxels,) each.

        Voxels with fewer than others repeat their nearest.
        """
        nearest = np.floor((np.arange(start, stop) + 0.5) * self.factor).astype(np.int64)
        low = np.ceil(np.arange(start, stop) * self.factor - 0.5 - _FUZZ).astype(np.int64)
        high = np.ceil(np.arange(start + 1, stop + 1) * self.factor - 0.5 - _FUZZ).astype(np.int64)
        high = np.where(np.arange(start, stop) == self.n - 1, np.maximum(high, self.n_source), high)
        nearest = np.clip(nearest, 0, self.n_source - 1)
        found = [nearest]
        for distance in range(1, int((high - low).max(initial=0)) + 1):
            for one in (nearest - distance, nearest + distance):
                is_inside = (one >= low) & (one < high) & (one >= 0) & (one < self.n_source)
                if is_inside.any():
                    found.append(np.where(is_inside, one, nearest))
        return found

    def over(self, start: int, stop: int) -> tuple[int, int]:
        """The voxels that share space with a range of the voxels below."""
        low, high = math.floor(start / self.factor + _FUZZ), math.ceil(stop / self.factor - _FUZZ)
        low, high = min(low, self.n - 1), min(high, self.n)
        return low, max(low + 1, high) if stop > start else low

    def within(self, start: int, stop: int) -> tuple[int, int]:
        """The voxels that share space with a range of the voxels below alone; where there are none, as `over`."""
        low = math.ceil(start / self.factor - _FUZZ)
        high = self.n if stop == self.n_source else min(self.n, math.floor(stop / self.factor + _FUZZ))
        return (low, high) if high > low else self.over(start, stop)

    def seeing(self, start: int, stop: int) -> tuple[int, int]:
        """The voxels whose interpolated value depends on any of a range of the voxels below."""
        low = math.floor((start - self.width + 0.5) / self.factor - 0.5 - _FUZZ) + 1
        high = math.ceil((stop - 1 + self.width + 0.5) / self.factor - 0.5 + _FUZZ)
        over = self.over(start, stop)
        return max(0, min(low, over[0])), min(self.n, max(high, over[1]))


@dataclass(frozen=True)
class ResampledGrid:
    """A grid of voxels of another size over the extent of a volume.

    ::

        below   |   0   |   1   |   2   |   3   |   4   |      n voxels of s nm
        grid    |     0     |     1     |     2     |          m = round(n s / t) voxels of t nm, at least one
                      x = (j + 1/2) t / s - 1/2                centre of voxel j in coordinates of the voxels below

    Both begin at the same outer edge, the first face of voxel 0. Interpolation is separable and linear: a voxel is the
    mean of the voxels below, weighted by a triangle around its centre that reaches ``max(1, t / s)`` voxels to either
    side: trilinear interpolation to finer voxels, and no aliasing to coarser ones. Beyond the volume its last voxels
    are repeated. A value depends on its own place alone, so that blocks of any shape fit together exactly. An axis of a
    single voxel is left as it is.
    """

    axes: tuple[_Axis, _Axis, _Axis]

    @classmethod
    def of(cls, shape: Shape, size_nm: VoxelSize, wanted_nm: VoxelSize) -> ResampledGrid:
        """The grid of wanted voxels over a volume.

        Parameters
        ----------
        shape : Shape
            Lengths of the volume in its own voxels.
        size_nm, wanted_nm : tuple of float
            Size of its voxels, and that of the grid's.
        """
        z, y, x = (
            _Axis(n, 1 if n == 1 else max(1, round(n * s / t)), 1.0 if n == 1 else t / s)
            for n, s, t in zip(shape, size_nm, wanted_nm, strict=True)
        )
        return cls((z, y, x))

    @property
    def inverse(self) -> ResampledGrid:
        """The volume's own voxels as a grid over this one."""
        z, y, x = (_Axis(axis.n, axis.n_source, 1 / axis.factor) for axis in self.axes)
        return ResampledGrid((z, y, x))

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels of the grid."""
        z, y, x = (axis.n for axis in self.axes)
        return (z, y, x)

    @property
    def factors(self) -> tuple[float, float, float]:
        """Length of a voxel of the grid in voxels below, along each axis."""
        z, y, x = (axis.factor for axis in self.axes)
        return (z, y, x)

    def source_box(self, box: Box) -> Box:
        """The voxels below that the values of a box depend on."""
        ranges = []
        for axis, start, stop in zip(self.axes, box.start, box.stop, strict=True):
            indices, _ = axis.taps(start, stop)
            ranges.append((int(indices.min()), int(indices.max()) + 1) if indices.size else (0, 0))
        return _box(ranges)

    def covering(self, box: Box) -> Box:
        """The voxels of the grid that share space with a box of voxels below."""
        return _box([axis.over(a, b) for axis, a, b in zip(self.axes, box.start, box.stop, strict=True)])

    def within(self, box: Box) -> Box:
        """The voxels of the grid that lie in a box of voxels below; where a side has none, those that share it."""
        return _box([axis.within(a, b) for axis, a, b in zip(self.axes, box.start, box.stop, strict=True)])

    def seeing(self, box: Box) -> Box:
        """The voxels of the grid whose values depend on a box of voxels below, or that share space with it."""
        return _box([axis.seeing(a, b) for axis, a, b in zip(self.axes, box.start, box.stop, strict=True)])

    def interpolate(self, data: np.ndarray, read: Box, box: Box) -> np.ndarray:
        """Values of a box.

        Parameters
        ----------
        data : ndarray
            (..., z, y, x), the values of the voxels below in `read`, which contains the `source_box`.

        Returns
        -------
        ndarray
            (..., *box.shape) float32.
        """
        found = data.astype(np.float32, copy=False)
        for number, axis in enumerate(self.axes):
            indices, weights = axis.taps(box.start[number], box.stop[number])
            if axis.n == axis.n_source and axis.factor == 1:
                first = box.start[number] - read.start[number]
                found = found[_along(number, slice(first, first + box.shape[number]))]
                continue
            shape = list(found.shape)
            shape[number - 3] = indices.shape[1]
            total = np.zeros(shape, np.float32)
            for below, weight in zip(indices - read.start[number], weights, strict=True):
                part = found.take(below, axis=number - 3)
                part *= weight.reshape([-1 if axis_of == number else 1 for axis_of in range(3)])
                total += part
            found = total
        return np.ascontiguousarray(found)

    def nearest_labels(self, data: np.ndarray, read: Box, box: Box) -> np.ndarray:
        """Labels (z, y, x) of a box: of the labelled voxels below whose centres lie in a voxel the nearest to its own.

        Where a voxel has none, it is 0. A stroke of a single voxel's width is therefore not lost on coarser voxels.

        Parameters
        ----------
        data : ndarray
            (z, y, x) integers of the voxels below in `read`, which contains the `label_box`; 0 = not labelled.
        """
        candidates = [axis.inside(a, b) for axis, a, b in zip(self.axes, box.start, box.stop, strict=True)]
        ranks = sorted(np.ndindex(*(len(of_axis) for of_axis in candidates)), key=lambda rank: (sum(rank), rank))
        found = np.zeros(box.shape, data.dtype)
        for rank in ranks:
            index = [of_axis[n] - start for of_axis, n, start in zip(candidates, rank, read.start, strict=True)]
            missing = found == 0
            if not missing.any():
                break
            found[missing] = data[np.ix_(*index)][missing]
        return found

    def label_box(self, box: Box) -> Box:
        """The voxels below that the labels of a box depend on."""
        ranges = []
        for axis, start, stop in zip(self.axes, box.start, box.stop, strict=True):
            found = axis.inside(start, stop) if stop > start else []
            ranges.append((min(int(i.min()) for i in found), max(int(i.max()) for i in found) + 1) if found else (0, 0))
        return _box(ranges)


class ResampledVolume:
    """A `VolumeSource` on voxels of another size, interpolated while it is read; see `ResampledGrid`.

    Parameters
    ----------
    source : VolumeSource
        The volume.
    size_nm : tuple of float
        Size of its voxels, which may overrule what the file says.
    wanted_nm : tuple of float
        Size of the voxels that are read.
    """

    def __init__(self, source: VolumeSource, size_nm: VoxelSize, wanted_nm: VoxelSize) -> None:
        self.source = source
        self.grid = ResampledGrid.of(source.shape, size_nm, wanted_nm)
        self.shape: Shape = self.grid.shape
        self.dtype = np.dtype(np.float32)
        self._size_nm = size_nm

    @cached_property
    def space(self) -> VoxelSpace:
        """Voxel size and origin in nm."""
        size = tuple(s * f for s, f in zip(self._size_nm, self.grid.factors, strict=True))
        origin = tuple(
            o + (f - 1) / 2 * s
            for o, f, s in zip(self.source.space.origin_nm, self.grid.factors, self._size_nm, strict=True)
        )
        return VoxelSpace(size, origin)  # type: ignore[arg-type]

    @property
    def spec(self) -> VolumeSpec:
        """Spec of the volume below."""
        return self.source.spec

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of the volume below, and that its voxels are interpolated."""
        return (*self.source.notes, self.own_note)

    @property
    def own_note(self) -> str:
        """A note that voxels are interpolated."""
        own, wanted = size_text(self._size_nm), size_text(self.space.voxel_size_nm)
        return f"Voxels of {own} nm are interpolated to {wanted} nm."

    def read(self, box: Box) -> np.ndarray:
        """Interpolated values of a box, float32."""
        check_box(box, self.shape)
        if box.is_empty:
            return np.zeros(box.shape, np.float32)
        read = self.grid.source_box(box)
        return self.grid.interpolate(self.source.read(read), read, box)


class ResampledImage:
    """An `ImageSource` on voxels of another size, interpolated while it is read; see `ResampledGrid`.

    Parameters
    ----------
    source : ImageSource
        The image.
    size_nm, wanted_nm : tuple of float
        As of a `ResampledVolume`.
    """

    def __init__(self, source: ImageSource, size_nm: VoxelSize, wanted_nm: VoxelSize) -> None:
        self.source = source
        self._volumes = tuple(ResampledVolume(channel, size_nm, wanted_nm) for channel in source.channels)
        self.channels: tuple[VolumeSource, ...] = self._volumes
        self.n_channels, self.channel_names = source.n_channels, source.channel_names
        self.grid = self._volumes[0].grid
        self.shape: Shape = self.grid.shape
        self.dtype = np.dtype(np.float32)

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin in nm."""
        return self._volumes[0].space

    @property
    def spec(self) -> VolumeSpec:
        """Spec of the image below."""
        return self.source.spec

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of the image below, and that its voxels are interpolated."""
        return (*self.source.notes, self._volumes[0].own_note)

    def read(self, box: Box) -> np.ndarray:
        """Interpolated values (c, *box.shape) of a box, float32."""
        check_box(box, self.shape)
        if box.is_empty:
            return np.zeros((self.n_channels, *box.shape), np.float32)
        read = self.grid.source_box(box)
        return self.grid.interpolate(self.source.read(read), read, box)


def resampled(source: ImageSource, size_nm: VoxelSize | None, wanted_nm: VoxelSize) -> ResampledImage | None:
    """An image on voxels of the wanted size; None where its own differ by a tenth at most, or are not known.

    Parameters
    ----------
    size_nm : tuple of float, optional
        Size of its voxels, where that is not the file's.
    """
    if size_nm is None and not source.space.known:
        return None
    own = size_nm or source.space.voxel_size_nm
    return ResampledImage(source, own, wanted_nm) if differs(own, wanted_nm, source.shape) else None


def stored_dtype(channel: VolumeSource) -> np.dtype:
    """Number type of a channel as it is stored: that of a resampled one is float32 itself."""
    return channel.source.dtype if isinstance(channel, ResampledVolume) else channel.dtype


def unresampled(source: ImageSource) -> ImageSource:
    """The image below a resampled one; any other as it is."""
    return source.source if isinstance(source, ResampledImage) else source


def _along(axis: int, chosen: slice) -> Any:
    """Index of a part along one of the last three axes."""
    return (..., *(chosen if number == axis else slice(None) for number in range(3)))


def _box(ranges: list[tuple[int, int]]) -> Box:
    (z, y, x) = ranges
    return Box((z[0], y[0], x[0]), (z[1], y[1], x[1]))
