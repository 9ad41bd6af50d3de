"""Connected parts found block by block are those of the whole."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest

from napari_pytc.annotations.components import BlockComponents
from napari_pytc.geometry import Box, TileGrid


@pytest.mark.parametrize("seed", range(20))
def test_parts_in_blocks_are_those_of_the_whole(seed: int):
    random = np.random.default_rng(seed)
    shape, start = random.integers(3, 20, 3).tolist(), random.integers(0, 5, 3).tolist()
    ids = ((random.random(shape) < 0.25) * random.integers(1, 4, shape)).astype(np.uint64)
    grid = TileGrid(Box.at(start, shape), tuple(random.integers(1, 8, 3).tolist()))
    components = BlockComponents(grid)
    for tile in grid:
        components.add(tile, ids[tile.write.relative_to(start).slices])
    components.join()
    found = np.zeros(shape, np.uint32)
    for tile in grid:
        inside = tile.write.relative_to(start).slices
        found[inside] = components.read(tile, ids[inside])
    expected, n_parts = cc3d.connected_components(ids, connectivity=26, return_N=True)
    assert len(components.ids) == found.max() == n_parts
    assert len(np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).T) == n_parts + 1
    for part, id in enumerate(components.ids, start=1):
        assert set(ids[found == part].tolist()) == {int(id)}


def test_a_section_of_any_size_needs_no_memory_for_sections():
    grid = TileGrid(Box.of_shape((1, 2**20, 2**20)), (32, 2**10, 2**10))
    components = BlockComponents(grid)
    assert components._below.size == components._top.size == 0


def test_nothing_has_no_parts():
    grid = TileGrid(Box.of_shape((3, 3, 3)), (2, 2, 2))
    components = BlockComponents(grid)
    for tile in grid:
        components.add(tile, np.zeros(tile.write.shape, np.uint64))
    components.join()
    assert len(components.ids) == 0
