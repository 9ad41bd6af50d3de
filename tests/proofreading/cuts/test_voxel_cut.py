import numpy as np
import pytest
from scipy import ndimage

from napari_pytc.proofreading.cuts import voxel_cut
from napari_pytc.proofreading.cuts.voxel_cut import watershed_from

CUBIC = (10.0, 10.0, 10.0)


def two_rooms(shape: tuple[int, int, int], wall: int) -> np.ndarray:
    """A boundary map: a wall across x."""
    boundary = np.full(shape, 0.05, np.float32)
    boundary[:, :, wall] = 0.9
    return ndimage.gaussian_filter(boundary, 0.7)


def test_the_colours_meet_at_the_boundary() -> None:
    boundary = two_rooms((8, 20, 40), 29)
    found = watershed_from(
        np.ones((8, 20, 40), bool), boundary, np.array([[4, 4, 2], [4, 12, 35]]), np.array([1, 2]), CUBIC
    )
    assert (found[:, :, :28] == 1).all()
    assert (found[:, :, 31:] == 2).all()


def test_nothing_outside_of_the_mask_gets_a_colour() -> None:
    mask = np.random.default_rng(0).random((8, 20, 20)) < 0.7
    mask[4, 4, 4] = mask[4, 14, 14] = True
    found = watershed_from(mask, two_rooms(mask.shape, 10), np.array([[4, 4, 4], [4, 14, 14]]), np.array([5, 9]), CUBIC)
    assert not found[~mask].any()
    assert found[4, 4, 4] == 5
    assert found[4, 14, 14] == 9


def test_parts_that_no_seed_reaches_stay_open() -> None:
    mask = np.ones((4, 8, 12), bool)
    mask[:, :, 8] = False
    found = watershed_from(
        mask, np.zeros(mask.shape, np.float32), np.array([[1, 1, 1], [1, 6, 6]]), np.array([1, 2]), CUBIC
    )
    assert not found[:, :, 9:].any()
    assert found[:, :, :8].all()


def test_where_the_map_is_flat_the_nearer_seed_wins() -> None:
    mask = np.ones((6, 6, 41), bool)
    found = watershed_from(
        mask, np.zeros(mask.shape, np.float32), np.array([[3, 3, 5], [3, 3, 35]]), np.array([1, 2]), CUBIC
    )
    assert (found[:, :, :19] == 1).all()
    assert (found[:, :, 22:] == 2).all()


@pytest.mark.parametrize("at_once", [20_000, 3_000, 300])
def test_a_large_mask_is_cut_coarsely_first_to_much_the_same_effect(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    shape = (30, 60, 61)
    rng = np.random.default_rng(1)
    boundary = np.clip(two_rooms(shape, 33) + rng.normal(0, 0.03, shape), 0, 1).astype(np.float32)
    z, y, x = np.ogrid[:30, :60, :61]
    mask = (z - 15) ** 2 / 200 + (y - 30) ** 2 / 800 + (x - 30) ** 2 / 800 < 1
    voxels, colours = np.array([[15, 30, 20], [15, 30, 45]]), np.array([1, 2])
    whole = watershed_from(mask, boundary, voxels, colours, CUBIC)
    monkeypatch.setattr(voxel_cut, "_AT_ONCE", at_once)
    coarse = watershed_from(mask, boundary, voxels, colours, CUBIC)
    assert ((coarse > 0) == mask).all()
    assert (coarse != whole).mean() < 0.01
    assert (coarse[:, :, :32][mask[:, :, :32]] == 1).all()
    assert (coarse[:, :, 36:][mask[:, :, 36:]] == 2).all()


def test_seeds_in_one_coarse_cell_are_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxel_cut, "_AT_ONCE", 100)
    mask = np.ones((10, 20, 20), bool)
    found = watershed_from(
        mask, np.zeros(mask.shape, np.float32), np.array([[4, 10, 10], [4, 10, 11]]), np.array([1, 2]), CUBIC
    )
    assert found[4, 10, 10] == 1
    assert found[4, 10, 11] == 2
    assert found.all()


@pytest.mark.parametrize("voxel_size", [CUBIC, (40.0, 10.0, 10.0), (10.0, 20.0, 5.0)])
def test_three_colours_meet_at_their_walls_in_cells_of_any_shape(
    monkeypatch: pytest.MonkeyPatch, voxel_size: tuple[float, float, float]
) -> None:
    shape = (11, 35, 63)
    boundary = np.maximum(two_rooms(shape, 19), two_rooms(shape, 43))
    voxels, colours = np.array([[5, 17, 9], [5, 17, 31], [5, 17, 55]]), np.array([4, 1, 300])
    monkeypatch.setattr(voxel_cut, "_AT_ONCE", 2_000)
    found = watershed_from(np.ones(shape, bool), boundary, voxels, colours, voxel_size)
    assert (found[:, :, :18] == 4).all()
    assert (found[:, :, 21:42] == 1).all()
    assert (found[:, :, 45:] == 300).all()
