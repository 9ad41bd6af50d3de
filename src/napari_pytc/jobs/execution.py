"""Execution of a job in this thread: its calls become events, and an exception its terminal event."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled, JobMessage
from napari_pytc.jobs.events import (
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
from napari_pytc.jobs.spec import JobSpec

_LONGEST_MESSAGE = 400


class EventContext:
    """A `JobContext` that emits events; safe to call from several threads.

    Parameters
    ----------
    job : str
        Id of the job.
    emit : callable
        Takes the events.
    """

    def __init__(self, job: str, emit: Callable[[JobEvent], object]) -> None:
        self.job = job
        self.emit = emit
        self._cancelled = threading.Event()
        self._inbox: SimpleQueue[JobMessage] = SimpleQueue()

    def report(self, done: int, total: int, note: str = "") -> None:
        """Report progress; may be coalesced."""
        self.emit(Progressed(job=self.job, done=int(done), total=int(total), note=note))

    def metric(self, name: str, step: int, value: float) -> None:
        """Report a point of a curve."""
        self.emit(Measured(job=self.job, name=name, step=int(step), value=float(value)))

    def artifact(self, kind: str, box: Box) -> None:
        """Report new voxels on disk."""
        self.emit(Produced(job=self.job, kind=kind, box=box))

    def warn(self, message: str) -> None:
        """Report a problem that did not stop the job."""
        self.emit(Warned(job=self.job, message=message))

    def messages(self) -> Iterator[JobMessage]:
        """Messages since the last call; never waits."""
        while True:
            try:
                yield self._inbox.get_nowait()
            except Empty:
                return

    def check(self) -> None:
        """Raise `JobCancelled` if the job was cancelled."""
        if self._cancelled.is_set():
            raise JobCancelled

    def cancel(self) -> None:
        """Make every check from now on raise; from any thread."""
        self._cancelled.set()

    def receive(self, message: JobMessage) -> None:
        """Put a message into the inbox; from any thread."""
        self._inbox.put(message)


def execute(load: Callable[[], JobSpec], ctx: EventContext) -> JobEvent:
    """Run a job and return its terminal event.

    Parameters
    ----------
    load : callable
        Gives the spec; what it raises ends the job like anything that the job itself raises.
    ctx : EventContext
        Emits the start and the events of the job.

    Returns
    -------
    Finished, Failed or Cancelled
        Not emitted yet. A result has been through JSON, so that it is the same from every runner.
    """
    try:
        ctx.check()
        ctx.emit(Started(job=ctx.job))
        result = load().run(ctx)
        return Finished.model_validate_json(Finished(job=ctx.job, result=result).model_dump_json())
    except JobCancelled:
        return Cancelled(job=ctx.job)
    except PytcError as error:
        return Failed(job=ctx.job, message=error.message, hint=error.hint)
    except SystemExit as error:
        return Failed(
            job=ctx.job, message=f"The job asked its process to exit, with {error.code!r}.", log=traceback.format_exc()
        )
    except Exception as error:  # the job boundary of the design: what a library raises becomes an event
        return Failed(job=ctx.job, message=in_one_sentence(error), log=traceback.format_exc())


def in_one_sentence(error: BaseException) -> str:
    """An exception's kind and message on one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
