from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Paint, parse_edit
from tests.support.segmentations import SegmentedTissue, make_segmentation

SHAPE = (12, 40, 48)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def made(tmp_path: Path) -> SegmentedTissue:
    return make_segmentation(tmp_path / "first", SHAPE, n_cells=10, membranes=True, classes=("axon", "glia"))


def edited(made: SegmentedTissue) -> LabelDocument:
    """A document with one edit of each kind that a view has to show."""
    document = LabelDocument(made.segmentation)
    ids = document.segment_ids().tolist()
    mask = np.ones((3, 8, 9), bool)
    for edit in (
        parse_edit({"kind": "merge", "segments": ids[:2]}),
        Paint.of(Box((2, 10, 10), (5, 18, 19)), mask, ids[4]),
        Paint.of(Box((6, 20, 20), (9, 28, 29)), mask, 0),
        parse_edit({"kind": "lock", "segments": [ids[3]]}),
        parse_edit({"kind": "set_class", "segments": [ids[5]], "class_id": 2}),
        parse_edit({"kind": "delete", "segments": [ids[6]]}),
    ):
        document.apply(edit.plan(document))
    return document


def test_an_unedited_segmentation_is_as_decoded(made: SegmentedTissue):
    view = SegmentsView.open(made.segmentation.folder)
    assert np.array_equal(view.read(WHOLE), made.segments)
    assert (view.shape, view.dtype, view.channels, view.log_index) == (SHAPE, np.uint32, (), 0)
    assert view.space == made.segmentation.space
    assert view.segment_ids().tolist() == np.unique(made.segments[made.segments > 0]).tolist()
    assert not view.is_locked(int(view.segment_ids()[0]))


def test_flushed_edits_are_seen_as_the_document_shows_them(made: SegmentedTissue):
    document = edited(made)
    before = SegmentsView.open(made.segmentation.folder)
    assert np.array_equal(before.read(WHOLE), made.segments)
    document.flush(7)
    view = SegmentsView.open(made.segmentation.folder)
    assert view.log_index == 7
    assert np.array_equal(view.read(WHOLE), document.segments(WHOLE))
    box = Box((1, 5, 7), (9, 33, 40))
    assert np.array_equal(view.read(box), document.segments(box))
    assert np.array_equal(view.segment_ids(), document.segment_ids())
    for segment in view.segment_ids().tolist():
        state = document.state(segment)
        assert view.is_locked(segment) == state.locked
        assert view.class_name(segment) == ("", "axon", "glia")[state.class_id]
    assert view.class_name(999_999) == ""


def test_no_segmentation_and_no_such_box(made: SegmentedTissue, tmp_path: Path):
    with pytest.raises(VolumeError, match="no finished segmentation"):
        SegmentsView.open(tmp_path / "second")
    with pytest.raises(InvalidInput, match="within the volume"):
        SegmentsView.open(made.segmentation.folder).read(Box((0, 0, 0), (13, 1, 1)))
