"""Live learning with a viewer without a window and a runner that the test plays: on, off, giving way, continuing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, Measured, Produced, Progressed, Started
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.ui.commands import find
from napari_pytc.ui.panels.train import live_controller as controller
from napari_pytc.ui.panels.train.live_controller import LiveController, LiveState
from napari_pytc.ui.panels.train.live_status import live_status
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.session.models import make_model
from tests.support.workspace_bench import SHAPE, WorkspaceBench

DONE: dict[str, Any] = {"model": None, "folder": None, "shown": "instant", "scores": {}, "steps": 0}
VIEW = Box((3, 0, 0), (4, 48, 40))


class LiveBench(WorkspaceBench):
    """A workspace with live learning."""

    @property
    def live(self) -> LiveController:
        return self.controllers.live

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.runner.messages]

    def begin(self) -> None:
        """Switch it on, and let the job run."""
        self.live.switch_on()
        self.until(lambda: self.runner.jobs and self.runner.jobs[-1].outcome is None)
        self.runner.tell(Started)
        self.until(lambda: self.live.state is LiveState.LEARNING)

    def status(self) -> tuple[str, str]:
        found = live_status(self.live, self.workspace)
        return found.chip, found.sentence


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveBench]:
    monkeypatch.setattr(controller, "_POLL_MS", 5)
    found = LiveBench(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


@pytest.fixture
def opened(bench: LiveBench) -> LiveBench:
    """A project with strokes of both classes is open, and the worker is there."""
    bench.open(bench.make())
    bench.warm()
    bench.viewer.in_view = VIEW
    bench.paint(1, 10)
    bench.paint(2, 20)
    bench.until(lambda: all(bench.session.strokes.counts().values()))
    strokes: Any = bench.viewer.find("Strokes").data
    bench.until(lambda: strokes.is_saved)
    bench.until(lambda: len(bench.live.painted_classes) == 2)  # the saver's thread has told it
    return bench


# ---- on and off


def test_it_cannot_be_switched_on_without_a_project(bench: LiveBench) -> None:
    bench.live.switch_on()
    assert not bench.live.is_on
    assert "No project is open" in bench.errors[0].message
    assert bench.status()[0] == "Off"


def test_it_cannot_be_switched_on_for_a_read_only_project(bench: LiveBench, qtbot: Any) -> None:
    folder = bench.make()
    from napari_pytc.session.session import Session

    with Session.open(folder):
        bench.open(folder)
        assert "reading only" in bench.live.why_not()
        bench.live.toggle()
        assert not bench.live.is_on
        assert not bench.runner.jobs


@pytest.mark.slow
def test_the_job_receives_the_view_and_strokes(opened: LiveBench) -> None:
    opened.live.plan = LivePlan(instant_only=True)
    opened.live.switch_on()
    assert opened.live.state is LiveState.STARTING
    opened.begin()
    spec = opened.runner.specs[-1]
    assert isinstance(spec, LiveJob)
    assert spec.plan.instant_only
    assert spec.classes == ("membrane", "inside")
    (view,) = opened.runner.messages
    assert view.topic == "view"
    assert view.content == {"box": {"start": [3, 0, 0], "stop": [4, 48, 40]}, "generation": 1}

    opened.viewer.look_at(Box((3, 0, 0), (4, 20, 20)))
    opened.until(lambda: len(opened.runner.messages) == 2)
    assert opened.runner.messages[-1].content["generation"] == 2
    opened.viewer.look_at(Box((3, 0, 0), (4, 20, 20)))  # moved and back: nothing new to tell
    opened.paint(2, 30)
    opened.until(lambda: "annotations" in opened.topics)
    assert opened.topics == ["view", "view", "annotations"]
    told = opened.runner.messages[-1].content
    assert told["revision"] == opened.session.strokes.store.revision
    assert Box(**told["box"]).overlaps(Box((3, 30, 2), (4, 33, 38)))


def test_the_begin_of_a_stroke_is_sent(opened: LiveBench) -> None:
    assert opened.workspace.layers is not None
    opened.workspace.layers.stroke_begun.emit()
    assert opened.topics == []
    opened.begin()
    n_told = len(opened.topics)
    opened.workspace.layers.stroke_begun.emit()
    assert opened.topics[n_told:] == ["painting"]


def test_undone_strokes_are_sent(opened: LiveBench) -> None:
    opened.begin()
    opened.session.strokes.paint(Box((5, 0, 0), (6, 3, 3)), 1)
    opened.until(lambda: "annotations" in opened.topics)


def test_switching_off_writes_the_best_model(opened: LiveBench) -> None:
    told: list[None] = []
    opened.workspace.models_changed.connect(lambda: told.append(None))
    opened.begin()
    opened.live.switch_off()
    assert opened.live.state is LiveState.STOPPING
    assert opened.topics[-1] == "stop"
    assert not opened.runner.jobs[-1].cancel_requested
    assert opened.status() == ("Stopping", "Keeping the best model …")
    result = DONE | {"model": "m-live", "shown": "network", "scores": {"mean": 0.8125}}
    opened.runner.tell(Finished, result=result)
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert opened.status()[1] == "Off. The best model was kept: m-live (network, score 0.812)."
    assert told


def test_it_restarts_when_switched_on_while_it_stops(opened: LiveBench) -> None:
    opened.begin()
    opened.live.switch_off()
    opened.live.switch_on()
    assert opened.live.is_on
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: len(opened.runner.jobs) == 2)
    assert opened.live.state is LiveState.STARTING


def test_it_is_cancelled_when_switched_off_before_it_began(opened: LiveBench) -> None:
    opened.live.switch_on()
    opened.until(lambda: opened.runner.jobs)
    opened.live.switch_off()
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert opened.runner.jobs[-1].cancel_requested


def test_a_job_that_does_not_stop_is_cancelled(opened: LiveBench) -> None:
    opened.begin()
    opened.live.switch_off()
    opened.live._stop_timer.timeout.emit()
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert opened.runner.jobs[-1].cancel_requested


def test_the_command_switches_it(opened: LiveBench) -> None:
    find("live").run(opened.controllers)
    assert opened.live.is_on
    find("live").run(opened.controllers)
    assert not opened.live.is_on
    with pytest.raises(Exception, match="place to paint next"):
        find("paint_next").run(opened.controllers)


# ---- what it says


@pytest.mark.slow
def test_it_waits_for_strokes_of_two_classes(bench: LiveBench) -> None:
    bench.open(bench.make())
    bench.warm()
    bench.begin()
    assert bench.status() == ("Waiting for strokes", "Paint strokes of at least two classes: there are none yet.")
    bench.paint(1, 10)
    bench.until(lambda: "so far only membrane has some" in bench.status()[1])
    bench.paint(2, 20)
    bench.until(lambda: bench.status()[0] == "Starting")
    bench.runner.tell(Progressed, done=0, total=0, note="loading the libraries")
    bench.until(lambda: bench.status() == ("Starting", "Loading the libraries"))
    bench.runner.tell(Measured, name="shown", step=0, value=0)
    bench.until(lambda: bench.status()[0] == "Instant model")


def test_the_status_names_the_model_in_view(opened: LiveBench) -> None:
    opened.begin()
    opened.runner.tell(Measured, name="shown", step=0, value=0)
    opened.runner.tell(Progressed, done=0, total=0, note="instant model shown; network at step 240")
    opened.until(lambda: "240" in opened.status()[1])
    assert opened.status() == ("Instant model", "Instant model shown; network at step 240")
    opened.runner.tell(Measured, name="shown", step=280, value=1)
    opened.until(lambda: opened.status()[0] == "Network")


def test_it_can_be_switched_on_after_the_worker_died(opened: LiveBench) -> None:
    opened.begin()
    opened.runner.tell(Failed, message="The worker was killed.", hint="Free memory.", log="Killed")
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert not opened.live.is_on
    assert opened.live.problem is not None
    assert (opened.live.problem.message, opened.live.trace) == ("The worker was killed.", "Killed")
    assert opened.status()[0] == "Error"
    opened.begin()
    assert opened.live.problem is None


# ---- beside other jobs


def test_it_gives_way_to_a_prediction_and_continues_afterwards(opened: LiveBench) -> None:
    opened.begin()
    opened.workspace.launcher.predict("all")
    assert opened.live.state is LiveState.WAITING
    assert opened.status() == ("Waiting", "Live waits for “Predict the volume” and goes on by itself.")
    assert opened.topics[-1] == "stop"
    assert len(opened.runner.specs) == 1  # the prediction is described once the live model is there
    model = opened.session.folder / "models" / "20261121-1200-live"
    make_model(model)
    opened.runner.tell(Finished, result=DONE | {"model": model.name})
    opened.until(lambda: len(opened.runner.specs) == 2)
    assert opened.runner.specs[1].model == model
    assert opened.live.is_on
    opened.runner.tell(Started)
    opened.runner.tell(Finished)
    opened.until(lambda: len(opened.runner.specs) == 3)
    assert isinstance(opened.runner.specs[2], LiveJob)
    opened.runner.tell(Started)
    opened.until(lambda: opened.live.state is LiveState.LEARNING)
    assert [job.title for job in opened.workspace.jobs.jobs] == ["Predict the volume", "Live learning"]


def test_it_waits_while_the_worker_is_busy(opened: LiveBench) -> None:
    opened.workspace.launcher.train(load_recipe("instant"))
    opened.until(lambda: opened.runner.specs)
    opened.live.switch_on()
    assert opened.status()[1] == "Live waits for “Train instant” and goes on by itself."
    opened.runner.tell(Started)
    opened.runner.tell(Cancelled)
    opened.until(lambda: len(opened.runner.specs) == 2)
    assert opened.runner.specs[1].kind == "live"


def test_it_does_not_continue_when_switched_off_while_waiting(opened: LiveBench) -> None:
    opened.begin()
    opened.workspace.launcher.train(load_recipe("instant"))
    opened.live.switch_off()
    assert opened.live.state is LiveState.STOPPING
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: len(opened.runner.specs) == 2)
    opened.runner.tell(Started)
    opened.runner.tell(Cancelled)
    opened.until(lambda: not opened.workspace.jobs.running)
    opened.bot.wait(50)
    assert len(opened.runner.specs) == 2
    assert opened.live.state is LiveState.OFF


def test_a_waiting_job_begins_although_the_worker_died(opened: LiveBench) -> None:
    opened.begin()
    opened.workspace.launcher.train(load_recipe("instant"))
    opened.runner.tell(Failed, message="gone", hint="")
    opened.until(lambda: len(opened.runner.specs) == 2)
    assert opened.runner.specs[1].kind == "train"
    assert not opened.live.is_on


def test_a_cancelled_job_switches_it_off(opened: LiveBench) -> None:
    opened.begin()
    find("cancel_jobs").run(opened.controllers)
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert not opened.live.is_on
    assert "Cancelled" in opened.status()[1]


def test_other_classes_restart_it(opened: LiveBench) -> None:
    opened.begin()
    opened.session.classes.rename(1, "wall")
    assert opened.topics[-1] == "stop"
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: len(opened.runner.specs) == 2)
    assert opened.runner.specs[1].classes == ("wall", "inside")
    opened.runner.tell(Started)
    opened.until(lambda: opened.live.state is LiveState.LEARNING)
    opened.session.held_out.add(Box((0, 0, 0), (2, 5, 5)))
    assert opened.live.state is LiveState.WAITING


@pytest.mark.slow
def test_another_project_ends_it(opened: LiveBench) -> None:
    opened.begin()
    opened.workspace.close_project()
    assert opened.live.state is LiveState.OFF
    assert opened.runner.jobs[-1].cancel_requested
    opened.open(opened.make("b"))
    opened.begin()
    assert opened.folder / "b.pytc" in opened.runner.specs[-1].prediction.parents
    n_told = len(opened.runner.messages)
    opened.paint(1, 10)
    opened.until(lambda: "annotations" in opened.topics[n_told:])


# ---- on the canvas


def _write(bench: LiveBench) -> Path:
    """The live prediction as the worker makes it."""
    output = Path(bench.runner.specs[-1].prediction)
    if not output.exists():
        create_ome_zarr(output, SHAPE, np.uint8, bench.session.image.space, channels=("membrane", "inside"))
    bench.runner.tell(Produced, kind="prediction", box=VIEW)
    return output


def test_its_prediction_is_shown(opened: LiveBench) -> None:
    opened.begin()
    output = _write(opened)
    opened.until(lambda: opened.layers.predictions.folder == output)
    opened.until(lambda: any(layer.name == "Prediction" for layer in opened.viewer.layers))


@pytest.mark.slow
def test_the_prediction_of_another_job_stays_until_a_stroke_is_painted(opened: LiveBench) -> None:
    opened.begin()
    output = _write(opened)
    opened.until(lambda: opened.layers.predictions.folder == output)
    opened.workspace.launcher.train(load_recipe("instant"))
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: len(opened.runner.specs) == 2)
    opened.runner.tell(Started)
    opened.runner.tell(Cancelled)
    opened.until(lambda: len(opened.runner.specs) == 3)
    opened.layers.show_prediction(None)  # the user looks at something else
    opened.runner.tell(Started)
    opened.until(lambda: opened.live.state is LiveState.LEARNING)
    _write(opened)
    opened.workspace.jobs.drain()
    assert opened.layers.predictions.folder is None
    n_told = opened.topics.count("annotations")
    opened.paint(1, 30)
    opened.until(lambda: opened.topics.count("annotations") > n_told)
    _write(opened)
    opened.until(lambda: opened.layers.predictions.folder == output)
