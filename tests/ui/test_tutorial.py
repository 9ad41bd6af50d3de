"""The tutorial from end to end, in a real window with a real worker: what a new user does in the first ten minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QLineEdit

from napari_pytc.geometry import Box
from napari_pytc.jobs.job import JobState
from napari_pytc.samples import sample_path
from napari_pytc.session.opening import NewProject
from napari_pytc.session.records import ClassSpec
from napari_pytc.ui.panels.data.sample_project import PROJECT, open_sample_in
from napari_pytc.ui.panels.train.panel import TrainPanel
from napari_pytc.ui.plugin import show_workspace
from napari_pytc.ui.workspace_widget import WorkspaceWidget
from napari_pytc.ui.workspaces import controllers_for
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.support.display import needs_display
from tests.support.mouse import drag

pytestmark = [needs_display, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


class User:
    """Somebody in front of the window."""

    def __init__(self, viewer: Any, bot: QtBot) -> None:
        self.viewer, self.bot = viewer, bot
        self.widget: WorkspaceWidget = show_workspace(viewer)
        self.workspace = self.widget.workspace

    def open_sample(self, folder: Path) -> None:
        open_sample_in(self.workspace, folder)
        self.wait(lambda: self.workspace.layers is not None)

    def wait(self, happened: Callable[[], Any]) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    def click(self, panel: str, name: str) -> None:
        self.widget.show_panel(panel)
        button = self.widget.findChild(QAbstractButton, name)
        assert button is not None, name
        self.wait(lambda: button.isEnabled() and button.isVisible())
        self.bot.mouseClick(button, Qt.MouseButton.LeftButton)

    def run(self, panel: str, name: str) -> None:
        """Click, and wait for the job that this starts."""
        n_before = len(self.workspace.jobs.jobs)
        self.click(panel, name)
        self.wait(lambda: len(self.workspace.jobs.jobs) > n_before and self.workspace.jobs.jobs[-1].is_over)
        job = self.workspace.jobs.jobs[-1]
        assert job.state is JobState.FINISHED, (job.message, job.hint, job.trace)

    def choose_recipe(self, name: str, **settings: Any) -> None:
        """Choose a recipe on the Train panel and change its settings."""
        panel = self.widget.panel("Train")
        assert isinstance(panel, TrainPanel)
        combo = panel.recipe.combo
        combo.setCurrentIndex(combo.findData(name))
        combo.activated.emit(combo.currentIndex())
        self.wait(lambda: self.workspace.launcher.plan is not None and self.workspace.launcher.plan.recipe == name)
        form = panel.recipe.form
        assert form is not None
        form.set_value(form.value().model_copy(update=settings))

    def paint(self, label: int, voxels: list[tuple[int, int, int]], brush: int = 5) -> None:
        """A stroke with the mouse."""
        layers = self.workspace.layers
        assert layers is not None
        self.viewer.dims.set_current_step(0, voxels[0][0])
        self.bot.wait(50)
        layers.choose_class(label)
        layers.strokes.brush_size = brush
        drag(self.viewer, layers.strokes, voxels)

    def layer(self, name: str) -> Any:
        return self.viewer.layers[name]

    def shown(self, name: str, section: int) -> np.ndarray:
        """What a layer shows of a section so far; nothing where the layer is not there yet."""
        if name not in self.viewer.layers:
            return np.zeros(0, np.uint8)
        return np.asarray(self.layer(name).data[section, :, :])

    def is_whole(self, name: str, section: int) -> bool:
        """Whether all of a section is predicted."""
        shown = self.shown(name, section)
        return shown.size > 0 and bool(shown.all())


@pytest.fixture
def user(make_napari_viewer: Callable[..., Any], qtbot: QtBot) -> Iterator[User]:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    found = User(viewer, qtbot)
    yield found
    found.workspace.shutdown()


def truth() -> np.ndarray:
    source = open_volume(f"{sample_path('medulla')}:classes")
    return source.read(Box.of_shape(source.shape))


def runs_of(label: int, section: int, length: int = 9) -> list[list[tuple[int, int, int]]]:
    """Straight strokes along x that stay within a class."""
    rows = truth()[section] == label
    found = []
    for y in range(20, 170, 6):
        for x in range(20, 160):
            if rows[y - 1 : y + 2, x : x + length].all():
                found.append([(section, y, x), (section, y, x + length - 1)])
                break
    return found


@pytest.mark.timeout(600)
def test_paint_train_predict_export_and_reopen(user: User, tmp_path: Path) -> None:
    user.open_sample(tmp_path)
    session = user.workspace.session
    assert session is not None
    for section in (10, 20, 30):
        for stroke in runs_of(1, section, 3)[:8]:
            user.paint(1, stroke, brush=1)
        for stroke in runs_of(2, section, 25)[:6]:
            user.paint(2, stroke, brush=3)
    user.wait(lambda: all(session.strokes.counts().values()))

    user.run("Train", "trainButton")
    painted = session.strokes.counts()
    assert [model.recipe for model in session.models.records()] == ["instant"]
    user.click("Predict", "scope-view")
    user.run("Predict", "predictButton")
    user.click("Predict", "scope-all")
    user.run("Predict", "predictButton")
    user.wait(lambda: user.is_whole("Prediction", 31))
    shown, expected = user.shown("Prediction", 31), truth()[31]
    assert (shown[expected == 2] == 2).mean() > 0.75
    assert (shown[expected == 1] == 1).mean() > 0.5

    user.choose_recipe("fast", steps=6, minutes=None)
    user.run("Train", "trainButton")
    assert [model.recipe for model in session.models.records()] == ["instant", "fast"]

    out = tmp_path / "classes.tif"
    user.widget.show_panel("Export")
    path = user.widget.findChild(QLineEdit, "exportPath")
    assert path is not None
    path.setText(str(out))
    path.textEdited.emit(str(out))  # as typing does
    user.run("Export", "exportButton")
    np.testing.assert_array_equal(tifffile.imread(out)[31], shown)

    user.click("Data", "closeProject")
    user.wait(lambda: not user.viewer.layers)
    user.workspace.open_project(tmp_path / PROJECT)
    user.wait(lambda: user.workspace.layers is not None)
    again = user.workspace.session
    assert again is not None
    assert again.strokes.counts() == painted
    assert [model.recipe for model in again.models.records()] == ["instant", "fast"]
    user.wait(lambda: np.array_equal(user.shown("Prediction", 31), shown))


def test_a_stroke_is_on_the_disk_without_being_asked_for(user: User, tmp_path: Path) -> None:
    user.open_sample(tmp_path)
    session = user.workspace.session
    assert session is not None
    user.paint(2, [(12, 60, 60), (12, 60, 90)])
    user.wait(lambda: session.strokes.store.read(Box((12, 55, 55), (13, 65, 95))).any())


def test_two_viewers_have_their_own_sessions(
    user: User, make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    user.open_sample(tmp_path / "one")
    other = make_napari_viewer(show=True)
    second = controllers_for(other).workspace
    assert second is not user.workspace
    assert second.session is None
    open_sample_in(second, tmp_path / "two")
    user.wait(lambda: second.layers is not None)
    assert second.session is not None
    assert user.workspace.session is not None
    assert second.session.folder != user.workspace.session.folder
    user.paint(1, [(12, 60, 60), (12, 60, 90)])
    user.wait(lambda: user.workspace.session.strokes.counts()["membrane"])
    assert not any(second.session.strokes.counts().values())
    second.shutdown()


def test_closing_the_window_with_a_job_running_ends_the_worker(user: User, tmp_path: Path) -> None:
    user.open_sample(tmp_path)
    session = user.workspace.session
    assert session is not None
    session.strokes.add(open_volume(f"{sample_path('medulla')}:strokes"))
    user.wait(lambda: user.workspace.worker.is_warm)
    from napari_pytc.plans.recipes import load_recipe

    user.workspace.launcher.train(load_recipe("fast", ["steps=100000", "minutes=null"]))
    user.wait(lambda: any(job.done for job in user.workspace.jobs.running))
    pid = user.workspace.worker.runner.worker_pid  # type: ignore[union-attr]
    assert pid is not None
    user.viewer.close()
    import psutil

    user.wait(lambda: not psutil.pid_exists(pid))


def test_a_worker_killed_while_training_is_reported_and_the_project_is_whole(user: User, tmp_path: Path) -> None:
    import os
    import signal

    user.open_sample(tmp_path)
    session = user.workspace.session
    assert session is not None
    session.strokes.add(open_volume(f"{sample_path('medulla')}:strokes"))
    user.wait(lambda: user.workspace.worker.is_warm)
    from napari_pytc.plans.recipes import load_recipe

    user.workspace.launcher.train(load_recipe("fast", ["steps=100000", "minutes=null"]))
    user.wait(lambda: any(job.done > 2 for job in user.workspace.jobs.running))
    os.kill(user.workspace.worker.runner.worker_pid, signal.SIGKILL)  # type: ignore[union-attr]
    user.wait(lambda: not user.workspace.jobs.running)
    job = user.workspace.jobs.jobs[-1]
    assert job.state is JobState.FAILED
    assert "SIGKILL" in job.message, job.message
    assert job.hint
    user.run("Train", "trainButton")  # with a fresh worker


@pytest.mark.timeout(600)
def test_forty_gigabytes_are_painted_trained_on_and_predicted_in_view(user: User, tmp_path: Path) -> None:
    import tensorstore

    shape = (8_000, 2304, 2240)
    metadata = {
        "shape": shape,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [64, 64, 64]}},
    }
    store = {"driver": "file", "path": str(tmp_path / "huge.zarr")}
    volume = tensorstore.open({"driver": "zarr3", "kvstore": store, "metadata": metadata}, create=True).result()
    noise = np.random.default_rng(0).integers(90, 160, (64, 192, 192), np.uint8)
    volume[3_968:4_032, 960:1_152, 960:1_152] = noise
    classes = (ClassSpec(name="membrane"), ClassSpec(name="inside"))
    user.workspace.create_project(
        NewProject(tmp_path / "huge.pytc", tmp_path / "huge.zarr", classes, ReadOptions(voxel_size_nm=(40.0, 8.0, 8.0)))
    )
    user.wait(lambda: user.workspace.layers is not None)
    layers, session = user.workspace.layers, user.workspace.session
    assert layers is not None
    assert session is not None
    user.viewer.dims.set_current_step(0, 4_000)
    user.viewer.camera.center = (0.0, 1000 * 8.0, 1000 * 8.0)
    user.viewer.camera.zoom = 1 / 8.0  # a voxel a pixel
    user.bot.wait(200)
    user.paint(1, [(4_000, 1000, 1000), (4_000, 1000, 1040)])
    user.paint(2, [(4_000, 1060, 1000), (4_000, 1060, 1040)])
    user.run("Train", "trainButton")
    box = layers.view_box()
    assert box.contains(Box((4_000, 990, 990), (4_001, 1060, 1060)))
    assert max(box.shape) < 1400
    n_before = len(user.workspace.jobs.jobs)
    user.workspace.launcher.predict("view")
    user.wait(lambda: len(user.workspace.jobs.jobs) > n_before and user.workspace.jobs.jobs[-1].is_over)
    job = user.workspace.jobs.jobs[-1]
    assert job.state is JobState.FINISHED, (job.message, job.trace)
    user.wait(lambda: "Prediction" in user.viewer.layers)
    user.wait(lambda: np.asarray(user.layer("Prediction").data[4_000, 1000:1040, 1000:1040]).all())
    assert not np.asarray(user.layer("Prediction").data[4_000, 2250:2304, :50]).any()
