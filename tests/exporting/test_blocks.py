from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.exporting.blocks import chunk_blocks
from tests.support.arrays import VirtualArray


@given(
    shape=st.tuples(*[st.integers(1, 3000)] * 3),
    chunk=st.tuples(*[st.integers(1, 128)] * 3),
    n_channels=st.integers(0, 4),
    block_bytes=st.integers(1, 2**24),
)
def test_blocks_are_whole_chunks_within_the_budget(shape, chunk, n_channels: int, block_bytes: int):
    grid = chunk_blocks(VirtualArray(shape, tuple("abcd"[:n_channels])), chunk, block_bytes)
    assert grid.box.shape == shape
    assert all(t % c == 0 for t, c in zip(grid.tile_shape, chunk, strict=True))
    z, y, x = grid.tile_shape
    assert grid.tile_shape == chunk or z * y * x * max(1, n_channels) <= block_bytes
