"""Edits of the state of segments: deleted, locked, their class."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.errors import InvalidEdit
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import parse_edit
from napari_pytc.proofreading.edits.constraints import DenseTruth, HasClass, NoObject
from napari_pytc.proofreading.edits.states import Delete, Lock, Restore, SetClass, StateEdit, Unlock
from tests.support.segmentations import make_segmentation


@pytest.fixture
def document(tmp_path: Path) -> LabelDocument:
    made = make_segmentation(tmp_path / "s1", (8, 32, 32), n_cells=6, classes=("axon", "glia"))
    return LabelDocument(made.segmentation)


def two(document: LabelDocument) -> tuple[int, int]:
    first, second = document.segment_ids()[:2]
    return int(first), int(second)


def test_segments_are_deleted_and_restored(document: LabelDocument) -> None:
    a, b = two(document)
    change = Delete(segments=(a, b)).plan(document)
    assert (change.title, change.n_voxels, change.moves) == (f"Delete {a}, {b}", 0, ())
    document.apply(change)
    assert document.state(a).deleted
    back = Restore(segments=(a,)).plan(document)
    document.apply(back)
    assert not document.state(a).deleted
    assert document.state(b).deleted


@pytest.mark.parametrize(("edit", "inverse"), [(Lock, Unlock), (Delete, Restore)])
def test_the_inverse_of_a_change_is_the_state_before(
    document: LabelDocument, edit: type[StateEdit], inverse: type[StateEdit]
) -> None:
    a, _ = two(document)
    before, checksum = document.state(a), document.checksum()
    change = edit(segments=(a,)).plan(document)
    document.apply(change)
    assert document.state(a) != before
    document.apply(change.inverse())
    assert document.state(a) == before
    assert document.checksum() == checksum
    with pytest.raises(InvalidEdit, match=rf"^Segment {a} is .* already\."):
        inverse(segments=(a,)).plan(document)


def test_those_that_are_so_already_are_passed_over(document: LabelDocument) -> None:
    a, b = two(document)
    document.apply(Lock(segments=(a,)).plan(document))
    change = Lock(segments=(a, b)).plan(document)
    assert change.segments == (b,)
    assert change.title == f"Lock {b}"
    document.apply(change)
    with pytest.raises(InvalidEdit, match=rf"^Segments {a}, {b} are locked already\."):
        Lock(segments=(a, b)).plan(document)


def test_a_point_names_the_segment_under_it(document: LabelDocument) -> None:
    a, _ = two(document)
    box = document.box(a)
    inside = next(
        (z, y, x)
        for z in range(box.start[0], box.stop[0])
        for y in range(box.start[1], box.stop[1])
        for x in range(box.start[2], box.stop[2])
        if document.segment_at((z, y, x)) == a
    )
    assert Lock(points=(inside,)).plan(document).segments == (a,)


def test_nothing_named_is_refused(document: LabelDocument) -> None:
    with pytest.raises(InvalidEdit, match=r"^Lock needs a segment, got none\."):
        Lock().plan(document)


def test_a_segment_that_there_is_not_is_refused(document: LabelDocument) -> None:
    missing = int(document.segment_ids()[-1]) + 1000
    for edit in (Delete(segments=(missing,)), Restore(segments=(missing,))):
        with pytest.raises(InvalidEdit, match=str(missing)):
            edit.plan(document)


def test_classes_are_those_of_the_segmentation(document: LabelDocument) -> None:
    a, _ = two(document)
    wanted = 1 if document.state(a).class_id != 1 else 2
    change = SetClass(segments=(a,), class_id=wanted).plan(document)
    assert change.title == f"Set the class of {a} to {wanted}"
    document.apply(change)
    assert document.state(a).class_id == wanted
    assert SetClass(segments=(a,), class_id=0).plan(document).title.endswith("to none")
    with pytest.raises(InvalidEdit, match=r"^There is no class 3, but 1 to 2, and 0 for none\."):
        SetClass(segments=(a,), class_id=3).plan(document)


def test_what_still_holds_is_a_constraint_and_what_was_taken_back_is_none(document: LabelDocument) -> None:
    a, b = two(document)
    locked, deleted = Lock(segments=(a,)), Delete(segments=(b,))
    wanted = 1 if document.state(a).class_id != 1 else 2
    classed = SetClass(segments=(a,), class_id=wanted)
    changes = []
    for edit in (classed, locked, deleted):
        changes.append(edit.plan(document))
        document.apply(changes[-1])
    assert classed.constraints(document, changes[0]) == [HasClass((a,), wanted)]
    assert locked.constraints(document, changes[1]) == [DenseTruth((a,))]
    assert deleted.constraints(document, changes[2]) == [NoObject((b,))]
    assert Restore(segments=(b,)).constraints(document, changes[2]) == []

    document.apply(Unlock(segments=(a,)).plan(document))
    document.apply(Restore(segments=(b,)).plan(document))
    assert locked.constraints(document, changes[1]) == []
    assert deleted.constraints(document, changes[2]) == []


def test_they_are_read_back_as_they_were_recorded(document: LabelDocument) -> None:
    a, b = two(document)
    for edit in (Delete(segments=(a, b)), Lock(segments=(a,)), SetClass(segments=(a,), class_id=0)):
        assert parse_edit(edit.to_json()) == edit
