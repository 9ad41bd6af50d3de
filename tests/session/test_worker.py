"""Real trainings and predictions of a project in the worker process: same results as inline, and kills survived."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent, Measured, Produced, Progressed
from napari_pytc.jobs.runners import InlineRunner, JobRunner, ProcessRunner
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.networks import UNetNetwork
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.session.records import ModelRecord
from napari_pytc.session.session import Session
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.dying_worker import DYING_WORKER, ORDERS, order_death, order_wait
from tests.support.learning import same_weights, weights_of
from tests.support.runner_contract import RecordingSink, ended
from tests.support.tissue import Tissue, draw_strokes

pytestmark = [pytest.mark.slow, pytest.mark.keeps_running]

SHAPE = (12, 48, 40)
PLAN = TrainPlan(
    recipe="tiny",
    network=UNetNetwork(channels=(4, 8)),
    steps=8,
    batch_size=2,
    patch_shape=(4, 16, 16),
    validate_every=4,
    checkpoint_every=2,
    device="cpu",
    precision="float32",
)
PREDICT = PredictPlan(tile_shape=(6, 24, 20), device="cpu", precision="float32")
N_TILES = 8


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("orders")


@pytest.fixture(scope="module")
def worker(orders: Path) -> Iterator[ProcessRunner]:
    """One worker for all tests of this file; one thread, so that sums are made in the same order everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ORDERS, str(orders))
        patch.setenv("OMP_NUM_THREADS", "1")
        with ProcessRunner(imports=[DYING_WORKER], preload=["torch", "lightning"], n_threads=1, warm=True) as runner:
            yield runner


@pytest.fixture
def session(session: Session, tissue: Tissue) -> Session:
    """The project with strokes and a held-out box."""
    session.strokes.add(draw_strokes(tissue.classes, n_strokes=30, length=12))
    session.held_out.add(Box((8, 0, 0), SHAPE))
    return session


def run(session: Session, job: JobSpec, runner: JobRunner, sink: RecordingSink | None = None) -> tuple[JobEvent, Any]:
    sink = sink or RecordingSink()
    return ended(session.jobs.run(job, runner, sink), sink), sink


def finished(session: Session, job: JobSpec, runner: JobRunner) -> tuple[dict[str, Any], RecordingSink]:
    outcome, sink = run(session, job, runner)
    assert isinstance(outcome, Finished), outcome
    return outcome.result, sink


def train(session: Session, runner: JobRunner, **changes: Any) -> Path:
    """Train from the start; the model's folder."""
    job = session.jobs.train_job(PLAN.model_copy(update=changes), resume=False)
    return Path(finished(session, job, runner)[0]["folder"])


def voxels(output: Path) -> np.ndarray:
    return open_ome_zarr(output).read(Box.of_shape(SHAPE))


def told(sink: RecordingSink) -> list[tuple[str, int]]:
    return [(event.name, event.step) for event in sink.events if isinstance(event, Measured)]


def test_training_and_prediction_are_those_of_the_inline_runner(session: Session, worker: ProcessRunner) -> None:
    added: list[ModelRecord] = []
    session.models.added.connect(added.append)
    results, sinks, folders, predictions = [], [], [], []
    pids = set()
    for runner in (worker, InlineRunner(), worker):  # the second time warm
        result, sink = finished(session, session.jobs.train_job(PLAN, resume=False), runner)
        results.append(result), sinks.append(sink), folders.append(Path(result["folder"]))
        predicted, _ = finished(session, session.jobs.predict_job(PREDICT, model=result["model"]), runner)
        assert (predicted["tiles"], predicted["tiles_done_before"]) == (N_TILES, 0)
        predictions.append(voxels(Path(predicted["output"])))
        pids.add(worker.worker_pid)
    assert len(pids) == 1
    assert results[0].keys() == results[1].keys()
    assert [r["steps"] for r in results] == [PLAN.steps] * 3
    assert told(sinks[0]) == told(sinks[1]) == told(sinks[2])
    own = [{name: score for name, score in r["scores"].items() if name != "comparison"} for r in results]
    assert own[0] == own[1] == own[2]
    assert [r["scores"]["comparison"]["difference"] for r in results[1:]] == [0, 0]
    weights = [weights_of(folder) for folder in folders]
    assert same_weights(weights[0], weights[1])
    assert same_weights(weights[0], weights[2])
    assert predictions[0].any()
    assert all(np.array_equal(predictions[0], other) for other in predictions[1:])
    assert [m.id for m in session.models.records()] == [r["model"] for r in results] == [m.id for m in added]
    assert [(r.kind, r.state) for r in session.jobs.runs()] == [("train", "finished"), ("predict", "finished")] * 3
    curve = session.jobs.metrics(session.jobs.runs()[0].id)
    assert [(p.name, p.step) for p in curve] == told(sinks[0])


def test_a_training_killed_in_a_step_goes_on_from_its_checkpoint(
    session: Session, worker: ProcessRunner, orders: Path
) -> None:
    whole = train(session, worker)
    job = session.jobs.train_job(PLAN)
    worker_before = worker.worker_pid
    order_death(orders, "step", 6)
    outcome, _ = run(session, job, worker)
    assert isinstance(outcome, Failed)
    assert "SIGKILL" in outcome.message or "9" in outcome.message
    assert outcome.hint
    assert session.jobs.runs()[-1].state == "failed"
    assert not job.output.model_folder.exists()
    assert list(job.output.run_folder.glob("*.safetensors"))

    again = session.jobs.train_job(PLAN)
    assert (again.output.model_folder, again.output.run_folder) == (job.output.model_folder, job.output.run_folder)
    result, sink = finished(session, again, worker)
    assert worker.worker_pid != worker_before
    first = next(e.done for e in sink.events if isinstance(e, Progressed) and e.note == "training")
    assert 5 <= first < PLAN.steps
    assert result["steps"] == PLAN.steps
    assert same_weights(weights_of(whole), weights_of(Path(result["folder"])))
    assert not job.output.run_folder.exists()
    assert session.strokes.store.counts()


def test_a_prediction_killed_in_a_tile_goes_on_with_the_rest(
    session: Session, worker: ProcessRunner, orders: Path
) -> None:
    model = train(session, InlineRunner())
    whole = finished(session, session.jobs.predict_job(PREDICT, model), InlineRunner())[0]
    before = voxels(Path(whole["output"]))
    shutil.rmtree(whole["output"])

    job = session.jobs.predict_job(PREDICT, model)
    let_die = order_death(orders, "tile", 5, held=True)
    outcome, _ = run(session, job, worker, RecordingSink(lambda event: isinstance(event, Produced) and let_die()))
    assert isinstance(outcome, Failed)
    assert outcome.hint
    assert [r.state for r in session.predictions.records()] == ["failed"]
    again = session.jobs.predict_job(PREDICT, model)
    assert again.output == job.output
    result, sink = finished(session, again, worker)
    assert 1 <= result["tiles_done_before"] <= 4
    made = [event.box for event in sink.events if isinstance(event, Produced)]
    assert len(made) == N_TILES - result["tiles_done_before"]
    assert np.array_equal(voxels(job.output), before)
    assert [r.state for r in session.predictions.records()] == ["finished"]


def test_a_cancelled_training_and_prediction_go_on(session: Session, worker: ProcessRunner, orders: Path) -> None:
    steps = 60
    whole = train(session, worker, steps=steps)

    def cancel_at(kind: type[JobEvent], where: str, number: int) -> RecordingSink:
        """Cancel at an event; the worker waits for that, so that it is not done before it hears of it."""
        go_on = order_wait(orders, where, number)
        return RecordingSink(lambda event: isinstance(event, kind) and (worker.cancel(event.job), go_on()))

    plan = PLAN.model_copy(update={"steps": steps})
    job, pid = session.jobs.train_job(plan), worker.worker_pid
    assert isinstance(run(session, job, worker, cancel_at(Measured, "step", 4))[0], Cancelled)
    assert worker.worker_pid == pid
    assert not job.output.model_folder.exists()
    result, _ = finished(session, session.jobs.train_job(plan), worker)
    assert Path(result["folder"]) == job.output.model_folder
    assert same_weights(weights_of(whole), weights_of(job.output.model_folder))

    tiles = PREDICT.model_copy(update={"tile_shape": (2, 8, 8)})
    asked = session.jobs.predict_job(tiles)
    assert isinstance(run(session, asked, worker, cancel_at(Produced, "tile", 20))[0], Cancelled)
    assert [r.state for r in session.predictions.records()] == ["cancelled"]
    result, sink = finished(session, session.jobs.predict_job(tiles), worker)
    n_made = len([event for event in sink.events if isinstance(event, Produced)])
    assert 0 < result["tiles_done_before"] < result["tiles"] == n_made + result["tiles_done_before"]
    assert psutil.pid_exists(pid)
