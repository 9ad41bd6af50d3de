"""Volumes on voxels of another size: the grid, exact blocks, and what depends on what."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.resampling import (
    ResampledGrid,
    ResampledVolume,
    VoxelSize,
    differs,
    resampled,
    size_text,
    unresampled,
)
from napari_pytc.volumes.source import VolumeSource
from tests.support.images import memory_image

SHAPE: Shape = (7, 25, 22)
PAIRS: list[tuple[VoxelSize, VoxelSize]] = [
    ((40, 8, 8), (40, 4, 4)),
    ((40, 4, 4), (30, 9, 11)),
    ((10, 10, 10), (7, 13, 25)),
    ((5, 5, 5), (40, 40, 40)),
]


def noise(shape: Shape = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def volume_of(array: np.ndarray, own: VoxelSize, wanted: VoxelSize) -> ResampledVolume:
    return ResampledVolume(MemoryVolume(array, VoxelSpace(own)), own, wanted)


@pytest.mark.parametrize(("own", "wanted"), PAIRS)
def test_blocks_of_any_shape_are_the_whole_exactly(own: VoxelSize, wanted: VoxelSize) -> None:
    volume, labels = volume_of(noise(), own, wanted), noise() // 100
    whole, grid = Box.of_shape(volume.shape), volume.grid
    image = volume.read(whole)
    classes = grid.nearest_labels(labels, Box.of_shape(SHAPE), whole)
    for shape in ((3, 7, 5), (1, 4, 30)):
        for tile in TileGrid(whole, shape):
            below = grid.label_box(tile.write)
            assert np.array_equal(volume.read(tile.write), image[tile.write.slices])
            assert np.array_equal(
                grid.nearest_labels(labels[below.slices], below, tile.write), classes[tile.write.slices]
            )


@pytest.mark.parametrize(("own", "wanted"), PAIRS)
def test_a_linear_ramp_stays_where_it_is(own: VoxelSize, wanted: VoxelSize) -> None:
    """Values at the centres of voxels in nm, away from the edges, where the last voxel is repeated."""
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip((30, 40, 50), own, strict=True)), indexing="ij")
    volume = volume_of((z + 2 * y + 3 * x).astype(np.float32), own, wanted)
    centres = [o + np.arange(n) * s for n, s, o in zip(volume.shape, *_of(volume.space), strict=True)]
    expected = centres[0][:, None, None] + 2 * centres[1][None, :, None] + 3 * centres[2][None, None, :]
    inner = tuple(slice(2, -2) if n > 5 else slice(1, -1) for n in volume.shape)
    found = volume.read(Box.of_shape(volume.shape))
    assert np.allclose(found[inner], expected[inner], rtol=2e-2, atol=2.0 * max(own))
    assert np.allclose(np.diff(found[inner], axis=2), 3 * wanted[2], rtol=0.3)


def _of(space: VoxelSpace) -> tuple[VoxelSize, VoxelSize]:
    return space.voxel_size_nm, space.origin_nm


@pytest.mark.parametrize(("own", "wanted"), PAIRS)
def test_seeing_holds_all_voxels_that_depend_on_a_box(own: VoxelSize, wanted: VoxelSize) -> None:
    for box in (Box((2, 5, 6), (5, 20, 11)), Box((0, 0, 0), (1, 1, 1)), Box((6, 24, 21), SHAPE)):
        changed = noise()
        changed[box.slices] = 255 - changed[box.slices]
        before, after = (volume_of(array, own, wanted) for array in (noise(), changed))
        whole = Box.of_shape(before.shape)
        differing = np.argwhere(before.read(whole) != after.read(whole))
        seeing = before.grid.seeing(box)
        assert all(seeing.contains_point(voxel) for voxel in differing)
        assert seeing.contains(before.grid.covering(box))


@pytest.mark.parametrize(
    ("wanted", "within"),
    [((10, 10, 10), Box((4, 8, 8), (12, 16, 20))), ((40, 40, 40), Box((1, 2, 2), (3, 4, 5))), ((20, 20, 20), None)],
)
def test_within_holds_the_voxels_of_a_box_alone(wanted: VoxelSize, within: Box | None) -> None:
    box = Box((2, 4, 4), (6, 8, 10))
    grid = ResampledGrid.of((8, 20, 20), (20, 20, 20), wanted)
    found = grid.within(box)
    assert found == (within or box)
    assert grid.covering(box).contains(found)
    assert grid.within(Box.of_shape((8, 20, 20))) == Box.of_shape(grid.shape)
    thin = grid.within(Box((3, 4, 4), (4, 8, 10)))
    assert not thin.is_empty


def test_finer_voxels_are_interpolated_and_coarser_ones_are_means() -> None:
    line = np.zeros((1, 1, 4), np.uint8)
    line[0, 0] = [0, 100, 200, 100]
    finer = volume_of(line, (9, 9, 8), (9, 9, 4)).read(Box.of_shape((1, 1, 8)))
    assert finer[0, 0].tolist() == [0, 25, 75, 125, 175, 175, 125, 100]
    flat = volume_of(np.full((4, 8, 8), 7, np.uint16), (4, 4, 4), (12, 16, 10))
    assert flat.shape == (1, 2, 3)
    assert np.array_equal(flat.read(Box.of_shape(flat.shape)), np.full((1, 2, 3), 7, np.float32))
    alternating = np.arange(64) % 2 * 200 + np.zeros((1, 1, 64))
    coarse = volume_of(alternating.astype(np.uint8), (4, 4, 4), (4, 4, 16)).read(Box.of_shape((1, 1, 16)))
    assert np.allclose(coarse[0, 0, 1:-1], 100)  # no alias of the pattern


def test_the_thickness_of_a_single_section_is_left_alone() -> None:
    volume = volume_of(noise((1, 20, 20)), (50, 8, 8), (8, 4, 4))
    assert volume.shape == (1, 40, 40)
    assert volume.space.voxel_size_nm == (50, 4, 4)
    assert not differs((50, 4, 4), (8, 4, 4), (1, 9, 9))
    assert differs((50, 4, 4), (8, 4, 4), (2, 9, 9))


def test_strokes_of_one_voxel_are_not_lost_and_dense_labels_are_the_nearest() -> None:
    grid = ResampledGrid.of((8, 16, 16), (10, 10, 10), (40, 30, 30))
    below, whole = Box.of_shape((8, 16, 16)), Box.of_shape(grid.shape)
    stroke = np.zeros(below.shape, np.uint8)
    stroke[3, 7, :] = 2
    stroke[0, 0, 15] = 1
    found = grid.nearest_labels(stroke, below, whole)
    assert np.count_nonzero(found == 2) == 5
    assert np.count_nonzero(found == 1) == 1
    dense = np.arange(8 * 16 * 16, dtype=np.uint32).reshape(below.shape) + 1
    nearest = grid.nearest_labels(dense, below, whole)
    assert nearest[1, 2, 3] == dense[6, 7, 10]
    finer = ResampledGrid.of((8, 16, 16), (40, 30, 30), (20, 10, 15))
    assert np.array_equal(
        finer.nearest_labels(stroke, below, Box.of_shape(finer.shape)), stroke.repeat(2, 0).repeat(3, 1).repeat(2, 2)
    )


def test_and_back_is_the_volume_s_own_shape() -> None:
    for own, wanted in PAIRS:
        grid = ResampledGrid.of(SHAPE, own, wanted)
        assert grid.inverse.shape == SHAPE
        constant = np.full((3, *grid.shape), 0.25, np.float32)
        back = grid.inverse.interpolate(constant, Box.of_shape(grid.shape), Box.of_shape(SHAPE))
        assert back.shape == (3, *SHAPE)
        assert np.allclose(back, 0.25)


def test_it_is_a_volume_source() -> None:
    volume = volume_of(noise(), (10, 10, 10), (20, 20, 20))
    assert isinstance(volume, VolumeSource)
    assert volume.space == VoxelSpace((20, 20, 20), (5, 5, 5))
    assert volume.read(Box((1, 1, 1), (1, 4, 4))).shape == (0, 3, 3)


@pytest.mark.parametrize(("own", "wanted"), PAIRS)
def test_each_channel_of_an_image_is_interpolated(own: VoxelSize, wanted: VoxelSize) -> None:
    both = np.stack([noise(), noise()[:, ::-1]])
    image = resampled(memory_image(both, VoxelSpace(own)), None, wanted)
    assert image is not None
    box = Box((1, 1, 1), (2, 4, 3)).intersect(Box.of_shape(image.shape))
    found = image.read(box)
    assert found.shape == (2, *box.shape)
    for channel, raw, values in zip(image.channels, both, found, strict=True):
        assert np.array_equal(values, volume_of(raw, own, wanted).read(box))
        assert np.array_equal(values, channel.read(box))
    assert image.space == channel.space
    assert image.read(Box((1, 1, 1), (1, 4, 4))).shape == (2, 0, 3, 3)
    assert "are interpolated to" in image.notes[-1]
    assert unresampled(image) is image.source
    assert unresampled(image.source) is image.source


def test_only_other_and_known_sizes_are_resampled() -> None:
    known, unknown = memory_image(noise(), VoxelSpace((10, 10, 10))), memory_image(noise())
    assert resampled(known, None, (10, 10, 11)) is None
    assert resampled(known, None, (10, 10, 11.2)) is not None
    assert resampled(unknown, None, (10, 10, 10)) is None
    overruled = resampled(unknown, (5, 5, 5), (10, 10, 10))
    assert overruled is not None
    assert overruled.shape == (4, 12, 11)
    assert size_text((40, 4, 3.99999)) == "40 x 4 x 4"
