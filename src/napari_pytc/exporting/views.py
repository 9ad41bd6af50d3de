"""Arrays made from other arrays while they are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader
from napari_pytc.geometry import Box, Shape, VoxelSpace


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
    """The class of the highest probability: k for the k-th channel, 0 where no channel has any (not predicted).

    Of equal probabilities the first channel's wins.
    """

    probabilities: ArrayReader

    def __post_init__(self) -> None:
        n_channels = len(self.probabilities.channels)
        if not 1 <= n_channels <= 255:
            raise InvalidInput(f"Classes are made of 1 to 255 channels of probabilities, got {n_channels}.")

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
        """None: classes have no channel axis."""
        return ()

    def read(self, box: Box) -> np.ndarray:
        """Class labels of a box."""
        probabilities = self.probabilities.read(box)
        labels = np.zeros(box.shape, np.uint8)
        highest = np.zeros(box.shape, probabilities.dtype)
        # Channel by channel: np.argmax would hold eight bytes a voxel and turn nothing into the first class.
        for k, channel in enumerate(probabilities, start=1):
            labels[channel > highest] = k
            np.maximum(highest, channel, out=highest)
        return labels
