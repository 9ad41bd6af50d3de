"""The inline runner: jobs in the thread that starts them, for the command line, clusters and tests."""

from __future__ import annotations

import threading
from types import TracebackType

from napari_pytc.errors import InvalidInput
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import Cancelled
from napari_pytc.jobs.execution import EventContext, execute
from napari_pytc.jobs.job import Job, Sink
from napari_pytc.jobs.runners.base import JobHandle
from napari_pytc.jobs.spec import JobSpec


class InlineRunner:
    """A `JobRunner` whose `start` returns when the job is over; the sink is called in the same thread.

    To cancel, call `cancel(event.job)` from the sink, or the handle in `unfinished` from another thread. Ctrl-C ends
    the job in Cancelled and then goes on as KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Job, EventContext]] = {}
        self._closed = False

    def start(self, spec: JobSpec, sink: Sink) -> JobHandle:
        """Run a job to its end.

        Raises
        ------
        InvalidInput
            When the runner is closed.
        """
        job = Job(sink, self._stop, self._forward)
        ctx = EventContext(job.id, job.emit)
        with self._lock:
            if self._closed:
                raise InvalidInput("This runner is closed and takes no more jobs.", "Make a new one.")
            self._running[job.id] = (job, ctx)
        try:
            job.emit(execute(lambda: spec, ctx))
        except BaseException:  # Ctrl-C: the job has its end all the same
            job.emit(Cancelled(job=job.id))
            raise
        finally:
            with self._lock:
                del self._running[job.id]
        return job

    def unfinished(self) -> list[JobHandle]:
        """The jobs that run, each in its own thread."""
        with self._lock:
            return [job for job, _ in self._running.values()]

    def cancel(self, job: str) -> None:
        """Cancel the job of this id, if it runs."""
        for handle in self.unfinished():
            if handle.id == job:
                handle.cancel()

    def close(self) -> None:
        """Cancel what runs in other threads; takes no more jobs."""
        with self._lock:
            self._closed = True
        for handle in self.unfinished():
            handle.cancel()

    def __enter__(self) -> InlineRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _stop(self, job: Job) -> None:
        if ctx := self._context(job):
            ctx.cancel()

    def _forward(self, job: Job, message: JobMessage) -> None:
        if ctx := self._context(job):
            ctx.receive(message)

    def _context(self, job: Job) -> EventContext | None:
        with self._lock:
            return self._running[job.id][1] if job.id in self._running else None
