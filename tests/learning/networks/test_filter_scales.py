"""The grids of a filter bank and the arithmetic on them, against scipy and naive loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.networks.filter_scales import Scale, cut, downsample, plan_levels, smoothed

SIGMAS = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
ANISOTROPIES = st.floats(0.5, 12)


def image_of(shape: Shape, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


# Smoothing


@pytest.mark.parametrize("sigmas", [(0.0, 1.0, 1.0), (1.0, 2.0, 0.6), (0.0, 0.0, 1.5), (0.7, 0.7, 0.7)], ids=str)
def test_smoothing_is_that_of_scipy(sigmas: tuple[float, float, float]) -> None:
    image = image_of((17, 21, 23))
    expected = ndimage.gaussian_filter(image.double().numpy(), sigmas, truncate=3.0)
    radii = Scale(sigmas, 0.0).radii
    inner = tuple(slice(r, n - r) for r, n in zip(radii, image.shape, strict=True))
    found = smoothed(image, sigmas)
    assert found.shape == expected[inner].shape
    np.testing.assert_allclose(found, expected[inner], atol=1e-5)


def test_smoothing_without_a_sigma_changes_nothing() -> None:
    image = image_of((3, 4, 5))
    assert torch.equal(smoothed(image, (0, 0, 0)), image)


def test_smoothing_leaves_the_image_it_got_alone() -> None:
    image = image_of((9, 9, 9))
    before = image.clone()
    smoothed(image, (1, 1, 1))
    assert torch.equal(image, before)


def test_leading_axes_are_carried_along() -> None:
    images = torch.stack([image_of((9, 12, 12), seed) for seed in range(2)])
    together = smoothed(images, (1.0, 1.5, 1.5))
    for k in range(2):
        assert torch.equal(together[k], smoothed(images[k], (1.0, 1.5, 1.5)))


@given(value=st.floats(-100, 100), sigma=st.floats(0.3, 2))
def test_a_constant_stays_itself(value: float, sigma: float) -> None:
    found = smoothed(torch.full((14, 14, 14), value), (sigma, sigma, sigma))
    np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5)


# Cutting


@st.composite
def boxes_around(draw: st.DrawFn, shape: Shape) -> Box:
    """Boxes that share a voxel with an image, whatever of them lies beyond it."""
    starts = tuple(draw(st.integers(-4, n - 1)) for n in shape)
    stops = tuple(draw(st.integers(max(start, 0) + 1, n + 4)) for start, n in zip(starts, shape, strict=True))
    return Box(starts, stops)  # type: ignore[arg-type]


@given(box=boxes_around((4, 5, 6)))
def test_voxels_beyond_the_image_repeat_its_last_ones(box: Box) -> None:
    image = image_of((4, 5, 6))
    grids = np.ix_(
        *(np.clip(np.arange(a, b), 0, n - 1) for a, b, n in zip(box.start, box.stop, image.shape, strict=True))
    )
    np.testing.assert_array_equal(cut(image, box), image.numpy()[grids])


# Coarser grids


def naive_means(image: np.ndarray, step: Shape) -> np.ndarray:
    shape = tuple(-(-n // s) for n, s in zip(image.shape, step, strict=True))
    found = np.empty(shape)
    for place in np.ndindex(*shape):
        # A block that is cut off repeats the last cell, which leaves its mean that of what is there.
        block = image[tuple(slice(p * s, (p + 1) * s) for p, s in zip(place, step, strict=True))]
        found[place] = block.mean()
    return found


@pytest.mark.parametrize("step", [(1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 1, 1), (1, 1, 2)], ids=str)
@given(shape=st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 7)), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_coarser_cell_is_the_mean_of_what_is_there(step: Shape, shape: Shape, seed: int) -> None:
    image = image_of(shape, seed)
    np.testing.assert_allclose(downsample(image, step), naive_means(image.double().numpy(), step), atol=1e-5)


def test_a_coarser_grid_leaves_the_image_it_came_from_alone() -> None:
    image = image_of((4, 4, 4))
    before = image.clone()
    downsample(image, (2, 2, 2))
    downsample(image, (1, 1, 1))
    assert torch.equal(image, before)


# Which grid a scale is computed on


@pytest.mark.parametrize("dims", ["2d", "3d"])
@given(sigmas=st.lists(st.floats(0.5, 12), min_size=1, max_size=6, unique=True), anisotropy=ANISOTROPIES)
def test_every_sigma_has_one_grid_and_grids_follow_from_one_another(
    dims: str, sigmas: list[float], anisotropy: float
) -> None:
    levels = plan_levels(sigmas, dims, anisotropy)  # type: ignore[arg-type]
    assert sum(len(level.scales) for level in levels) == len(sigmas)
    before = (1, 1, 1)
    for depth, level in enumerate(levels):
        assert level.factor[1] == level.factor[2] == 2**depth
        assert tuple(b * s for b, s in zip(before, level.step, strict=True)) == level.factor
        assert set(level.step) <= {1, 2}
        before = level.factor
    assert levels[-1].scales  # no grid is made that nothing is computed on


@given(anisotropy=ANISOTROPIES)
def test_in_two_dimensions_sections_stay_apart(anisotropy: float) -> None:
    for level in plan_levels(SIGMAS, "2d", anisotropy):
        assert level.factor[0] == 1
        assert level.margin[0] == 0
        assert all(scale.sigmas[0] == 0 for scale in level.scales)


@given(anisotropy=ANISOTROPIES)
def test_in_three_dimensions_cells_become_cubes_and_no_taller(anisotropy: float) -> None:
    for level in plan_levels(SIGMAS, "3d", anisotropy):
        assert level.factor[0] <= level.factor[1]
        assert level.z_spacing == pytest.approx(level.factor[0] * anisotropy / level.factor[1])
        if level.factor[0] > 1:
            assert level.z_spacing < 1.5


@given(sigma=st.floats(0.5, 12))
def test_means_over_cells_and_what_is_left_make_the_sigma_that_was_asked(sigma: float) -> None:
    (*_, level) = plan_levels([sigma], "3d", 1.0)
    (scale,) = level.scales
    side = level.factor[2]
    assert scale.sigmas[2] * side == pytest.approx(max((sigma**2 - (side**2 - 1) / 12), 0.04) ** 0.5)
    assert scale.sigmas[2] < 2.1 or side == 8  # kernels stay short until the coarsest grid


def test_finer_scales_come_first_whatever_their_order() -> None:
    assert plan_levels(SIGMAS, "3d", 2.0) == plan_levels(SIGMAS[::-1], "3d", 2.0)


@pytest.mark.parametrize("dims", ["2d", "3d"])
def test_the_margin_is_that_of_the_widest_scale(dims: str) -> None:
    for level in plan_levels(SIGMAS, dims, 3.0):  # type: ignore[arg-type]
        for axis in range(3):
            assert level.margin[axis] == max((scale.margin[axis] for scale in level.scales), default=0)


@pytest.mark.parametrize("anisotropy", [1.0, 4.0])
@pytest.mark.parametrize("dims", ["2d", "3d"])
def test_features_of_a_part_are_those_of_the_whole(dims: str, anisotropy: float) -> None:
    image = image_of((20, 40, 40))
    whole, part = Box((0, 0, 0), (20, 40, 40)), Box((6, 13, 14), (9, 21, 20))
    for level in plan_levels((0.7, 1.6, 3.5), dims, anisotropy):  # type: ignore[arg-type]
        everything = level.features(level.prepare(image, whole), whole)
        there = level.features(level.prepare(image, part), part.relative_to(part.start))
        assert everything.shape == (level.n_features, 20, 40, 40)
        np.testing.assert_allclose(there, everything[(slice(None), *part.slices)], atol=1e-5)
