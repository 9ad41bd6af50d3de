from pathlib import Path

import pytest

from napari_pytc.errors import InvalidEdit
from napari_pytc.proofreading.edits import Merge
from napari_pytc.proofreading.edits.merge_or_split import edit_of
from napari_pytc.proofreading.edits.split import Split
from tests.proofreading.merged import MergedCells, of_one_supervoxel


@pytest.fixture
def cells(tmp_path: Path) -> MergedCells:
    return of_one_supervoxel(tmp_path)


def test_one_colour_through_several_segments_joins_them(cells: MergedCells) -> None:
    (first, a, _), (second, b, _) = cells.pairs()[:2]
    edit = edit_of(cells.document, {1: [cells.deep(a), cells.deep(b), cells.deep(a)]})
    assert isinstance(edit, Merge)
    assert set(edit.segments) == {first, second}
    cells.document.apply(edit.plan(cells.document))
    assert cells.document.segment_at(cells.deep(a)) == cells.document.segment_at(cells.deep(b))


def test_several_colours_in_one_segment_cut_it(cells: MergedCells) -> None:
    (_, a, b), (_, c, _) = cells.pairs()[:2]
    edit = edit_of(cells.document, {1: [cells.deep(a), cells.deep(c)], 4: [cells.deep(b)]})
    assert isinstance(edit, Split)
    cells.document.apply(edit.plan(cells.document))
    assert cells.document.segment_at(cells.deep(a)) != cells.document.segment_at(cells.deep(b))


def test_what_means_neither_is_refused_in_a_sentence(cells: MergedCells) -> None:
    (first, a, b), (_, c, _) = cells.pairs()[:2]
    for strokes, says in (
        ({}, "Nothing is marked"),
        ({1: [(-1, 0, 0)]}, "Nothing is marked"),
        ({1: [cells.deep(a), cells.deep(b)]}, f"lies in segment {first} alone"),
        ({1: [cells.deep(a)], 2: [cells.deep(c)]}, "all colours have to mark"),
    ):
        with pytest.raises(InvalidEdit, match=says):
            edit_of(cells.document, strokes)
