"""What every kind of edit must do in a journal; tests subclass and give the edit."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.constraints.derivation import derive_constraints
from napari_pytc.proofreading.edits import EditModel, Lock, SwitchSegmentation, parse_edit
from napari_pytc.proofreading.edits.base import variants
from napari_pytc.proofreading.edits.constraints import (
    CannotLink,
    DenseTruth,
    HasClass,
    MustLink,
    NoObject,
    Painted,
)
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.hand_made import write_segmentation
from tests.support.random_edits import folder_in_memory, state_of
from tests.support.segmentations import FolderDocuments

SHAPE = (10, 16, 48)
KNOWN = (MustLink, CannotLink, Painted, DenseTruth, NoObject, HasClass)


def scene() -> tuple[np.ndarray, dict[int, int]]:
    """Three blocks side by side, each of two supervoxels; the first has a hole, and an island in the last.

    ::

        x  0      8      16     24     32     40     48
           |  1   |  2   |  3   |  4   |  5   |  6   |     supervoxels; 7 is the island, of segment 1
           |      1      |      3      |      5      |     segments
    """
    labels = np.zeros(SHAPE, np.uint32)
    labels[:] = np.arange(SHAPE[2]) // 8 + 1
    labels[4:6, 7:9, 3:5] = 0  # a hole
    labels[5:7, 2:4, 40:42] = 7  # an island
    labels[0, :3, 15] = 3  # a bump
    return labels, {2: 1, 4: 3, 6: 5, 7: 1}


@cache
def project() -> Path:
    """A project's folder with the scene as its current segmentation, and another one; made once, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="edit-contract-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    labels, owners = scene()
    made = write_segmentation(folder / "segments" / "first", labels, owners)
    write_segmentation(folder / "segments" / "second", labels)
    PaintStore.create(folder / "annotations.zarr", made.shape, made.space)
    journal = Journal(folder / "journal.sqlite", FolderDocuments(folder))
    journal.apply(SwitchSegmentation(after="first"))
    journal.close()
    return folder


class EditContract:
    """Subclasses give `edit`, and perhaps edits that come `before` it."""

    edit: EditModel
    before: Sequence[EditModel] = ()

    @pytest.fixture
    def journal(self) -> Iterator[Journal]:
        with folder_in_memory() as folder:
            shutil.copytree(project(), folder, dirs_exist_ok=True)
            journal = Journal(folder / "journal.sqlite", FolderDocuments(folder))
            try:
                for edit in self.before:
                    journal.apply(edit)
                yield journal
            finally:
                journal.close()

    @pytest.fixture
    def planned(self, journal: Journal) -> Change:
        return journal.plan(self.edit)

    def test_it_comes_back_from_its_json(self):
        value = json.loads(json.dumps(self.edit.to_json()))
        again = parse_edit(value)
        assert type(again) is type(self.edit)
        assert again == self.edit
        assert value["kind"] == self.edit.kind
        assert variants()[self.edit.kind] is type(self.edit)

    def test_an_unknown_field_is_refused_in_a_sentence(self):
        with pytest.raises(InvalidEdit, match="wrong at no_such_field"):
            parse_edit(self.edit.to_json() | {"no_such_field": 1})

    def test_planning_changes_nothing(self, journal: Journal):
        before = state_of(journal)
        for _ in range(2):
            journal.plan(self.edit)
        assert state_of(journal) == before

    def test_planning_twice_plans_the_same(self, journal: Journal, planned: Change):
        again = journal.plan(self.edit)
        assert (again.title, again.box, again.segments, again.next_id) == (
            planned.title,
            planned.box,
            planned.segments,
            planned.next_id,
        )
        assert again.to_bytes() == planned.to_bytes()

    def test_it_says_what_it_does_and_where(self, planned: Change):
        assert planned.title
        assert planned.title[0].isupper()
        assert not planned.title.endswith(".")
        assert planned.target == self.edit.target
        assert planned.edit["kind"] == self.edit.kind
        assert Box.of_shape(SHAPE).contains(planned.box)
        assert all(planned.box.contains(patch.box) for patch in planned.patches)
        assert list(planned.segments) == sorted(set(planned.segments) - {0})

    def test_undo_and_redo_are_identities(self, journal: Journal):
        before = state_of(journal)
        journal.apply(self.edit)
        after = state_of(journal)
        assert after != before
        for _ in range(2):
            journal.undo()
            assert state_of(journal) == before
            journal.redo()
            assert state_of(journal) == after

    def test_its_change_comes_back_from_its_bytes(self, journal: Journal, planned: Change):
        before = state_of(journal)
        again = Change.from_bytes(
            planned.to_bytes(), planned.edit, planned.title, planned.box, planned.segments, planned.target
        )
        assert again.to_bytes() == planned.to_bytes()
        journal.apply(self.edit)
        after = state_of(journal)
        journal.undo()
        journal.apply_change(again)
        assert state_of(journal) == after
        journal.undo()
        assert state_of(journal) == before

    def test_the_inverse_of_the_inverse_is_the_change(self, planned: Change):
        assert planned.inverse().inverse().to_bytes() == planned.to_bytes()
        assert planned.inverse().n_voxels == planned.n_voxels

    def test_it_is_there_after_opening_again(self, journal: Journal):
        journal.apply(self.edit)
        after = state_of(journal)
        folder = journal.path.parent
        entries = journal.entries()
        journal.close()
        again = Journal(folder / "journal.sqlite", FolderDocuments(folder))
        try:
            assert state_of(again) == after
            assert again.entries() == entries
            again.undo()
            again.redo()
            assert state_of(again) == after
        finally:
            again.close()


class SegmentEditContract(EditContract):
    """Of edits of segments: what they mean is known."""

    def test_what_it_means_is_of_a_known_kind_and_changes_nothing(self, journal: Journal):
        journal.apply(self.edit)
        before = state_of(journal)
        for _ in range(2):
            edits = journal.edits_of("first", latest_first=True)
            derived = list(derive_constraints(journal.document_of("first"), edits))
            assert all(isinstance(one, KNOWN) for _, constraints in derived for one in constraints)
        assert len(derived) == 1 + len(self.before)
        assert state_of(journal) == before


class ProtectedEditContract(SegmentEditContract):
    """Of edits that change a segment, which a lock protects from them."""

    touches = 1

    def test_a_locked_segment_is_not_touched(self, journal: Journal):
        journal.apply(Lock(segments=(self.touches,)))
        before = state_of(journal)
        with pytest.raises(InvalidEdit, match=f"Segment {self.touches} is locked as done") as caught:
            journal.apply(self.edit)
        assert caught.value.hint == "Unlock it first."
        assert state_of(journal) == before
