from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit, InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.proofreading.changes import Change
from napari_pytc.session.session import Session
from tests.support.painting import box_writer
from tests.support.proofreading import make_segmented_project
from tests.support.segmentations import SegmentedTissue
from tests.support.waiting import PATIENCE_S

SHAPE = (12, 40, 48)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def made(tmp_path: Path) -> SegmentedTissue:
    return make_segmented_project(tmp_path, "a", shape=SHAPE, n_cells=10)


@pytest.fixture
def segmented(made: SegmentedTissue, tmp_path: Path) -> Iterator[Session]:
    """A project with a current segmentation."""
    with Session.open(tmp_path / "a.pytc") as session:
        yield session


def two_segments(session: Session) -> tuple[int, int]:
    document = session.proofreader.document
    assert document is not None
    first, second, *_ = document.segment_ids().tolist()
    return first, second


def merge_two(session: Session) -> Change:
    return session.proofreader.apply({"kind": "merge", "segments": two_segments(session)})


def kinds(session: Session) -> list[str]:
    return [entry.kind for entry in session.proofreader.entries()]


def test_a_project_without_edits_has_no_journal_until_the_first(session: Session):
    proofreader = session.proofreader
    assert proofreader.entries() == []
    assert (proofreader.document, proofreader.segmentation, proofreader.position) == (None, None, 0)
    assert proofreader.undo() is None
    session.strokes.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    assert kinds(session) == ["scribble"]


def test_looking_at_a_project_makes_no_file(session: Session):
    assert session.proofreader.entries() == []
    assert session.segmentations.records() == []
    with pytest.raises(InvalidEdit, match="no segmentation"):
        session.proofreader.preview({"kind": "lock", "segments": [1]})
    assert not (session.folder / "volumes/v1/journal.sqlite").exists()


def test_edits_are_made_taken_back_and_made_again(segmented: Session):
    proofreader = segmented.proofreader
    document = proofreader.document
    assert document is not None
    heard: list[Change] = []
    proofreader.changed.connect(heard.append)
    before = document.segments(WHOLE)
    first, second = two_segments(segmented)
    planned = proofreader.preview({"kind": "merge", "segments": [first, second]})
    assert np.array_equal(document.segments(WHOLE), before)
    made = merge_two(segmented)
    assert made.title == planned.title
    after = document.segments(WHOLE)
    assert not np.array_equal(after, before)
    assert proofreader.undo() is not None
    assert np.array_equal(document.segments(WHOLE), before)
    assert proofreader.redo() is not None
    assert np.array_equal(document.segments(WHOLE), after)
    assert proofreader.redo() is None
    assert [change.title for change in heard] == [made.title] * 3
    assert [change.moves[0].after.tolist() == made.moves[0].after.tolist() for change in heard] == [True, False, True]


def test_strokes_and_segments_share_one_history(segmented: Session):
    proofreader, box = segmented.proofreader, Box((1, 2, 3), (2, 6, 9))
    start = proofreader.position
    segmented.strokes.paint(box, 2)
    merge_two(segmented)
    segmented.strokes.paint(box, 1)
    assert kinds(segmented)[-3:] == ["scribble", "merge", "scribble"]
    heard: list[Box] = []
    segmented.strokes.changed.connect(heard.append)
    proofreader.undo()
    assert segmented.strokes.counts() == {"membrane": 0, "inside": box.size}
    assert heard == [box]
    done = proofreader.jump(start)
    assert [change.edit["kind"] for change in done] == ["merge", "scribble"]
    assert segmented.strokes.counts() == {"membrane": 0, "inside": 0}
    proofreader.jump(proofreader.entries()[-1].id)
    assert segmented.strokes.counts() == {"membrane": box.size, "inside": 0}


def test_a_stroke_is_one_entry_with_the_voxels_that_differ(segmented: Session):
    write = box_writer(segmented.strokes)
    silent: list[Change] = []
    segmented.proofreader.changed.connect(silent.append)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3, 5:8, 10:14] = 1
    write(WHOLE, labels)
    labels[3, 5:8, 14:16] = 2
    write(WHOLE, labels)
    write(WHOLE, labels)  # nothing new: no entry
    strokes = [entry for entry in segmented.proofreader.entries() if entry.kind == "scribble"]
    assert [(entry.title, entry.n_voxels) for entry in strokes] == [("Paint membrane", 12), ("Paint inside", 6)]
    assert strokes[-1].box == Box((3, 5, 14), (4, 8, 16))
    assert silent == []
    assert np.array_equal(segmented.strokes.store.read(WHOLE), labels)


def test_labels_of_a_file_are_one_entry(segmented: Session, made: SegmentedTissue):
    added = segmented.strokes.add(made.tissue.classes)
    (entry,) = [entry for entry in segmented.proofreader.entries() if entry.kind == "scribble"]
    assert (entry.title, entry.n_voxels) == ("Import strokes", added.total)
    segmented.proofreader.undo()
    assert sum(segmented.strokes.counts().values()) == 0


def test_a_large_import_is_several_entries(segmented: Session, made: SegmentedTissue, monkeypatch: pytest.MonkeyPatch):
    import napari_pytc.annotations.importing as importing
    import napari_pytc.session.strokes as strokes

    monkeypatch.setattr(importing, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(strokes, "_MOST_VOXELS", 1)
    segmented.strokes.add(np.repeat(made.tissue.classes[:1], SHAPE[0], axis=0))
    assert kinds(segmented).count("scribble") >= 1
    while segmented.proofreader.undo() is not None:
        pass
    assert sum(segmented.strokes.counts().values()) == 0


def test_an_import_in_a_helper_thread_keeps_what_was_painted_meanwhile(segmented: Session, made: SegmentedTissue):
    labels = np.full(made.tissue.classes.shape, 1, np.uint8)
    add, corner = segmented.strokes.importer(), Box((0, 0, 0), (1, 4, 4))

    def paint_on_the_way(done: int, total: int) -> None:
        if done == 1:
            box_writer(segmented.strokes)(corner, np.full(corner.shape, 2, np.uint8))

    with ThreadPoolExecutor(1) as helper:
        helper.submit(add, labels, None, paint_on_the_way).result()
    assert (segmented.strokes.store.read(Box.of_shape(labels.shape)) == 1).all()
    segmented.proofreader.undo()
    assert (segmented.strokes.store.read(corner) == 2).all()
    segmented.close()
    with pytest.raises(ProjectError, match="closed"):
        add(labels, None, None)


def test_a_scribble_of_no_class_is_refused(segmented: Session):
    from napari_pytc.proofreading.edits import Scribble

    edit = Scribble.of(Box((0, 0, 0), (1, 1, 2)), np.full((1, 1, 2), 3, np.uint8))
    with pytest.raises(InvalidInput, match="2 classes"):
        segmented.proofreader.apply(edit)
    assert "scribble" not in kinds(segmented)


def test_a_removed_class_seals_the_strokes_before(segmented: Session):
    segmented.strokes.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    segmented.classes.remove(2)
    segmented.strokes.paint(Box((0, 0, 0), (1, 1, 2)), 0, np.ones((1, 1, 2), bool))
    assert segmented.strokes.counts() == {"membrane": 2}
    segmented.proofreader.undo()
    with pytest.raises(InvalidEdit, match="'inside' was removed"):
        segmented.proofreader.undo()
    assert segmented.strokes.counts() == {"membrane": 4}


def test_edits_survive_closing_and_a_checkpoint_keeps_its_name(segmented: Session):
    merge_two(segmented)
    segmented.proofreader.checkpoint("coffee")
    document = segmented.proofreader.document
    assert document is not None
    before = document.segments(WHOLE)
    segmented.close()
    with Session.open(segmented.folder) as again:
        reopened = again.proofreader.document
        assert reopened is not None
        assert np.array_equal(reopened.segments(WHOLE), before)
        assert again.proofreader.entries()[-1].checkpoint == "coffee"
        assert again.proofreader.undo() is not None


def test_closing_flushes_for_other_processes(segmented: Session):
    merge_two(segmented)
    document = segmented.proofreader.document
    assert document is not None
    expected = document.segments(WHOLE)
    place = segmented.segmentations.resolve()
    segmented.close()
    assert np.array_equal(SegmentsView.open(place).read(WHOLE), expected)


def test_another_session_may_look_and_not_edit(segmented: Session):
    merge_two(segmented)
    n = len(segmented.proofreader.entries())
    with Session.open(segmented.folder) as second:
        proofreader = second.proofreader
        assert second.project.read_only
        assert not proofreader.can_edit
        assert len(proofreader.entries()) == n
        document, ours = proofreader.document, segmented.proofreader.document
        assert document is not None
        assert ours is not None
        assert np.array_equal(document.segments(WHOLE), ours.segments(WHOLE))
        for act in (lambda: merge_two(second), proofreader.undo, lambda: proofreader.checkpoint("x")):
            with pytest.raises(ProjectError, match="for reading only"):
                act()
        with pytest.raises(ProjectError, match="not written back"):
            second.proofreader.flush()
    segmented.proofreader.flush()
    with Session.open(segmented.folder) as second:
        second.proofreader.flush()


def test_a_closed_session_takes_no_edit(segmented: Session):
    proofreader, write = segmented.proofreader, box_writer(segmented.strokes)
    segmented.close()
    with pytest.raises(ProjectError, match="closed"):
        proofreader.apply({"kind": "lock", "segments": [1]})
    with pytest.raises(ProjectError, match="closed"):
        write(Box((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), np.uint8))
    proofreader.close()


def test_a_rehearsal_changes_nothing_and_returns_the_refusal(segmented: Session):
    proofreader = segmented.proofreader
    document = proofreader.document
    assert document is not None
    first, second = two_segments(segmented)
    before, checksum, n = document.segments(WHOLE), document.checksum(), len(proofreader.entries())
    edits = [
        {"kind": "merge", "segments": [first, second]},
        {"kind": "lock", "points": [np.argwhere(before == first)[0].tolist()]},
        {"kind": "delete", "points": [np.argwhere(before == second)[0].tolist()]},
        {"kind": "unlock", "segments": [first]},
    ]
    reported: list[tuple[int, int]] = []
    made, refusal = proofreader.rehearse(edits, lambda done, total: reported.append((done, total)))
    assert [change.edit["kind"] for change in made] == ["merge", "lock"]
    assert refusal is not None
    assert "locked" in refusal.message
    assert reported == [(1, 4), (2, 4)]
    assert np.array_equal(document.segments(WHOLE), before)
    assert (document.checksum(), len(proofreader.entries())) == (checksum, n)


def test_an_edit_cannot_switch(segmented: Session):
    with pytest.raises(InvalidEdit, match="not switched by an edit"):
        segmented.proofreader.apply({"kind": "switch", "before": "first", "after": None})


def test_a_replay_agrees_and_finds_a_change_by_another_hand(segmented: Session):
    merge_two(segmented)
    reported: list[tuple[int, int]] = []
    found = segmented.proofreader.replay("first", report=lambda done, total: reported.append((done, total)))
    assert found.agrees
    assert found.n_edits == 1
    assert found.stored == found.checksum == found.present
    assert reported == [(1, 1)]
    place = segmented.segmentations.resolve()
    segmented.close()
    (place / "state.npz").unlink()
    with Session.open(segmented.folder) as again:
        assert not again.proofreader.replay("first").agrees
        mended = again.proofreader.replay("first", mend=True)
        assert mended.agrees
        document = again.proofreader.document
        assert document is not None
        assert document.checksum() == mended.checksum


def test_threads_edit_one_after_another(segmented: Session):
    proofreader, write = segmented.proofreader, box_writer(segmented.strokes)
    document = proofreader.document
    assert document is not None
    ids = document.segment_ids().tolist()
    problems: list[BaseException] = []

    def work(edit: dict[str, object]) -> None:
        try:
            for _ in range(5):
                proofreader.apply(edit)
                proofreader.undo()
                proofreader.entries()
        except InvalidEdit:
            pass
        except BaseException as error:
            problems.append(error)

    def paint() -> None:
        for n in range(10):
            # As the window's import does it: the strokes are locked first.
            with segmented.strokes.store.changing():
                write(Box((n, 0, 0), (n + 1, 1, 3)), np.full((1, 1, 3), 1 + n % 2, np.uint8))

    threads = [threading.Thread(target=work, args=({"kind": "lock", "segments": [k]},)) for k in ids[:2]]
    threads.append(threading.Thread(target=paint))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert problems == []
    assert proofreader.replay("first").agrees


_EDITOR = """
import itertools, sys
import numpy as np
from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
session = Session.open(sys.argv[1])
proofreader, strokes, write = session.proofreader, session.strokes, session.strokes.writer()
ids = proofreader.document.segment_ids().tolist()
for n in itertools.count():
    z, y = n % 12, n // 12 % 40
    write([strokes.store.patch_of(Box((z, y, 0), (z + 1, y + 1, 5)), 1 + n % 2)])
    proofreader.apply({"kind": "unlock" if n % 2 else "lock", "segments": [ids[0]]})
    print(n, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX's")
@pytest.mark.parametrize("seed", range(3))
def test_a_kill_loses_at_most_the_edit_in_flight(made: SegmentedTissue, tmp_path: Path, seed: int):
    editor = subprocess.Popen(
        [sys.executable, "-c", _EDITOR, str(tmp_path / "a.pytc")], stdout=subprocess.PIPE, text=True
    )
    assert editor.stdout is not None
    first = editor.stdout.readline()
    time.sleep(float(np.random.default_rng(seed).uniform(0.01, 0.4)))
    editor.kill()
    done = [int(line) for line in [first, *editor.stdout.read().split("\n")] if line.strip()]
    editor.stdout.close()
    assert editor.wait() == -signal.SIGKILL
    with Session.open(tmp_path / "a.pytc") as session:
        strokes = session.strokes.store.read(WHOLE)
        for n in done:
            z, y = n % 12, n // 12 % 40
            assert (strokes[z, y, :5] == 1 + n % 2).all()
        entries = [entry for entry in session.proofreader.entries() if entry.kind != "switch"]
        assert 2 * len(done) <= len(entries) <= 2 * len(done) + 2
        assert session.proofreader.replay("first").agrees
        assert (np.count_nonzero(strokes) == 5 * sum(entry.kind == "scribble" for entry in entries)) or len(done) > 480


def test_a_stroke_that_a_kill_kept_from_the_strokes_is_there_when_the_project_is_opened(segmented: Session):
    """The journal has it, the chunks do not: as if the process had died between the two."""
    box = Box((0, 0, 0), (1, 1, 4))
    segmented.strokes.paint(box, 1)
    segmented.strokes.paint(box, 2)
    folder, strokes = segmented.folder, segmented.strokes.store
    journal = segmented.proofreader.journal
    assert journal is not None
    journal._file.close()  # no flush: the log still has both strokes
    segmented.close()
    strokes.write(box, np.full(box.shape, 1, np.uint8))
    with Session.open(folder) as again:
        assert again.strokes.counts() == {"membrane": 0, "inside": 4}


def test_a_damaged_journal_does_not_keep_the_project_from_opening(segmented: Session):
    segmented.close()
    (segmented.folder / "volumes/v1/journal.sqlite").write_bytes(b"this was a journal once" * 100)
    with Session.open(segmented.folder) as again:
        assert again.classes.records()
        with pytest.raises(ProjectError, match="journal"):
            again.proofreader.entries()
