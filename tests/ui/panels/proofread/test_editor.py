"""The segment editor without a window: messages, selection, proposals and edits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.proofread import edit_plans
from napari_pytc.ui.panels.proofread.edit_plans import IncompleteGesture
from napari_pytc.ui.panels.proofread.editor import Message, SegmentEditor
from napari_pytc.ui.panels.proofread.picking import describe
from napari_pytc.ui.widgets.progress import ImportCancelled
from tests.support.editing import EditingWorkspace, neighbours


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[EditingWorkspace]:
    workspace = EditingWorkspace()
    yield workspace
    workspace.shutdown()


@pytest.fixture
def editor(workspace: EditingWorkspace) -> SegmentEditor:
    return SegmentEditor(workspace)  # type: ignore[arg-type]


@pytest.fixture
def document(editor: SegmentEditor, workspace: EditingWorkspace, tmp_path: Path) -> LabelDocument:
    return workspace.open_segments(tmp_path)


def propose_merge(editor: SegmentEditor, document: LabelDocument) -> tuple[int, int]:
    """Propose to merge two neighbours; their ids."""
    places = list(neighbours(document))
    first, second = (document.segment_at(place) for place in places)
    editor.n_marks = 1
    editor.propose(lambda found: edit_plans.join_or_cut(found, [(0, places)]), "Joining …", {0: places})
    return first, second


def test_without_a_project_nothing_can_be_edited(editor: SegmentEditor, workspace: EditingWorkspace) -> None:
    assert editor.locked_reason == "no project is open."
    editor.choose_tool("paint")
    assert editor.tool.name == "look"
    assert editor.message == Message("Nothing can be edited: no project is open.", refused=True)
    assert workspace.viewer.status == "Nothing can be edited: no project is open."
    refusals: list[bool] = []
    editor.apply(lambda document: edit_plans.delete((1,)), "Deleting …", otherwise=lambda: refusals.append(True))
    assert refusals == [True]


def test_a_tool_shows_its_hint_and_is_put_away_without_segments(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    editor.choose_tool("join")
    assert editor.message.text == editor.tool.hint
    workspace.segments.document = None
    workspace.segments.document_changed.emit()
    assert editor.tool.name == "look"
    assert editor.locked_reason == "there is no segmentation yet."


def test_a_project_for_reading_only_can_be_looked_at(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(workspace), "locked_reason", "this project is open for reading only.")
    editor.choose_tool("erase")
    assert editor.message.refused
    editor.choose_tool("look")
    assert not editor.message.refused


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (InvalidEdit("That is no edit.", "Mark more."), True),
        (IncompleteGesture("One is marked.", "Mark another one."), False),
        (ImportCancelled("The import was cancelled.", "Nothing was changed."), False),
    ],
)
def test_errors_are_refusals_unless_nothing_was_refused(
    editor: SegmentEditor, error: InvalidEdit, refused: bool
) -> None:
    shown: list[Message] = []
    editor.message_changed.connect(shown.append)
    editor.show_error(error)
    assert shown == [Message(error.message, error.hint, refused)]


def test_segments_are_selected_once_and_highlighted(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    first, second = (document.segment_at(place) for place in neighbours(document))
    editor.select_ids([first, second, first, 99_999])
    assert editor.selected_ids == (first, second)
    assert workspace.layers.highlighted == [first, second]
    editor.select([])
    assert editor.selected_ids == ()
    assert workspace.layers.highlighted == []


def test_ids_of_a_former_segmentation_select_nothing(
    editor: SegmentEditor, document: LabelDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[bool] = []
    first = document.segment_at(neighbours(document)[0])
    answers = iter([document.id, "another", document.id])
    monkeypatch.setattr(LabelDocument, "id", property(lambda self: next(answers, "another")))
    editor.select_ids([first], lambda: called.append(True))
    assert editor.selected_ids == ()
    assert called == []


def test_a_proposal_is_shown_and_made_by_commit(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    first, second = propose_merge(editor, document)
    assert editor.has_plan
    assert editor.message.text.startswith("Merge")
    assert editor.message.text.endswith("?")
    assert workspace.layers.preview is not None
    assert document.exists(first)
    assert document.exists(second)
    editor.commit()
    assert document.exists(first) != document.exists(second)
    assert editor.message.text.endswith("done.")
    assert workspace.layers.preview is None
    assert not editor.has_plan
    assert len(editor.selected) == 1, "what is left can be locked at once"


def test_drop_goes_from_the_proposal_to_the_tool_to_the_selection(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    editor.choose_tool("join")
    dropped: list[bool] = []
    editor.dropped.connect(lambda: dropped.append(True))
    first, second = propose_merge(editor, document)
    editor.select_ids([first])
    assert editor.has_pending
    editor.drop()
    editor.n_marks = 0  # as the marks go
    assert dropped == [True]
    assert editor.message.text == "Dropped. Nothing was changed."
    assert document.exists(first)
    assert document.exists(second)
    editor.drop()
    assert editor.tool.name == "look"
    assert editor.selected_ids == (first,)
    editor.drop()
    assert editor.selected_ids == ()


def test_without_a_proposal_there_is_nothing_to_apply(editor: SegmentEditor, document: LabelDocument) -> None:
    editor.commit()
    assert editor.message == Message("There is nothing to apply.", "Mark segments first.", refused=True)


def test_an_edit_by_others_discards_the_proposal_and_renews_the_selection(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    first, second = propose_merge(editor, document)
    editor.select_ids([first, second])
    workspace.segments.proofreader.apply(edit_plans.lock((first,), True))
    assert not editor.has_plan
    assert [one.state.locked for one in editor.selected] == [True, False]


def test_an_edit_that_is_refused_changes_nothing_and_says_why(editor: SegmentEditor, document: LabelDocument) -> None:
    before, refused = document.checksum(), []
    segment = document.segment_at(neighbours(document)[0])
    editor.apply(lambda found: edit_plans.lock((segment,), True), "Locking …")
    editor.apply(lambda found: edit_plans.delete((segment,)), "Deleting …", otherwise=lambda: refused.append(True))
    assert refused == [True]
    assert editor.message.refused
    assert "locked" in editor.message.text
    assert document.exists(segment)
    assert document.checksum() != before, "the lock alone was made"


def test_painted_strokes_are_shown_on_their_layer(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    from types import SimpleNamespace

    workspace.segments.edited.emit(SimpleNamespace(target="annotations", patches=("patch",)))
    assert workspace.layers.shown_strokes == [("patch",)]


def test_a_place_is_shown_with_its_surroundings_within_the_volume(
    editor: SegmentEditor, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    editor.go_around((0.7, 2.0, 63.0))
    voxel, box = workspace.viewer.flights[-1]
    assert voxel == (0.0, 2.0, 63.0)
    assert box is not None
    assert Box.of_shape(document.shape).contains(box)
    assert box.contains_point((0, 2, 63))
    assert box.shape[1] > box.shape[0], "as far in nanometres along all axes"


def test_a_query_is_answered_by_the_document(editor: SegmentEditor, document: LabelDocument) -> None:
    answers: list[object] = []
    segment = document.segment_at(neighbours(document)[0])
    editor.query(lambda found: describe(found, segment), answers.append)
    (found,) = answers
    assert found == describe(document, segment)
