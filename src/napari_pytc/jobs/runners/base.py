"""Protocols of runners and of the handles of their jobs."""

from __future__ import annotations

from typing import Protocol

from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import JobEvent
from napari_pytc.jobs.job import JobState, Sink
from napari_pytc.jobs.spec import JobSpec


class JobHandle(Protocol):
    """Handle of a started job; every method may be called from any thread, and from the sink."""

    @property
    def id(self) -> str:
        """The `job` of the job's events."""

    @property
    def state(self) -> JobState:
        """State of the job."""

    def cancel(self) -> None:
        """Ask the job to end; returns at once."""

    def send(self, message: JobMessage) -> None:
        """Send a message while the job waits or runs."""

    def wait(self, timeout: float | None = None) -> JobEvent | None:
        """Wait until the sink has had the terminal event, and give it; None when the time (seconds) ran out."""


class JobRunner(Protocol):
    """Runs jobs; each ends in exactly one of Finished, Failed, Cancelled, and its sink has that event last."""

    def start(self, spec: JobSpec, sink: Sink) -> JobHandle:
        """Run a job, now or once those before it are over."""

    def unfinished(self) -> list[JobHandle]:
        """The jobs that run or wait, in the order they were started."""

    def cancel(self, job: str) -> None:
        """Cancel the job of this id, which a sink has from the event before `start` has returned."""

    def close(self) -> None:
        """Cancel what runs and waits, and let go of everything; may be called twice."""
