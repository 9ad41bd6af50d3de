"""In which pieces an array is read, so that memory does not grow with it."""

from __future__ import annotations

from napari_pytc.exporting.base import ArrayReader
from napari_pytc.geometry import Box, Shape, TileGrid


def voxel_bytes(array: ArrayReader) -> int:
    """Bytes of one voxel with all its channels."""
    return array.dtype.itemsize * max(1, len(array.channels))


def chunk_blocks(array: ArrayReader, chunk_shape: Shape, block_bytes: int) -> TileGrid:
    """Blocks of whole chunks, each chunk in one block, of at most `block_bytes` (but at least a chunk)."""
    budget = block_bytes // voxel_bytes(array)
    block = list(chunk_shape)
    growing = True
    while growing:
        growing = False
        for axis in (2, 1, 0):
            wider = [2 * n if a == axis else n for a, n in enumerate(block)]
            if block[axis] < array.shape[axis] and wider[0] * wider[1] * wider[2] <= budget:
                block, growing = wider, True
    return TileGrid(Box.of_shape(array.shape), (block[0], block[1], block[2]))
