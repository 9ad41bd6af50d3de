"""Dark sheets are boundaries, dark bodies are not, and a voxel's value does not depend on the box it is read in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.volumes.ridges import RidgeReader

CUBIC = VoxelSpace((8.0, 8.0, 8.0))
THICK = VoxelSpace((40.0, 8.0, 8.0))
SHAPE: Shape = (14, 24, 26)


def reader(image: np.ndarray, space: VoxelSpace = CUBIC, spread: float | None = None) -> RidgeReader:
    z, y, x = image.shape
    spread = float(np.nanstd(image)) if spread is None else spread
    return RidgeReader(lambda box: image[box.slices], (z, y, x), space, spread)


def whole(image: np.ndarray, space: VoxelSpace = CUBIC, spread: float | None = None) -> np.ndarray:
    return reader(image, space, spread).read(Box.of_shape(image.shape))


def noise(seed: int = 0, shape: Shape = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(120, 30, shape).astype(np.float32)


def bright(shape: Shape = (24, 24, 24)) -> np.ndarray:
    return np.full(shape, 200.0, np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_dark_sheet_is_found_across_every_axis(axis: int) -> None:
    image = np.moveaxis(bright(), axis, 0)
    image[11:13] = 50
    found = np.moveaxis(whole(np.moveaxis(image, 0, axis)), axis, 0)
    assert found[11:13, 8:16, 8:16].min() > 0.9
    assert found[:6].max() < 0.05
    assert found[18:].max() < 0.05


def test_a_bright_sheet_is_none() -> None:
    image = bright()
    image[11:13] = 350
    assert whole(image)[11:13, 8:16, 8:16].max() < 0.01


def test_the_inside_of_a_dark_body_is_none() -> None:
    image = bright()
    image[3:21, 3:21, 3:21] = 50
    assert whole(image)[11:13, 11:13, 11:13].max() < 0.05


def test_a_constant_image_has_no_boundary_whatever_its_spread() -> None:
    assert whole(bright(), spread=0.0).max() == 0
    assert whole(bright(), spread=10.0).max() == 0


def test_values_are_float32_from_0_to_1() -> None:
    found = whole(noise())
    assert found.dtype == np.float32
    assert found.shape == SHAPE
    assert found.min() >= 0
    assert found.max() <= 1
    assert 0 < np.mean(found > 0.5) < 1


@pytest.mark.parametrize("space", [CUBIC, THICK], ids=["cubic", "thick sections"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_voxel_is_the_same_in_every_box(space: VoxelSpace, data: st.DataObject) -> None:
    image = noise()
    spans = [sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in SHAPE]
    box = Box(tuple(a for a, _ in spans), tuple(b for _, b in spans))  # type: ignore[arg-type]
    np.testing.assert_allclose(reader(image, space).read(box), whole(image, space)[box.slices], atol=1e-5)


def test_thick_sections_are_looked_at_one_by_one() -> None:
    image = noise()
    other = image.copy()
    other[:7] = 0
    spread = float(image.std())
    np.testing.assert_array_equal(whole(other, THICK, spread)[7:], whole(image, THICK, spread)[7:])
    assert np.abs(whole(other, CUBIC, spread)[7:] - whole(image, CUBIC, spread)[7:]).max() > 0.1


def test_a_single_section_is_read_in_two_dimensions() -> None:
    image = noise(shape=(1, 24, 26))
    np.testing.assert_array_equal(whole(image, CUBIC, 30.0), whole(image, THICK, 30.0))


@pytest.mark.parametrize("factor", [0.01, 3.0, 1000.0])
def test_a_different_range_of_intensities_gives_the_same_boundaries(factor: float) -> None:
    image = noise()
    np.testing.assert_allclose(whole(image * factor + 7), whole(image), atol=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float64"])
def test_every_type_of_voxel_is_read(dtype: str) -> None:
    image = np.clip(noise(), 0, 255).astype(np.uint8)
    np.testing.assert_allclose(whole(image.astype(dtype)), whole(image.astype(np.float32)), atol=1e-5)


def test_values_that_are_no_numbers_stay_where_they_are() -> None:
    image = noise(shape=(24, 24, 24))
    damaged = image.copy()
    damaged[2, 2, 2] = np.nan
    spread = float(image.std())
    assert np.isfinite(whole(damaged, spread=spread)).all()
    np.testing.assert_allclose(
        whole(damaged, spread=spread)[12:, 12:, 12:], whole(image, spread=spread)[12:, 12:, 12:], atol=1e-5
    )
