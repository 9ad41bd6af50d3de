"""Mirrored and turned copies of an image."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from napari_pytc.geometry import QUARTER_TURNS, Box, Orientation

SHAPE = (3, 4, 5)
ALL = [Orientation(axes, swapped) for n in range(4) for axes in combinations(range(3), n) for swapped in (False, True)]


def copy_of(image: np.ndarray, orientation: Orientation) -> np.ndarray:
    found = np.flip(image, orientation.mirrored)
    return found.swapaxes(1, 2) if orientation.swapped else found


def test_there_are_sixteen_and_all_differ() -> None:
    cube = np.arange(27).reshape(3, 3, 3)
    assert len({copy_of(cube, one).tobytes() for one in ALL}) == len(ALL) == 16


@pytest.mark.parametrize("orientation", ALL)
def test_a_box_holds_the_same_voxels_in_the_copy(orientation: Orientation) -> None:
    image, box = np.arange(60).reshape(SHAPE), Box((0, 1, 2), (2, 3, 5))
    copy = copy_of(image, orientation)
    expected = copy_of(image[box.slices], orientation)
    assert np.array_equal(copy[orientation.box(box, SHAPE).slices], expected)


@pytest.mark.parametrize("orientation", ALL)
def test_a_step_in_the_copy_is_one_in_the_image(orientation: Orientation) -> None:
    places = np.stack(np.indices(SHAPE), axis=-1)  # where each voxel of the copy lies in the image
    where = np.stack([copy_of(places[..., axis], orientation) for axis in range(3)], axis=-1)
    for axis, step in enumerate([(1, 0, 0), (0, 1, 0), (0, 0, 1)]):
        found = np.diff(where, axis=axis).reshape(-1, 3)
        assert (found == orientation.step_of_image(step)).all()


def test_quarter_turns_are_those_of_numpy() -> None:
    image = np.arange(60).reshape(SHAPE)
    turned = [np.rot90(image, n, axes=(1, 2)) for n in range(4)]
    found = [copy_of(image, one) for one in QUARTER_TURNS]
    for one in found:
        assert sum(one.shape == other.shape and np.array_equal(one, other) for other in turned) == 1
    assert len({one.tobytes() for one in found}) == 4


@pytest.mark.parametrize("orientation", [one for one in ALL if not one.swapped])
@pytest.mark.parametrize("turn", QUARTER_TURNS)
def test_a_mirrored_copy_is_turned(orientation: Orientation, turn: Orientation) -> None:
    image = np.arange(60).reshape(SHAPE)
    expected = copy_of(copy_of(image, orientation), turn)
    assert np.array_equal(copy_of(image, orientation.turned(turn)), expected)
