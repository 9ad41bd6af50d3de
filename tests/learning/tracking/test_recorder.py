"""The recorder: what trackers are told, and that no fault of theirs ends a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.jobs.context import JobCancelled, JobContext
from napari_pytc.learning.tracking.recorder import RecordedContext, Recorder, recorded
from napari_pytc.learning.tracking.tracker import TrainingOutcome
from napari_pytc.plans.tracking import TrackerSettings, Tracking, read_tracking
from tests.support.contexts import RecordingContext
from tests.support.packages import installed
from tests.support.trackers import FaultyTracker, FaultyTracking
from tests.support.waiting import wait_until

DONE = TrainingOutcome("finished", {"steps": 3})
PICTURE = np.zeros((4, 6, 3), np.uint8)


@pytest.fixture
def opened() -> Iterator[list[FaultyTracker]]:
    """The trackers that were opened."""
    FaultyTracking.opened.clear()
    yield FaultyTracking.opened
    for tracker in FaultyTracking.opened:
        tracker.gate.set()
    FaultyTracking.opened.clear()


def recorder_of(folder: Path, **settings: Any) -> tuple[Recorder, list[str]]:
    told: list[str] = []
    return Recorder(read_tracking([("test-faulty", settings)], None), folder, told.append), told


def test_trackers_are_told_a_row_a_step_in_order(tmp_path: Path, opened: list[FaultyTracker]) -> None:
    recorder, told = recorder_of(tmp_path)
    recorder.begin("m1", {"seed": 3}, {"id": "m1"}, 0)
    recorder.scalar("loss", 1, 0.5)
    recorder.scalar("rate", 1, 0.1)
    recorder.scalar("loss", 10, 0.4)
    recorder.pictures(10, {"a": PICTURE})
    recorder.scalar("loss", 20, 0.3)
    recorder.finish(DONE)
    (tracker,) = opened
    assert tracker.rows == [(1, {"loss": 0.5, "rate": 0.1}), (10, {"loss": 0.4}), (20, {"loss": 0.3})]
    assert [(step, list(shown)) for step, shown in tracker.shown] == [(10, ["a"])]
    assert tracker.outcome == DONE
    training = tracker.training
    assert (training.name, training.settings, training.first_step) == ("m1", {"seed": 3}, 0)
    assert training.folder == tmp_path / "test-faulty"
    assert recorder.folders == {"test-faulty": str(tmp_path / "test-faulty")}
    assert told == []


def test_another_attempt_opens_the_trackers_again(tmp_path: Path, opened: list[FaultyTracker]) -> None:
    recorder, _ = recorder_of(tmp_path)
    recorder.begin("m1", {}, {}, 0)
    recorder.scalar("loss", 10, 0.5)
    recorder.begin("m1", {}, {}, 4)
    recorder.scalar("loss", 5, 0.5)
    recorder.finish(DONE)
    first, second = opened
    assert first.outcome == TrainingOutcome("stopped")
    assert (second.training.first_step, second.rows) == (4, [(5, {"loss": 0.5})])


@pytest.mark.parametrize("error", ["RuntimeError", "OSError"])
@pytest.mark.parametrize("where", ["open", "scalars", "pictures", "finish"])
def test_a_tracker_that_fails_is_left_out_and_told_once(
    tmp_path: Path, opened: list[FaultyTracker], where: str, error: str
) -> None:
    recorder, told = recorder_of(tmp_path, fails_in=where, error=error)
    recorder.begin("m1", {}, {}, 0)
    for step in (10, 20, 30):
        recorder.scalar("loss", step, 0.5)
        recorder.pictures(step, {"a": PICTURE})
    recorder.finish(DONE)
    (sentence,) = told
    assert sentence.startswith("Faulty does not record" if where == "open" else "Faulty records no more")
    reason = "No space left on device (/data/events)" if error == "OSError" else "RuntimeError: the server says no"
    assert reason in sentence
    assert "The training goes on without." in sentence
    assert ("Free space" in sentence) == (error == "OSError")
    assert recorder.notes == [sentence]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, opened: list[FaultyTracker]) -> None:
    (tmp_path / "file").write_text("no folder")
    recorder, told = recorder_of(tmp_path / "file")
    recorder.begin("m1", {}, {}, 0)
    recorder.finish(DONE)
    assert not opened
    assert "choose another folder" in told[0]


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_package_that_is_missing_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    told: list[str] = []
    recorder = Recorder(read_tracking([(kind, {})], None), tmp_path, told.append)
    recorder.begin("m1", {}, {}, 0)
    recorder.scalar("loss", 1, 0.5)
    recorder.finish(DONE)
    (sentence,) = told
    assert f"{kind} is not installed" in sentence
    assert "pip install 'napari-pytc[loggers]'" in sentence
    assert not list(tmp_path.iterdir())


def test_a_tracker_that_never_ends_holds_the_training_up_for_a_while_only(
    tmp_path: Path, opened: list[FaultyTracker]
) -> None:
    recorder, told = recorder_of(tmp_path, fails_in="stuck", wait_s=0.5)
    recorder.begin("m1", {}, {}, 0)
    recorder.finish(DONE)
    assert "did not end within" in told[0]
    wait_until(lambda: bool(opened))
    opened[0].gate.set()
    wait_until(lambda: opened[0].outcome is not None)


def test_a_cancel_ends_the_wait_for_trackers_alone(tmp_path: Path, opened: list[FaultyTracker]) -> None:
    recorder, told = recorder_of(tmp_path, fails_in="stuck", wait_s=500.0)
    recorder.begin("m1", {}, {}, 0)
    checks = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 2:
            raise JobCancelled

    recorder.finish(DONE, check)
    assert len(checks) == 2
    assert "did not end within" in told[0]
    wait_until(lambda: bool(opened))
    opened[0].gate.set()
    wait_until(lambda: opened[0].outcome is not None)


def test_without_trackers_nothing_happens(tmp_path: Path) -> None:
    recorder = Recorder(Tracking(), tmp_path, print)
    recorder.begin("m1", {}, {}, 0)
    recorder.scalar("loss", 1, 0.5)
    recorder.pictures(1, {"a": PICTURE})
    recorder.finish(DONE)
    assert not recorder.is_on
    assert not recorder.wants_pictures
    assert not list(tmp_path.iterdir())


def test_a_tracker_without_pictures_gets_none(tmp_path: Path, opened: list[FaultyTracker]) -> None:
    recorder, _ = recorder_of(tmp_path, pictures=False)
    assert not recorder.wants_pictures
    recorder.begin("m1", {}, {}, 0)
    recorder.pictures(1, {"a": PICTURE})
    recorder.finish(DONE)
    assert opened[0].shown == []


def test_metrics_go_both_ways(tmp_path: Path, opened: list[FaultyTracker]) -> None:
    recorder, _ = recorder_of(tmp_path)
    recorder.begin("m1", {}, {}, 0)
    outside = RecordingContext()
    ctx: JobContext = RecordedContext(outside, recorder)
    ctx.metric("dice/inside", 50, 0.75)
    ctx.report(1, 2, "training")
    ctx.warn("Careful.")
    ctx.check()
    assert list(ctx.messages()) == []
    recorder.finish(DONE)
    assert opened[0].rows == [(50, {"dice/inside": 0.75})]
    assert outside.metrics == [("dice/inside", 50, 0.75)]
    assert (outside.progress, outside.warnings, outside.n_checks) == ([(1, 2, "training")], ["Careful."], 1)


@pytest.mark.parametrize(("error", "state"), [(JobCancelled(), "stopped"), (ValueError("x"), "failed")])
def test_a_training_that_ends_early_ends_its_record(
    tmp_path: Path, opened: list[FaultyTracker], error: BaseException, state: str
) -> None:
    recorder, _ = recorder_of(tmp_path)

    def train() -> None:
        with recorded(recorder):
            recorder.begin("m1", {}, {}, 0)
            raise error

    with pytest.raises(type(error)):
        train()
    assert opened[0].outcome is not None
    assert opened[0].outcome.state == state


THIRD = {
    "my_tracker.py": """
from typing import ClassVar, Literal
from napari_pytc.plans.tracking import TrackerSettings

class Lines(TrackerSettings):
    builds: ClassVar[str] = "my_tracker:Tracker"
    title: ClassVar[str] = "Lines"
    package: ClassVar[str] = "my_tracker"
    kind: Literal["lines"] = "lines"

class Tracker:
    def __init__(self, settings, training):
        self.file = (training.folder / "lines.txt").open("w")
    def scalars(self, step, values):
        self.file.write(f"{step} {values}\\n")
    def pictures(self, step, pictures): ...
    def finish(self, outcome):
        self.file.close()
"""
}


def test_a_third_tracker_is_one_module(tmp_path: Path) -> None:
    with installed(tmp_path / "packages", TrackerSettings, THIRD, {"lines": "my_tracker"}):
        recorder = Recorder(read_tracking([("lines", {})], None), tmp_path / "m1", print)
        recorder.begin("m1", {}, {}, 0)
        recorder.scalar("loss", 1, 0.5)
        recorder.finish(DONE)
    assert (tmp_path / "m1" / "lines" / "lines.txt").read_text() == "1 {'loss': 0.5}\n"
