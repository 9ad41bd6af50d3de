"""Changes as edits put them together, on four blocks along x."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit, InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.proofreading.builder import LARGEST_ID, ChangeBuilder
from napari_pytc.proofreading.changes import Change, SegmentState
from napari_pytc.proofreading.document import LabelDocument
from tests.support.hand_made import write_segmentation

SHAPE = (4, 6, 40)
WHOLE = Box.of_shape(SHAPE)
BOX = Box((1, 1, 8), (2, 2, 12))
"""Two voxels of block 1 and two of block 2."""


@pytest.fixture
def document(tmp_path: Path) -> LabelDocument:
    blocks = np.broadcast_to(np.arange(SHAPE[2]) // 10 + 1, SHAPE).copy()
    return LabelDocument(write_segmentation(tmp_path / "first", blocks))


@pytest.fixture
def builder(document: LabelDocument) -> ChangeBuilder:
    return ChangeBuilder(document, {"kind": "test"}, "Test")


def everything(document: LabelDocument) -> tuple[np.ndarray, np.ndarray, list[int]]:
    return document.supervoxels(WHOLE), document.segments(WHOLE), document.noted_segments()


def check_there_and_back(document: LabelDocument, change: Change) -> None:
    """A change and its inverse lead back, and the change in bytes is the same change."""
    before, digests = everything(document), document.digests
    document.apply(change)
    assert document.checksum() == document.present_checksum()
    after = everything(document)
    document.apply(change.inverse())
    for now, then in zip(everything(document), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert document.digests == digests
    again = Change.from_bytes(change.to_bytes(), change.edit, change.title, change.box, change.segments, change.target)
    document.apply(again)
    for now, then in zip(everything(document), after, strict=True):
        np.testing.assert_array_equal(now, then)


def test_collecting_changes_nothing_and_shows_what_would_be(document: LabelDocument, builder: ChangeBuilder) -> None:
    before = everything(document)
    new, segment = builder.new_supervoxel(), builder.new_segment()
    builder.move([new], segment)
    builder.relabel(BOX, np.ones(BOX.shape, bool), new)
    assert builder.supervoxels(Box((1, 1, 6), (2, 2, 14))).ravel().tolist() == [1, 1, new, new, new, new, 2, 2]
    assert builder.owners(np.array([[1, new]], np.uint32)).tolist() == [[1, segment]]
    for now, then in zip(everything(document), before, strict=True):
        np.testing.assert_array_equal(now, then)
    change = builder.build()
    assert change.segments == (1, 2, segment)
    assert change.next_id == (document.next_id, document.next_id + 2)
    assert change.box.contains(BOX)
    check_there_and_back(document, change)


def test_ids_are_given_once_also_after_an_undo(document: LabelDocument, builder: ChangeBuilder) -> None:
    new = builder.new_supervoxel()
    builder.move([new], 3)
    builder.relabel(BOX, np.ones(BOX.shape, bool), new)
    change = builder.build()
    document.apply(change)
    document.apply(change.inverse())
    assert ChangeBuilder(document, {}, "").new_supervoxel() > new


def test_a_supervoxel_that_loses_its_last_voxel_leaves_its_segment(
    document: LabelDocument, builder: ChangeBuilder
) -> None:
    box = Box((0, 0, 10), (4, 6, 20))
    builder.relabel(box, np.ones(box.shape, bool), 1)
    change = builder.build()
    assert [(move.supervoxels.tolist(), move.before.tolist(), move.after.tolist()) for move in change.moves] == [
        ([2], [2], [0])
    ]
    check_there_and_back(document, change)
    assert not document.exists(2)


def test_a_large_box_becomes_several_patches(document: LabelDocument, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_pytc.proofreading.builder._TILE", (2, 4, 16))
    builder = ChangeBuilder(document, {}, "")
    builder.set_voxels(WHOLE, np.full(SHAPE, 1, np.uint32))
    change = builder.build()
    assert len(change.patches) > 4
    assert change.n_voxels == 3 * 10 * 4 * 6
    check_there_and_back(document, change)


@pytest.mark.parametrize(
    "work",
    [
        lambda builder: builder.relabel(BOX, np.ones(BOX.shape, bool), 1),
        lambda builder: builder.move([2], 3),
        lambda builder: builder.move([1], 2),
        lambda builder: builder.note(2, SegmentState(locked=True, class_id=1)),
    ],
    ids=["loses voxels", "loses a supervoxel", "gains a supervoxel", "class"],
)
def test_locked_segments_stay_as_they_are(document: LabelDocument, builder: ChangeBuilder, work) -> None:
    builder.note(2, SegmentState(locked=True))
    document.apply(builder.build())
    with pytest.raises(InvalidEdit, match="Segment 2 is locked"):
        work(ChangeBuilder(document, {}, ""))


def test_a_segment_that_is_unlocked_on_the_way_can_be_changed(document: LabelDocument, builder: ChangeBuilder) -> None:
    builder.note(2, SegmentState(locked=True))
    document.apply(builder.build())
    second = ChangeBuilder(document, {}, "")
    second.note(2, SegmentState())
    second.move([2], 3)
    change = second.build()
    check_there_and_back(document, change)
    assert document.segment_at((0, 0, 15)) == 3


def test_a_change_of_nothing_is_refused(builder: ChangeBuilder) -> None:
    builder.move([2], 2)
    builder.note(2, SegmentState())
    builder.relabel(BOX, np.zeros(BOX.shape, bool), 1)
    with pytest.raises(InvalidEdit, match="Test would change nothing"):
        builder.build()


def test_voxels_of_another_shape_or_type_are_refused(builder: ChangeBuilder) -> None:
    for labels in (np.zeros((1, 1, 1), np.uint32), np.zeros(BOX.shape, np.int64)):
        with pytest.raises(InvalidInput, match="are uint32 of its shape"):
            builder.set_voxels(BOX, labels)


def test_a_new_supervoxel_needs_a_segment(builder: ChangeBuilder) -> None:
    new = builder.new_supervoxel()
    builder.relabel(BOX, np.ones(BOX.shape, bool), new)
    with pytest.raises(InvalidInput, match=f"Supervoxel {new} got voxels but no segment"):
        builder.build()


def test_ids_that_are_used_up_are_refused(document: LabelDocument, builder: ChangeBuilder) -> None:
    builder._next_id = LARGEST_ID
    assert builder.new_segment() == LARGEST_ID
    with pytest.raises(InvalidEdit, match="ids of this segmentation are used"):
        builder.new_supervoxel()
