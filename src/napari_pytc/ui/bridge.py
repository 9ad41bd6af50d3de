"""The one crossing from job events to the Qt thread: what runs, as the panels see it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pytc.geometry import Box
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
from napari_pytc.jobs.job import JobState, Sink
from napari_pytc.jobs.runners.base import JobHandle
from napari_pytc.jobs.spec import JobSpec

_DRAIN_MS = 40
_LOG_LINES = 400
_END_STATES: dict[type, JobState] = {
    Finished: JobState.FINISHED,
    Failed: JobState.FAILED,
    Cancelled: JobState.CANCELLED,
}


@dataclass(eq=False)
class JobView:
    """A job as the window shows it; changed by its `JobBoard` only, in the Qt thread.

    Parameters
    ----------
    title : str
        What a person calls it: "Train fast", "Predict 20261121-0803-instant".
    curves : dict
        Points (step, value) by name, in the order they came.
    log : list of str
        What it told, one line an entry, the oldest first.
    is_paused : bool
        Whether its end was asked for as a pause, to be gone on from.
    """

    kind: str
    title: str
    spec: JobSpec | None = None
    handle: JobHandle | None = None
    state: JobState = JobState.WAITING
    done: int = 0
    total: int = 0
    note: str = ""
    asked: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    hint: str = ""
    trace: str = ""
    is_paused: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has had its one end."""
        return self.state in (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)

    @property
    def output(self) -> Path | None:
        """What a prediction or an export writes."""
        return getattr(self.spec, "output", None)

    @property
    def seconds_left(self) -> float | None:
        """Time left at the rate so far; None before there is a rate."""
        if self.is_over or self.started is None or not 0 < self.done < self.total:
            return None
        return (time.time() - self._first_piece) / max(1, self.done - self._first_done) * (self.total - self.done)

    def cancel(self) -> None:
        """Ask the job to end; nothing happens to one that is over."""
        if self.handle is not None and not self.is_over:
            self.handle.cancel()

    _first_piece: float = 0.0
    _first_done: int = 0

    def _take(self, event: JobEvent) -> None:
        if isinstance(event, Started):
            self.state, self.started = JobState.RUNNING, event.time
            self._write(event, "started")
        elif isinstance(event, Progressed):
            if event.note != self.note:
                self._write(event, event.note)
            if (event.note, event.total) != (self.note, self.total) or event.done < self.done:
                self._first_piece, self._first_done = event.time, event.done
            self.done, self.total, self.note = event.done, event.total, event.note
        elif isinstance(event, Measured):
            self.curves.setdefault(event.name, []).append((event.step, event.value))
        elif isinstance(event, Warned):
            self.warnings.append(event.message)
            self._write(event, f"warning: {event.message}")
        elif isinstance(event, TERMINAL):
            self.state, self.ended = _END_STATES[type(event)], event.time
            if isinstance(event, Finished):
                self.result, self.done = event.result, self.total
            if isinstance(event, Failed):
                self.message, self.hint, self.trace = event.message, event.hint, event.log
            self._write(event, self.state.value + (f": {self.message}" if self.message else ""))

    def _write(self, event: JobEvent, text: str) -> None:
        if text:
            self.log.append(f"{time.strftime('%H:%M:%S', time.localtime(event.time))}  {text}")
            del self.log[:-_LOG_LINES]


class JobBoard(QObject):
    """All jobs of a workspace, the oldest first. Events may come from any thread; signals are emitted in this one.

    Events are drained at most every 40 ms, so a job that tells much cannot keep the window busy: of a job's progress
    only the newest counts, and its voxels come as one list.
    """

    added = Signal(object)
    """A `JobView`, as soon as it was asked for."""
    changed = Signal(object)
    """A `JobView` whose state, progress, curves or log changed."""
    produced = Signal(object, object)
    """A `JobView` and the list of boxes whose voxels on disk are new."""
    ended = Signal(object)
    """A `JobView` that had its one end; comes after the `changed` of the same event."""

    _arrived = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs: list[JobView] = []
        self._events: deque[tuple[JobView, JobEvent]] = deque()
        self._timer = QTimer(self, singleShot=True, interval=_DRAIN_MS)
        self._timer.timeout.connect(self.drain)
        self._arrived.connect(self._schedule)
        self._is_open = True

    @property
    def running(self) -> list[JobView]:
        """The jobs that run or wait."""
        return [job for job in self.jobs if not job.is_over]

    def open(self, kind: str, title: str) -> tuple[JobView, Sink]:
        """Put up a job that is about to start; its runner gets the sink, and the view its handle."""
        view = JobView(kind, title)
        self.jobs.append(view)
        self.added.emit(view)
        return view, lambda event: self._take(view, event)

    def withdraw(self, view: JobView, message: str, hint: str) -> None:
        """End a job that its runner refused."""
        self._take(view, Failed(job="", message=message, hint=hint))

    def clear(self) -> None:
        """Forget jobs that are over."""
        self.jobs = [job for job in self.jobs if not job.is_over]

    def close(self) -> None:
        """Listen no more."""
        self._is_open = False
        self._timer.stop()
        self._events.clear()

    def drain(self) -> None:
        """Take in what has come, now."""
        touched: dict[JobView, list[Box]] = {}
        over: list[JobView] = []
        while self._events:
            view, event = self._events.popleft()
            boxes = touched.setdefault(view, [])
            if isinstance(event, Produced):
                boxes.append(event.box)
                continue
            view._take(event)
            if isinstance(event, TERMINAL):
                over.append(view)
        for view, boxes in touched.items():
            if boxes:
                self.produced.emit(view, boxes)
            self.changed.emit(view)
        for view in over:
            self.ended.emit(view)

    def _take(self, view: JobView, event: JobEvent) -> None:
        """Called by runners' threads."""
        if self._is_open:
            self._events.append((view, event))
            self._arrived.emit()

    def _schedule(self) -> None:
        if self._is_open and not self._timer.isActive():
            self._timer.start()
