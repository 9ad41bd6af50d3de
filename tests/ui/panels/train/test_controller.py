"""What the Train panel does with trainings, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent, Measured, Progressed, Started
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.session.records import MetricPoint, RunRecord
from napari_pytc.ui.panels.train.controller import Scores, TrainController, begin_text
from tests.session.models import make_model
from tests.support.workspaces import FakeWorkspace, LiveLayers, TrainingSession, train_job

MODEL = "20261121-0301-old"


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.layers = LiveLayers(workspace)
    yield workspace
    workspace.shutdown()


@pytest.fixture
def controller(workspace: FakeWorkspace) -> TrainController:
    return TrainController(workspace)  # type: ignore[arg-type]


@pytest.fixture
def session(controller: TrainController, workspace: FakeWorkspace, tmp_path: Path) -> TrainingSession:
    """An open project, and the recipe fast."""
    session = TrainingSession(tmp_path)
    workspace.open_session(session)
    controller.recipe.set_plan(load_recipe("fast"))
    return session


@pytest.fixture
def training(controller: TrainController, session: TrainingSession, workspace: FakeWorkspace) -> TrainController:
    """A training at step 120 of 400."""
    controller.train()
    workspace.tell(Started(job="j1"), progress(100), progress(120))
    return controller


def progress(done: int) -> JobEvent:
    return Progressed(job="j1", done=done, total=400, note="training")


def measured(name: str, *values: float) -> list[JobEvent]:
    return [Measured(job="j1", name=name, step=50 * n, value=value) for n, value in enumerate(values, start=1)]


def test_it_says_what_is_missing_one_thing_after_the_other(
    controller: TrainController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    reasons = [controller.why_not()]
    session = TrainingSession(tmp_path)
    session.painted, workspace.layers = {"membrane": 0, "inside": 0}, None
    workspace.open_session(session)
    reasons.append(controller.why_not())
    workspace.layers = LiveLayers(workspace)
    reasons.append(controller.why_not())
    session.painted = {"membrane": 3, "inside": 0}
    reasons.append(controller.why_not())
    session.painted = {"membrane": 3, "inside": 1}
    reasons.append(controller.why_not())
    controller.recipe.set_plan(None, "Learning rate: too small.")
    reasons.append(controller.why_not())
    controller.recipe.set_plan(load_recipe("neurites"))
    assert controller.learns_objects
    reasons.append(controller.why_not())
    session.objects.revision = 1
    reasons.append(controller.why_not())
    assert [reason.split(":")[0] for reason in reasons] == [
        "No project is open",
        "The project's image was not found",
        "Paint strokes of at least two classes first; there are none yet.",
        "Paint strokes of at least two classes first; so far only membrane has some.",
        "The recipe is being read.",
        "Learning rate",
        "This recipe learns single objects, and none are marked yet",
        "",
    ]


def test_a_wrong_setting_does_not_change_what_is_learnt(controller: TrainController, session: TrainingSession) -> None:
    session.painted, session.objects.revision = {"membrane": 0, "inside": 0}, 1
    controller.recipe.set_plan(load_recipe("neurites"))
    assert controller.why_not() == ""
    controller.recipe.set_plan(None, "Offsets must be whole numbers.")
    assert controller.learns_objects
    assert not controller.learns_classes
    assert controller.why_not() == "Offsets must be whole numbers."
    controller.recipe.set_plan(load_recipe("fast"))
    assert "Paint strokes" in controller.why_not()


def test_a_training_takes_the_edited_plan_and_there_is_one_at_a_time(
    controller: TrainController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    plan = load_recipe("fast", ["steps=77"])
    controller.recipe.set_plan(plan)
    controller.train()
    controller.train()
    assert workspace.launcher.trained == [(plan, None)]
    assert controller.is_training
    assert controller.job is workspace.job


def test_a_paused_training_is_resumed(
    training: TrainController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    training.pause()
    job = training.job
    assert job is not None
    assert job.is_paused
    assert job.cancel_requested
    session.unfinished = [kept := train_job(session.folder, load_recipe("fast"))]
    workspace.tell(Cancelled(job="j1"))
    assert training.resumable() == kept
    training.resume()
    assert workspace.launcher.resumed == [kept]
    training.resume()
    assert len(workspace.launcher.resumed) == 1, "it runs already"


def test_one_stopped_before_its_first_checkpoint_begins_again_and_one_that_failed_does_not(
    training: TrainController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    assert training.job is not None
    spec = training.job.spec
    workspace.tell(Cancelled(job="j1"))
    assert training.resumable() is spec
    training.resume()
    workspace.tell(Failed(job="j1", message="The worker died."))
    assert training.resumable() is None


def test_dismissing_deletes_the_checkpoint(
    training: TrainController, session: TrainingSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    session.unfinished = [kept := train_job(session.folder, load_recipe("fast"))]
    workspace.tell(Cancelled(job="j1"))
    with qtbot.waitSignal(training.progress_changed):
        training.dismiss()
    assert training.job is None
    assert training.resumable() is None
    assert session.calls[0] == ("discard", kept)


def test_another_project_has_trainings_of_its_own(
    training: TrainController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    second = TrainingSession(tmp_path / "b")
    second.unfinished = [train_job(tmp_path, load_recipe("fast"))]
    workspace.open_session(second)
    assert training.job is None
    assert training.resumable() == second.unfinished[0]
    second.project.read_only = True
    workspace.open_session(second)
    assert training.unfinished == []


def test_curves_and_scores_are_of_the_training_then_of_the_model(
    training: TrainController, session: TrainingSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert training.scores == Scores()
    with qtbot.waitSignals([training.curves_changed, training.classes_changed]):
        workspace.tell(*measured("dice/inside", 0.5, 0.75), *measured("loss", 0.4))
    assert training.curves["loss"] == [(50, 0.4)]
    assert training.scores == Scores("this training so far", {"inside": 0.75})
    scores = {"dice": {"inside": 0.8}, "iou": {"inside": None}}
    workspace.tell(Finished(job="j1", result={"model": MODEL, "scores": scores}))
    assert training.scores == Scores(MODEL, {"inside": 0.8}, {"inside": None})


def test_without_a_training_the_active_model_is_shown(
    controller: TrainController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    assert controller.curves == {}
    make_model(session.folder / "models" / MODEL, scores={"dice": {"inside": 0.9}, "mean": 0.9})
    session.run_records = [
        RunRecord(
            id=name, kind=kind, subject=MODEL, state="finished", started=1.0, ended=2.0, result={}, message="", hint=""
        )
        for name, kind in (("r1", "train"), ("r2", "train"), ("r3", "predict"))
    ]
    session.points = {
        "r1": [MetricPoint(name="loss", step=2, value=0.5)],
        "r2": [MetricPoint(name="loss", step=4, value=0.3), MetricPoint(name="loss", step=3, value=0.4)],
    }
    workspace.models_changed.emit()
    assert controller.curves == {"loss": [(2, 0.5), (3, 0.4), (4, 0.3)]}, "a resumed training has several runs"
    assert controller.scores == Scores(MODEL, {"inside": 0.9}, None)
    assert controller.painted == session.painted
    assert controller.colours == {"membrane": "#e6194b", "inside": "#3cb44b"}


@pytest.mark.parametrize(
    ("name", "expected"), [("mine", "mine"), ("20261121-0831-fast", None), ("20269999-0831-fast", "20269999-0831-fast")]
)
def test_when_a_training_began_is_in_the_name_of_its_folder(name: str, expected: str | None, tmp_path: Path) -> None:
    job: Any = train_job(tmp_path, load_recipe("fast"), name)
    text = begin_text(job)
    assert text == expected if expected is not None else text not in ("", name)
