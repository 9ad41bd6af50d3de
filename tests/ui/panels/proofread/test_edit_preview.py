"""The preview of an edit: the segments around a change as it would leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.proofread import edit_plans
from napari_pytc.ui.panels.proofread.edit_preview import crop_box, preview_edit
from napari_pytc.ui.panels.proofread.tools import COLOURS
from tests.support.editing import neighbours
from tests.support.segmentations import make_segmentation

SHAPE = (12, 64, 64)
FOCUS = (6.0, 32.0, 32.0)


@pytest.fixture
def document(tmp_path: Path) -> LabelDocument:
    return LabelDocument(make_segmentation(tmp_path / "s1", SHAPE, n_cells=10).segmentation)


def test_a_merge_is_shown_as_one_segment_in_the_colour_of_its_mark(document: LabelDocument) -> None:
    first, second = neighbours(document)
    before = document.checksum()
    change = edit_plans.join_or_cut(document, [(2, [first, second])]).plan(document)
    preview = preview_edit(document, change, FOCUS, {2: [first, second]})
    assert preview is not None
    at = [int(preview.labels[tuple(np.subtract(voxel, preview.box.start))]) for voxel in (first, second)]
    assert at[0] == at[1] > 0
    assert preview.colours[at[0]] == COLOURS[2]
    assert document.checksum() == before, "nothing was made"


def test_without_seeds_every_segment_has_a_colour_of_its_own(document: LabelDocument) -> None:
    first, second = neighbours(document)
    ids = (document.segment_at(first), document.segment_at(second))
    preview = preview_edit(document, edit_plans.lock(ids, True).plan(document), FOCUS)
    assert preview is not None
    assert list(preview.colours.values()) == list(COLOURS[:2])
    assert set(np.unique(preview.labels)) <= {0, 1, 2}


def test_a_segment_that_is_to_be_deleted_is_outlined_as_it_is(document: LabelDocument) -> None:
    segment = document.segment_at(neighbours(document)[0])
    preview = preview_edit(document, edit_plans.delete((segment,)).plan(document), FOCUS)
    assert preview is not None
    np.testing.assert_array_equal(preview.labels == 1, document.segments(preview.box) == segment)


def test_of_a_large_edit_what_is_around_the_view_is_outlined() -> None:
    box = Box((0, 0, 0), (400, 1000, 1000))
    assert crop_box(box, (200.0, 500.0, 500.0), 0, 10_000_000) == Box((195, 0, 0), (205, 1000, 1000))
    assert crop_box(box, (0.0, 500.0, 500.0), 0, 10_000_000).start == (0, 0, 0)
    assert crop_box(box, (200.0, 999.0, 500.0), 1, 10_000_000) == Box((0, 975, 0), (400, 1000, 1000))
    assert crop_box(box, (7.0, 500.0, 500.0), 0, 1000).shape == (1, 1, 1000)
    assert crop_box(box, (200.0, 500.0, 500.0), 0) != box
    assert crop_box(Box((3, 4, 5), (6, 7, 8)), (0.0, 0.0, 0.0), 0) == Box((3, 4, 5), (6, 7, 8))
