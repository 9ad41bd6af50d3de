"""Live learning in the worker process, as the window runs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent, Measured, Produced
from napari_pytc.jobs.runners.base import JobHandle
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.jobs.runners.process import ProcessRunner
from napari_pytc.plans.live_messages import annotations_message, stop_message, view_message
from napari_pytc.plans.model_folder import read_model_info
from tests.support.live import LiveProject, live_plan

pytestmark = pytest.mark.slow

PATIENCE_S = 240.0


class Listener:
    """A sink that keeps the events; `wait_for` waits until they are such."""

    def __init__(self) -> None:
        self.events: list[JobEvent] = []
        self._changed = threading.Condition()

    def __call__(self, event: JobEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), self.events[-3:]

    def curve(self, name: str) -> list[float]:
        return [event.value for event in self.events if isinstance(event, Measured) and event.name == name]


@pytest.fixture
def runner() -> Iterator[ProcessRunner]:
    with ProcessRunner(preload=("torch",)) as runner:
        yield runner


def test_paint_look_and_stop(tmp_path: Path, runner: ProcessRunner) -> None:
    project, listener = LiveProject(tmp_path), Listener()

    handle = runner.start(project.job(), listener)
    handle.send(view_message(project.section(), 1))
    listener.wait_for(lambda: listener.curve("generation"))
    box = Box((2, 20, 0), (3, 30, 64))
    project.store.paint(box, 1)
    handle.send(annotations_message(project.store.revision, box))
    listener.wait_for(lambda: len(listener.curve("generation")) > 1)
    handle.send(stop_message())
    outcome = handle.wait(PATIENCE_S)

    assert isinstance(outcome, Finished)
    assert outcome.result["model"] == "m-live"
    assert [event.box for event in listener.events if isinstance(event, Produced)] == [project.section()] * 2


def test_a_killed_worker_loses_little_and_the_next_job_goes_on(tmp_path: Path, runner: ProcessRunner) -> None:
    project, first, second = LiveProject(tmp_path), Listener(), Listener()
    plan = live_plan()
    cancelled = runner.start(project.job(plan), first)
    first.wait_for(lambda: first.curve("network/score"))
    cancelled.cancel()
    assert isinstance(cancelled.wait(PATIENCE_S), Cancelled)

    handle = runner.start(project.job(plan), second)
    second.wait_for(lambda: second.curve("network/score"))
    assert runner.worker_pid is not None
    psutil = pytest.importorskip("psutil")
    psutil.Process(runner.worker_pid).kill()
    assert isinstance(handle.wait(PATIENCE_S), Failed)

    third = Listener()
    handle = runner.start(project.job(plan), third)
    third.wait_for(lambda: third.curve("network/score"))
    handle.send(stop_message())
    outcome = handle.wait(PATIENCE_S)
    assert isinstance(outcome, Finished)
    steps = [
        min(e.step for e in r.events if isinstance(e, Measured) and e.name == "network/score") for r in (first, third)
    ]
    assert steps[1] > steps[0]


def test_inline_it_is_stopped_from_another_thread(tmp_path: Path) -> None:
    project, runner, listener = LiveProject(tmp_path), InlineRunner(), Listener()

    def user() -> None:
        while not runner.unfinished():
            time.sleep(0.01)
        handle: JobHandle = runner.unfinished()[0]
        handle.send(view_message(project.section(), 1))
        listener.wait_for(lambda: listener.curve("generation"))
        handle.send(stop_message())

    thread = threading.Thread(target=user)
    thread.start()
    outcome = runner.start(project.job(), listener).outcome
    thread.join()

    assert isinstance(outcome, Finished)
    assert read_model_info(project.root / "models" / "m-live").recipe == "live"
