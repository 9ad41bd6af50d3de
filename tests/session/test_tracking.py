"""Trackers of a project's trainings, and the user's choice of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from napari_pytc.jobs.events import Cancelled
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.tracking import TensorBoardSettings, Tracking, WandbSettings
from napari_pytc.session.session import Session
from napari_pytc.session.tracking_choice import TrackingChoice, TrackingMemory
from tests.session.retraining_bench import StandIn, prepare, proofread, run
from tests.session.runners import ScriptedRunner
from tests.support.tissue import Tissue

PLAN = TrainPlan(recipe="instant")
BOARD = Tracking(trackers=(TensorBoardSettings(),))


def leave_checkpoint(job: object) -> None:
    (job.output.run_folder / "step.safetensors").write_bytes(b"")  # type: ignore[attr-defined]


def test_trackers_are_of_the_job_and_change_nothing_of_the_work(session: Session) -> None:
    job = session.jobs.train_job(PLAN, tracking=BOARD)
    assert job.tracking == BOARD
    session.jobs.run(job, ScriptedRunner([Cancelled(job="j")], leave_checkpoint))
    assert session.jobs.train_job(PLAN).output == job.output, "the same work, without a tracker"
    (found,) = session.jobs.unfinished_trainings()
    assert found.tracking == BOARD
    assert (
        found.tracking.folder_of(found.output.run_folder) == session.folder / "tracking" / found.output.run_folder.name
    )


def test_a_training_whose_tracker_is_gone_can_be_resumed(session: Session) -> None:
    job = session.jobs.train_job(PLAN, tracking=BOARD)
    session.jobs.run(job, ScriptedRunner([Cancelled(job="j")], leave_checkpoint))
    note = job.output.run_folder / "work.json"
    note.write_text(note.read_text().replace('"kind": "tensorboard"', '"kind": "gone"'))
    (found,) = session.jobs.unfinished_trainings()
    assert found.tracking is None


@pytest.mark.slow
def test_the_training_of_a_retraining_is_recorded(session: Session, tissue: Tissue) -> None:
    prepare(session, tissue)
    proofread(session)
    runner, retraining = StandIn(tissue), session.retraining.begin(tracking=BOARD)
    run(session, retraining, runner, until="train")
    again = session.retraining.find()
    assert again is not None
    assert again.state.tracking == BOARD
    other = Tracking(trackers=(WandbSettings(project="mito"),))
    again.track(other)
    task = again.task()
    assert task.describe is not None
    assert task.describe().tracking == other  # type: ignore[attr-defined]
    state = session.at("v1").image.volume.id
    path = session.folder / "volumes" / state / "retraining" / "state.json"
    path.write_text(path.read_text().replace('"wandb"', '"gone"'))
    found = session.retraining.find()
    assert found is not None
    assert found.state.tracking is None


def test_a_choice_is_remembered(tmp_path: Path) -> None:
    memory = TrackingMemory(tmp_path / "state" / "tracking.json")
    assert memory.read() == TrackingChoice()
    assert memory.read().tracking() is None
    choice = TrackingChoice(on=("wandb",), settings={"wandb": {"project": "mito"}}, folder=tmp_path)
    memory.write(choice)
    assert memory.read() == choice
    assert memory.read().tracking() == Tracking(trackers=(WandbSettings(project="mito"),), folder=tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"on": 3}', '{"more": 1}'])
def test_a_damaged_choice_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tracking.json"
    path.write_text(text)
    assert TrackingMemory(path).read() == TrackingChoice()


def test_a_choice_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    TrackingMemory(tmp_path / "file" / "tracking.json").write(TrackingChoice(on=("wandb",)))


def test_settings_that_are_not_valid_any_more_are_the_defaults(tmp_path: Path) -> None:
    choice = TrackingChoice(on=("wandb", "gone"), settings={"wandb": {"project": "a/b", "old": 1}})
    assert choice.tracking() == Tracking(trackers=(WandbSettings(),))
    assert json.loads(choice.model_dump_json())["on"] == ["wandb", "gone"]


def test_a_tracker_that_is_not_installed_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert TrackingChoice(on=("wandb",)).tracking() is None
    assert TrackingChoice(on=("wandb", "tensorboard")).tracking() == BOARD
