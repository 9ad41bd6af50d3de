"""Live learning on a viewer without a window and a runner that the test speaks for: on, off, making way, going on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, Measured, Produced, Progressed, Started
from napari_pytc.learning.live.job import LiveJob
from napari_pytc.learning.live.plan import LivePlan
from napari_pytc.learning.recipes import load_recipe
from napari_pytc.ui.commands import find
from napari_pytc.ui.live import controller
from napari_pytc.ui.live.controller import LiveController, LiveState, live_of
from napari_pytc.ui.live.words import words_of
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.session.models import make_model
from tests.ui.told_desk import SHAPE, Desk

DONE: dict[str, Any] = {"model": None, "folder": None, "shown": "instant", "scores": {}, "steps": 0}
VIEW = Box((3, 0, 0), (4, 48, 40))


class LiveDesk(Desk):
    """A desk with live learning."""

    @property
    def live(self) -> LiveController:
        return live_of(self.workspace)

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.runner.messages]

    def begin(self) -> None:
        """Switch it on, and let the job run."""
        self.live.switch_on()
        self.until(lambda: self.runner.jobs and self.runner.jobs[-1].outcome is None)
        self.runner.tell(Started)
        self.until(lambda: self.live.state is LiveState.LEARNING)

    def words(self) -> tuple[str, str]:
        found = words_of(self.live, self.workspace)
        return found.chip, found.sentence


@pytest.fixture
def desk(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveDesk]:
    monkeypatch.setattr(controller, "_LOOK_MS", 5)
    found = LiveDesk(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


@pytest.fixture
def opened(desk: LiveDesk) -> LiveDesk:
    """A project with strokes of both classes is open, and the worker is there."""
    desk.open(desk.make())
    desk.warm()
    desk.viewer.in_view = VIEW
    desk.paint(1, 10)
    desk.paint(2, 20)
    desk.until(lambda: all(desk.session.annotated_voxels().values()))
    strokes: Any = desk.viewer.find("Strokes").data
    desk.until(lambda: strokes.is_saved)
    desk.bot.wait(10)  # for what the saver's thread tells
    return desk


# ---- on and off


def test_it_cannot_be_switched_on_without_a_project(desk: LiveDesk) -> None:
    desk.live.switch_on()
    assert not desk.live.is_on
    assert "No project is open" in desk.errors[0].message
    assert desk.words()[0] == "Off"


def test_a_project_that_is_open_elsewhere_says_why_not(desk: LiveDesk, qtbot: Any) -> None:
    folder = desk.make()
    from napari_pytc.session.session import Session

    with Session.open(folder):
        desk.open(folder)
        assert "reading only" in desk.live.why_not()
        desk.live.toggle()
        assert not desk.live.is_on
        assert not desk.runner.jobs


def test_the_job_is_told_what_is_looked_at_and_what_is_painted(opened: LiveDesk) -> None:
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
    assert told["revision"] == opened.session.annotations.revision
    assert Box(**told["box"]).overlaps(Box((3, 30, 2), (4, 33, 38)))


def test_a_stroke_that_begins_is_told(opened: LiveDesk) -> None:
    assert opened.workspace.layers is not None
    opened.workspace.layers.stroke_begun.emit()
    assert opened.topics == []
    opened.begin()
    n_told = len(opened.topics)
    opened.workspace.layers.stroke_begun.emit()
    assert opened.topics[n_told:] == ["painting"]


def test_strokes_that_are_taken_back_are_told_too(opened: LiveDesk) -> None:
    opened.begin()
    opened.session.paint(Box((5, 0, 0), (6, 3, 3)), 1)
    opened.until(lambda: "annotations" in opened.topics)


def test_switching_off_keeps_the_best_model(opened: LiveDesk) -> None:
    told: list[None] = []
    opened.workspace.models_changed.connect(lambda: told.append(None))
    opened.begin()
    opened.live.switch_off()
    assert opened.live.state is LiveState.STOPPING
    assert opened.topics[-1] == "stop"
    assert not opened.runner.jobs[-1].cancel_requested
    assert opened.words() == ("Stopping", "Keeping the best model …")
    result = DONE | {"model": "m-live", "shown": "network", "scores": {"mean": 0.8125}}
    opened.runner.tell(Finished, result=result)
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert opened.words()[1] == "Off. The best model was kept: m-live (network, score 0.812)."
    assert told


def test_switched_on_again_while_it_stops_it_begins_anew(opened: LiveDesk) -> None:
    opened.begin()
    opened.live.switch_off()
    opened.live.switch_on()
    assert opened.live.is_on
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: len(opened.runner.jobs) == 2)
    assert opened.live.state is LiveState.STARTING


def test_switched_off_before_it_began_it_is_cancelled(opened: LiveDesk) -> None:
    opened.live.switch_on()
    opened.until(lambda: opened.runner.jobs)
    opened.live.switch_off()
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert opened.runner.jobs[-1].cancel_requested


def test_a_job_that_does_not_stop_is_cancelled(opened: LiveDesk) -> None:
    opened.begin()
    opened.live.switch_off()
    opened.live._patience.timeout.emit()
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert opened.runner.jobs[-1].cancel_requested


def test_the_command_switches_it(opened: LiveDesk) -> None:
    find("live").run(opened.workspace)
    assert opened.live.is_on
    find("live").run(opened.workspace)
    assert not opened.live.is_on
    with pytest.raises(Exception, match="place to paint next"):
        find("paint_next").run(opened.workspace)


# ---- what it says


def test_it_waits_for_strokes_of_two_classes(desk: LiveDesk) -> None:
    desk.open(desk.make())
    desk.warm()
    desk.begin()
    assert desk.words() == ("Waiting for strokes", "Paint strokes of at least two classes: there are none yet.")
    desk.paint(1, 10)
    desk.until(lambda: "so far only membrane has some" in desk.words()[1])
    desk.paint(2, 20)
    desk.until(lambda: desk.words()[0] == "Starting")
    desk.runner.tell(Progressed, done=0, total=0, note="loading the libraries")
    desk.until(lambda: desk.words() == ("Starting", "Loading the libraries"))
    desk.runner.tell(Measured, name="shown", step=0, value=0)
    desk.until(lambda: desk.words()[0] == "Instant model")


def test_it_says_which_model_is_shown_and_what_the_worker_tells(opened: LiveDesk) -> None:
    opened.begin()
    opened.runner.tell(Measured, name="shown", step=0, value=0)
    opened.runner.tell(Progressed, done=0, total=0, note="instant model shown; network at step 240")
    opened.until(lambda: "240" in opened.words()[1])
    assert opened.words() == ("Instant model", "Instant model shown; network at step 240")
    opened.runner.tell(Measured, name="shown", step=280, value=1)
    opened.until(lambda: opened.words()[0] == "Network")


def test_a_worker_that_died_is_told_and_the_switch_goes_on_again(opened: LiveDesk) -> None:
    opened.begin()
    opened.runner.tell(Failed, message="The worker was killed.", hint="Free memory.", log="Killed")
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert not opened.live.is_on
    assert opened.live.problem is not None
    assert (opened.live.problem.message, opened.live.trace) == ("The worker was killed.", "Killed")
    assert opened.words()[0] == "Error"
    opened.begin()
    assert opened.live.problem is None


# ---- beside other jobs


def test_it_makes_way_for_a_prediction_and_goes_on_afterwards(opened: LiveDesk) -> None:
    opened.begin()
    opened.workspace.predict("all")
    assert opened.live.state is LiveState.WAITING
    assert opened.words() == ("Waiting", "Live waits for “Predict the volume” and goes on by itself.")
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


def test_it_waits_where_the_worker_is_busy_already(opened: LiveDesk) -> None:
    opened.workspace.train(load_recipe("instant"))
    opened.until(lambda: opened.runner.specs)
    opened.live.switch_on()
    assert opened.words()[1] == "Live waits for “Train instant” and goes on by itself."
    opened.runner.tell(Started)
    opened.runner.tell(Cancelled)
    opened.until(lambda: len(opened.runner.specs) == 2)
    assert opened.runner.specs[1].kind == "live"


def test_switched_off_while_it_waits_it_does_not_go_on(opened: LiveDesk) -> None:
    opened.begin()
    opened.workspace.train(load_recipe("instant"))
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


def test_who_waits_for_a_worker_that_dies_begins_all_the_same(opened: LiveDesk) -> None:
    opened.begin()
    opened.workspace.train(load_recipe("instant"))
    opened.runner.tell(Failed, message="gone", hint="")
    opened.until(lambda: len(opened.runner.specs) == 2)
    assert opened.runner.specs[1].kind == "train"
    assert not opened.live.is_on


def test_cancelled_by_the_user_it_is_off(opened: LiveDesk) -> None:
    opened.begin()
    find("cancel_jobs").run(opened.workspace)
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert not opened.live.is_on
    assert "Cancelled" in opened.words()[1]


def test_other_classes_begin_it_anew(opened: LiveDesk) -> None:
    opened.begin()
    opened.session.rename_class(1, "wall")
    assert opened.topics[-1] == "stop"
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: len(opened.runner.specs) == 2)
    assert opened.runner.specs[1].classes == ("wall", "inside")
    opened.runner.tell(Started)
    opened.until(lambda: opened.live.state is LiveState.LEARNING)
    opened.session.hold_out(Box((0, 0, 0), (2, 5, 5)))
    assert opened.live.state is LiveState.WAITING


def test_another_project_ends_it(opened: LiveDesk) -> None:
    opened.begin()
    opened.workspace.close_project()
    assert opened.live.state is LiveState.OFF
    assert opened.runner.jobs[-1].cancel_requested
    opened.open(opened.make("b"))
    opened.begin()
    assert opened.runner.specs[-1].output.parents[1].name == "b.pytc"
    n_told = len(opened.runner.messages)
    opened.paint(1, 10)
    opened.until(lambda: "annotations" in opened.topics[n_told:])


# ---- on the canvas


def _write(desk: LiveDesk) -> Path:
    """The live prediction as the worker makes it."""
    output = Path(desk.runner.specs[-1].output)
    if not output.exists():
        create_ome_zarr(output, SHAPE, np.uint8, desk.session.space, channels=("membrane", "inside"))
    desk.runner.tell(Produced, kind="prediction", box=VIEW)
    return output


def test_its_prediction_comes_to_the_canvas(opened: LiveDesk) -> None:
    opened.begin()
    output = _write(opened)
    opened.until(lambda: opened.layers.predictions.folder == output)
    opened.until(lambda: any(layer.name == "Prediction" for layer in opened.viewer.layers))


def test_what_was_predicted_meanwhile_stays_until_something_is_painted(opened: LiveDesk) -> None:
    opened.begin()
    output = _write(opened)
    opened.until(lambda: opened.layers.predictions.folder == output)
    opened.workspace.train(load_recipe("instant"))
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
