from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit, ProjectError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.labels.saved_state import SavedState
from napari_pytc.labels.store import LabelStore
from napari_pytc.proofreading.builder import LARGEST_ID
from napari_pytc.proofreading.edits import Delete, Lock, Merge, Paint, Scribble, SwitchSegmentation
from napari_pytc.proofreading.edits.base import Edit
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.faults import file_size_limit
from tests.support.random_edits import state_of
from tests.support.segmentations import FolderDocuments, make_project

BOX = Box((1, 2, 3), (4, 12, 13))
posix = pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")


def reopened(journal: Journal, **options: object) -> Journal:
    folder = journal.path.parent
    journal.close()
    return Journal(folder / "journal.sqlite", FolderDocuments(folder), **options)  # type: ignore[arg-type]


def erase() -> Paint:
    return Paint.of(BOX, np.ones(BOX.shape, bool), 0)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, BOX.shape).astype(np.uint8)


def check_refused(journal: Journal, work: Callable[[], object], match: str) -> None:
    """One sentence, nothing changed, and the journal goes on."""
    before, position, entries = state_of(journal), journal.position, len(journal.entries())
    with pytest.raises((ProjectError, VolumeError), match=match) as caught:
        work()
    assert caught.value.hint
    assert caught.value.message.count(". ") == 0
    assert state_of(journal) == before
    assert (journal.position, len(journal.entries())) == (position, entries)


@posix
def test_a_full_disk_on_commit(journal: Journal):
    def fail() -> None:
        with file_size_limit(journal.path.stat().st_size // 2):
            journal.apply(erase())

    check_refused(journal, fail, "disk is full or refuses")
    journal.apply(erase())
    state = state_of(journal)

    def fail_undo() -> None:
        with file_size_limit(4096):
            journal.undo()

    check_refused(journal, fail_undo, "disk is full or refuses")
    later = reopened(journal)
    assert state_of(later) == state
    later.close()


def test_a_database_that_is_full(journal: Journal):
    journal._file._connection.execute("PRAGMA max_page_count = 1")
    big = Box((0, 0, 0), (8, 60, 60))
    labels = np.random.default_rng(0).integers(0, 200, big.shape).astype(np.uint8)
    check_refused(journal, lambda: journal.apply(Scribble.of(big, labels)), "disk is full")


@posix
def test_a_full_disk_on_flush(journal: Journal):
    journal.apply(erase())
    state = state_of(journal)
    with file_size_limit(10), pytest.raises(VolumeError, match=r"disk is full|could not be saved"):
        journal.flush()
    assert state_of(journal) == state
    journal.undo()
    journal.redo()
    journal.flush()
    assert SavedState.load(journal.document.folder) is not None
    later = reopened(journal)
    assert state_of(later) == state
    later.close()


@posix
def test_an_edit_whose_flush_fails_is_made_all_the_same(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    def full(log_index: int) -> None:
        raise VolumeError("The disk is full.", "Free space.")

    journal._flush_bytes = 0
    monkeypatch.setattr(journal.document, "flush", full)
    journal.apply(erase())
    assert "The disk is full" in journal.flush_problem
    monkeypatch.undo()
    journal.apply(Lock(segments=journal.document.segment_ids()[:1].tolist()))
    assert journal.flush_problem == ""


def test_strokes_that_cannot_be_written_are_not_in_the_journal(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    journal.apply(Scribble.of(BOX, noise()))
    real = LabelStore.write_boxes
    calls = []

    def full(self: LabelStore, labels: Mapping[Box, np.ndarray]) -> None:
        calls.append(labels)
        if len(calls) == 1:
            raise VolumeError("The disk is full.", "Free space.")
        real(self, labels)

    monkeypatch.setattr(LabelStore, "write_boxes", full)
    check_refused(journal, lambda: journal.apply(Scribble.of(BOX, noise() // 2)), "disk is full")
    assert journal.apply(Scribble.of(BOX, noise() // 2)) is not None
    state = state_of(journal)
    monkeypatch.undo()
    later = reopened(journal)
    assert state_of(later) == state
    later.close()


def test_strokes_that_were_recorded_and_not_made_are_made_by_the_next_edit(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    """Neither the strokes nor the taking back of their record could be written: the disk was full for both."""
    journal.apply(Scribble.of(BOX, noise()))
    new = Box((5, 2, 3), (6, 12, 13))

    def full(*_: object) -> None:
        raise VolumeError("The disk is full.", "Free space.")

    monkeypatch.setattr(LabelStore, "write_boxes", full)
    monkeypatch.setattr(Journal, "_withdraw", lambda journal, entry: None)
    painted = np.full(new.shape, 7, np.uint8)
    with pytest.raises(VolumeError, match="disk is full"):
        journal.apply(Scribble.of(new, painted))
    with pytest.raises(VolumeError, match="disk is full"):
        journal.apply(erase())
    monkeypatch.undo()
    journal.apply(erase())
    assert [entry.kind for entry in journal.entries()] == ["switch", "scribble", "scribble", "paint"]
    store = FolderDocuments(journal.path.parent).annotations
    assert store is not None
    assert (store.read(new) == painted).all()
    state = state_of(journal)
    later = reopened(journal)
    assert state_of(later) == state
    later.undo()
    later.undo()
    assert not store.read(new).any()
    later.close()


def test_strokes_that_a_kill_kept_from_the_disk_come_back(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    def killed(self: LabelStore, labels: Mapping[Box, np.ndarray]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LabelStore, "write_boxes", killed)
    with pytest.raises(KeyboardInterrupt):
        journal.apply(Scribble.of(BOX, noise()))
    monkeypatch.undo()
    journal._file.close()
    folder = journal.path.parent
    later = Journal(journal.path, FolderDocuments(folder))
    assert np.array_equal(later._documents.annotations.read(BOX), noise())
    later.close()


@pytest.mark.parametrize("edit", [Delete(segments=(1,)), Scribble.of(BOX, noise())])
def test_a_locked_database(journal: Journal, edit: Edit):
    journal = reopened(journal, timeout_s=0.05)
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(ProjectError, match="in use by another program"):
            journal.apply(edit)
    finally:
        other.execute("ROLLBACK")
        other.close()
    check = state_of(journal)
    journal.apply(edit)
    journal.undo()
    assert state_of(journal) == check
    journal.close()


def test_a_damaged_entry_stops_undo_there(journal: Journal):
    ids = journal.document.segment_ids().tolist()
    for segment in ids[:3]:
        journal.apply(Delete(segments=(segment,)))
    middle = journal.entries()[2].id
    with sqlite3.connect(journal.path) as other:
        other.execute("UPDATE entries SET change = substr(change, 1, length(change) - 3) WHERE id = ?", (middle,))
    other.close()
    assert journal.undo() is not None
    check_refused(journal, journal.undo, "is damaged: it can be neither done nor undone")
    check_refused(journal, lambda: journal.jump(0), "is damaged")
    assert journal.redo() is not None


@pytest.mark.parametrize("content", [b"no database at all, but some text of more than a few bytes" * 40, None])
def test_a_damaged_file(journal: Journal, content: bytes | None):
    path = journal.path
    journal.close()
    data = bytearray(path.read_bytes())
    if content is None:
        data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(content or bytes(data))
    with pytest.raises(ProjectError, match="damaged"):
        Journal(path, FolderDocuments(path.parent))


def test_a_journal_of_a_newer_version(journal: Journal):
    path = journal.path
    journal.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ProjectError, match="has format 99") as caught:
        Journal(path, FolderDocuments(path.parent))
    assert "Update" in caught.value.hint
    assert path.read_bytes() == before


def test_a_read_only_project_shows_everything_and_changes_nothing(journal: Journal):
    journal.apply(erase())
    journal.apply(Scribble.of(BOX, noise()))
    state = state_of(journal)
    folder = journal.path.parent
    reader = Journal(journal.path, FolderDocuments(folder, writable=False), writable=False)
    assert state_of(reader) == state
    assert [entry.kind for entry in reader.entries()] == ["switch", "paint", "scribble"]
    for work in (reader.undo, lambda: reader.apply(erase().model_copy(update={"box": BOX.shift((1, 0, 0))}))):
        check_refused(reader, work, "reading only")
    reader.flush()
    reader.close()
    with pytest.raises(ProjectError):
        Journal(folder / "nothing.sqlite", FolderDocuments(folder), writable=False)
    assert not (folder / "nothing.sqlite").exists()


def test_a_journal_that_was_moved_away_leaves_the_segments(journal: Journal):
    journal.apply(erase())
    state, folder = state_of(journal), journal.path.parent
    journal.close()
    for path in folder.glob("journal.sqlite*"):
        path.unlink()
    fresh = Journal(folder / "journal.sqlite", FolderDocuments(folder))
    fresh.apply(SwitchSegmentation(after="first"))
    assert state_of(fresh) == state
    fresh.apply(Delete(segments=fresh.document.segment_ids()[:1].tolist()))
    state = state_of(fresh)
    fresh._file.close()  # killed before it was flushed
    later = Journal(folder / "journal.sqlite", FolderDocuments(folder))
    assert state_of(later) == state
    later.close()


def test_a_volume_of_one_section(tmp_path: Path):
    made = make_project(tmp_path, shape=(1, 48, 48), n_cells=8)
    journal = Journal(tmp_path / "journal.sqlite", FolderDocuments(tmp_path, made.boundary))
    journal.apply(SwitchSegmentation(after="first"))
    states = [state_of(journal)]
    ids = journal.document.segment_ids().tolist()
    box = Box((0, 3, 4), (1, 20, 21))
    for edit in (Merge(segments=ids[:2]), Paint.of(box, np.ones(box.shape, bool), ids[3]), Delete(segments=ids[4:5])):
        journal.apply(edit)
        states.append(state_of(journal))
    for state in reversed(states[:-1]):
        journal.undo()
        assert state_of(journal) == state
    journal.close()


def test_ids_end_before_uint32_does(journal: Journal, tmp_path: Path):
    document = journal.document
    document._next_id = LARGEST_ID
    target = document.segment_ids()[0].item()
    far = next(
        box
        for box in (Box((z, y, x), (z + 1, y + 2, x + 2)) for z in (0, 12) for y in (4, 50) for x in (4, 50))
        if not document.box(target).grow((2, 2, 2)).overlaps(box)
    )
    before = state_of(journal)
    journal.apply(Paint.of(far, np.ones(far.shape, bool), target))
    assert (document.supervoxels(far) == LARGEST_ID).all()
    after = state_of(journal)
    other = document.segment_ids()[1].item()
    with pytest.raises(InvalidEdit, match=f"All {LARGEST_ID} ids"):
        journal.apply(Paint.of(far, np.ones(far.shape, bool), other))
    later = reopened(journal)
    assert state_of(later) == after
    assert (later.document.supervoxels(far) == LARGEST_ID).all()
    later.undo()
    assert state_of(later) == before
    assert later.document.next_id == LARGEST_ID + 1
    later.close()
