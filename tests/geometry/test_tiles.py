from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, TileGrid, cells
from tests.geometry.strategies import boxes, grids, lengths


@given(grids())
def test_write_boxes_partition_the_box(grid: TileGrid) -> None:
    covered = np.zeros(grid.box.shape, int)
    for tile in grid:
        assert not tile.write.is_empty
        assert grid.box.contains(tile.write)
        covered[tile.write.relative_to(grid.box.start).slices] += 1
    np.testing.assert_array_equal(covered, 1)


@given(grids())
def test_inner_box_cuts_the_write_box_out_of_the_block_read(grid: TileGrid) -> None:
    bounds = grid.bounds or grid.box
    where = np.stack(np.meshgrid(*map(np.arange, bounds.shape), indexing="ij"), axis=-1) + bounds.start
    for tile in grid:
        block = where[tile.read.relative_to(bounds.start).slices]
        assert block.shape[:3] == tile.read.shape
        np.testing.assert_array_equal(block[tile.inner.slices], where[tile.write.relative_to(bounds.start).slices])


@given(grids())
def test_halo_is_read_and_reads_are_aligned_but_at_the_bounds(grid: TileGrid) -> None:
    bounds = grid.bounds or grid.box
    for tile in grid:
        assert bounds.contains(tile.read)
        assert tile.read.contains(tile.write.grow(grid.halo).intersect(bounds))
        for axis in range(3):
            start, stop = tile.read.start[axis], tile.read.stop[axis]
            assert start % grid.alignment[axis] == 0 or start == bounds.start[axis]
            assert stop % grid.alignment[axis] == 0 or stop == bounds.stop[axis]


@given(grids())
def test_a_tile_is_found_by_its_index(grid: TileGrid) -> None:
    tiles = list(grid)
    assert len(tiles) == len(grid) == int(np.prod(grid.counts))
    assert [tile.index for tile in tiles] == list(range(len(grid)))
    assert [grid[index] for index in range(len(grid))] == tiles
    for outside in (-1, len(grid)):
        with pytest.raises(IndexError):
            grid[outside]


@given(grids(), boxes)
def test_overlapping_finds_what_a_look_at_every_tile_finds(grid: TileGrid, box: Box) -> None:
    assert list(grid.overlapping(box)) == [tile.index for tile in grid if tile.write.overlaps(box)]


@given(grids(), st.tuples(*[st.floats(-20, 20)] * 3), st.tuples(*[st.sampled_from([1.0, 4.0, 45.0])] * 3))
def test_nearest_first_gives_each_index_once_by_distance(
    grid: TileGrid, focus: tuple[float, float, float], scale: tuple[float, float, float]
) -> None:
    order = list(grid.nearest_first(focus, scale))
    assert sorted(order) == list(range(len(grid)))
    centres = [np.add(grid[index].write.start, np.array(grid.tile_shape) / 2) for index in order]
    distances = [float(np.sum(((centre - focus) * scale) ** 2)) for centre in centres]
    assert all(a <= b + 1e-6 * (1 + a) for a, b in itertools.pairwise(distances))


@given(grids().filter(len), st.data())
def test_the_tile_around_the_focus_comes_first(grid: TileGrid, data: st.DataObject) -> None:
    voxel = [data.draw(st.integers(a, b - 1)) for a, b in zip(grid.box.start, grid.box.stop, strict=True)]
    first = next(grid.nearest_first([v + 0.5 for v in voxel]))
    assert grid[first].write.contains_point(voxel)


def test_a_grid_over_terabytes_answers_at_once() -> None:
    grid = TileGrid(Box.of_shape((40_000, 100_000, 100_000)), (64, 256, 256), (8, 16, 16))
    assert len(grid) == 625 * 391 * 391
    nearest = list(itertools.islice(grid.nearest_first((20_000, 50_000, 50_000)), 3))
    assert grid[nearest[0]].write.contains_point((20_000, 50_000, 50_000))
    assert grid[len(grid) - 1].write.stop == grid.box.stop
    assert len(list(grid.overlapping(Box.at((0, 0, 0), (65, 256, 257))))) == 4


def test_settings_that_cannot_tile_are_refused() -> None:
    box = Box.of_shape((4, 4, 4))
    for wrong in ({"tile_shape": (0, 4, 4)}, {"halo": (-1, 0, 0)}, {"alignment": (0, 1, 1)}):
        with pytest.raises(InvalidInput, match="at least 1 and halos of at least 0"):
            TileGrid(**{"box": box, "tile_shape": (2, 2, 2), **wrong})
    with pytest.raises(InvalidInput, match="cannot be read within"):
        TileGrid(box, (2, 2, 2), bounds=Box.of_shape((4, 4, 3)))


@given(boxes, lengths)
def test_cells_partition_a_box_along_the_grid_from_the_origin(box: Box, shape: tuple[int, int, int]) -> None:
    parts = cells(box, shape)
    assert sum(part.size for part in parts) == box.size
    places = [tuple(a // n for a, n in zip(part.start, shape, strict=True)) for part in parts]
    assert len(set(places)) == len(parts)
    for part, place in zip(parts, places, strict=True):
        assert box.contains(part)
        assert place == tuple((b - 1) // n for b, n in zip(part.stop, shape, strict=True))
