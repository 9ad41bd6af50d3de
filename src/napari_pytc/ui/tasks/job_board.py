"""The board of jobs: applies job events in the Qt thread, and holds the jobs for the panels."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
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
_DRAIN_S = 0.01
"""Longest time for events in one turn of the window's thread; the rest waits for the next."""
_LOG_LINES = 400
_VOXELS = ("prediction", "segments")
"""Kinds of artifacts that are shown on the canvas."""
_END_STATES: dict[type, JobState] = {
    Finished: JobState.FINISHED,
    Failed: JobState.FAILED,
    Cancelled: JobState.CANCELLED,
}


@dataclass(eq=False)
class JobModel:
    """A job as the window shows it; changed by its `JobBoard` only, in the Qt thread.

    Parameters
    ----------
    title : str
        Title for the user: "Train fast", "Predict 20261121-0803-instant".
    curves : dict
        Points (step, value) by name, in the order they came.
    log : list of str
        Its log, one line an entry, the oldest first.
    is_paused : bool
        Whether its end was requested as a pause, to be resumed.
    cancel_requested : bool
        Whether its end was requested; it may still be running.
    volume : str
        Id of the volume that it works on; empty where it works on none, or on several.
    is_shown : bool
        Whether the voxels it writes were brought to the canvas once; after that the user decides what is shown.
    """

    kind: str
    title: str
    spec: JobSpec | None = None
    handle: JobHandle | None = None
    state: JobState = JobState.WAITING
    done: int = 0
    total: int = 0
    note: str = ""
    requested: float = field(default_factory=time.time)
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
    cancel_requested: bool = False
    volume: str = ""
    is_shown: bool = False
    _withdraw: Callable[[], None] = field(default=lambda: None, repr=False)
    _rate_from: tuple[float, int] = (0.0, 0)
    _updated: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether it has had its one end."""
        return self.state in (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)

    @property
    def output(self) -> Path | None:
        """Path of the prediction or file that a prediction, live learning or an export writes."""
        spec: Any = self.spec
        path = getattr(spec, "prediction" if self.kind == "live" else "output", None)
        return path if isinstance(path, Path) else None

    @property
    def share(self) -> float:
        """Fraction of the job that is done, by steps or by minutes, whichever is further; from 0 to 1."""
        by_steps = self.done / self.total if self.total else 0.0
        seconds = self._most_seconds
        by_time = (time.time() - self.started) / seconds if seconds and self.started and not self.is_over else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def seconds_left(self) -> float | None:
        """Time left at the rate so far, or until a training's minutes are over; None before there is a rate."""
        since, first = self._rate_from
        if self.is_over or not first < self.done < self.total:
            return None
        left = (self._updated - since) / (self.done - first) * (self.total - self.done)
        left = max(0.0, left - (time.time() - self._updated))
        seconds = self._most_seconds
        if seconds is None or self.started is None:
            return left
        return min(left, max(0.0, self.started + seconds - time.time()))

    @property
    def _most_seconds(self) -> float | None:
        """Time limit in seconds, whatever the steps; None for jobs other than trainings."""
        minutes = getattr(getattr(self.spec, "plan", None), "minutes", None)
        return None if minutes is None else 60 * minutes

    def cancel(self) -> None:
        """Request the job's end; nothing happens to one that is over. One that no runner has yet ends at once."""
        if self.is_over or self.cancel_requested:
            return
        self.cancel_requested = True
        if self.handle is not None:
            self.handle.cancel()
        else:
            self._withdraw()

    def _apply(self, event: JobEvent) -> None:
        if isinstance(event, Started):
            self.state, self.started = JobState.RUNNING, event.time
            self._write(event, "started")
        elif isinstance(event, Progressed):
            if event.note != self.note:
                self._write(event, event.note)
            # Until something is done, as while libraries load, there is no rate to estimate the time left from.
            if event.total != self.total or event.done <= self._rate_from[1]:
                self._rate_from = (event.time, event.done)
            self._updated = event.time
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


@dataclass
class _Update:
    """Result of some events: changed jobs with the voxels that they wrote, other news of jobs, and jobs that ended."""

    touched: dict[JobModel, list[Box]] = field(default_factory=dict)
    others: dict[tuple[JobModel, str], None] = field(default_factory=dict)
    over: list[JobModel] = field(default_factory=list)


class JobBoard(QObject):
    """All jobs of a workspace, the oldest first. Events may come from any thread; signals are emitted in this one.

    Events are drained at most every 40 ms, so a job that reports much cannot keep the window busy: of a job's progress
    only the newest counts, and its voxels come as one list.
    """

    added = Signal(object)
    """A `JobModel`, as soon as it was requested."""
    changed = Signal(object)
    """A `JobModel` whose state, progress, curves or log changed."""
    produced = Signal(object, object)
    """A `JobModel` and the list of boxes whose voxels on disk are new."""
    noticed = Signal(object, str)
    """A `JobModel` and the kind of another thing that is new on the disk, as "suggestions"."""
    ended = Signal(object)
    """A `JobModel` that had its one end; comes after the `changed` of the same event."""
    cleared = Signal()
    """Jobs that are over were forgotten."""
    closed = Signal()
    """The workspace is shut down; no signal comes any more."""

    _arrived = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs: list[JobModel] = []
        self._events: deque[tuple[JobModel, JobEvent]] = deque()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(lambda: self._drain(_DRAIN_S))
        self._arrived.connect(self._schedule)
        self._is_open = True
        self._is_announced = False
        self._is_draining = False
        self._drained = 0.0

    @property
    def running(self) -> list[JobModel]:
        """The jobs that run or wait."""
        return [job for job in self.jobs if not job.is_over]

    def open(self, kind: str, title: str, volume: str = "") -> tuple[JobModel, Sink]:
        """Put up a job that is about to start; its runner gets the sink, and the view its handle."""
        view = JobModel(kind, title, volume=volume)
        view._withdraw = lambda: self._receive(view, Cancelled(job=""))
        self.jobs.append(view)
        self.added.emit(view)
        return view, lambda event: self._receive(view, event)

    def withdraw(self, view: JobModel, message: str, hint: str) -> None:
        """End a job that its runner refused."""
        self._receive(view, Failed(job="", message=message, hint=hint))

    def clear(self) -> None:
        """Forget jobs that are over."""
        self.jobs = [job for job in self.jobs if not job.is_over]
        self.cleared.emit()

    def forget(self, view: JobModel) -> None:
        """Show a job that is over no longer."""
        if view.is_over and view in self.jobs:
            self.jobs.remove(view)
            self.cleared.emit()

    def close(self) -> None:
        """Listen no more; may be called twice."""
        self._timer.stop()
        self._events.clear()
        if self._is_open:
            self._is_open = False
            self.closed.emit()

    def drain(self) -> None:
        """Apply the events that have arrived, now."""
        self._drain(None)

    def _drain(self, seconds: float | None) -> None:
        # A listener may run the event loop, as napari's progress bars do: the events of a job must not overtake
        # each other, so what comes meanwhile waits.
        if self._is_draining:
            self._timer.start(_DRAIN_MS)
            return
        self._is_draining = True
        try:
            self._notify(self._collect(seconds))
        finally:
            self._is_draining = False
            self._drained = time.monotonic()
        if self._is_open and self._events:
            self._timer.start(_DRAIN_MS)

    def _collect(self, seconds: float | None) -> _Update:
        """Apply events to their jobs; returns the changes."""
        until = None if seconds is None else time.monotonic() + seconds
        update = _Update()
        # Cleared before the events are taken: one that comes now is announced again, or is among these.
        self._is_announced = False
        for _ in range(len(self._events)):
            view, event = self._events.popleft()
            if view.is_over:  # it was withdrawn while its runner still reported
                continue
            boxes = update.touched.setdefault(view, [])
            if isinstance(event, Produced) and event.kind in _VOXELS:
                boxes.append(event.box)
            elif isinstance(event, Produced):
                update.others[view, event.kind] = None
            else:
                view._apply(event)
            if isinstance(event, TERMINAL):
                update.over.append(view)
            if until is not None and time.monotonic() > until:
                break
        return update

    def _notify(self, update: _Update) -> None:
        for view, boxes in update.touched.items():
            if boxes:
                self.produced.emit(view, boxes)
            self.changed.emit(view)
        for view, kind in update.others:
            self.noticed.emit(view, kind)
        for view in update.over:
            self.ended.emit(view)

    def _receive(self, view: JobModel, event: JobEvent) -> None:
        """Called by runners' threads."""
        if not self._is_open:
            return
        self._events.append((view, event))
        if self._is_announced:
            return
        self._is_announced = True
        try:
            self._arrived.emit()
        except RuntimeError:  # the window was deleted without notice; no receiver is left
            self._is_open = False

    def _schedule(self) -> None:
        if self._is_open and not self._timer.isActive():
            passed_ms = 1000 * (time.monotonic() - self._drained)
            self._timer.start(max(0, round(_DRAIN_MS - passed_ms)))  # what comes after a pause is not kept waiting
