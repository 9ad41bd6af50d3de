from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.proofreading.edits import Delete, Lock, Merge, Paint, Scribble, SetClass, SwitchSegmentation
from napari_pytc.proofreading.journal.journal import Journal
from napari_pytc.proofreading.journal.replay import replay
from tests.support.random_edits import state_of
from tests.support.segmentations import FolderDocuments, SegmentedTissue, make_segmentation

BOX = Box((1, 2, 3), (4, 12, 13))


def again(journal: Journal, writable: bool = True) -> Journal:
    folder = journal.path.parent
    journal.close()
    return Journal(folder / "journal.sqlite", FolderDocuments(folder, writable=writable), writable=writable)


def full(label: int) -> np.ndarray:
    return np.full(BOX.shape, label, np.uint8)


def test_every_kind_is_listed_with_what_and_where(journal: Journal):
    first, second, third = journal.document.segment_ids()[:3].tolist()
    journal.apply(Merge(segments=(first, second)))
    journal.apply(Scribble.of(BOX, full(2)))
    journal.apply(Lock(segments=(third,)))
    journal.undo()
    switch, merge, scribble, lock = journal.entries()
    assert [entry.kind for entry in (switch, merge, scribble, lock)] == ["switch", "merge", "scribble", "lock"]
    assert merge.title.startswith("Merge ")
    assert merge.segments == (first, second)
    assert (scribble.box, scribble.n_voxels, scribble.target) == (BOX, BOX.size, "annotations")
    assert [entry.is_undone for entry in journal.entries()] == [False, False, False, True]
    assert journal.position == scribble.id
    assert (journal.can_undo, journal.can_redo) == (True, True)


def test_an_edit_after_an_undo_drops_what_was_undone(journal: Journal):
    ids = journal.document.segment_ids().tolist()
    journal.apply(Delete(segments=(ids[0],)))
    journal.apply(Delete(segments=(ids[1],)))
    journal.checkpoint("two deleted")
    journal.undo()
    journal.apply(Lock(segments=(ids[2],)))
    assert [entry.kind for entry in journal.entries()] == ["switch", "delete", "lock"]
    assert journal.redo() is None
    assert journal.checkpoints() == []
    state = state_of(journal)
    # What was left behind is still in the log until the document is flushed, and then gone.
    later = again(journal)
    assert state_of(later) == state
    assert later._file.rows("SELECT COUNT(*) FROM entries")[0][0] == 3
    later.close()


def test_undo_crosses_kinds_and_documents(journal: Journal):
    states = [state_of(journal)]
    ids = journal.document.segment_ids().tolist()
    for edit in (Merge(segments=ids[:2]), Scribble.of(BOX, full(1)), Paint.of(BOX, full(1) > 0, ids[4]),
                 Scribble.of(BOX, full(3)), SetClass(segments=ids[5:6], class_id=2)):  # fmt: skip
        journal.apply(edit)
        states.append(state_of(journal))
    for state in reversed(states[:-1]):
        journal.undo()
        assert state_of(journal) == state
    for state in states[1:]:
        journal.redo()
        assert state_of(journal) == state


def test_what_is_returned_is_what_was_done(journal: Journal):
    done = journal.apply(Paint.of(BOX, full(1) > 0, 0))
    back = journal.undo()
    assert back is not None
    assert [patch.box for patch in back.patches] == [patch.box for patch in done.patches]
    assert np.array_equal(back.patches[0].after, done.patches[0].before)
    assert journal.jump(journal.position) == []
    (forth,) = journal.jump(journal.entries()[-1].id)
    assert np.array_equal(forth.patches[0].after, done.patches[0].after)


def test_nothing_to_undo_or_redo(journal: Journal):
    assert journal.redo() is None
    assert journal.undo() is not None
    assert journal.undo() is None
    assert journal.document is None
    with pytest.raises(InvalidEdit, match="no segmentation to edit"):
        journal.apply(Delete(segments=(1,)))
    with pytest.raises(InvalidEdit, match="no entry 77"):
        journal.jump(77)


def test_strokes_need_no_segmentation(journal: Journal):
    journal.undo()
    journal.apply(Scribble.of(BOX, full(2)))
    store = journal._documents.annotations
    assert (store.read(BOX) == 2).all()
    journal.undo()
    assert not store.read(BOX).any()


def test_checkpoints_have_names(journal: Journal):
    journal.apply(Delete(segments=journal.document.segment_ids()[:1].tolist()))
    journal.checkpoint("before the merge")
    journal.checkpoint("renamed")
    journal = again(journal)
    assert [entry.checkpoint for entry in journal.entries()] == ["", "renamed"]
    ((entry, name, checksum),) = journal.checkpoints()
    assert (entry, name, checksum) == (journal.position, "renamed", journal.document.checksum())
    with pytest.raises(InvalidEdit, match="needs a name"):
        journal.checkpoint(" ")
    journal.close()


def test_a_seal_stops_undo_with_its_reason(journal: Journal):
    ids = journal.document.segment_ids().tolist()
    journal.apply(Delete(segments=ids[:1]))
    journal.apply(Scribble.of(BOX, full(2)))
    journal.apply(Delete(segments=ids[1:2]))
    journal.apply(Scribble.of(BOX, full(1)))
    journal.undo()
    journal.seal("annotations", "the class 'axon' was removed since")
    assert journal.redo() is None
    assert journal.undo() is not None
    with pytest.raises(InvalidEdit, match="cannot be undone: the class 'axon' was removed since"):
        journal.undo()
    with pytest.raises(InvalidEdit, match="cannot be undone"):
        journal.jump(0)
    later = again(journal)
    with pytest.raises(InvalidEdit, match="cannot be undone"):
        later.undo()
    later.close()


def test_undo_goes_back_across_segmentations(journal: Journal):
    folder = journal.path.parent
    first = journal.document
    journal.apply(Delete(segments=first.segment_ids()[:1].tolist()))
    states = [state_of(journal)]
    make_segmentation(folder / "segments" / "second", n_cells=8, seed=5)
    journal.apply(SwitchSegmentation(before="first", after="second"))
    states.append(state_of(journal))
    journal.apply(Delete(segments=journal.document.segment_ids()[:1].tolist()))
    states.append(state_of(journal))
    journal.undo()
    journal.undo()
    assert journal.segmentation == "first"
    assert state_of(journal) == states[0]
    journal = again(journal)
    assert journal.segmentation == "first"
    journal.jump(journal.entries()[-1].id)
    assert journal.segmentation == "second"
    assert state_of(journal) == states[2]
    journal = again(journal)
    assert state_of(journal) == states[2]
    for segmentation in ("first", "second"):
        found = replay(journal, Segmentation.open(folder / "segments" / segmentation))
        assert found.agrees
        assert found.n_edits == 1
    journal.jump(0)
    assert journal.segmentation is None
    journal.close()


def test_a_segmentation_that_is_gone_stops_undo(journal: Journal):
    folder = journal.path.parent
    make_segmentation(folder / "segments" / "second", n_cells=8)
    journal.apply(SwitchSegmentation(before="first", after="second"))
    journal = again(journal)
    (folder / "segments" / "first").rename(folder / "gone")
    with pytest.raises(Exception, match="no finished segmentation"):
        journal.undo()
    assert journal.segmentation == "second"
    assert journal.document is not None
    journal.close()


def test_threads_may_share_it(journal: Journal):
    ids = journal.document.segment_ids().tolist()

    threads = [threading.Thread(target=journal.apply, args=(Lock(segments=(k,)),)) for k in ids[:8]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.entries()) == 9
    assert all(journal.document.is_locked(k) for k in ids[:8])
    state_of(journal)


def test_closed_is_closed(journal: Journal):
    journal.close()
    journal.close()
    with pytest.raises(ProjectError, match="closed"):
        journal.entries()


def test_replay_rebuilds_what_was_lost(journal: Journal, tmp_path: Path, made: SegmentedTissue):
    journal.apply(Paint.of(BOX, full(1) > 0, 0))
    journal.apply(Delete(segments=journal.document.segment_ids()[3:4].tolist()))
    state = state_of(journal)
    journal = again(journal)
    folder = tmp_path / "segments" / "first"
    (folder / "state.npz").unlink()
    journal.close()
    journal = Journal(tmp_path / "journal.sqlite", FolderDocuments(tmp_path))
    with pytest.raises(ProjectError, match="does not agree with the journal"):
        _ = journal.document
    reported: list[int] = []
    found = replay(journal, Segmentation.open(folder), save=True, report=reported.append)
    assert found.agrees
    assert found.n_edits == 2
    assert reported == [1, 2]
    assert state_of(journal) == state
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    journal.close()
