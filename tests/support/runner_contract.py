"""What every `JobRunner` must do; a test class inherits from it and gives a `runner` fixture."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import (
    TERMINAL,
    Cancelled,
    Failed,
    Finished,
    JobEvent,
    Measured,
    Produced,
    Progressed,
    Started,
    Warned,
)
from napari_pytc.jobs.job import JobState
from napari_pytc.jobs.runners import JobHandle, JobRunner
from napari_pytc.jobs.spec import JobSpec
from tests.support.jobs_for_tests import Count, Patient, Raise, Return
from tests.support.waiting import PATIENCE_S


class RecordingSink:
    """Keeps the events of one job; `seen` waits for the first of a kind."""

    def __init__(self, react: Callable[[JobEvent], object] = lambda event: None) -> None:
        self.events: list[JobEvent] = []
        self.threads: set[int] = set()
        self._react = react
        self._changed = threading.Condition()

    def __call__(self, event: JobEvent) -> None:
        with self._changed:
            self.events.append(event)
            self.threads.add(threading.get_ident())
            self._changed.notify_all()
        self._react(event)

    def seen(self, kind: type) -> JobEvent:
        with self._changed:
            assert self._changed.wait_for(lambda: any(isinstance(e, kind) for e in self.events), PATIENCE_S), kind
            return next(e for e in self.events if isinstance(e, kind))

    def names(self) -> list[str]:
        return [event.event for event in self.events]


def ended(handle: JobHandle, sink: RecordingSink) -> JobEvent:
    """Wait for the end and check that there is exactly one, that it is last, and that the handle agrees."""
    outcome = handle.wait(PATIENCE_S)
    assert outcome is not None, "the job did not end"
    assert [e for e in sink.events if isinstance(e, TERMINAL)] == [outcome]
    assert sink.events[-1] == outcome
    assert handle.state == outcome.event
    assert {e.job for e in sink.events} == {handle.id}
    return outcome


class RunnerContract:
    """Tests of what the inline runner and the worker process have in common."""

    def run(self, runner: JobRunner, spec: JobSpec, sink: RecordingSink | None = None) -> tuple[JobEvent, list]:
        sink = sink or RecordingSink()
        return ended(runner.start(spec, sink), sink), sink.events

    def test_events_come_in_order_with_their_content(self, runner: JobRunner) -> None:
        outcome, events = self.run(runner, Count(n=2))
        kinds = [type(event) for event in events]
        assert kinds == [Started, Measured, Produced, Measured, Produced, Warned, Progressed, Finished]
        assert [(e.step, e.value) for e in events if isinstance(e, Measured)] == [(0, 1.0), (1, 0.5)]
        assert [str(e.box) for e in events if isinstance(e, Produced)] == ["0:1,0:2,0:3", "1:2,0:2,0:3"]
        assert isinstance(outcome, Finished)
        assert {k: v for k, v in outcome.result.items() if k != "pid"} == {"n": 2, "folder": "model", "pair": [1, 2.5]}

    def test_one_job_after_another(self, runner: JobRunner) -> None:
        assert [self.run(runner, Count(n=n))[0].result["n"] for n in (1, 2)] == [1, 2]
        assert runner.unfinished() == []

    def test_an_error_for_the_user_keeps_its_hint(self, runner: JobRunner) -> None:
        outcome, _ = self.run(runner, Raise(what="user"))
        assert isinstance(outcome, Failed)
        assert (outcome.message, outcome.hint) == (
            "The model has 3 classes, the project 2.",
            "Choose another model.",
        )

    def test_another_error_is_one_sentence_with_the_traceback_in_the_log(self, runner: JobRunner) -> None:
        outcome, _ = self.run(runner, Raise(what="other"))
        assert isinstance(outcome, Failed)
        assert outcome.message == "ValueError: first line second line"
        assert "jobs_for_tests.py" in outcome.log
        assert "Traceback" in outcome.log

    def test_an_exit_is_a_failure(self, runner: JobRunner) -> None:
        outcome, _ = self.run(runner, Raise(what="exit"))
        assert isinstance(outcome, Failed)
        assert "7" in outcome.message
        assert isinstance(self.run(runner, Count())[0], Finished)

    @pytest.mark.parametrize("what", ["object", "number"])
    def test_a_result_without_a_json_form_is_a_failure(self, runner: JobRunner, what: str) -> None:
        outcome, _ = self.run(runner, Return(what=what))
        assert isinstance(outcome, Failed)
        assert "Error" in outcome.message

    def test_cancel_from_the_sink(self, runner: JobRunner) -> None:
        sink = RecordingSink(lambda event: isinstance(event, Measured) and runner.cancel(event.job))
        assert isinstance(self.run(runner, Patient(), sink)[0], Cancelled)

    def test_cancel_from_another_thread_and_twice(self, runner: JobRunner) -> None:
        sink = RecordingSink()

        def cancel() -> None:
            sink.seen(Measured)
            for _ in range(2):
                for handle in runner.unfinished():
                    handle.cancel()

        with beside(cancel):
            assert isinstance(self.run(runner, Patient(), sink)[0], Cancelled)

    def test_cancel_after_the_end_changes_nothing(self, runner: JobRunner) -> None:
        sink = RecordingSink()
        handle = runner.start(Count(), sink)
        outcome = ended(handle, sink)
        handle.cancel()
        handle.send(JobMessage(topic="late"))
        assert handle.state is JobState.FINISHED
        assert ended(handle, sink) == outcome

    def test_messages_arrive_in_order(self, runner: JobRunner) -> None:
        sink = RecordingSink()

        def send() -> None:
            sink.seen(Measured)
            for topic in ("view", "annotations", "stop"):
                runner.unfinished()[0].send(JobMessage(topic=topic, content={"revision": 3}))

        with beside(send):
            outcome, _ = self.run(runner, Patient(), sink)
        assert isinstance(outcome, Finished)
        assert outcome.result == {"heard": ["view", "annotations", "stop"]}

    def test_a_sink_that_raises_has_every_event_all_the_same(self, runner: JobRunner) -> None:
        def react(event: JobEvent) -> None:
            raise RuntimeError("the window is gone")

        outcome, events = self.run(runner, Count(n=1), RecordingSink(react))
        assert isinstance(outcome, Finished)
        assert [e.event for e in events] == ["started", "measured", "produced", "warned", "progressed", "finished"]

    def test_a_sink_that_waits_for_its_own_job_does_not_hang(self, runner: JobRunner) -> None:
        waited: list[JobEvent | None] = []
        sink = RecordingSink(lambda event: waited.extend(handle.wait() for handle in runner.unfinished()))
        self.run(runner, Count(n=1), sink)
        assert all(outcome is None or isinstance(outcome, Finished) for outcome in waited)

    def test_nothing_starts_after_close(self, runner: JobRunner) -> None:
        runner.close()
        runner.close()
        with pytest.raises(InvalidInput, match="closed"):
            runner.start(Count(), RecordingSink())

    def test_close_cancels_what_runs(self, runner: JobRunner) -> None:
        sink = RecordingSink()

        def close() -> None:
            sink.seen(Measured)
            runner.close()

        with beside(close):
            assert isinstance(self.run(runner, Patient(), sink)[0], Cancelled)

    def test_close_from_the_sink(self, runner: JobRunner) -> None:
        sink = RecordingSink(lambda event: isinstance(event, Measured) and runner.close())
        assert isinstance(self.run(runner, Patient(), sink)[0], Cancelled)


class beside:
    """Run something in another thread while the block runs."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=action)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
