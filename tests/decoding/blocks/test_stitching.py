from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.decoding.blocks.stitching import opposite, overlapping_pairs, slabs, touching_pairs
from napari_pytc.geometry import Box, TileGrid
from tests.geometry.strategies import grids


def test_slabs_lie_beyond_each_face_within_the_next_block() -> None:
    grid = TileGrid(Box((0, 0, 0), (8, 10, 12)), (8, 5, 4), (3, 3, 6))
    found = dict(slabs(grid[1], grid))  # the second of three along x, the first of two along y
    assert found == {
        "high1": Box((0, 5, 4), (8, 8, 8)),
        "low2": Box((0, 0, 0), (8, 5, 4)),
        "high2": Box((0, 0, 8), (8, 5, 12)),
    }
    assert dict(slabs(grid[0], grid))[opposite("low2")] == Box((0, 0, 4), (8, 5, 8))


def test_labels_touch_over_faces_edges_and_corners() -> None:
    labels = np.zeros((2, 2, 2), np.uint32)
    labels[0, 0, 0], labels[1, 1, 1], labels[0, 1, 1] = 1, 2, 3
    assert touching_pairs(labels, 6).tolist() == [[2, 3]]
    assert touching_pairs(labels, 18).tolist() == [[1, 3], [2, 3]]
    assert touching_pairs(labels, 26).tolist() == [[1, 2], [1, 3], [2, 3]]


def test_labels_that_are_mostly_the_same_are_one() -> None:
    low = np.array([1, 1, 1, 1, 2, 2, 2, 0], np.uint32)
    high = np.array([5, 5, 5, 6, 6, 6, 7, 7], np.uint32)
    contact = np.array([[1, 5], [2, 6], [2, 7]], np.uint32)
    assert overlapping_pairs(low, high, contact).tolist() == [[1, 5]]
    assert overlapping_pairs(low, high, contact[1:]).tolist() == []
    assert overlapping_pairs(low, np.zeros_like(high), contact).tolist() == []


volumes = hnp.arrays(np.uint32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 5))


@pytest.mark.slow
@given(volumes, st.sampled_from([6, 18, 26]))
def test_touching_pairs_are_those_of_a_look_at_every_voxel(labels: np.ndarray, connectivity: int) -> None:
    n_steps = {6: 1, 18: 2, 26: 3}[connectivity]
    expected = set()
    for here in np.ndindex(labels.shape):
        for step in itertools.product((-1, 0, 1), repeat=3):
            there = tuple(np.add(here, step))
            if not 0 < sum(map(abs, step)) <= n_steps or not Box.of_shape(labels.shape).contains_point(there):
                continue
            u, v = sorted((int(labels[here]), int(labels[there])))
            if u and u != v:
                expected.add((u, v))
    found = [tuple(pair) for pair in touching_pairs(labels, connectivity).tolist()]
    assert found == sorted(expected)


@given(st.integers(0, 200))
def test_overlapping_pairs_share_more_than_half_of_what_is_either_s_and_are_one_to_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = rng.integers(0, 4, (2, 3, 4, 5)).astype(np.uint32)
    high = np.where(rng.random(low.shape) < 0.7, low + 10 * (low > 0), high).astype(np.uint32)
    contact = np.array([[u, v] for u in range(1, 4) for v in np.unique(high) if v], np.uint32)
    expected = [
        [u, v] for u, v in contact.tolist() if ((low == u) & (high == v)).sum() > 0.5 * ((low == u) | (high == v)).sum()
    ]
    found = overlapping_pairs(low, high, contact).tolist()
    assert sorted(found) == sorted(expected)
    for column in zip(*found, strict=True):
        assert len(set(column)) == len(column)


@pytest.mark.slow
@given(grids())
def test_slabs_lie_next_to_the_block_within_what_it_reads_and_within_one_neighbour(grid: TileGrid) -> None:
    grid = TileGrid(grid.box, grid.tile_shape, grid.halo)
    for tile in grid:
        for name, box in slabs(tile, grid):
            assert not box.is_empty
            assert tile.read.contains(box)
            assert not box.overlaps(tile.write)
            (neighbour,) = grid.overlapping(box)
            assert grid[neighbour].write.contains(box)
            axis = int(name[-1])
            if name.startswith("low"):
                assert box.stop[axis] == tile.write.start[axis]
            else:
                assert box.start[axis] == tile.write.stop[axis]


@pytest.mark.slow
@given(grids())
def test_every_slab_has_one_that_looks_back(grid: TileGrid) -> None:
    grid = TileGrid(grid.box, grid.tile_shape, grid.halo)
    for tile in grid:
        for name, box in slabs(tile, grid):
            (neighbour,) = grid.overlapping(box)
            back = dict(slabs(grid[neighbour], grid))[opposite(name)]
            assert tile.write.contains(back)
            assert opposite(opposite(name)) == name
