"""Objects to learn from: painted and imported through the journal, so that all of it can be undone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.errors import InvalidEdit, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.store import LabelStore
from napari_pytc.proofreading.edits import MarkObjects
from napari_pytc.session.objects import MarkedObjects
from napari_pytc.session.session import Session
from tests.support.painting import box_writer

SHAPE = (6, 40, 48)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def session(tmp_path: Path):
    np.save(tmp_path / "image.npy", np.zeros(SHAPE, np.uint8))
    with Session.create(tmp_path / "p.pytc", tmp_path / "image.npy", ["cell"], (10.0, 10.0, 10.0)) as opened:
        yield opened


def test_nothing_is_made_before_something_is_marked(session: Session):
    assert session.objects.counts() == MarkedObjects(0, 0, 0, 0)
    assert session.objects.store.read(WHOLE).shape == SHAPE
    box_writer(session.objects)(WHOLE, np.zeros(SHAPE, np.uint32))
    assert not (session.folder / "volumes/v1/objects.zarr").exists()
    assert session.proofreader.entries() == []


def test_strokes_of_objects_are_entries_that_can_be_undone(session: Session):
    write = box_writer(session.objects)
    labels = np.zeros(SHAPE, np.uint32)
    labels[2, 5:8, 5:9] = 1
    write(WHOLE, labels)
    labels[2, 10:13, 5:9] = 2
    labels[2, 20, 5:9] = BACKGROUND
    write(WHOLE, labels)
    assert session.objects.counts() == MarkedObjects(2, 24, 4, 2)
    proofreader = session.proofreader
    assert [entry.title for entry in proofreader.entries()] == ["Mark object 1", "Mark object 2"]
    heard: list[Box] = []
    session.objects.changed.connect(heard.append)
    proofreader.undo()
    assert session.objects.counts() == MarkedObjects(1, 12, 0, 1)
    assert heard == [Box((2, 10, 5), (3, 21, 9))]
    proofreader.redo()
    assert np.array_equal(session.objects.store.read(WHOLE), labels)
    write(WHOLE, np.zeros(SHAPE, np.uint32))
    assert proofreader.entries()[-1].title == "Erase objects"
    assert session.objects.counts().n_objects == 0


def test_objects_strokes_and_an_import_share_one_history(session: Session):
    session.strokes.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    ids = np.zeros((2, 10, 10), np.uint16)
    ids[:, 2:5, 2:5] = 7
    session.objects.add(ids, (1, 4, 4), dense=True)
    assert session.objects.counts() == MarkedObjects(1, 18, 182, 7)
    entries = session.proofreader.entries()
    assert [(entry.target, entry.title) for entry in entries] == [
        ("annotations", "Paint cell"),
        ("objects", "Import objects to learn from"),
    ]
    session.proofreader.jump(0)
    assert session.objects.counts().n_voxels == session.objects.counts().n_background == 0
    assert session.strokes.counts() == {"cell": 0}
    session.proofreader.jump(entries[-1].id)
    assert session.objects.counts() == MarkedObjects(1, 18, 182, 7)


def test_a_large_import_is_several_entries(session: Session, monkeypatch: pytest.MonkeyPatch):
    from napari_pytc.annotations import importing
    from napari_pytc.session import objects

    monkeypatch.setattr(importing, "OBJECT_BLOCK", (2, 40, 48))
    monkeypatch.setattr(objects, "_MOST_VOXELS", 2 * 2 * 40 * 48)
    steps: list[tuple[int, int]] = []
    session.objects.add(np.ones(SHAPE, np.uint8), report=lambda done, total: steps.append((done, total)))
    assert [entry.n_voxels for entry in session.proofreader.entries()] == [2 * 2 * 40 * 48, 2 * 40 * 48]
    assert steps[-1] == (6, 6)


def test_an_import_that_is_given_up_leaves_nothing_of_what_was_not_begun(session: Session):
    class Enough(Exception):
        pass

    def report(done: int, total: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        session.objects.add(np.ones(SHAPE, np.uint8), report=report)
    assert session.objects.counts().n_voxels == 0
    assert session.proofreader.entries() == []


def test_an_edit_of_objects_as_json(session: Session):
    box = Box((1, 2, 3), (2, 4, 6))
    labels = np.array([[[0, 5, 5], [BACKGROUND, 0, 5]]], np.uint32)
    edit = MarkObjects.of(box, labels)
    change = session.proofreader.apply(edit.to_json())
    assert (change.target, change.n_voxels) == ("objects", 4)
    assert np.array_equal(session.objects.store.read(box), labels)
    with pytest.raises(InvalidEdit, match="change nothing"):
        session.proofreader.apply(edit)
    with pytest.raises(InvalidEdit, match="24 bytes of labels, got 6"):
        session.proofreader.apply({**edit.to_json(), "labels": "eJxjYGBgYGAAAAAGAAE="})


def test_objects_that_a_kill_kept_from_the_disk_are_there_after_opening(session: Session):
    write = box_writer(session.objects)
    labels = np.zeros(SHAPE, np.uint32)
    labels[0, :3, :3] = 1
    write(WHOLE, labels)
    folder = session.folder
    store = LabelStore.open(folder / "volumes/v1/objects.zarr")
    position = session.proofreader.position
    labels[0, 5:8, :3] = 2
    write(WHOLE, labels)
    # As if the process had died between the record and the voxels.
    store.write(Box((0, 5, 0), (1, 8, 3)), np.zeros((1, 3, 3), np.uint32))
    session.close()
    with sqlite3.connect(folder / "volumes/v1/journal.sqlite") as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'strokes_done'", (position,))
        entry = connection.execute("SELECT max(id) FROM entries").fetchone()[0]
        connection.execute("INSERT INTO log (entry, direction) VALUES (?, 1)", (entry,))
    connection.close()
    with Session.open(folder) as again:
        again.proofreader.entries()
        assert np.array_equal(again.objects.store.read(WHOLE), labels)


def test_a_session_that_only_reads_marks_nothing(session: Session):
    with Session.open(session.folder) as second:
        assert second.project.read_only
        with pytest.raises(ProjectError, match="reading only"):
            box_writer(second.objects)


def test_counts_follow_what_another_process_wrote(session: Session):
    session.objects.add(np.ones((1, 2, 2), np.uint8))
    assert session.objects.counts().n_voxels == 4
    LabelStore.open(session.folder / "volumes/v1/objects.zarr").write(
        Box((3, 0, 0), (4, 1, 3)), np.full((1, 1, 3), 9, np.uint32)
    )
    assert session.objects.counts() == MarkedObjects(2, 7, 0, 9)
