"""What the Segment panel does, without a window."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled
from napari_pytc.session.records import PredictionRecord
from napari_pytc.ui.panels.segment.choices import PredictionFacts, SegmentChoices
from napari_pytc.ui.panels.segment.controller import SegmentController
from tests.support.workspaces import SHAPE, FakeSession, FakeWorkspace, prediction, segmentation


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> dict[str, PredictionFacts | PytcError]:
    """What reading a prediction gives, by its id."""
    found: dict[str, Any] = {}

    def read(session: Any, record: PredictionRecord) -> PredictionFacts:
        answer = found[record.id]
        if isinstance(answer, PytcError):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr("napari_pytc.ui.panels.segment.controller.read_facts", read)
    return found


@pytest.fixture
def controller(workspace: FakeWorkspace, facts: dict[str, Any]) -> SegmentController:
    return SegmentController(workspace)  # type: ignore[arg-type]


@pytest.fixture
def session(controller: SegmentController, workspace: FakeWorkspace, tmp_path: Path) -> FakeSession:
    return workspace.open(tmp_path / "a.pytc")


def facts_of(name: str) -> PredictionFacts:
    return PredictionFacts(prediction(name), None, (), None)  # type: ignore[arg-type]


def predict(session: FakeSession, workspace: FakeWorkspace, *names: str) -> None:
    session.prediction_records = [prediction(name) for name in names]
    workspace.predictions_changed.emit()


def unfinished_job(box: Box | None = None) -> Any:
    return SimpleNamespace(
        kind="segment", box=box, decoder=SimpleNamespace(kind="agglomeration"), prediction=Path("/p/m1.zarr")
    )


def test_it_says_what_is_missing_one_thing_after_the_other(
    controller: SegmentController, workspace: FakeWorkspace, facts: dict[str, Any], qtbot: QtBot, tmp_path: Path
) -> None:
    reasons = [controller.why_not("all", "")]
    session = workspace.open(tmp_path)
    layers, workspace.layers = workspace.layers, None
    reasons.append(controller.why_not("all", ""))
    workspace.layers = layers
    reasons.append(controller.why_not("all", ""))
    facts["p1"] = facts_of("p1")
    predict(session, workspace, "p1")
    reasons += [controller.why_not("all", "the threshold is wrong."), controller.why_not("box", "")]
    layers.drawn = Box.at((3, 0, 0), (1, 10, 10))
    reasons.append(controller.why_not("box", ""))
    workspace.start("segment", "Segment the volume")
    reasons.append(controller.why_not("box", ""))
    session.project.read_only = True
    reasons.append(controller.why_not("box", ""))
    assert reasons == [
        "no project is open.",
        "the project's image was not found.",
        "there is no prediction yet; make one first.",
        "the threshold is wrong.",
        "no box is drawn: press Draw, then drag a rectangle on the canvas.",
        "",
        "a segmentation runs already.",
        "this project is open for reading only.",
    ]


def test_facts_are_read_of_all_predictions_and_damage_is_reported_of_one(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace, facts: dict[str, Any], qtbot: QtBot
) -> None:
    facts |= {"p1": facts_of("p1"), "p2": PytcError("It cannot be read.", "Predict again.")}
    with qtbot.waitSignal(controller.facts_changed):
        predict(session, workspace, "p1", "p2")
    assert controller.prediction is not None
    assert controller.prediction.id == "p2", "the newest"
    assert controller.chosen_facts is None
    assert controller.chosen_problem is facts["p2"]
    assert controller.why_not("all", "") == "this prediction cannot be read."
    controller.choose(controller.predictions[1])
    assert controller.chosen_facts is facts["p1"]
    assert "agglomeration" in controller.decoders
    with qtbot.waitSignal(controller.facts_changed):
        predict(session, workspace)
    assert (controller.prediction, controller.facts, controller.problems) == (None, {}, {})


def test_a_prediction_picked_by_hand_stays_until_another_project(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace, facts: dict[str, Any]
) -> None:
    facts |= {name: facts_of(name) for name in ("p1", "p2", "p3")}
    predict(session, workspace, "p1", "p2")
    controller.pick(controller.predictions[1])
    predict(session, workspace, "p1", "p2", "p3")
    assert controller.prediction is not None
    assert controller.prediction.id == "p1"
    workspace.session_changed.emit()
    assert controller.prediction.id == "p3"


def test_the_region_is_the_volume_or_the_drawn_box(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace
) -> None:
    assert controller.region("all") == Box.of_shape(SHAPE)
    assert controller.region("box") is None
    workspace.layers.drawn = Box.at((3, 0, 0), (1, 10, 10))
    workspace.drawn_box.set_depth(3)
    assert controller.region("box") == Box.at((2, 0, 0), (3, 10, 10))


def test_segmenting_ends_the_preview_and_starts_a_job(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace
) -> None:
    workspace.layers.drawn = Box.at((3, 0, 0), (1, 10, 10))
    choices = SegmentChoices("p1", SimpleNamespace(slider=None), "membrane")  # type: ignore[arg-type]
    controller.preview.switch(True)
    controller.segment(choices, "box")
    controller.segment(choices, "all")
    assert not controller.preview.is_on
    titles = [(title, box) for _, title, (_, box, _) in workspace.calls]
    assert titles == [("Segment the box", workspace.layers.drawn), ("Segment the volume", None)]
    assert workspace.calls[0][2][2] == choices.arguments()


def test_a_segmentation_that_was_stopped_is_resumed(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    controller.resume()
    assert workspace.calls == []
    assert controller.unfinished_text == ""
    _, sink = workspace.start("segment", "Segment the box")
    session.unfinished = [job := unfinished_job(Box.of_shape((1, 2, 3)))]
    with qtbot.waitSignal(controller.segmentations_changed):
        sink(Cancelled(job="j1"))
        workspace.jobs.drain()
    assert controller.unfinished_text == "agglomeration of m1 was cut short; its finished blocks are kept."
    controller.resume()
    assert workspace.calls == [("segment", "Segment the box (resumed)", job)]


def test_segmentations_are_locked_while_one_is_made(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert controller.locked_reason == ""
    with qtbot.waitSignal(controller.jobs_changed):
        workspace.start("segment", "Segment the volume")
    assert controller.is_segmenting
    assert controller.locked_reason == "a segmentation runs."


def test_segmentations_are_read_used_and_deleted(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    session.segmentation_records = [segmentation("s1"), segmentation("s2", active=True)]
    with qtbot.waitSignal(controller.segmentations_changed):
        workspace.segmentations_changed.emit()
    assert [info.id for info in controller.segmentations] == ["s1", "s2"]
    controller.activate(controller.segmentations[0])
    controller.delete(controller.segmentations[1])
    assert (session.activated, session.deleted) == (["s1"], ["s2"])
    workspace.open_session(None)
    assert controller.segmentations == []


def test_of_two_projects_the_list_of_the_former_is_dropped(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    session.segmentation_records = [segmentation("old")]
    controller.read_segmentations()
    second = workspace.open(tmp_path / "b.pytc")
    second.segmentation_records = [segmentation("new")]
    with qtbot.waitSignal(controller.segmentations_changed):
        controller.read_segmentations()
    qtbot.waitUntil(lambda: [info.id for info in controller.segmentations] == ["new"])


def test_a_job_s_voxels_are_of_its_box_or_of_the_volume(
    controller: SegmentController, session: FakeSession, workspace: FakeWorkspace
) -> None:
    job, _ = workspace.start("segment", "Segment the volume")
    assert controller.n_voxels(job) is None, "not described yet"
    job.spec = SimpleNamespace(box=None, output=None)  # type: ignore[assignment]
    assert controller.n_voxels(job) == 12 * 48 * 40
    job.spec = SimpleNamespace(box=Box.of_shape((2, 3, 4)), output=None)  # type: ignore[assignment]
    assert controller.n_voxels(job) == 24


def test_the_canvas_shows_one_trial_at_a_time(
    controller: SegmentController, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[bool] = []
    monkeypatch.setattr(controller.regrouping, "drop", lambda: dropped.append(True))
    controller.preview.switched_on.disconnect()
    controller.preview.switched_on.connect(controller.regrouping.drop)
    controller.preview.switch(True)
    assert dropped == [True]
    controller.regrouping.began.emit()
    assert not controller.preview.is_on


def test_trials_go_with_the_last_panel_that_is_hidden(
    controller: SegmentController, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[bool] = []
    monkeypatch.setattr(controller.regrouping, "drop", lambda: dropped.append(True))
    first, second = object(), object()
    controller.preview.add_watcher(first)
    controller.preview.add_watcher(second)
    controller.hide_trials(first)
    assert dropped == []
    controller.hide_trials(second)
    assert dropped == [True]
