"""Views of arrays: a crop, the most probable class, another type, original ids, an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.original_ids import OriginalIds

if TYPE_CHECKING:
    from napari_pytc.volumes.source import ImageSource


@dataclass(frozen=True, slots=True)
class Crop:
    """A box of another array; its first voxel keeps its place in nm."""

    array: ArrayReader
    box: Box

    def __post_init__(self) -> None:
        whole = Box.of_shape(self.array.shape)
        if self.box.is_empty or not whole.contains(self.box):
            raise InvalidInput(
                f"The box to export must hold voxels and lie within {whole}, got {self.box}.",
                "Write it as Z0:Z1,Y0:Y1,X0:X1 in voxels.",
            )

    @property
    def shape(self) -> Shape:
        """Lengths of the box."""
        return self.box.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of a voxel."""
        return self.array.dtype

    @property
    def space(self) -> VoxelSpace:
        """Voxel size, and the place of the box's first voxel."""
        space = self.array.space
        origin = tuple(o + v for o, v in zip(space.origin_nm, space.nm(self.box.start), strict=True))
        return VoxelSpace(space.voxel_size_nm, origin, space.known)  # type: ignore[arg-type]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.array.channels

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box, in coordinates of the crop."""
        return self.array.read(box.shift(self.box.start))


@dataclass(frozen=True, slots=True)
class MostProbable:
    """The class of the highest probability, 0 where no channel has any (not predicted).

    Of equal probabilities the first channel's wins.

    Parameters
    ----------
    numbers : tuple of int
        The number of each channel's class, 0 for a channel that is none; by default k for the k-th channel.
    """

    probabilities: ArrayReader
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n_channels = len(self.probabilities.channels)
        if not 1 <= n_channels <= 255 or max(self.numbers, default=1) > 255:
            raise InvalidInput(
                f"Classes are made of 1 to 255 channels of probabilities, got {max(n_channels, *self.numbers, 0)}."
            )

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        return self.probabilities.shape

    @property
    def dtype(self) -> np.dtype:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self.probabilities.space

    @property
    def channels(self) -> tuple[str, ...]:
        """Empty: classes have no channel axis."""
        return ()

    def read(self, box: Box) -> np.ndarray:
        """Class labels of a box."""
        probabilities = self.probabilities.read(box)
        labels = np.zeros(box.shape, np.uint8)
        highest = np.zeros(box.shape, probabilities.dtype)
        # Channel by channel: np.argmax would hold eight bytes a voxel and turn nothing into the first class.
        for number, channel in zip(self.numbers or range(1, len(probabilities) + 1), probabilities, strict=True):
            if not number:
                continue
            labels[channel > highest] = number
            np.maximum(highest, channel, out=highest)
        return labels


@dataclass(frozen=True, slots=True)
class Converted:
    """An array as another type; a value that the type cannot hold is an error, never another value.

    Parameters
    ----------
    divisor : float
        What values are divided by first: 255 makes probabilities of bytes.
    """

    array: ArrayReader
    dtype: np.dtype
    divisor: float = 1.0

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        return self.array.shape

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self.array.space

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.array.channels

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box in the new type.

        Raises
        ------
        InvalidInput
            If a value does not fit.
        """
        data = self.array.read(box)
        if self.divisor != 1:
            return np.divide(data, self.divisor, dtype=self.dtype)
        if data.size and not np.can_cast(data.dtype, self.dtype):
            self._check(data)
        return data.astype(self.dtype)

    def _check(self, data: np.ndarray) -> None:
        if self.dtype.kind == "f" and data.dtype.kind == "f":
            self._check_range(data)
            return
        if self.dtype.kind == "f":
            # Above this a float no longer tells every whole number from the next.
            low, high = (-(2.0 ** (np.finfo(self.dtype).nmant + 1)), 2.0 ** (np.finfo(self.dtype).nmant + 1))
            is_exact = bool(data.min() >= low and data.max() <= high)
        else:
            limits = np.iinfo(self.dtype)
            low, high = limits.min, limits.max
            is_whole = data.dtype.kind in "iub" or bool(np.all(np.isfinite(data) & (data == np.floor(data))))
            is_exact = is_whole and int(data.min()) >= low and int(data.max()) <= high
        if not is_exact:
            raise InvalidInput(
                f"{self.dtype.name} holds whole numbers from {low:.0f} to {high:.0f}, but the data has values from "
                f"{data.min()} to {data.max()}.",
                "Choose a wider type, or that of the data.",
            )

    def _check_range(self, data: np.ndarray) -> None:
        """Refuse finite numbers that become infinite; those in between are rounded, as floats are."""
        largest = float(np.finfo(self.dtype).max)
        finite = np.abs(data[np.isfinite(data)])
        if finite.size and finite.max() > largest:
            raise InvalidInput(
                f"{self.dtype.name} holds numbers up to {largest:g}, but the data has {finite.max():g}.",
                "Choose a wider type, or that of the data.",
            )


@dataclass(frozen=True, slots=True)
class OriginalSegments:
    """Segments by the ids of the file that they were imported from, uint64."""

    segments: ArrayReader
    ids: OriginalIds

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        return self.segments.shape

    @property
    def dtype(self) -> np.dtype:
        """Always uint64."""
        return np.dtype(np.uint64)

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self.segments.space

    @property
    def channels(self) -> tuple[str, ...]:
        """Empty: segments have no channel axis."""
        return ()

    def read(self, box: Box) -> np.ndarray:
        """Original ids of a box."""
        return self.ids.lookup(self.segments.read(box))


@dataclass(frozen=True, slots=True)
class ImageArray:
    """An image as an array to export; one of a single channel has no channel axis.

    Parameters
    ----------
    space : VoxelSpace
        That of the project, which may overrule the file's.
    """

    image: ImageSource
    space: VoxelSpace

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        return self.image.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of a voxel."""
        return np.dtype(self.image.dtype)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, or their numbers in the file; empty for one."""
        from napari_pytc.volumes.image import channel_titles  # which loads the readers of all formats

        return channel_titles(self.image) if self.image.n_channels > 1 else ()

    def read(self, box: Box) -> np.ndarray:
        """Intensities of a box, with a channel axis where there are several."""
        data = self.image.read(box)
        return data if self.image.n_channels > 1 else data[0]
