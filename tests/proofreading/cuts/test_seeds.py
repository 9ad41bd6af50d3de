"""Marked voxels, the segment under them, and the two sides of a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.cuts.drawn_line import beside_line, sides_of_line
from napari_pytc.proofreading.cuts.seeds import Seeds, segment_under, supervoxels_at
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Merge
from napari_pytc.proofreading.edits.merge_or_split import edit_of
from napari_pytc.proofreading.edits.split import Split
from tests.support.hand_made import write_segmentation

SHAPE = (4, 10, 30)
WHOLE = Box.of_shape(SHAPE)
voxels = st.tuples(*(st.integers(-2, n + 1) for n in SHAPE))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> LabelDocument:
    """Background for x below 3, then three supervoxels of nine voxels along x; the first two are segment 1."""
    labels = np.broadcast_to((np.arange(30) + 6) // 9, SHAPE).copy()
    folder: Path = tmp_path_factory.mktemp("seeds") / "first"
    return LabelDocument(write_segmentation(folder, labels, {2: 1}))


@given(st.lists(voxels, max_size=12))
def test_marks_outside_of_the_volume_are_left_out_and_none_counts_twice(points: list[tuple[int, int, int]]) -> None:
    seeds = Seeds.of({1: points}, SHAPE)
    inside = sorted({point for point in points if WHOLE.contains_point(point)})
    assert seeds.voxels.tolist() == [list(point) for point in inside]
    assert len(seeds) == len(inside)
    assert seeds.used == ([1] if inside else [])


def test_colours_stay_with_their_voxels() -> None:
    seeds = Seeds.of({3: [(0, 0, 0), (1, 2, 3)], 1: [(3, 9, 29)]}, SHAPE)
    assert seeds.used == [1, 3]
    assert seeds.box == Box((0, 0, 0), (4, 10, 30))
    assert dict(zip(map(tuple, seeds.voxels.tolist()), seeds.colours.tolist(), strict=True)) == {
        (0, 0, 0): 3,
        (1, 2, 3): 3,
        (3, 9, 29): 1,
    }
    part = seeds.inside(Box((0, 0, 0), (2, 3, 4)))
    assert part.used == [3]
    assert len(part) == 2
    assert seeds.chosen(seeds.colours == 1).voxels.tolist() == [[3, 9, 29]]


def test_a_voxel_of_two_colours_is_refused() -> None:
    with pytest.raises(InvalidEdit, match=r"The voxel \(1, 2, 3\) is marked with two colours"):
        Seeds.of({1: [(1, 2, 3)], 2: [(0, 0, 0), (1, 2, 3)]}, SHAPE)


@pytest.mark.parametrize("colour", [0, -1])
def test_colours_count_from_1(colour: int) -> None:
    with pytest.raises(InvalidEdit, match=f"Colours are counted from 1, got {colour}"):
        Seeds.of({colour: [(0, 0, 0)]}, SHAPE)


def test_nothing_marked_is_no_seed() -> None:
    assert len(Seeds.of({}, SHAPE)) == len(Seeds.of({1: []}, SHAPE)) == 0


@settings(max_examples=25)
@given(st.lists(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), max_size=30))
def test_supervoxels_are_looked_up_wherever_the_voxels_lie(
    document: LabelDocument, points: list[tuple[int, int, int]]
) -> None:
    places = np.array(points, np.int64).reshape(-1, 3)
    labels = document.supervoxels(WHOLE)
    np.testing.assert_array_equal(supervoxels_at(document, places), labels[tuple(places.T)])


def test_the_segment_that_all_colours_mark_is_found_and_the_rest_left_out(document: LabelDocument) -> None:
    seeds = Seeds.of({1: [(0, 0, 5), (0, 0, 0), (0, 0, 25)], 2: [(0, 0, 15)]}, SHAPE)
    segment, inside, supervoxels = segment_under(document, seeds)
    assert segment == 1
    assert inside.voxels.tolist() == [[0, 0, 5], [0, 0, 15]]
    assert supervoxels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("strokes", "sentence"),
    [
        ({1: [(0, 0, 5)]}, "A cut needs seeds of two colours, got 1."),
        (
            {1: [(0, 0, 5)], 2: [(0, 0, 25)]},
            "To cut a segment all colours have to mark it, got colour 1: 1; colour 2: 3.",
        ),
        (
            {1: [(0, 0, 5)], 2: [(0, 0, 1)]},
            "To cut a segment all colours have to mark it, got colour 1: 1; colour 2: no segment.",
        ),
        (
            {1: [(0, 0, 5), (0, 0, 25)], 2: [(0, 0, 6), (0, 0, 26)]},
            "All colours mark segments 1, 3, but one is cut at a time.",
        ),
    ],
)
def test_what_marks_no_single_segment_is_told(
    document: LabelDocument, strokes: dict[int, list[tuple[int, int, int]]], sentence: str
) -> None:
    with pytest.raises(InvalidEdit) as caught:
        segment_under(document, Seeds.of(strokes, SHAPE))
    assert caught.value.message == sentence
    assert caught.value.hint


@pytest.mark.parametrize(
    ("strokes", "edit"),
    [
        ({1: [(0, 0, 5), (0, 0, 25)]}, Merge(segments=(1, 3))),
        ({2: [(0, 0, 25), (0, 0, 1), (0, 0, 5)]}, Merge(segments=(1, 3))),
        ({1: [(0, 0, 5)], 2: [(0, 0, 15)]}, Split(seeds={1: ((0, 0, 5),), 2: ((0, 0, 15),)})),
    ],
)
def test_one_colour_joins_and_two_cut(
    document: LabelDocument, strokes: dict[int, list[tuple[int, int, int]]], edit: Merge | Split
) -> None:
    assert edit_of(document, strokes) == edit


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        ({}, "Nothing is marked"),
        ({1: [(9, 9, 99)]}, "Nothing is marked"),
        ({1: [(0, 0, 0), (0, 0, 1)]}, "There is no segment under the stroke"),
        ({1: [(0, 0, 5), (0, 0, 15)]}, "The stroke lies in segment 1 alone"),
    ],
)
def test_a_gesture_that_means_nothing_is_told(
    document: LabelDocument, strokes: dict[int, list[tuple[int, int, int]]], words: str
) -> None:
    with pytest.raises(InvalidEdit, match=words) as caught:
        edit_of(document, strokes)
    assert caught.value.hint


def everywhere(box: Box) -> np.ndarray:
    return np.ones(box.shape, bool)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_straight_line_has_its_voxels_on_two_sides(axis: int, reverse: bool) -> None:
    volume = Box.of_shape((20, 20, 20))
    first, second = (a for a in range(3) if a != axis)
    points = np.full((2, 3), 10)
    points[:, second] = (5, 15)
    seeds = beside_line(points[::-1] if reverse else points, axis, volume, everywhere)
    assert (seeds.voxels[:, axis] == 10).all()
    sides = {colour: seeds.voxels[seeds.colours == colour][:, first] for colour in (1, 2)}
    below, above = (sides[1], sides[2]) if sides[1].max() < 10 else (sides[2], sides[1])
    assert below.max() <= 9
    assert above.min() >= 11
    assert below.min() >= 7
    assert above.max() <= 13
    other = beside_line(points if reverse else points[::-1], axis, volume, everywhere)
    turned = {tuple(v): 3 - c for v, c in zip(other.voxels.tolist(), other.colours.tolist(), strict=True)}
    assert turned == {tuple(v): c for v, c in zip(seeds.voxels.tolist(), seeds.colours.tolist(), strict=True)}


def test_beyond_the_ends_of_a_line_nothing_is_marked() -> None:
    points = np.array([[0, 10, 5], [0, 10, 15]])
    seeds = beside_line(points, 0, Box.of_shape((1, 20, 20)), everywhere)
    assert seeds.voxels[:, 2].min() == 5
    assert seeds.voxels[:, 2].max() == 15


def test_only_voxels_that_count_are_marked() -> None:
    points = np.array([[0, 10, 5], [0, 10, 15]])

    def odd(box: Box) -> np.ndarray:
        mask = np.zeros(box.shape, bool)
        mask[..., (np.arange(box.start[2], box.stop[2]) % 2) == 1] = True
        return mask

    seeds = beside_line(points, 0, Box.of_shape((1, 20, 20)), odd)
    assert (seeds.voxels[:, 2] % 2 == 1).all()
    assert len(seeds) > 0


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "A line has two different points at least, got 0"),
        ([(0, 1, 1)], "got 1"),
        ([(0, 1, 1), (0, 1, 1)], "got 1"),
        ([(0, 1, 1), (1, 5, 5)], "A line lies in one slice across axis 0, got 2 slices"),
        ([(0, 100, 100), (0, 110, 110)], "The line lies outside of the volume"),
    ],
)
def test_what_is_no_line_in_a_slice_is_told(points: list[tuple[int, int, int]], words: str) -> None:
    with pytest.raises(InvalidEdit, match=words):
        beside_line(np.array(points, np.int64).reshape(-1, 3), 0, Box.of_shape((2, 20, 20)), everywhere)


def test_a_line_beside_its_segment_is_told(document: LabelDocument) -> None:
    seeds = sides_of_line(document, 1, [(1, 5, 4), (1, 5, 18)], 0)
    assert seeds.used == [1, 2]
    with pytest.raises(InvalidEdit, match="Segment 3 does not lie on both sides of the line"):
        sides_of_line(document, 3, [(1, 5, 4), (1, 5, 10)], 0)
