"""What the worker's process does with commands, here in a thread of the test."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from napari_pytc.jobs.context import JobCancelled, JobMessage
from napari_pytc.jobs.events import Progressed, Started
from napari_pytc.jobs.execution import EventContext
from napari_pytc.jobs.runners import command_loop
from napari_pytc.jobs.runners.command_loop import CommandLoop, preload
from napari_pytc.jobs.runners.outbox import Outbox
from napari_pytc.jobs.runners.protocol import ANSWERS, Cancel, Run, Send
from tests.support.waiting import wait_until


class RecordingOutbox:
    """Keeps what is put into it; progress of the same slot takes the place of the one before."""

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, str | None]] = []

    def put(self, line: bytes, slot: str | None = None) -> None:
        self.lines.append((line, slot))


class Worker:
    """A loop that listens in a thread, and the other end of its pipe."""

    def __init__(self) -> None:
        commands, self._pipe = os.pipe()
        self._commands = commands
        self.outbox = RecordingOutbox()
        self.loop = CommandLoop(commands, cast(Outbox, self.outbox), grace_s=0.0)
        self._thread = threading.Thread(target=self.loop.listen)
        self._thread.start()

    def send(self, *commands: Run | Cancel | Send, pieces: int = 1) -> None:
        text = b"".join(command.model_dump_json().encode() + b"\n" for command in commands)
        size = -(-len(text) // pieces)
        for start in range(0, len(text), size):
            os.write(self._pipe, text[start : start + size])

    def next_job(self) -> EventContext:
        task = self.loop.next_job()
        assert task is not None
        return task[1]

    def close(self) -> None:
        """The window is gone."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
            self._thread.join()
            os.close(self._commands)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set where the process would be killed."""
    event = threading.Event()
    monkeypatch.setattr(command_loop, "kill_process_group", event.set)
    return event


@pytest.fixture
def worker(killed: threading.Event) -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def is_cancelled(ctx: EventContext) -> bool:
    try:
        ctx.check()
    except JobCancelled:
        return True
    return False


def test_jobs_come_in_the_order_of_the_commands_however_the_pipe_cuts_them(worker: Worker) -> None:
    runs = [Run(job=f"j{number}", spec={"kind": "count", "n": number}) for number in range(3)]
    worker.send(*runs, pieces=7)
    for run in runs:
        task = worker.loop.next_job()
        assert task is not None
        assert (task[0], task[1].job) == (run.spec, run.job)


def test_a_cancel_reaches_the_job_that_runs_and_no_other(worker: Worker) -> None:
    worker.send(Run(job="j1", spec={}))
    first = worker.next_job()
    worker.send(Cancel(job="another"), Run(job="j2", spec={}))
    second = worker.next_job()
    worker.send(Cancel(job="j1"), Cancel(job="j2"))
    wait_until(lambda: is_cancelled(second))
    assert not is_cancelled(first), "its cancel came when it was over"


def test_messages_are_for_the_job_that_runs(worker: Worker) -> None:
    worker.send(Send(job="j1", message=JobMessage(topic="early")), Run(job="j1", spec={}))
    ctx = worker.next_job()
    view = JobMessage(topic="view", content={"z": 3})
    worker.send(Send(job="j1", message=view))
    found: list[JobMessage] = []
    wait_until(lambda: (found.extend(ctx.messages()), found)[1])
    assert found == [view]


def test_progress_that_was_not_sent_yet_is_replaced_and_nothing_else(worker: Worker) -> None:
    events = [Started(job="j", time=0.0), Progressed(job="j", time=1.0, done=1, total=4)]
    for event in events:
        worker.loop.emit(event)
    assert [slot for _, slot in worker.outbox.lines] == [None, "progress j"]
    assert [ANSWERS.validate_json(line) for line, _ in worker.outbox.lines] == events


def test_the_end_of_the_pipe_cancels_the_job_ends_the_loop_and_kills_the_process(
    worker: Worker, killed: threading.Event
) -> None:
    worker.send(Run(job="j1", spec={}))
    ctx = worker.next_job()
    assert not killed.is_set()
    worker.close()
    assert is_cancelled(ctx)
    assert worker.loop.next_job() is None
    assert killed.is_set()


def test_a_module_that_cannot_be_imported_ahead_is_left_to_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    preload("napari_pytc.errors")
    assert capsys.readouterr().err == ""
    preload("napari_pytc.not_there")
    assert "No module named 'napari_pytc.not_there'" in capsys.readouterr().err
