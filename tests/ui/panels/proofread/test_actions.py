"""The actions of keys, buttons and menus without a window: what they do, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication

from napari_pytc.errors import InvalidEdit
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.proofread.actions import SegmentActions
from napari_pytc.ui.panels.proofread.editor import SegmentEditor
from napari_pytc.ui.panels.proofread.review_controller import ReviewController
from napari_pytc.ui.panels.proofread.skeletons import SkeletonLayer
from napari_pytc.ui.panels.proofread.tools import ACTIONS, TOOLS, action, key_text, tool
from napari_pytc.ui.panels.proofread.undo import UndoHistory
from tests.support.editing import EditingWorkspace, neighbours


class CanvasToolsStub:
    """Remembers the keys that it bound, and steps of colour and brush."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.steps: list[object] = []

    def bind(self, keys: dict[str, Any]) -> None:
        self.keys = keys

    def next_colour(self) -> None:
        self.steps.append("colour")

    def step_brush(self, step: int) -> None:
        self.steps.append(step)


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[EditingWorkspace]:
    workspace = EditingWorkspace()
    yield workspace
    workspace.shutdown()


@pytest.fixture
def actions(workspace: Any) -> SegmentActions:
    editor = SegmentEditor(workspace, workspace)
    stub: Any = CanvasToolsStub()
    review = ReviewController(workspace.segments, editor)
    skeletons = SkeletonLayer(workspace, editor)
    return SegmentActions(workspace, editor, stub, UndoHistory(workspace, editor), review, skeletons)


@pytest.fixture
def document(actions: SegmentActions, workspace: EditingWorkspace, tmp_path: Path) -> LabelDocument:
    return workspace.open_segments(tmp_path, classes=("soma", "neurite"))


@pytest.fixture
def pair(actions: SegmentActions, document: LabelDocument) -> tuple[int, int]:
    """Two neighbours, the first of which is selected."""
    first, second = (document.segment_at(voxel) for voxel in neighbours(document))
    actions.editor.select_ids([first])
    return first, second


def test_every_tool_and_action_has_a_key_but_undo_which_all_layers_have(actions: SegmentActions) -> None:
    expected = {found.key for found in (*TOOLS, *ACTIONS)} - {action("undo").key, action("redo").key}
    assert set(actions.canvas_tools.keys) == expected  # type: ignore[attr-defined]


def test_keys_choose_tools_and_step_colour_and_brush(actions: SegmentActions, document: LabelDocument) -> None:
    keys = actions.keys()
    keys[tool("paint").key]()
    assert actions.editor.tool.name == "paint"
    for name in ("colour", "smaller", "larger"):
        keys[action(name).key]()
    assert actions.canvas_tools.steps == ["colour", -1, 1]  # type: ignore[attr-defined]


def test_without_a_selection_it_says_what_to_do(actions: SegmentActions, document: LabelDocument) -> None:
    for name in ("lock", "delete", "restore", "class", "fill", "smooth", "islands", "go"):
        assert "no segment is selected" in actions.why_not(name)
    actions.run("delete")
    assert actions.editor.message.refused
    assert actions.editor.message.text.startswith("Delete: no segment is selected")
    assert actions.why_not("undo") == "", "it has its own answer"


def test_lock_and_unlock(actions: SegmentActions, document: LabelDocument, pair: tuple[int, int]) -> None:
    assert not actions.would_unlock
    actions.run("lock")
    assert document.state(pair[0]).locked
    assert actions.would_unlock
    assert actions.why_not("delete") == f"segment {pair[0]} is locked as done; unlock it first (L)."
    assert actions.why_not("go") == ""
    actions.editor.select_ids(pair)
    assert not actions.would_unlock, "one of them is not locked"
    actions.run("lock")
    assert all(document.state(segment).locked for segment in pair)
    actions.run("lock")
    assert not any(document.state(segment).locked for segment in pair)


def test_delete_and_restore(actions: SegmentActions, document: LabelDocument, pair: tuple[int, int]) -> None:
    assert actions.why_not("restore") == "it is not deleted."
    actions.run("delete")
    assert document.state(pair[0]).deleted
    assert actions.why_not("lock") == f"segment {pair[0]} is deleted; restore it first (R)."
    actions.run("restore")
    assert not document.state(pair[0]).deleted


def test_a_class_is_given_and_some_segmentations_have_none(
    actions: SegmentActions, document: LabelDocument, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert actions.class_names == ("soma", "neurite")
    actions.editor.class_id = 2
    actions.run("class")
    assert document.state(pair[0]).class_id == 2
    monkeypatch.setattr(type(document), "class_names", ())
    assert actions.why_not("class") == "this segmentation knows no classes."


def test_shapes_are_mended_of_one_segment_at_a_time(
    actions: SegmentActions, document: LabelDocument, pair: tuple[int, int]
) -> None:
    actions.editor.select_ids(pair)
    for name in ("fill", "smooth", "islands"):
        assert actions.why_not(name) == "that is done with one segment at a time."
    actions.editor.select_ids(pair[:1])
    actions.run("smooth")
    assert actions.editor.proposal is not None or actions.editor.message.refused
    assert document.exists(pair[0])


def test_go_flies_to_the_selected_segment(
    actions: SegmentActions, document: LabelDocument, pair: tuple[int, int], workspace: EditingWorkspace
) -> None:
    actions.run("go")
    assert workspace.viewer.flights[-1][1] == document.box(pair[0])


def test_ids_are_copied(actions: SegmentActions, document: LabelDocument, pair: tuple[int, int]) -> None:
    actions.editor.select_ids(pair)
    actions.copy_ids()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == f"{pair[0]}, {pair[1]}"


def test_split_here_chooses_the_tool_and_says_how(
    actions: SegmentActions, document: LabelDocument, pair: tuple[int, int]
) -> None:
    actions.split_here()
    assert actions.editor.tool.name == "join"
    assert actions.editor.message.text.startswith("Mark one part of the segment")
    assert actions.editor.selected_ids == pair[:1]


def test_undo_of_any_layer_is_the_journal_s(
    actions: SegmentActions, document: LabelDocument, pair: tuple[int, int], workspace: EditingWorkspace
) -> None:
    actions.run("lock")
    workspace.layers.undo_requested.emit()
    assert not document.state(pair[0]).locked
    workspace.layers.redo_requested.emit()
    assert document.state(pair[0]).locked


def test_an_import_ends_once_whatever_came_of_it(
    actions: SegmentActions, document: LabelDocument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    actions.import_labels(tmp_path / "none.tif", lambda done, total: None, lambda: ended.append("failed"))
    assert ended == ["failed"]
    assert "cannot be imported" in actions.editor.message.text
    monkeypatch.setattr(actions.editor, "apply", lambda plan, doing, then, otherwise: then(SimpleNamespace()))
    actions.import_labels(tmp_path / "some.tif", lambda done, total: None, lambda: ended.append("made"))
    assert ended == ["failed", "made"]


def test_nothing_is_imported_while_an_edit_is_under_way(
    actions: SegmentActions, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    assert actions.why_not_import == ""
    workspace.segments.is_busy = True
    assert actions.why_not_import == "an edit is under way."
    workspace.segments.document = None
    assert actions.why_not_import == "there is no segmentation yet."


def test_keys_are_shown_as_people_write_them() -> None:
    assert key_text("Control-Shift-Z") == "Ctrl+Shift+Z"
    assert key_text("Escape") == "Esc"
    with pytest.raises(StopIteration):
        tool("hammer")


def test_an_error_of_the_journal_reaches_the_user(
    actions: SegmentActions, document: LabelDocument, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(edit: object) -> None:
        raise InvalidEdit("The disk is full.", "Free space.")

    monkeypatch.setattr(actions.editor._project.segments.proofreader, "apply", refuse)
    actions.run("lock")
    assert actions.editor.message.text == "The disk is full."
