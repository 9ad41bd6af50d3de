"""A training that was interrupted goes on as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.events import Failed
from napari_pytc.jobs.runners.process import ProcessRunner
from napari_pytc.learning.training.state.checkpoints import load_training_state
from napari_pytc.learning.training.train import Checkpoint
from napari_pytc.plans.specs import ModelOutput, PredictJob, TrainJob, VolumeInputs
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.dying_jobs import DYING_JOBS, DyingPredictJob, DyingTrainJob
from tests.support.learning import (
    CLASSES,
    HELD_OUT,
    same_weights,
    strokes,
    tiny_plan,
    tissue,
    train_tiny,
    training_data,
    weights_of,
)
from tests.support.runner_contract import RecordingSink, ended


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The uninterrupted training that the others must equal."""
    return train_tiny(tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(whole: Checkpoint, tmp_path: Path) -> None:
    again = train_tiny(tmp_path)
    assert same_weights(weights_of(whole), weights_of(again))
    assert again.info.scores == whole.info.scores
    other = train_tiny(tmp_path / "other", seed=1)
    assert not same_weights(weights_of(whole), weights_of(other))


@pytest.mark.slow
@pytest.mark.parametrize("n_steps", [1, 2, 3, 5])
def test_a_training_cancelled_after_a_step_resumes(whole: Checkpoint, tmp_path: Path, n_steps: int) -> None:
    ctx = CancelAtStep(n_steps)
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=ctx)
    assert not (tmp_path / "models").exists()
    state = load_training_state(tmp_path / "run")
    assert state is not None
    assert state.step == n_steps
    resumed = RecordingContext()
    again = train_tiny(tmp_path, ctx=resumed)
    assert [done for done, _, note in resumed.progress if note == "training"] == list(range(n_steps + 1, 7))
    assert same_weights(weights_of(whole), weights_of(again))
    assert again.info.scores == whole.info.scores
    assert again.info.steps == 6
    assert load_training_state(tmp_path / "run") is None


class CancelAtStep(RecordingContext):
    """Cancelled as soon as a step was reported."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def report(self, done: int, total: int, note: str = "") -> None:
        super().report(done, total, note)
        if note == "training" and done == self._step:
            self.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "within a score"])
def test_a_cancel_around_a_score_changes_nothing(whole: Checkpoint, tmp_path: Path, moment: str) -> None:
    class CancelInScore(RecordingContext):
        n_scores = 0

        def check(self) -> None:
            # The scorer asks once a box, right after the check that ends the step.
            if self.progress and self.progress[-1][0] == 4 and self.progress[-1][2] == "training":
                self.n_scores += 1
                if self.n_scores == (1 if moment == "before" else 2):
                    raise JobCancelled
            super().check()

    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=CancelInScore())
    state = load_training_state(tmp_path / "run")
    assert state is not None
    assert state.step == 4
    assert [entry["step"] for entry in state.history] == [2]
    again = train_tiny(tmp_path)
    assert same_weights(weights_of(whole), weights_of(again))
    assert again.info.scores == whole.info.scores


@pytest.mark.slow
def test_cancelled_again_and_again(whole: Checkpoint, tmp_path: Path) -> None:
    for step in (1, 2, 4, 6):
        with pytest.raises(JobCancelled):
            train_tiny(tmp_path, ctx=CancelAtStep(step))
    assert same_weights(weights_of(whole), weights_of(train_tiny(tmp_path)))


@pytest.mark.parametrize("n_checks", range(4))
def test_a_cancel_during_start_up_leaves_nothing(tmp_path: Path, n_checks: int) -> None:
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=RecordingContext(cancel_after=n_checks))
    assert not (tmp_path / "models").exists()


def test_resuming_can_be_declined(whole: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=CancelAtStep(3))
    ctx = RecordingContext()
    again = train_tiny(tmp_path, ctx=ctx, resume=False)
    assert next(done for done, _, note in ctx.progress if note == "training") == 1
    assert same_weights(weights_of(whole), weights_of(again))


@pytest.mark.slow
@pytest.mark.parametrize("change", ["plan", "held out"])
def test_a_checkpoint_of_other_work_is_reported_and_left(tmp_path: Path, change: str) -> None:
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=CancelAtStep(3))
    ctx = RecordingContext()
    if change == "plan":
        again = train_tiny(tmp_path, ctx=ctx, learning_rate=1e-3)
    else:  # it has seen what is now held out
        again = train_tiny(tmp_path, training_data(held_out=[Box((0, 24, 24), (8, 48, 48))]), ctx)
    assert again.info.steps == 6
    assert any("training starts anew" in sentence for sentence in ctx.warnings)
    assert next(done for done, _, note in ctx.progress if note == "training") == 1


def test_a_damaged_checkpoint_falls_back_to_the_one_before(whole: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=CancelAtStep(5))
    latest = tmp_path / "run" / "training.safetensors"
    latest.write_bytes(latest.read_bytes()[:-100])
    ctx = RecordingContext()
    again = train_tiny(tmp_path, ctx=ctx)
    assert any("Going on from the checkpoint before it, of step 4" in sentence for sentence in ctx.warnings)
    assert same_weights(weights_of(whole), weights_of(again))


def test_checkpoints_that_are_all_damaged_are_reported(tmp_path: Path) -> None:
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=CancelAtStep(5))
    for path in (tmp_path / "run").iterdir():
        path.write_bytes(b"\x80\x04 no weights")
    with pytest.raises(ModelError) as caught:
        train_tiny(tmp_path)
    assert "train without resuming" in caught.value.hint


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a train job names, on disk."""
    folder = tmp_path_factory.mktemp("files")
    data = tissue()
    np.save(folder / "raw.npy", data.raw)
    annotations = PaintStore.create(folder / "annotations.zarr", data.raw.shape, data.space)
    annotations.write(Box.of_shape(data.raw.shape), strokes(data))
    inputs = VolumeInputs(
        volume=NpySpec(path=folder / "raw.npy", voxel_size_nm=data.space.voxel_size_nm),
        space=data.space,
        annotations=folder / "annotations.zarr",
        held_out=(HELD_OUT,),
    )
    return {"inputs": (inputs,), "classes": CLASSES, "plan": tiny_plan()}


def train_job(files: dict[str, Any], root: Path) -> TrainJob:
    return TrainJob(**files, output=ModelOutput(model_folder=root / "models" / "m1", run_folder=root / "run"))


@pytest.fixture(scope="module")
def whole_job(files: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answer of the same job, never interrupted."""
    return train_job(files, tmp_path_factory.mktemp("whole-job")).run(RecordingContext())


@pytest.mark.slow
def test_a_program_killed_in_a_step_resumes(whole_job: dict[str, Any], files: dict[str, Any], tmp_path: Path) -> None:
    job = train_job(files, tmp_path)
    dying = DyingTrainJob(**{**dict(job), "kind": "test-train-dying"}, at_step=6)
    program = [sys.executable, "-m", DYING_JOBS]
    killed = subprocess.run(program, input=dying.model_dump_json().encode(), capture_output=True, check=False)
    assert killed.returncode not in (0, 1), killed.stderr.decode()
    check_that_it_goes_on(job, whole_job, step=4)


def check_that_it_goes_on(job: TrainJob, whole_job: dict[str, Any], step: int) -> dict[str, Any]:
    assert not job.output.model_folder.exists()
    state = load_training_state(job.output.run_folder)
    assert state is not None
    assert state.step == step
    ctx = RecordingContext()
    answer = job.run(ctx)
    assert next(done for done, _, note in ctx.progress if note == "training") == step + 1
    assert answer["steps"] == 6
    assert same_weights(weights_of(Path(answer["folder"])), weights_of(Path(whole_job["folder"])))
    assert answer["scores"] == whole_job["scores"]
    return answer


@pytest.fixture
def runner() -> Iterator[ProcessRunner]:
    with ProcessRunner(imports=[DYING_JOBS], n_threads=1) as runner:
        yield runner


@pytest.mark.slow
def test_a_worker_killed_in_a_step_and_in_a_tile(
    runner: ProcessRunner, whole_job: dict[str, Any], files: dict[str, Any], tmp_path: Path
) -> None:
    job = train_job(files, tmp_path)
    sink = RecordingSink()
    dying = DyingTrainJob(**{**dict(job), "kind": "test-train-dying"}, at_step=5)
    outcome = ended(runner.start(dying, sink), sink)
    assert isinstance(outcome, Failed)
    assert outcome.hint
    answer = check_that_it_goes_on(job, whole_job, step=4)

    plan = {"tile_shape": (8, 24, 24), "device": "cpu", "precision": "float32"}
    predict = PredictJob(image=files["inputs"][0].volume, model=answer["folder"], output=tmp_path / "p.zarr", plan=plan)
    sink = RecordingSink()
    dying = DyingPredictJob(**{**dict(predict), "kind": "test-predict-dying"}, at_tile=4)
    assert isinstance(ended(runner.start(dying, sink), sink), Failed)
    told = predict.run(RecordingContext())
    assert told["tiles"] == 4
    assert 1 <= told["tiles_done_before"] <= 3
    undisturbed = predict.model_copy(update={"output": tmp_path / "q.zarr"})
    undisturbed.run(RecordingContext())
    everything = Box.of_shape((8, 48, 48))
    a, b = (open_ome_zarr(path).read(everything) for path in (predict.output, undisturbed.output))
    assert b.any()
    assert np.array_equal(a, b)
