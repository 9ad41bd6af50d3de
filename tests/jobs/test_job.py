from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.jobs.events import (
    TERMINAL,
    Cancelled,
    Failed,
    Finished,
    JobEvent,
    Measured,
    Progressed,
    Started,
    Warned,
)
from napari_pytc.jobs.job import IllegalTransition, Job, JobState
from tests.support.runner_contract import RecordingSink, beside

EVENTS: list[JobEvent] = [
    Started(job="a"),
    Progressed(job="a", done=1, total=2),
    Measured(job="a", name="loss", step=0, value=0.5),
    Warned(job="a", message="a doubt"),
    Finished(job="a"),
    Failed(job="a", message="it broke"),
    Cancelled(job="a"),
]


@given(st.lists(st.sampled_from(EVENTS), max_size=12))
def test_whatever_is_emitted_a_job_starts_once_ends_once_and_emits_nothing_after(events: list[JobEvent]) -> None:
    sink = RecordingSink()
    job = Job(sink)
    for event in events:
        n_before = len(sink.events)
        try:
            counted = job.emit(event)
        except IllegalTransition:
            counted = False
        assert sink.events[n_before:] == ([event] if counted else [])
    ends = [event for event in sink.events if isinstance(event, TERMINAL)]
    assert len(ends) <= 1
    assert ends == [event for event in sink.events[-1:] if isinstance(event, TERMINAL)]
    starts = [index for index, event in enumerate(sink.events) if isinstance(event, Started)]
    assert starts in ([], [0])
    if not starts:
        assert all(isinstance(event, Failed | Cancelled) for event in sink.events)
    assert job.outcome == (ends[0] if ends else None)
    expected = ends[0].event if ends else "running" if starts else "waiting"
    assert job.state == expected


@pytest.mark.parametrize("event", EVENTS[1:5])
def test_a_waiting_job_cannot_emit_work(event: JobEvent) -> None:
    job = Job(RecordingSink())
    with pytest.raises(IllegalTransition, match="waiting"):
        job.emit(event)
    assert job.state is JobState.WAITING


def test_a_running_job_cannot_start_again() -> None:
    job = Job(RecordingSink())
    job.emit(Started(job=job.id))
    with pytest.raises(IllegalTransition, match="running"):
        job.emit(Started(job=job.id))


def test_what_the_sink_causes_comes_after_what_it_is_reported() -> None:
    def react(event: JobEvent) -> None:
        if isinstance(event, Started):
            job.emit(Warned(job=job.id, message="from the sink"))
            assert sink.names() == ["started"]

    sink = RecordingSink(react)
    job = Job(sink)
    job.emit(Started(job=job.id))
    assert sink.names() == ["started", "warned"]


def test_progress_that_waits_for_the_sink_is_replaced_by_newer() -> None:
    told, free = threading.Event(), threading.Event()

    def react(event: JobEvent) -> None:
        if isinstance(event, Started):
            told.set()
            assert free.wait(60)

    sink = RecordingSink(react)
    job = Job(sink)
    with beside(lambda: job.emit(Started(job=job.id)) and None):
        assert told.wait(60)
        for done in range(5):
            assert job.emit(Progressed(job=job.id, done=done, total=5))
        job.emit(Finished(job=job.id))
        assert sink.names() == ["started"]
        assert job.wait(0.01) is None
        free.set()
    assert sink.names() == ["started", "progressed", "finished"]
    assert isinstance(sink.events[1], Progressed)
    assert sink.events[1].done == 4
    assert job.wait() is job.outcome


def test_ctrl_c_in_the_sink_goes_on_and_the_end_still_comes() -> None:
    def react(event: JobEvent) -> None:
        if isinstance(event, Warned):
            raise KeyboardInterrupt

    sink = RecordingSink(react)
    job = Job(sink)
    job.emit(Started(job=job.id))
    with pytest.raises(KeyboardInterrupt):
        job.emit(Warned(job=job.id, message="a doubt"))
    job.emit(Cancelled(job=job.id))
    assert sink.names() == ["started", "warned", "cancelled"]


def test_cancel_reaches_the_runner_once() -> None:
    cancelled: list[Job] = []
    job = Job(RecordingSink(), on_cancel=cancelled.append)
    job.cancel()
    job.cancel()
    assert cancelled == [job]
    assert job.cancel_requested
