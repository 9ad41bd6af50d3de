"""The review without a window: one candidate after the other, decided or settled by an edit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.errors import PytcError
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.proofread import edit_plans, review_controller
from napari_pytc.ui.panels.proofread.editor import SegmentEditor
from napari_pytc.ui.panels.proofread.review_controller import ReviewController
from tests.support.editing import EditingWorkspace


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[EditingWorkspace]:
    workspace = EditingWorkspace()
    yield workspace
    workspace.shutdown()


@pytest.fixture
def review(workspace: EditingWorkspace) -> ReviewController:
    editor = SegmentEditor(workspace, workspace)  # type: ignore[arg-type]
    return ReviewController(workspace.segments, editor)  # type: ignore[arg-type]


@pytest.fixture
def document(review: ReviewController, workspace: EditingWorkspace, tmp_path: Path) -> LabelDocument:
    return workspace.open_segments(tmp_path, undecided=True)


def test_it_says_why_it_cannot_begin(review: ReviewController, workspace: EditingWorkspace) -> None:
    assert review.why_not("next") == "no project is open."
    review.show_next()
    assert review.progress is None
    assert "Nothing can be reviewed" in workspace.viewer.status


def test_answers_need_a_candidate(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    assert review.why_not("next") == ""
    assert "begin with Start" in review.why_not("merge")
    for answer in (lambda: review.accept("leave"), review.skip):
        answer()
        assert "Nothing is being reviewed" in workspace.viewer.status


def test_a_candidate_is_selected_and_brought_to_the_canvas(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    review.show_next()
    item = review.item
    assert item is not None
    assert tuple(workspace.layers.highlighted) == item.segments
    assert workspace.viewer.status == item.text
    voxel, view = workspace.viewer.flights[-1]
    assert review.contact is not None
    assert voxel == review.contact.place
    assert view == review.contact.view
    assert workspace.viewer.is_close
    assert workspace.layers.contact == (review.contact.box, review.contact.voxels)
    review.show_next()
    assert review.item == item
    assert len(workspace.viewer.flights) == 2


def test_segments_that_do_not_touch_near_the_place_are_flown_to_all_the_same(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_controller, "find_contact", lambda *args: None)
    review.show_next()
    item = review.item
    assert item is not None
    assert review.contact is None
    assert tuple(workspace.layers.highlighted) == item.segments
    assert workspace.layers.contact is None
    assert workspace.viewer.flights[-1][0] == tuple(float(int(v)) for v in item.place)


def test_the_contact_is_forgotten_with_the_review(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    review.show_next()
    assert review.contact is not None
    review.stop()
    assert review.contact is None


def test_merging_is_an_edit_and_leaving_is_none(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    review.show_next()
    n_before = len(workspace.segments.proofreader.entries())
    review.accept("leave")
    assert review.progress is not None
    assert review.progress.n_done == 1
    n_after = len(workspace.segments.proofreader.entries())
    while review.item is not None and len(review.item.segments) < 2:
        review.skip()
    assert review.item is not None
    first, second = review.item.segments
    assert review.why_not("merge") == ""
    review.accept("merge")
    assert document.exists(first) != document.exists(second)
    assert n_after == n_before


def test_an_edit_by_hand_settles_the_candidate_and_the_view_stays(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    review.show_next()
    item = review.item
    assert item is not None
    n_flights = len(workspace.viewer.flights)
    assert review.contact is not None
    workspace.segments.proofreader.apply(edit_plans.lock(item.segments, True))
    assert review.contact is None
    assert review.is_settled
    assert review.item is None
    assert len(workspace.viewer.flights) == n_flights
    review.show_next()
    assert not review.is_settled
    assert review.item not in (None, item)


def test_the_last_candidate_ends_the_review(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    review.show_next()
    for _ in range(300):
        if review.item is None:
            break
        review.accept("leave")
    assert workspace.viewer.status == "Nothing is left to review."
    assert workspace.layers.highlighted == []
    assert review.progress is not None
    assert review.progress.n_done == review.progress.n_total


def test_a_queue_that_cannot_be_read_is_reported_and_can_be_tried_again(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise PytcError("The graph is damaged.", "Segment again.")

    monkeypatch.setattr(workspace.segments.proofreader, "queue", fail)
    review.show_next()
    assert not review.is_looking
    assert workspace.viewer.status == "The graph is damaged. Segment again."
    monkeypatch.undo()
    review.show_next()
    assert review.item is not None


def test_another_segmentation_ends_it(
    review: ReviewController, document: LabelDocument, workspace: EditingWorkspace
) -> None:
    review.show_next()
    workspace.segments.document_changed.emit()
    assert review.progress is None
