from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit, InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import SegmentState
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import (
    Delete,
    ImportLabels,
    Lock,
    Merge,
    Paint,
    Restore,
    SetClass,
    Unlock,
    parse_edit,
)
from napari_pytc.proofreading.edits.base import Edit, pack_mask, unpack_mask
from tests.support.segmentations import SegmentedTissue

BOX = Box((1, 2, 3), (4, 12, 13))
EVERYTHING = np.ones(BOX.shape, bool)


def do(document: LabelDocument, edit: Edit) -> None:
    document.apply(edit.plan(document))


def undone_is_as_before(document: LabelDocument, edit: Edit) -> None:
    whole = Box.of_shape(document.shape)
    before, shown = document.checksum(), document.segments(whole)
    change = edit.plan(document)
    assert document.checksum() == before
    document.apply(change)
    assert document.checksum() == document.present_checksum() != before
    document.apply(change.inverse())
    assert document.checksum() == document.present_checksum() == before
    assert np.array_equal(document.segments(whole), shown)


def test_every_edit_survives_json(document: LabelDocument):
    first, second = document.segment_ids()[:2].tolist()
    edits = [
        Merge(segments=(first, second)),
        Merge(points=((0, 0, 0), (5, 5, 5))),
        Delete(segments=(first,)),
        SetClass(segments=(first,), class_id=3),
        Paint.of(BOX, EVERYTHING, first),
        ImportLabels(path="a.tif", offset=(1, 2, 3)),
    ]
    for edit in edits:
        assert parse_edit(edit.to_json()) == edit


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "melt"}, "known kind, got 'melt'"),
        ({}, "got None"),
        ({"kind": "merge", "segmnts": [1]}, "wrong at segmnts"),
        ({"kind": "paint", "box": "0:1,0:1,0:1", "mask": ""}, "wrong at segment"),
    ],
)
def test_what_is_no_edit_is_refused_in_a_sentence(value: dict[str, object], message: str):
    with pytest.raises(InvalidEdit, match=message):
        parse_edit(value)


def test_masks_travel_as_text():
    mask = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    assert np.array_equal(unpack_mask(pack_mask(mask), (3, 5, 7)), mask)
    for text in ("%%%", "AAAA", pack_mask(mask[:1])):
        with pytest.raises(InvalidEdit):
            unpack_mask(text, (3, 5, 7))


def test_a_merge_moves_the_smaller_sides(document: LabelDocument):
    ids = sorted(document.segment_ids().tolist(), key=document.n_members)[-3:]
    change = Merge(segments=ids).plan(document)
    kept = max(ids, key=lambda k: (document.n_members(k), -k))
    assert sum(len(move.supervoxels) for move in change.moves) == sum(document.n_members(k) for k in ids if k != kept)
    assert change.n_voxels == 0
    undone_is_as_before(document, Merge(segments=ids))
    document.apply(change)
    assert [document.exists(k) for k in ids] == [k == kept for k in ids]
    assert document.size(kept) == np.count_nonzero(document.segments(Box.of_shape(document.shape)) == kept)


def test_a_merge_by_points(document: LabelDocument):
    labels = document.segments(Box.of_shape(document.shape))
    first, second = document.segment_ids()[[0, 3]].tolist()
    points = [tuple(np.argwhere(labels == k)[0].tolist()) for k in (first, second, first)]
    do(document, Merge(points=points))
    assert document.segment_at(points[0]) == document.segment_at(points[1]) != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Merge(segments=(1,)), "two different segments, got 1"),
        (Merge(segments=(1, 1)), "two different segments"),
        (Merge(), "got none"),
        (Merge(segments=(1, 999_999)), "no segment 999999"),
        (Merge(points=((0, 0, 0), (99, 0, 0))), "no segment at"),
        (Delete(), "Delete needs a segment"),
        (Delete(segments=(0,)), "no segment 0"),
        (Restore(segments=(1,)), "Segment 1 is shown already"),
        (Unlock(segments=(1,)), "Segment 1 is unlocked already"),
        (SetClass(segments=(1,), class_id=0), "of this class already"),
        (Paint.of(BOX.shift((90, 0, 0)), EVERYTHING, 1), "lies within the volume"),
        (Paint.of(BOX, ~EVERYTHING, 0), "Erase would change nothing"),
        (Paint.of(BOX, EVERYTHING, 999_999), "no segment 999999"),
        (ImportLabels(path="nothing.tif"), "cannot be imported"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(document: LabelDocument, edit: Edit, message: str):
    assert document.exists(1)
    before = document.checksum()
    with pytest.raises(InvalidEdit, match=message):
        edit.plan(document)
    assert document.checksum() == before


def test_a_locked_segment_is_never_touched(document: LabelDocument):
    labels = document.segments(Box.of_shape(document.shape))
    locked, other = document.segment_ids()[:2].tolist()
    inside = Box.at(np.argwhere(labels == locked)[5].tolist(), (1, 1, 1))
    beside = Box.at(np.argwhere(labels == other)[5].tolist(), (1, 1, 1))
    one = np.ones((1, 1, 1), bool)
    do(document, Lock(segments=(locked,)))
    refused = [
        Merge(segments=(locked, other)),
        Delete(segments=(locked,)),
        SetClass(segments=(locked,), class_id=1),
        Paint.of(inside, one, other),
        Paint.of(inside, one, 0),
        Paint.of(beside, one, locked),
    ]
    for edit in refused:
        with pytest.raises(InvalidEdit, match=f"Segment {locked} is locked as done") as caught:
            edit.plan(document)
        assert caught.value.hint == "Unlock it first."
    undone_is_as_before(document, Unlock(segments=(locked,)))
    do(document, Unlock(segments=(locked,)))
    for edit in refused:
        edit.plan(document)


def test_what_is_deleted_is_shown_as_background_and_comes_back(document: LabelDocument):
    whole = Box.of_shape(document.shape)
    shown = document.segments(whole)
    gone = document.segment_ids()[2].item()
    undone_is_as_before(document, Delete(segments=(gone,)))
    do(document, Delete(segments=(gone,)))
    assert np.array_equal(document.segments(whole), np.where(shown == gone, 0, shown))
    assert gone not in document.segment_ids()
    assert document.exists(gone)
    with pytest.raises(InvalidEdit, match="is deleted"):
        Merge(segments=(gone, document.segment_ids()[0].item())).plan(document)
    do(document, Restore(segments=(gone,)))
    assert np.array_equal(document.segments(whole), shown)


@pytest.mark.parametrize("target", ["beside", "far", "nothing"])
def test_painted_voxels_are_the_segments_and_no_others(document: LabelDocument, target: str):
    whole = Box.of_shape(document.shape)
    before = document.segments(whole)
    inside = set(np.unique(before[BOX.slices]).tolist())
    far = [k for k in document.segment_ids().tolist() if not document.box(k).grow((1, 1, 1)).overlaps(BOX)]
    segment = {"beside": max(inside), "far": far[-1] if far else 0, "nothing": 0}[target]
    mask = np.random.default_rng(1).random(BOX.shape) < 0.6
    edit = Paint.of(BOX, mask, segment)
    undone_is_as_before(document, edit)
    change = edit.plan(document)
    document.apply(change)
    expected = before.copy()
    expected[BOX.slices][mask] = segment
    assert np.array_equal(document.segments(whole), expected)
    assert change.n_voxels == np.count_nonzero(expected != before)
    for k in document.segment_ids().tolist():
        assert document.size(k) == np.count_nonzero(expected == k)
    assert (change.next_id[1] > change.next_id[0]) == (target == "far")


def test_a_segment_without_voxels_is_no_more(document: LabelDocument):
    segment = min(document.segment_ids().tolist(), key=document.size)
    box = document.box(segment)
    change = Paint.of(box, document.segments(box) == segment, 0).plan(document)
    document.apply(change)
    assert not document.exists(segment)
    assert segment not in document.segment_ids()
    document.apply(change.inverse())
    assert document.exists(segment)


def test_classes_are_those_decoded_until_an_edit_sets_another(made: SegmentedTissue, document: LabelDocument):
    segment = document.segment_ids()[0].item()
    assert document.state(segment) == SegmentState()
    undone_is_as_before(document, SetClass(segments=(segment,), class_id=2))
    do(document, SetClass(segments=(segment,), class_id=2))
    assert document.state(segment).class_id == 2


def test_imported_labels_become_segments(document: LabelDocument, tmp_path: Path):
    labels = np.random.default_rng(0).integers(0, 4, (3, 7, 8)).astype(np.uint16) * 1000
    np.save(tmp_path / "labels.npy", labels)
    edit = ImportLabels(path=str(tmp_path / "labels.npy"), offset=(2, 3, 4))
    undone_is_as_before(document, edit)
    before = document.segments(Box.of_shape(document.shape))
    do(document, edit)
    found = document.segments(Box.at((2, 3, 4), labels.shape))
    former = before[2:5, 3:10, 4:12]
    assert np.array_equal(found[labels == 0], former[labels == 0])
    for value in (1000, 2000, 3000):
        (segment,) = np.unique(found[labels == value])
        assert segment not in before
        assert document.size(segment.item()) == np.count_nonzero(labels == value)


def test_imported_labels_lie_where_their_file_says_and_the_journal_keeps_it(document: LabelDocument, tmp_path: Path):
    z, y, x = document.space.voxel_size_nm
    labels = np.full((2, 4, 6), 2**64 - 1, np.uint64)
    labels[:, 0], labels[:, 3] = 7, 7
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["labels"] = labels
        file["labels"].attrs["resolution"] = (z, y, x)
        first = zip(document.space.origin_nm, (2 * z, 3 * y, 4 * x), strict=True)
        file["labels"].attrs["offset"] = [a + b for a, b in first]
    edit = ImportLabels(path=str(tmp_path / "labels.h5"))
    change = edit.plan(document)
    assert change.edit["offset"] == [2, 3, 4]
    before = set(document.segment_ids().tolist())
    assert len(set(change.segments) - before) == 1
    told = " ".join(change.remarks)
    assert "2^64-1, CREMI's sign for no label" in told
    assert "One id in 2 separate parts" in told
    again = parse_edit(change.edit).plan(document)
    assert (again.box, again.edit) == (change.box, change.edit)
    parts = ImportLabels(path=edit.path, components=True).plan(document)
    assert len(set(parts.segments) - before) == 2
    with h5py.File(tmp_path / "labels.h5", "a") as file:
        file["labels"].attrs["resolution"] = (z, 2 * y, 2 * x)
    with pytest.raises(InvalidEdit, match=r"cannot be imported: The labels have voxels of"):
        edit.plan(document)
    assert ImportLabels(path=edit.path, resample=True, offset=(0, 0, 0)).plan(document).n_voxels == 2 * 2 * 12 * 2


def test_a_builder_sees_what_it_collected(document: LabelDocument):
    builder = ChangeBuilder(document, {"kind": "test"}, "Try")
    new, segment = builder.new_supervoxel(), builder.new_segment()
    builder.relabel(BOX, EVERYTHING, new)
    assert (builder.supervoxels(BOX) == new).all()
    with pytest.raises(InvalidInput, match="no segment"):
        builder.build()
    builder.move([new], segment)
    assert builder.owners(np.array([new])).tolist() == [segment]
    change = builder.build()
    assert change.next_id == (document.next_id, document.next_id + 2)
    assert segment in change.segments
    assert change.box.contains(BOX)
    document.apply(change)
    assert document.next_id == segment + 1
    document.apply(change.inverse())
    assert document.next_id == segment + 1


def test_contacts_follow_the_voxels(document: LabelDocument):
    some = np.arange(1, 60, dtype=np.uint32)
    stored = document.edges_within(some)
    assert len(stored)
    do(document, Paint.of(BOX, EVERYTHING, 0))
    whole = Box.of_shape(document.shape)
    labels = document.supervoxels(whole)
    labels[~np.isin(labels, some)] = 0
    expected = contact_edges(labels)
    found = document.edges_within(some)
    assert np.array_equal(found.edges, expected.edges)
    assert np.array_equal(found.contacts, expected.contacts)
    assert np.allclose(found.places, expected.places, atol=1e-3)
