"""Undo, redo, jumps and checkpoints without a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.proofread import edit_plans
from napari_pytc.ui.panels.proofread.editor import SegmentEditor
from napari_pytc.ui.panels.proofread.undo import UndoHistory
from tests.support.editing import EditingWorkspace, neighbours


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[EditingWorkspace]:
    workspace = EditingWorkspace()
    yield workspace
    workspace.shutdown()


@pytest.fixture
def history(workspace: EditingWorkspace) -> UndoHistory:
    editor = SegmentEditor(workspace, workspace)  # type: ignore[arg-type]
    return UndoHistory(workspace, editor)  # type: ignore[arg-type]


@pytest.fixture
def document(history: UndoHistory, workspace: EditingWorkspace, tmp_path: Path) -> LabelDocument:
    return workspace.open_segments(tmp_path)


@pytest.fixture
def segment(document: LabelDocument, workspace: EditingWorkspace) -> int:
    """A segment that was locked, then unlocked."""
    segment = document.segment_at(neighbours(document)[0])
    for locked in (True, False):
        workspace.segments.proofreader.apply(edit_plans.lock((segment,), locked))
    return segment


def test_without_a_project_it_says_why_not(history: UndoHistory, workspace: EditingWorkspace) -> None:
    for step in (history.undo, history.redo, lambda: history.jump(0), lambda: history.checkpoint("now")):
        workspace.viewer.status = ""
        step()
        assert workspace.viewer.status == "Nothing can be undone: no project is open."
    assert (history.can_undo, history.can_redo, history.position) == (False, False, 0)


def test_undo_and_redo_go_back_and_forth(
    history: UndoHistory, document: LabelDocument, segment: int, workspace: EditingWorkspace
) -> None:
    before = history.position
    history.undo()
    assert document.state(segment).locked
    assert workspace.viewer.status.endswith("taken back.")
    assert history.can_redo
    assert history.position < before
    history.redo()
    assert not document.state(segment).locked
    assert workspace.viewer.status.endswith("made again.")
    assert history.position == before
    history.redo()
    assert workspace.viewer.status == "There is nothing to make again."


def test_jumps_count_their_steps_and_say_where_they_cannot_go(
    history: UndoHistory, document: LabelDocument, segment: int, workspace: EditingWorkspace
) -> None:
    locked = history.entries[-2].id
    assert history.why_not_jump(None) == "no line is selected."
    assert history.why_not_jump(history.position) == "it is the present state."
    assert history.why_not_jump(locked) == ""
    history.jump(locked)
    assert workspace.viewer.status == "1 step done."
    assert document.state(segment).locked
    history.jump(locked)
    assert workspace.viewer.status == "That is where you are."
    history.jump(history.entries[-1].id)
    assert not document.state(segment).locked
    history.entries[-1] = replace(history.entries[-1], sealed="the class was removed since")
    assert history.why_not_jump(locked) == "the class was removed since"


def test_a_checkpoint_names_the_present_state(history: UndoHistory, segment: int, workspace: EditingWorkspace) -> None:
    history.checkpoint("before lunch")
    assert history.entries[-1].checkpoint == "before lunch"
    assert workspace.viewer.status == "Checkpoint “before lunch” is set."


def test_an_entry_is_shown_where_it_was_made(history: UndoHistory, segment: int, workspace: EditingWorkspace) -> None:
    entry = history.entries[-1]
    history.show_entry(entry)
    assert workspace.viewer.flights[-1][1] == entry.box
    assert workspace.layers.highlighted == [segment]
    workspace.layers.highlighted = []
    history.show_entry(replace(entry, segmentation="another"))
    history.show_entry(replace(entry, is_undone=True))
    assert workspace.layers.highlighted == [], "ids of another segmentation are of other segments"


def test_the_list_is_empty_once_the_project_is_closed(
    history: UndoHistory, segment: int, workspace: EditingWorkspace
) -> None:
    assert history.entries
    workspace.segments.proofreader = None
    workspace.segments.opened.emit()
    assert history.entries == []
