"""A job from its start to its terminal event."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from uuid import uuid4

from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import TERMINAL, Cancelled, Failed, Finished, JobEvent, Progressed, Started

logger = logging.getLogger(__name__)

Sink = Callable[[JobEvent], None]
"""Takes a job's events, one at a time and in order."""


class JobState(StrEnum):
    """State of a job.

    ::

        waiting -> running -> finished | failed | cancelled
        waiting ------------------------> failed | cancelled
    """

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class IllegalTransition(RuntimeError):
    """An event that the job's state does not allow; a bug of the runner."""


_OUTCOMES: dict[type, JobState] = {
    Finished: JobState.FINISHED,
    Failed: JobState.FAILED,
    Cancelled: JobState.CANCELLED,
}


class Job:
    """The state machine of one job, and the handle that `JobRunner.start` gives.

    The runner emits its events here. The job passes those that its state allows to the sink, in order, and ends in
    exactly one terminal event. Events after that one are dropped: a cancel and a finish may cross.

    Parameters
    ----------
    sink : callable
        Is never called by two threads at a time. When it raises, that is logged and it is called again with the next
        event, so that no terminal event is lost.
    on_cancel : callable, optional
        Stops this job in the runner; called once.
    on_message : callable, optional
        Passes a message to this job in the runner.
    """

    def __init__(
        self,
        sink: Sink,
        on_cancel: Callable[[Job], None] | None = None,
        on_message: Callable[[Job, JobMessage], None] | None = None,
    ) -> None:
        self.id = uuid4().hex
        self._sink, self._on_cancel, self._on_message = sink, on_cancel, on_message
        self._lock = threading.Lock()
        self._state = JobState.WAITING
        self._outcome: JobEvent | None = None
        self._pending: deque[JobEvent] = deque()
        self._deliverer: int | None = None
        self._over = threading.Event()
        self._cancel_requested = False

    @property
    def state(self) -> JobState:
        """State of the job."""
        return self._state

    @property
    def outcome(self) -> JobEvent | None:
        """The terminal event once there is one."""
        return self._outcome

    @property
    def cancel_requested(self) -> bool:
        """Whether it was cancelled; the job may still be running."""
        return self._cancel_requested

    def cancel(self) -> None:
        """Ask the job to end; returns at once, from any thread. Nothing happens to a job that is over."""
        with self._lock:
            if self._cancel_requested or self._outcome is not None:
                return
            self._cancel_requested = True
        if self._on_cancel is not None:
            self._on_cancel(self)

    def send(self, message: JobMessage) -> None:
        """Send a message while the job waits or runs; dropped once it is over."""
        if self._outcome is None and self._on_message is not None:
            self._on_message(self, message)

    def wait(self, timeout: float | None = None) -> JobEvent | None:
        """Wait until the sink has had the terminal event.

        Parameters
        ----------
        timeout : float, optional
            In seconds; without it, as long as it takes.

        Returns
        -------
        JobEvent or None
            The terminal event; None when the time ran out, or when the job's own sink waits, which cannot end.
        """
        if self._deliverer != threading.get_ident():
            self._over.wait(timeout)
            return self._outcome if self._over.is_set() else None
        return self._outcome

    def emit(self, event: JobEvent) -> bool:
        """Deliver an event to the sink; for runners, from any thread.

        Returns
        -------
        bool
            Whether it counted; False after the end.

        Raises
        ------
        IllegalTransition
            When the state does not allow the event, for example progress before the start.
        """
        with self._lock:
            if self._outcome is not None:
                return False
            self._advance(event)
            if isinstance(event, Progressed) and self._pending and isinstance(self._pending[-1], Progressed):
                self._pending.pop()
            self._pending.append(event)
            if self._deliverer is not None:  # that thread, perhaps this one further up, delivers it next
                return True
            self._deliverer = threading.get_ident()
        self._deliver()
        return True

    def _advance(self, event: JobEvent) -> None:
        starts, waiting = isinstance(event, Started), self._state is JobState.WAITING
        if starts != waiting and not (waiting and isinstance(event, Failed | Cancelled)):
            raise IllegalTransition(f"A {self._state} job cannot emit {event.event!r}.")
        if starts:
            self._state = JobState.RUNNING
        elif isinstance(event, TERMINAL):
            self._state = _OUTCOMES[type(event)]
            self._outcome = event

    def _deliver(self) -> None:
        """Hand over what is pending, until nothing is; no lock is held while the sink runs."""
        while True:
            with self._lock:
                if not self._pending:
                    self._deliverer = None
                    return
                event = self._pending.popleft()
            try:
                self._sink(event)
            except Exception:  # the other side of the job's boundary: whatever listens must not end the job
                logger.exception("The listener of job %s raised on %r", self.id, event.event)
            except BaseException:
                with self._lock:
                    self._deliverer = None
                raise
            finally:
                if isinstance(event, TERMINAL):
                    self._over.set()
