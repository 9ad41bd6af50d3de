"""Trainings that are recorded: the same model, everything read back, and no fault of a tracker ends one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.tracking.recorder import RecordedContext, Recorder, recorded
from napari_pytc.learning.tracking.tracker import TrainingOutcome
from napari_pytc.learning.training.train import Checkpoint, train
from napari_pytc.plans.networks import FilterBankNetwork
from napari_pytc.plans.tracking import read_tracking
from tests.support.contexts import RecordingContext
from tests.support.learning import folders, same_weights, tiny_plan, train_tiny, training_data, weights_of
from tests.support.trackers import FaultyTracking, events_of, log_out, scalars_of, texts_of, wandb_files, wandb_rows

pytestmark = pytest.mark.slow


def tracked(root: Path, ctx: RecordingContext, kind: str = "tensorboard", **settings: Any) -> Checkpoint:
    """A tiny training as the job runs it, with a tracker."""
    plan = settings.pop("plan", {})
    data = settings.pop("data", None) or training_data()
    recorder = Recorder(read_tracking([(kind, settings)], None), root / "tracking" / "m1", ctx.warn)
    with recorded(recorder):
        done = train(tiny_plan(**plan), data, folders(root), RecordedContext(ctx, recorder), False, recorder)
        recorder.finish(TrainingOutcome("finished", {"steps": done.info.steps}))
    return done


class CancelAt(RecordingContext):
    """Cancelled as soon as a step was reported."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._at = step

    def check(self) -> None:
        if any(done >= self._at and note == "training" for done, _, note in self.progress):
            raise JobCancelled


def test_a_recorded_training_makes_the_same_model(tmp_path: Path) -> None:
    plain = train_tiny(tmp_path / "plain")
    ctx = RecordingContext()
    done = tracked(tmp_path, ctx)
    assert same_weights(weights_of(plain), weights_of(done))
    assert done.info.scores == plain.info.scores
    folder = tmp_path / "tracking" / "m1" / "tensorboard"
    curves = scalars_of(folder)
    for name, step, value in ctx.metrics:
        assert (step, pytest.approx(value, rel=1e-6)) in curves[name]
    assert {"loss", "gradient norm", "learning rate", "dice", "dice/inside"} <= set(curves)
    assert {"loss/Dice", "loss/cross entropy"} <= set(curves)
    pictures = events_of(folder).Tags()["images"]
    assert [name.split("/")[0] for name in pictures] == ["patches"]
    assert [event.step for event in events_of(folder).Images(pictures[0])] == [2, 4]
    texts = texts_of(folder)
    assert "patch_shape" in texts["settings"]
    provenance = json.loads("\n".join(line.removeprefix("    ") for line in texts["provenance"].splitlines()))
    assert provenance["volumes"][0]["digest"] == done.info.volumes[0].digest
    assert provenance["versions"]["torch"] == done.info.versions["torch"]
    assert str(tmp_path) not in texts["provenance"] + texts["settings"]


def test_parts_of_the_loss_are_no_curves_of_the_window(tmp_path: Path) -> None:
    ctx = RecordingContext()
    tracked(tmp_path, ctx)
    assert not [name for name, _, _ in ctx.metrics if name.startswith("loss/")]


def test_a_resumed_training_goes_on_in_the_same_record(tmp_path: Path) -> None:
    plan = {"steps": 40, "checkpoint_every": 15, "validate_every": 20}
    with pytest.raises(JobCancelled):
        tracked(tmp_path, CancelAt(25), plan=plan)
    folder = tmp_path / "tracking" / "m1" / "tensorboard"
    assert [step for step, _ in scalars_of(folder)["loss"]] == [1, 10, 20]
    tracked(tmp_path, RecordingContext(), plan=plan)
    assert [step for step, _ in scalars_of(folder)["loss"]] == [1, 10, 20, 30, 40]
    assert [step for step, _ in scalars_of(folder)["dice"]] == [20, 40]
    assert len(list(folder.glob("events*"))) == 2


def test_wandb_keeps_a_resumed_training_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_out(monkeypatch, tmp_path / "home")
    plan = {"steps": 30, "checkpoint_every": 10, "validate_every": 20}
    with pytest.raises(JobCancelled):
        tracked(tmp_path, CancelAt(12), "wandb", plan=plan)
    tracked(tmp_path, RecordingContext(), "wandb", plan=plan)
    files = wandb_files(tmp_path / "tracking" / "m1" / "wandb")
    assert [row["_step"] for file in files for row in wandb_rows(file)] == [1, 10, 20, 30]
    assert len({file.stem for file in files}) == 1


def test_without_held_out_boxes_pictures_are_of_what_is_learnt(tmp_path: Path) -> None:
    tracked(tmp_path, RecordingContext(), data=training_data(held_out=()))
    pictures = events_of(tmp_path / "tracking" / "m1" / "tensorboard").Tags()["images"]
    assert pictures
    assert all("training" in name for name in pictures)


def test_the_instant_model_is_recorded(tmp_path: Path) -> None:
    plan = {"network": FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,)), "steps": 20, "validate_every": 10}
    tracked(tmp_path, RecordingContext(), plan=plan)
    curves = scalars_of(tmp_path / "tracking" / "m1" / "tensorboard")
    assert {"loss", "loss/cross entropy", "dice"} <= set(curves)


@pytest.mark.parametrize("where", ["open", "scalars", "pictures", "finish"])
def test_a_tracker_that_fails_ends_no_training(tmp_path: Path, where: str) -> None:
    ctx = RecordingContext()
    done = tracked(tmp_path, ctx, "test-faulty", fails_in=where)
    FaultyTracking.opened.clear()
    assert done.info.steps == 6
    assert len([warning for warning in ctx.warnings if warning.startswith("Faulty")]) == 1


def test_pictures_that_cannot_be_drawn_end_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_pytc.learning.evaluation import patch_pictures

    def refuse(*_: object) -> None:
        raise MemoryError("no room\nfor a picture")

    monkeypatch.setattr(patch_pictures, "_gray", refuse)
    ctx = RecordingContext()
    assert tracked(tmp_path, ctx).info.steps == 6
    told = [warning for warning in ctx.warnings if warning.startswith("No more pictures")]
    assert told == ["No more pictures are recorded: MemoryError: no room for a picture. The training goes on."]
