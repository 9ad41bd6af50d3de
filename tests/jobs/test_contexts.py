"""What a computation sees: the context that makes events, and the one that tests record with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled, JobContext, JobMessage
from napari_pytc.jobs.events import JobEvent, Measured, Progressed
from napari_pytc.jobs.execution import EventContext, in_one_sentence
from tests.support.contexts import RecordingContext

BOX = Box.of_shape((1, 2, 3))


def report_everything(ctx: JobContext) -> None:
    ctx.report(1, 2, "half")
    ctx.metric("loss", 1, 0.5)
    ctx.artifact("prediction", BOX)
    ctx.warn("a doubt")


def test_events_of_numpy_numbers() -> None:
    events: list[JobEvent] = []
    ctx = EventContext("a", events.append)
    ctx.report(np.int64(1), np.int64(2))
    ctx.metric("loss", np.int32(3), np.float32(0.5))
    assert isinstance(events[0], Progressed)
    assert isinstance(events[1], Measured)
    assert (events[0].done, events[1].step, events[1].value) == (1, 3, 0.5)


def test_everything_reported_becomes_an_event_or_a_record() -> None:
    events: list[JobEvent] = []
    report_everything(EventContext("a", events.append))
    assert [event.event for event in events] == ["progressed", "measured", "produced", "warned"]
    ctx = RecordingContext()
    report_everything(ctx)
    assert (ctx.progress, ctx.metrics) == ([(1, 2, "half")], [("loss", 1, 0.5)])
    assert (ctx.artifacts, ctx.warnings, ctx.curve("loss")) == ([("prediction", BOX)], ["a doubt"], [0.5])


@pytest.mark.parametrize("make", [lambda: EventContext("a", lambda event: None), RecordingContext])
def test_both_contexts_cancel_alike(make: Callable[[], EventContext | RecordingContext]) -> None:
    ctx = make()
    ctx.check()
    ctx.cancel()
    for _ in range(2):
        with pytest.raises(JobCancelled):
            ctx.check()


def test_messages_come_once_and_never_wait() -> None:
    ctx = EventContext("a", lambda event: None)
    recording = RecordingContext(inbox=[JobMessage(topic="view")])
    ctx.receive(JobMessage(topic="view"))
    for context in (ctx, recording):
        assert [message.topic for message in context.messages()] == ["view"]
        assert list(context.messages()) == []
    recording.send(JobMessage(topic="later"))
    assert [message.topic for message in recording.messages()] == ["later"]


def test_a_recording_context_cancels_after_so_many_checks() -> None:
    ctx = RecordingContext(cancel_after=2)
    ctx.check()
    ctx.check()
    with pytest.raises(JobCancelled):
        ctx.check()
    assert ctx.n_checks == 3


def test_an_error_is_reported_on_one_line_of_bounded_length() -> None:
    assert in_one_sentence(ValueError("two\n  lines")) == "ValueError: two lines"
    assert in_one_sentence(MemoryError()) == "MemoryError"
    assert len(in_one_sentence(ValueError("x" * 10000))) < 500
