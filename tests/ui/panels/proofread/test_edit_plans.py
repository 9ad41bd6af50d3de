"""Edits made of marks, strokes and selections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.proofread import edit_plans
from napari_pytc.ui.panels.proofread.edit_plans import IncompleteGesture
from napari_pytc.ui.panels.proofread.picking import (
    segments_along,
)
from tests.support.editing import neighbours
from tests.support.segmentations import make_segmentation

SHAPE = (12, 64, 64)


@pytest.fixture
def document(tmp_path: Path) -> LabelDocument:
    return LabelDocument(make_segmentation(tmp_path / "s1", SHAPE, n_cells=10).segmentation)


@pytest.fixture
def membranes(tmp_path: Path) -> LabelDocument:
    """Cells with background between them."""
    return LabelDocument(make_segmentation(tmp_path / "s2", SHAPE, n_cells=10, membranes=True).segmentation)


def test_marks_of_one_colour_merge_and_one_mark_alone_is_incomplete(document: LabelDocument) -> None:
    first, second = neighbours(document)
    edit = edit_plans.join_or_cut(document, [(0, [first]), (0, [second])])
    assert edit.plan(document).title.startswith("Merge")
    with pytest.raises(IncompleteGesture, match=f"Segment {document.segment_at(first)} is marked"):
        edit_plans.join_or_cut(document, [(0, [first])])


def test_a_line_cuts_the_selected_segment_of_those_it_passes(document: LabelDocument) -> None:
    (z, y, x), _ = neighbours(document)
    line = [(z, y, column) for column in range(x - 2, x + 2)]
    ids = list(segments_along(document, line))
    for selected in ids[:2]:
        assert edit_plans.cut_line(document, line, 0, [selected]).segment == selected  # type: ignore[attr-defined]
    longest = max(ids, key=segments_along(document, line).__getitem__)
    assert edit_plans.cut_line(document, line, 0, []).segment == longest  # type: ignore[attr-defined]


def test_a_line_through_background_cuts_nothing(membranes: LabelDocument) -> None:
    z, y, x = (int(v) for v in np.argwhere(membranes.segments(Box.of_shape(SHAPE)) == 0)[0])
    with pytest.raises(InvalidEdit, match="passes no segment"):
        edit_plans.cut_line(membranes, [(z, y, x)], 0, [])


def test_one_segment_is_painted_at_a_time_and_the_stroke_says_which(membranes: LabelDocument) -> None:
    box = Box((0, 0, 0), (1, 1, 1))
    mask = np.ones(box.shape, bool)
    with pytest.raises(InvalidEdit, match="One segment is painted at a time, 2 are selected"):
        edit_plans.paint(membranes, box, mask, [1, 2], (0, 0, 0))
    z, y, x = (int(v) for v in np.argwhere(membranes.segments(Box.of_shape(SHAPE)) == 0)[0])
    with pytest.raises(InvalidEdit, match="does not begin in a segment"):
        edit_plans.paint(membranes, box, mask, [], (z, y, x))


def test_erasing_past_the_selection_says_what_to_do(document: LabelDocument) -> None:
    first, second = neighbours(document)
    box = Box.at(second, (1, 1, 1))
    with pytest.raises(InvalidEdit, match="passes no voxel of what is selected"):
        edit_plans.erase(document, box, np.ones(box.shape, bool), [document.segment_at(first)])
