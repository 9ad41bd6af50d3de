"""What goes wrong under the window: the worker is killed, the folder vanishes, the disk is full. With a real worker."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.job import JobState
from napari_pytc.jobs.runners.process import ProcessRunner
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.plans.networks import UNetNetwork
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.session import Session
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.workspace import Workspace
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.dying_worker import DYING_WORKER, ORDERS, order_death, order_wait
from tests.support.tissue import draw_strokes, make_tissue
from tests.support.viewers import FakeViewer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

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
ENDLESS = PLAN.model_copy(update={"steps": 100_000, "checkpoint_every": 5})
PREDICT = PredictPlan(tile_shape=(6, 24, 20), device="cpu", precision="float32")
MANY_TILES = PREDICT.model_copy(update={"tile_shape": (1, 4, 4)})
N_TILES = 8


class FaultBench:
    """A workspace with a worker that can be told to die, on a project with strokes."""

    def __init__(self, bot: Any, folder: Path) -> None:
        self.bot, self.orders = bot, folder
        self.viewer = FakeViewer()
        tissue = make_tissue(SHAPE, anisotropy=4.0)
        with h5py.File(folder / "raw.h5", "w") as file:
            file.create_dataset("main", data=tissue.raw)
        self.folder = folder / "fly.pytc"
        size = (40.0, 10.0, 10.0)
        with Session.create(self.folder, folder / "raw.h5", ["membrane", "inside"], voxel_size_nm=size) as session:
            session.strokes.add(draw_strokes(tissue.classes, n_strokes=30, length=12))
        self.workspace = Workspace(self.viewer, self._hire, RecentProjects(folder / "recent.json"))
        self.errors: list[PytcError] = []
        self.workspace.failed.connect(self.errors.append)
        self.boxes: list[Box] = []
        self.workspace.jobs.produced.connect(lambda job, boxes: self.boxes.extend(boxes))
        self.workspace.open_project(self.folder)
        self.until(lambda: self.workspace.layers is not None)

    def _hire(self) -> ProcessRunner:
        return ProcessRunner(imports=[DYING_WORKER], preload=["torch", "lightning"], n_threads=1, warm=True)

    @property
    def session(self) -> Session:
        assert self.workspace.session is not None
        return self.workspace.session

    @property
    def job(self) -> JobModel:
        return self.workspace.jobs.jobs[-1]

    def until(self, happened: Callable[[], object]) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    def train(self, plan: TrainPlan = PLAN) -> JobModel:
        self.workspace.launcher.train(plan)
        return self.job

    def predict(self, plan: PredictPlan = PREDICT) -> JobModel:
        self.workspace.launcher.predict("all", None, plan)
        return self.job

    def finish(self, job: JobModel) -> None:
        self.until(lambda: job.is_over)
        assert job.state is JobState.FINISHED, (job.message, job.trace)

    def fail(self, job: JobModel) -> None:
        self.until(lambda: job.is_over)
        assert job.state is JobState.FAILED, job
        for text in (job.message, job.hint):
            assert text
            assert "Traceback" not in text
            assert "\n" not in text

    def paint(self, row: int) -> None:
        array: Any = self.viewer.find("Strokes").data
        array[3, row : row + 3, 2:38] = 1

    def received(self) -> list[str]:
        """What went wrong meanwhile, each a sentence with a hint."""
        for error in self.errors:
            assert error.message.endswith("."), error.message
            assert "Traceback" not in error.message
            assert error.hint
        found, self.errors[:] = [error.message for error in self.errors], []
        return found


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultBench]:
    monkeypatch.setenv(ORDERS, str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = FaultBench(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


# ---- the worker is killed


def test_killed_while_training_the_project_is_whole_and_the_training_goes_on(bench: FaultBench) -> None:
    let_die = order_death(bench.orders, "step", 6, held=True)
    job = bench.train()
    bench.until(lambda: job.curves.get("loss"))
    let_die()
    bench.fail(job)
    assert "SIGKILL" in job.message or sys.platform == "win32"
    session = bench.session
    assert not session.models.records()
    assert [run.state for run in session.jobs.runs()] == ["failed"]
    (unfinished,) = session.jobs.unfinished_trainings()

    bench.paint(20)  # the window goes on as if nothing had happened
    bench.workspace.launcher.resume_training(unfinished)
    again = bench.job
    assert again is not job
    bench.finish(again)
    assert again.result["steps"] == PLAN.steps
    assert job.curves["loss"][0][0] == 1  # measured in the first step,
    assert "loss" not in again.curves  # which was not done again
    assert [model.id for model in session.models.records()] == [unfinished.output.model_folder.name]
    assert not session.jobs.unfinished_trainings()
    folder = session.folder
    bench.workspace.close_project()
    with Session.open(folder) as after:
        assert not after.project.read_only
        assert after.strokes.counts()["membrane"] > 0


def test_killed_while_tiles_arrive_the_finished_ones_stay(bench: FaultBench) -> None:
    bench.finish(bench.train())
    let_die = order_death(bench.orders, "tile", 5, held=True)
    job = bench.predict()
    bench.until(lambda: bench.boxes)
    let_die()
    bench.fail(job)
    assert 1 <= len(bench.boxes) <= 4
    (record,) = bench.session.predictions.records()
    assert record.state == "failed"
    kept = {str(box): open_ome_zarr(record.folder).read(box) for box in bench.boxes}
    layer: Any = bench.viewer.find("Prediction")
    first = bench.boxes[0]
    bench.until(lambda: np.asarray(layer.data[first.start[0]])[first.slices[1:]].any())

    bench.boxes.clear()
    bench.workspace.launcher.resume_prediction(record)
    bench.until(lambda: bench.job is not job and bench.job.is_over)
    assert bench.job.state is JobState.FINISHED, bench.job.message
    n_before = bench.job.result["tiles_done_before"]
    assert len(kept) <= n_before <= 4  # the last may have died between the disk and the telling
    assert len(bench.boxes) == N_TILES - n_before
    for box, before in kept.items():
        np.testing.assert_array_equal(open_ome_zarr(record.folder).read(Box.parse(box)), before)
    assert [found.state for found in bench.session.predictions.records()] == ["finished"]


# ---- the project's folder is deleted


def test_in_a_deleted_project_all_is_refused_in_a_sentence_and_nothing_comes_back(bench: FaultBench) -> None:
    bench.finish(bench.train())
    delete(bench.folder)
    bench.paint(20)
    bench.until(lambda: bench.errors)
    (received,) = bench.received()
    assert "is gone" in received

    for start in (
        lambda: bench.workspace.launcher.train(PLAN),
        lambda: bench.workspace.launcher.predict("all"),
        lambda: bench.workspace.launcher.predict("view"),
        lambda: bench.workspace.attempt(lambda: bench.session.held_out.add(Box((0, 0, 0), (1, 5, 5)))),
        lambda: bench.workspace.attempt(lambda: bench.session.classes.add("glia")),
    ):
        start()
        bench.until(lambda: bench.errors and not bench.workspace.jobs.running)
        (received,) = bench.received()
        assert "is gone" in received
    bench.workspace.close_project()
    assert len(bench.received()) == 1  # the strokes that are lost with the folder
    assert bench.viewer.layers == []
    assert not bench.folder.exists()
    bench.workspace.open_project(bench.folder)
    bench.until(lambda: bench.errors)
    assert "does not exist" in bench.received()[0]


def delete(folder: Path) -> None:
    """Delete a folder that somebody writes into."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def test_deleted_while_training_the_job_fails_and_makes_no_folder(bench: FaultBench) -> None:
    job = bench.train(ENDLESS)
    bench.until(lambda: job.done > 1)
    delete(bench.folder)
    bench.fail(job)
    assert "deleted or moved" in job.message
    assert not bench.folder.exists()
    bench.workspace.close_project()
    assert not bench.folder.exists()


def test_deleted_while_predicting_the_job_fails_and_makes_no_folder(bench: FaultBench) -> None:
    bench.finish(bench.train())
    go_on = order_wait(bench.orders, "tile", 20)
    job = bench.predict(MANY_TILES)
    bench.until(lambda: bench.boxes)
    bench.folder.rename(bench.folder.with_name("elsewhere"))  # at once, as a file manager does
    go_on()
    bench.fail(job)
    assert not bench.folder.exists()
    bench.workspace.close_project()
    assert not bench.folder.exists()


# ---- the disk is full


def test_a_full_disk_is_reported_once_and_the_strokes_are_saved_when_there_is_room(
    bench: FaultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.session.strokes.counts()["membrane"]
    tried: list[Box] = []

    def full(patch: LabelPatch) -> None:
        tried.append(patch.box)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench.session.strokes.store, "rebase", full)
    bench.paint(20)
    bench.until(lambda: bench.errors)
    for row in (24, 28):
        n_tried = len(tried)
        bench.paint(row)
        bench.until(lambda n_tried=n_tried: len(tried) > n_tried)  # type: ignore[misc]
    bench.bot.wait(100)
    (received,) = bench.received()
    assert "No space left on device" in received
    shown: Any = bench.viewer.find("Strokes").data
    assert (np.asarray(shown[3])[20:31:4, 2:38] == 1).all()

    monkeypatch.undo()
    bench.paint(32)
    bench.until(lambda: bench.session.strokes.counts()["membrane"] >= before + 12 * 36 - 60)
    written = bench.session.strokes.store.read(Box((3, 20, 2), (4, 35, 38)))[0]
    assert all((written[row : row + 3] == 1).all() for row in (0, 4, 8, 12))
    assert bench.received() == []
