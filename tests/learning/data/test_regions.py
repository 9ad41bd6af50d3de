"""Boxes with other boxes taken out of them hold the same voxels, each once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.geometry import Box
from napari_pytc.learning.data.regions import disjoint, without
from tests.geometry.strategies import boxes

FRAME = Box((-12, -12, -12), (21, 21, 21))


def counted(parts: list[Box]) -> np.ndarray:
    """How many boxes hold each voxel."""
    count = np.zeros(FRAME.shape, int)
    for box in parts:
        count[box.relative_to(FRAME.start).slices] += 1
    return count


@settings(max_examples=40)
@given(st.lists(boxes, max_size=4))
def test_disjoint_boxes_hold_what_the_boxes_hold_once(many: list[Box]) -> None:
    found = disjoint(many)
    np.testing.assert_array_equal(counted(found), counted(many) > 0)
    assert not any(box.is_empty for box in found) or any(box.is_empty for box in many)


@settings(max_examples=40)
@given(boxes, st.lists(boxes, max_size=3))
def test_what_is_left_of_a_box_is_what_no_hole_holds(box: Box, holes: list[Box]) -> None:
    left = without([box], holes)
    np.testing.assert_array_equal(counted(left), (counted([box]) > 0) & (counted(holes) == 0))


def test_a_hole_in_the_middle_leaves_six_slabs() -> None:
    left = without([Box.of_shape((5, 5, 5))], [Box((2, 2, 2), (3, 3, 3))])
    assert len(left) == 6
    assert sum(box.size for box in left) == 124


def test_without_holes_boxes_stay_as_they_are() -> None:
    some = [Box((0, 0, 0), (1, 2, 3)), Box((0, 0, 0), (1, 2, 3))]
    assert without(some, []) == some
    assert without([], some) == []
    assert disjoint(some) == some[:1]


def test_a_box_that_is_covered_leaves_nothing() -> None:
    box = Box((1, 1, 1), (4, 4, 4))
    assert without([box], [box]) == []
    assert without([box], [Box.of_shape((9, 9, 9))]) == []
    halves = [Box((1, 1, 1), (2, 4, 4)), Box((2, 0, 0), (9, 9, 9))]
    assert without([box], halves) == []
