from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, hull_of
from tests.geometry.strategies import boxes, lengths, margins, points


def voxels(box: Box) -> set[tuple[int, ...]]:
    return set(itertools.product(*(range(a, b) for a, b in zip(box.start, box.stop, strict=True))))


@given(boxes)
def test_text_and_back(box: Box) -> None:
    assert Box.parse(str(box)) == box
    assert pickle.loads(pickle.dumps(box)) == box


@given(boxes)
def test_size_shape_and_slices_agree_with_the_voxels(box: Box) -> None:
    inside = voxels(box)
    assert box.size == len(inside)
    assert box.is_empty == (not inside)
    moved = box.relative_to(box.start)
    array = np.zeros(box.shape)
    assert array[moved.slices].shape == box.shape == Box.of_shape(array.shape).shape
    if inside:
        np.testing.assert_allclose(np.mean(list(inside), axis=0) + 0.5, box.centre)


@given(boxes, boxes)
def test_intersection_and_hull_are_those_of_the_voxels(a: Box, b: Box) -> None:
    common = voxels(a) & voxels(b)
    assert voxels(a.intersect(b)) == common
    assert a.overlaps(b) == bool(common)
    assert a.contains(b) == (voxels(b) <= voxels(a))
    hull = a.hull(b)
    assert hull == hull_of([a, b]) or (a.is_empty and b.is_empty)
    assert hull.contains(a)
    assert hull.contains(b)
    both = voxels(a) | voxels(b)
    if both:
        assert hull.start == tuple(np.min(list(both), axis=0))
        assert hull.stop == tuple(np.max(list(both), axis=0) + 1)


@given(boxes, points)
def test_contains_point_as_the_voxels_do(box: Box, point: tuple[int, int, int]) -> None:
    assert box.contains_point(point) == (point in voxels(box))
    assert box.contains_point([p + 0.5 for p in point]) == (point in voxels(box))


@given(boxes, points, margins)
def test_moving_and_growing(box: Box, offset: tuple[int, int, int], margin: tuple[int, int, int]) -> None:
    assert box.shift(offset).relative_to(offset) == box
    grown = box.grow(margin)
    assert grown.contains(box)
    assert grown.shape == tuple(n + 2 * m for n, m in zip(box.shape, margin, strict=True))


@given(boxes.filter(lambda box: not box.is_empty), lengths)
def test_aligned_is_the_smallest_box_on_multiples(box: Box, multiple: tuple[int, int, int]) -> None:
    aligned = box.aligned(multiple)
    assert aligned.contains(box)
    for start, stop, a, b, m in zip(aligned.start, aligned.stop, box.start, box.stop, multiple, strict=True):
        assert start % m == stop % m == 0
        assert a - start < m
        assert stop - b < m


@given(st.lists(boxes, max_size=4))
def test_hull_of_many_holds_each(many: list[Box]) -> None:
    assert all(hull_of(many).contains(box) for box in many)


def test_hull_of_none_is_empty() -> None:
    assert hull_of([]).is_empty


def test_numpy_integers_become_plain_ones() -> None:
    box = Box.at(np.array([1, 2, 3]), np.array([4, 5, 6]))
    assert box == Box((1, 2, 3), (5, 7, 9))
    assert all(type(v) is int for v in box.start + box.stop)


@pytest.mark.parametrize("text", ["", "0:4", "0:4,0:4", "0:4,0:4,0:4,0:4", "0-4,0:4,0:4", "0:4,0:4,a:b", "0:4,0:4,:4"])
def test_text_that_is_no_box_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="Z0:Z1,Y0:Y1,X0:X1, for example"):
        Box.parse(text)


def test_spaces_and_negative_numbers_are_read() -> None:
    assert Box.parse(" -2:3, 0 : 4 ,5:6") == Box((-2, 0, 5), (3, 4, 6))


def test_a_box_that_stops_before_its_start_is_refused() -> None:
    with pytest.raises(InvalidInput, match="stop at or after its start"):
        Box.parse("4:2,0:4,0:4")
    with pytest.raises(InvalidInput, match="three starts and three stops"):
        Box((0, 0), (1, 1))  # type: ignore[arg-type]
