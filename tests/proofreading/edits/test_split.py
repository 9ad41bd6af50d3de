from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Voxel
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.cuts import segment_cut
from napari_pytc.proofreading.edits import Delete, Lock, SetClass, parse_edit
from napari_pytc.proofreading.edits.split import Split, SplitLine
from tests.proofreading.merged import MergedCells, of_many_supervoxels, of_one_supervoxel


@pytest.fixture
def fine(tmp_path: Path) -> MergedCells:
    return of_many_supervoxels(tmp_path)


@pytest.fixture
def lumps(tmp_path: Path) -> MergedCells:
    return of_one_supervoxel(tmp_path)


def apply(merged: MergedCells, change: Change) -> Callable[[], None]:
    """Make the change; what comes back takes it back."""
    merged.document.apply(change)
    return lambda: merged.document.apply(change.inverse())


def test_two_points_cut_a_false_merge_along_supervoxels(fine: MergedCells) -> None:
    for segment, a, b in fine.pairs():
        change = Split(seeds={1: [fine.deep(a)], 2: [fine.deep(b)]}).plan(fine.document)
        assert change.n_voxels == 0
        fine.document.apply(change)
        one, two = (fine.document.segment_at(fine.deep(cell)) for cell in (a, b))
        assert one != two
        assert segment in (one, two)
        assert fine.overlap(one, a) == 1
        assert fine.overlap(two, b) == 1


def test_a_cut_through_voxels_says_what_stood_in_for_boundaries(lumps: MergedCells) -> None:
    def planned(note: str) -> Change:
        lumps.document.boundary_note = lambda: note
        _, a, b = lumps.pairs()[0]
        split = Split(seeds={1: [lumps.deep(a)], 2: [lumps.deep(b)]}, notes=("of another time",))
        return split.plan(lumps.document)

    change = planned("The prediction is gone.")
    assert change.remarks == ("The prediction is gone.",)
    assert parse_edit(change.edit).plan(lumps.document).remarks == change.remarks
    assert planned("").remarks == ()


def test_a_cut_along_supervoxels_looks_at_no_boundaries(fine: MergedCells) -> None:
    fine.document.boundary_note = lambda: "The prediction is gone."
    _, a, b = fine.pairs()[0]
    assert Split(seeds={1: [fine.deep(a)], 2: [fine.deep(b)]}).plan(fine.document).remarks == ()


def test_two_points_cut_a_false_merge_within_one_supervoxel(lumps: MergedCells) -> None:
    pairs = lumps.pairs()
    good = 0
    for segment, a, b in pairs:
        before = lumps.all_segments()
        change = Split(seeds={1: [lumps.deep(a)], 2: [lumps.deep(b)]}).plan(lumps.document)
        undo = apply(lumps, change)
        after = lumps.all_segments()
        assert (after != before).any()
        assert (before[after != before] == segment).all()
        one, two = (lumps.document.segment_at(lumps.deep(cell)) for cell in (a, b))
        assert one != two
        good += min(lumps.overlap(one, a), lumps.overlap(two, b)) >= 0.9
        undo()
        np.testing.assert_array_equal(lumps.all_segments(), before)
    assert good >= len(pairs) - 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fine", "lumps"])
def test_seeds_anywhere_are_apart_or_it_is_refused(kind: str, request: pytest.FixtureRequest) -> None:
    merged: MergedCells = request.getfixturevalue(kind)
    rng = np.random.default_rng(3)
    segments = merged.all_segments()
    for _ in range(40):
        places = np.argwhere(segments == rng.choice(np.unique(segments)[1:]))
        n_colours = int(rng.integers(2, 5))
        chosen = rng.permutation(len(places))[: 2 * n_colours]
        seeds = {c + 1: [tuple(p) for p in places[chosen[c::n_colours]].tolist()] for c in range(n_colours)}
        outside = segments != segments[tuple(places[0])]
        undo = apply(merged, Split(seeds=seeds).plan(merged.document))
        after = merged.all_segments()
        np.testing.assert_array_equal(after[outside], segments[outside])
        assert (after[~outside] > 0).all()
        per_colour = [{int(after[p]) for p in points} for points in seeds.values()]
        assert all(len(ids) == 1 for ids in per_colour)
        assert len(set.union(*per_colour)) == n_colours
        undo()
        np.testing.assert_array_equal(merged.all_segments(), segments)


def test_voxels_side_by_side_can_be_cut_apart(lumps: MergedCells) -> None:
    segment, a, _ = lumps.pairs()[0]
    z, y, x = lumps.deep(a)
    lumps.document.apply(Split(seeds={1: [(z, y, x)], 2: [(z, y, x + 1)]}).plan(lumps.document))
    assert lumps.document.segment_at((z, y, x)) != lumps.document.segment_at((z, y, x + 1))
    assert segment in (lumps.document.segment_at((z, y, x)), lumps.document.segment_at((z, y, x + 1)))


def test_a_segment_can_be_cut_again_where_it_was_cut(lumps: MergedCells) -> None:
    _, a, b = lumps.pairs()[0]
    lumps.document.apply(Split(seeds={1: [lumps.deep(a)], 2: [lumps.deep(b)]}).plan(lumps.document))
    z, y, x = lumps.deep(a)
    lumps.document.apply(Split(seeds={1: [(z, y, x)], 2: [(z, y, x + 2)]}).plan(lumps.document))
    assert len({lumps.document.segment_at(p) for p in ((z, y, x), (z, y, x + 2), lumps.deep(b))}) == 3


def test_what_lies_beyond_the_window_goes_with_what_it_touches(
    fine: MergedCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_cut, "_MOST_SUPERVOXELS", 3)
    monkeypatch.setattr(segment_cut, "_REACH_NM", 40.0)
    for _, a, b in fine.pairs():
        fine.document.apply(Split(seeds={1: [fine.deep(a)], 2: [fine.deep(b)]}).plan(fine.document))
        one, two = (fine.document.segment_at(fine.deep(cell)) for cell in (a, b))
        assert one != two
        assert min(fine.overlap(one, a), fine.overlap(two, b)) > 0.6


def test_a_huge_supervoxel_is_cut_near_the_seeds_alone(lumps: MergedCells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_cut, "_MOST_VOXELS", 2_000)
    _, a, _ = lumps.pairs()[0]
    z, y, x = lumps.deep(a)
    change = Split(seeds={1: [(z, y, x - 1)], 2: [(z, y, x + 2)]}).plan(lumps.document)
    assert sum(patch.box.size for patch in change.patches) <= 2_000
    lumps.document.apply(change)
    assert lumps.document.segment_at((z, y, x - 1)) != lumps.document.segment_at((z, y, x + 2))


def test_what_is_split_off_keeps_the_class(lumps: MergedCells) -> None:
    segment, a, b = lumps.pairs()[0]
    lumps.document.apply(SetClass(segments=(segment,), class_id=3).plan(lumps.document))
    lumps.document.apply(Split(seeds={1: [lumps.deep(a)], 2: [lumps.deep(b)]}).plan(lumps.document))
    for cell in (a, b):
        assert lumps.document.state(lumps.document.segment_at(lumps.deep(cell))).class_id == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ({1: ["a"]}, "two colours"),
        ({1: ["a"], 2: ["a"]}, "marked with two colours"),
        ({1: ["a"], 2: ["elsewhere"]}, "all colours have to mark"),
        ({1: ["a", "elsewhere"], 2: ["b", "elsewhere2"]}, "one is cut at a time"),
        ({0: ["a"], 2: ["b"]}, "counted from 1"),
        ({1: ["a"], 2: ["nowhere"]}, "two colours"),
    ],
)
def test_refusals(lumps: MergedCells, seeds: dict[int, list[str]], message: str) -> None:
    (_, a, b), (_, c, d) = lumps.pairs()[:2]
    names = {"a": a, "b": b, "elsewhere": c, "elsewhere2": d}
    places = {k: [lumps.deep(names[n]) if n in names else (-5, 0, 0) for n in v] for k, v in seeds.items()}
    with pytest.raises(InvalidEdit, match=message):
        Split(seeds=places).plan(lumps.document)


def test_locked_and_deleted_segments_are_not_split(lumps: MergedCells) -> None:
    segment, a, b = lumps.pairs()[0]
    edit = Split(seeds={1: [lumps.deep(a)], 2: [lumps.deep(b)]})
    lumps.document.apply(Delete(segments=(segment,)).plan(lumps.document))
    with pytest.raises(InvalidEdit, match="no segment"):
        edit.plan(lumps.document)
    other, c, d = lumps.pairs()[1]
    lumps.document.apply(Lock(segments=(other,)).plan(lumps.document))
    with pytest.raises(InvalidEdit, match=f"Segment {other} is locked"):
        Split(seeds={1: [lumps.deep(c)], 2: [lumps.deep(d)]}).plan(lumps.document)


def test_edits_come_back_from_json(lumps: MergedCells) -> None:
    _, a, b = lumps.pairs()[0]
    edit = Split(seeds={1: [lumps.deep(a)], 2: [lumps.deep(b)]})
    assert parse_edit(edit.to_json()) == edit
    line = SplitLine(segment=3, line=[(1, 2, 3), (1, 4, 5)], axis=0)
    assert parse_edit(line.to_json()) == line


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_line_drawn_in_a_slice_cuts_the_segment(lumps: MergedCells, axis: int) -> None:
    segment, a, _ = lumps.pairs()[0]
    place = lumps.deep(a)
    plane = [other for other in range(3) if other != axis]
    start, stop = list(place), list(place)
    start[plane[0]] -= 6
    stop[plane[0]] += 6
    before = lumps.all_segments()
    lumps.document.apply(SplitLine(segment=segment, line=(tuple(start), tuple(stop)), axis=axis).plan(lumps.document))
    sides = []
    for step in (-2, 2):
        side = list(place)
        side[plane[1]] += step
        sides.append(lumps.document.segment_at(side))
    assert sides[0] != sides[1]
    assert segment in sides
    after = lumps.all_segments()
    np.testing.assert_array_equal(after[before != segment], before[before != segment])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([(3, 4, 5)], "two different points"),
        ([(3, 4, 5), (3, 4, 5)], "two different points"),
        ([(3, 4, 5), (4, 9, 9)], "one slice"),
        ([(3, 400, 5), (3, 410, 9)], "outside of the volume"),
    ],
)
def test_lines_that_are_none_are_refused(lumps: MergedCells, line: list[Voxel], message: str) -> None:
    with pytest.raises(InvalidEdit, match=message):
        SplitLine(segment=lumps.pairs()[0][0], line=line).plan(lumps.document)


def test_a_line_beside_the_segment_is_refused(lumps: MergedCells) -> None:
    segment, _, _ = lumps.pairs()[0]
    elsewhere = np.argwhere(lumps.all_segments() != segment)[0].tolist()
    far = (elsewhere[0], elsewhere[1], elsewhere[2])
    with pytest.raises(InvalidEdit, match="both sides of the line"):
        SplitLine(segment=segment, line=(far, (far[0], far[1], far[2] + 1))).plan(lumps.document)
