"""Whatever a job does, its execution gives exactly one terminal event, the same from every runner."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.errors import InvalidInput, ModelError, OutOfMemory, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled, JobContext, JobMessage, SilentContext
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent
from napari_pytc.jobs.execution import EventContext, execute
from tests.support.contexts import RecordingContext


class Work:
    """Something with a `run` in place of a spec."""

    def __init__(self, run: Callable[[JobContext], Any]) -> None:
        self.run = run


def executed(run: Callable[[JobContext], Any], cancelled: bool = False) -> tuple[JobEvent, list[JobEvent]]:
    events: list[JobEvent] = []
    ctx = EventContext("a", events.append)
    if cancelled:
        ctx.cancel()
    return execute(lambda: Work(run), ctx), events  # type: ignore[arg-type, return-value]


def raising(error: BaseException) -> Callable[[JobContext], Any]:
    def run(ctx: JobContext) -> None:
        raise error

    return run


def test_a_result_has_been_through_json() -> None:
    result = {"folder": Path("models/m"), "pair": (1, 2.5), "box": [0, 1], "text": "\u00b5m", "nothing": None}
    end, events = executed(lambda ctx: result)
    assert isinstance(end, Finished)
    assert end.result == {"folder": "models/m", "pair": [1, 2.5], "box": [0, 1], "text": "\u00b5m", "nothing": None}
    assert [event.event for event in events] == ["started"]


@pytest.mark.parametrize("result", [{"x": object()}, None, 5, ["a"]])
def test_a_result_that_is_no_json_is_a_failure(result: Any) -> None:
    end, _ = executed(lambda ctx: result)
    assert isinstance(end, Failed)
    assert "Error" in end.message


@pytest.mark.parametrize("kind", [InvalidInput, ModelError, VolumeError, OutOfMemory])
def test_an_error_for_people_keeps_sentence_and_hint_without_a_traceback(kind: type[InvalidInput]) -> None:
    end, _ = executed(raising(kind("Expected two classes, got one.", "Paint both.")))
    assert isinstance(end, Failed)
    assert (end.message, end.hint, end.log) == ("Expected two classes, got one.", "Paint both.", "")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("first\n  second"), "ValueError: first second"),
        (KeyError("name"), "KeyError: 'name'"),
        (MemoryError(), "MemoryError"),
        (ZeroDivisionError(""), "ZeroDivisionError"),
        (RuntimeError("x" * 1000), f"RuntimeError: {'x' * 386}..."),
    ],
)
def test_any_other_error_is_a_sentence_with_its_traceback_in_the_log(error: Exception, message: str) -> None:
    end, _ = executed(raising(error))
    assert isinstance(end, Failed)
    assert end.message == message
    assert "Traceback" in end.log
    assert type(error).__name__ in end.log


@pytest.mark.parametrize(("code", "words"), [(7, "7"), (None, "None"), ("bye", "'bye'")])
def test_an_exit_is_a_failure(code: Any, words: str) -> None:
    end, _ = executed(lambda ctx: sys.exit(code))
    assert isinstance(end, Failed)
    assert end.message == f"The job asked its process to exit, with {words}."


def test_ctrl_c_is_for_the_runner() -> None:
    with pytest.raises(KeyboardInterrupt):
        executed(raising(KeyboardInterrupt()))


def test_a_job_cancelled_before_it_starts_does_nothing() -> None:
    ran: list[int] = []
    end, events = executed(lambda ctx: ran.append(1), cancelled=True)
    assert isinstance(end, Cancelled)
    assert events == []
    assert ran == []


def test_a_broad_handler_in_a_library_does_not_swallow_a_cancel() -> None:
    def run(ctx: JobContext) -> dict[str, Any]:
        assert isinstance(ctx, EventContext)
        ctx.cancel()
        try:
            ctx.check()
        except Exception:  # what a library does
            pytest.fail("it was swallowed")
        return {}

    assert isinstance(executed(run)[0], Cancelled)


def test_what_loading_the_spec_raises_ends_the_job_too() -> None:
    def load() -> Any:
        raise InvalidInput("No job is called 'x'.", "Known are a, b.")

    events: list[JobEvent] = []
    end = execute(load, EventContext("a", events.append))
    assert isinstance(end, Failed)
    assert end.hint == "Known are a, b."
    assert [event.event for event in events] == ["started"]


def test_a_step_with_its_own_reports_runs_silently_but_heeds_a_cancel() -> None:
    outer = RecordingContext(cancel_after=1, inbox=[JobMessage(topic="view")])
    ctx = SilentContext(outer)
    ctx.report(1, 2, "note")
    ctx.metric("loss", 1, 0.5)
    ctx.artifact("prediction", Box.of_shape((1, 1, 1)))
    ctx.warn("a doubt")
    assert list(ctx.messages()) == []
    assert (outer.progress, outer.metrics, outer.artifacts, outer.warnings) == ([], [], [], [])
    assert len(outer.inbox) == 1  # messages are for the job
    ctx.check()
    with pytest.raises(JobCancelled):
        ctx.check()
