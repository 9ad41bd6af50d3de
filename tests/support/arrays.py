"""Arrays to export: in memory, and of any size without memory."""

from __future__ import annotations

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace


class FakeArray:
    """An array in memory with channels (c, z, y, x) or without (z, y, x)."""

    def __init__(self, data: np.ndarray, space: VoxelSpace | None = None, channels: tuple[str, ...] = ()) -> None:
        assert data.ndim == (4 if channels else 3)
        assert not channels or len(channels) == len(data)
        self.data = data
        self.space = space or VoxelSpace((40.0, 4.6, 4.0))
        self.channels = channels

    @property
    def shape(self) -> Shape:
        return self.data.shape[-3:]  # type: ignore[return-value]

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    def read(self, box: Box) -> np.ndarray:
        assert Box.of_shape(self.shape).contains(box)
        return self.data[(..., *box.slices)]


class VirtualArray:
    """A large array that computes its voxels when read, and notes the largest read in bytes."""

    def __init__(self, shape: Shape, channels: tuple[str, ...] = ()) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self.space = VoxelSpace((30.0, 8.0, 8.0))
        self.channels = channels
        self.largest = 0

    def read(self, box: Box) -> np.ndarray:
        z, y, x = (np.arange(a, b).astype(np.uint8) for a, b in zip(box.start, box.stop, strict=True))
        block = (z[:, None, None] // 4 + y[:, None] // 16) ^ (x // 16)
        if self.channels:
            block = np.stack([block + np.uint8(k) for k in range(len(self.channels))])
        self.largest = max(self.largest, block.nbytes)
        return block
