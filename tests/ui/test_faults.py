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
from napari_pytc.learning.config import PredictPlan, TrainPlan
from napari_pytc.learning.networks import UNetNetwork
from napari_pytc.session.recent import RecentProjects
from napari_pytc.session.session import Session
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.workspace import Workspace
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.dying_worker import DYING_WORKER, ORDERS, order_death
from tests.support.tissue import draw_strokes, make_tissue
from tests.support.viewers import FakeViewer

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

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


class Desk:
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
            session.annotate(draw_strokes(tissue.classes, n_strokes=30, length=12))
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
    def job(self) -> JobView:
        return self.workspace.jobs.jobs[-1]

    def until(self, happened: Callable[[], object], seconds: float = 60) -> None:
        self.bot.waitUntil(lambda: bool(happened()), timeout=int(1000 * seconds))

    def train(self, plan: TrainPlan = PLAN) -> JobView:
        self.workspace.train(plan)
        return self.job

    def predict(self, plan: PredictPlan = PREDICT) -> JobView:
        self.workspace.predict("all", None, plan)
        return self.job

    def finish(self, job: JobView) -> None:
        self.until(lambda: job.is_over)
        assert job.state is JobState.FINISHED, (job.message, job.trace)

    def fail(self, job: JobView) -> None:
        self.until(lambda: job.is_over)
        assert job.state is JobState.FAILED, job
        for text in (job.message, job.hint):
            assert text
            assert "Traceback" not in text
            assert "\n" not in text

    def paint(self, row: int) -> None:
        array: Any = self.viewer.find("Strokes").data
        array[3, row : row + 3, 2:38] = 1

    def told(self) -> list[str]:
        """What went wrong meanwhile, each a sentence with a hint."""
        for error in self.errors:
            assert error.message.endswith("."), error.message
            assert "Traceback" not in error.message
            assert error.hint
        found, self.errors[:] = [error.message for error in self.errors], []
        return found


@pytest.fixture
def desk(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv(ORDERS, str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = Desk(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


# ---- the worker is killed


def test_killed_while_training_the_project_is_whole_and_the_training_goes_on(desk: Desk) -> None:
    order_death(desk.orders, "step", 6)
    job = desk.train()
    desk.fail(job)
    assert "SIGKILL" in job.message or sys.platform == "win32"
    session = desk.session
    assert not session.models()
    assert [run.state for run in session.runs()] == ["failed"]
    (unfinished,) = session.unfinished_trainings()

    desk.paint(20)  # the window goes on as if nothing had happened
    desk.workspace.go_on_training(unfinished)
    again = desk.job
    assert again is not job
    desk.finish(again)
    assert again.result["steps"] == PLAN.steps
    assert job.curves["loss"][0][0] == 1  # measured in the first step,
    assert "loss" not in again.curves  # which was not done again
    assert [model.id for model in session.models()] == [unfinished.model_folder.name]
    assert not session.unfinished_trainings()
    folder = session.folder
    desk.workspace.close_project()
    with Session.open(folder) as after:
        assert not after.read_only
        assert after.annotated_voxels()["membrane"] > 0


def test_killed_while_tiles_arrive_the_finished_ones_stay(desk: Desk) -> None:
    desk.finish(desk.train())
    order_death(desk.orders, "tile", 5)
    job = desk.predict()
    desk.fail(job)
    assert 1 <= len(desk.boxes) <= 4
    (record,) = desk.session.predictions()
    assert record.state == "failed"
    kept = {str(box): open_ome_zarr(record.folder).read(box) for box in desk.boxes}
    layer: Any = desk.viewer.find("Prediction")
    first = desk.boxes[0]
    desk.until(lambda: np.asarray(layer.data[first.start[0]])[first.slices[1:]].any())

    desk.boxes.clear()
    desk.workspace.go_on_predicting(record)
    desk.until(lambda: desk.job is not job and desk.job.is_over)
    assert desk.job.state is JobState.FINISHED, desk.job.message
    n_before = desk.job.result["tiles_done_before"]
    assert len(kept) <= n_before <= 4  # the last may have died between the disk and the telling
    assert len(desk.boxes) == N_TILES - n_before
    for box, before in kept.items():
        np.testing.assert_array_equal(open_ome_zarr(record.folder).read(Box.parse(box)), before)
    assert [found.state for found in desk.session.predictions()] == ["finished"]


# ---- the project's folder is deleted


def test_in_a_deleted_project_all_is_refused_in_a_sentence_and_nothing_comes_back(desk: Desk) -> None:
    desk.finish(desk.train())
    delete(desk.folder)
    desk.paint(20)
    desk.until(lambda: desk.errors)
    (told,) = desk.told()
    assert "is gone" in told

    for start in (
        lambda: desk.workspace.train(PLAN),
        lambda: desk.workspace.predict("all"),
        lambda: desk.workspace.predict("view"),
        lambda: desk.workspace.attempt(lambda: desk.session.hold_out(Box((0, 0, 0), (1, 5, 5)))),
        lambda: desk.workspace.attempt(lambda: desk.session.add_class("glia")),
    ):
        start()
        desk.until(lambda: desk.errors and not desk.workspace.jobs.running)
        (told,) = desk.told()
        assert "is gone" in told
    desk.workspace.close_project()
    assert len(desk.told()) == 1  # the strokes that are lost with the folder
    assert desk.viewer.layers == []
    assert not desk.folder.exists()
    desk.workspace.open_project(desk.folder)
    desk.until(lambda: desk.errors)
    assert "does not exist" in desk.told()[0]


def delete(folder: Path) -> None:
    """Delete a folder that somebody writes into."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def test_deleted_while_training_the_job_fails_and_makes_no_folder(desk: Desk) -> None:
    job = desk.train(ENDLESS)
    desk.until(lambda: job.done > 1)
    delete(desk.folder)
    desk.fail(job)
    assert "deleted or moved" in job.message
    assert not desk.folder.exists()
    desk.workspace.close_project()
    assert not desk.folder.exists()


def test_deleted_while_predicting_the_job_fails_and_makes_no_folder(desk: Desk) -> None:
    desk.finish(desk.train())
    job = desk.predict(MANY_TILES)
    desk.until(lambda: desk.boxes)
    assert not job.is_over
    desk.folder.rename(desk.folder.with_name("elsewhere"))  # at once, as a file manager does
    desk.fail(job)
    assert not desk.folder.exists()
    desk.workspace.close_project()
    assert not desk.folder.exists()


# ---- the disk is full


def test_a_full_disk_is_told_once_and_the_strokes_are_saved_when_there_is_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = desk.session.annotated_voxels()["membrane"]
    tried: list[Box] = []

    def full(box: Box, labels: np.ndarray) -> None:
        tried.append(box)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk.session.annotations, "write", full)
    desk.paint(20)
    desk.until(lambda: desk.errors)
    for row in (24, 28):
        n_tried = len(tried)
        desk.paint(row)
        desk.until(lambda n_tried=n_tried: len(tried) > n_tried)  # type: ignore[misc]
    desk.bot.wait(100)
    (told,) = desk.told()
    assert "No space left on device" in told
    shown: Any = desk.viewer.find("Strokes").data
    assert (np.asarray(shown[3])[20:31:4, 2:38] == 1).all()

    monkeypatch.undo()
    desk.paint(32)
    desk.until(lambda: desk.session.annotated_voxels()["membrane"] >= before + 12 * 36 - 60)
    written = desk.session.annotations.read(Box((3, 20, 2), (4, 35, 38)))[0]
    assert all((written[row : row + 3] == 1).all() for row in (0, 4, 8, 12))
    assert desk.told() == []
