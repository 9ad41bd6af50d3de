"""Live learning in a real window with a real worker: strokes by mouse, the prediction that follows, and what happens
when another job comes or the worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.jobs.job import JobState
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.ui.panels.train.live_box import LiveBox
from napari_pytc.ui.panels.train.live_controller import LiveController, LiveState
from tests.support.display import needs_display
from tests.ui.test_tutorial import User, runs_of, truth

pytestmark = [needs_display, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SECTION, OTHER = 20, 40


class Painter(User):
    """Somebody with Live on."""

    @property
    def live(self) -> LiveController:
        return self.widget.controllers.live

    @property
    def box(self) -> LiveBox:
        return self.widget.panel("Train").live  # type: ignore[attr-defined, no-any-return]

    def begin(self) -> None:
        """Switch it on and paint both classes."""
        self.click("Train", "liveSwitch")
        self.wait(lambda: self.live.state is LiveState.LEARNING)
        self.wait(lambda: self.box.chip.text() == "Waiting for strokes")
        for stroke in runs_of(1, SECTION, 3)[:8]:
            self.paint(1, stroke, brush=1)
        for stroke in runs_of(2, SECTION, 25)[:6]:
            self.paint(2, stroke, brush=3)

    def is_right(self, section: int) -> bool:
        """Whether the section in view is predicted as a whole, and mostly as it should be."""
        if self.viewer.dims.current_step[0] != section or not self.is_whole("Prediction", section):
            return False
        return bool((self.shown("Prediction", section) == truth()[section]).mean() > 0.6)


@pytest.fixture
def painter(make_napari_viewer: Callable[..., Any], qtbot: QtBot, tmp_path: Path) -> Iterator[Painter]:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    found = Painter(viewer, qtbot)
    found.live.plan = LivePlan(instant_only=True)
    found.open_sample(tmp_path)
    viewer.reset_view()
    yield found
    found.workspace.shutdown()


@pytest.mark.timeout(600)
def test_the_prediction_follows_strokes_and_the_view(painter: Painter) -> None:
    painter.begin()
    painter.wait(lambda: painter.is_right(SECTION))
    painter.wait(lambda: painter.box.chip.text() == "Instant model")
    painter.viewer.dims.set_current_step(0, OTHER)
    painter.wait(lambda: painter.is_right(OTHER))

    live = painter.live.job
    assert live is not None
    before = live.curves["generation"][-1][1]
    painter.viewer.camera.zoom *= 2
    painter.wait(lambda: live.curves["generation"][-1][1] > before)

    painter.box.suggestions_fold.toggleButton().setChecked(True)
    suggestions = painter.widget.controllers.suggestions
    painter.wait(lambda: suggestions.found is not None and suggestions.found.boxes)
    suggestions.fly_to_next()
    assert suggestions.found is not None
    assert painter.viewer.dims.current_step[0] in range(
        suggestions.found.boxes[0].box.start[0], suggestions.found.boxes[0].box.stop[0]
    )
    assert "Paint here" in painter.viewer.layers

    painter.click("Train", "liveSwitch")
    painter.wait(lambda: painter.live.state is LiveState.OFF)
    session = painter.workspace.session
    assert session is not None
    (model,) = session.models.records()
    assert model.active
    assert model.id in painter.box.status.text()
    assert "Paint here" not in painter.viewer.layers


@pytest.mark.timeout(600)
def test_it_gives_way_to_a_prediction_and_continues(painter: Painter) -> None:
    painter.begin()
    painter.wait(lambda: painter.is_right(SECTION))
    told: list[str] = []
    painter.live.changed.connect(lambda: told.append(painter.box.status.text()))
    painter.workspace.launcher.predict("all")
    painter.wait(lambda: "Live waits for “Predict the volume” and goes on by itself." in told)
    jobs = painter.workspace.jobs
    painter.wait(lambda: any(job.kind == "predict" and job.is_over for job in jobs.jobs))
    (done,) = [job for job in jobs.jobs if job.kind == "predict"]
    assert done.state is JobState.FINISHED, (done.message, done.trace)
    assert done.spec.model.name.endswith("-live")  # type: ignore[union-attr]
    painter.wait(lambda: painter.live.state is LiveState.LEARNING)
    assert painter.workspace.layers is not None
    assert painter.workspace.layers.predictions.folder == done.output
    painter.paint(2, runs_of(2, SECTION, 12)[-1], brush=3)
    live = painter.live.job
    assert live is not None
    painter.wait(lambda: painter.workspace.layers.predictions.folder == live.output)  # type: ignore[union-attr]


@pytest.mark.timeout(600)
def test_it_can_be_switched_on_after_the_worker_was_killed(painter: Painter) -> None:
    painter.begin()
    painter.wait(lambda: painter.is_right(SECTION))
    runner: Any = painter.workspace.worker.runner
    os.kill(runner.worker_pid, signal.SIGKILL)
    painter.wait(lambda: painter.box.chip.text() == "Error")
    assert painter.box.notice.isVisible()
    assert not painter.box.switch.isChecked()
    painter.click("Train", "liveSwitch")
    painter.wait(lambda: painter.live.state is LiveState.LEARNING)
    painter.wait(lambda: painter.is_right(SECTION))
