"""Recording of a job's events in the project's database."""

from __future__ import annotations

import time
from collections.abc import Callable

from napari_pytc.errors import PytcError
from napari_pytc.jobs.events import TERMINAL, Failed, Finished, JobEvent, Measured, Warned
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.session.project.database import Database
from napari_pytc.session.records import PredictionRecord, RunState

_FLUSH_S = 1.0


class RunRecorder:
    """A sink that records a job's run, metrics and prediction, then passes every event on.

    May be called from any thread, one event at a time. Metrics are written at most once a second, since each
    write waits for the disk. If the database refuses, the job goes on and the sink gets a warning.

    Parameters
    ----------
    subject : str
        Id of what the job makes.
    prediction : tuple of PredictionRecord and str, optional
        The record to keep up to date, and the digest of the image it is of.
    within : bool
        The job makes a part of the prediction: a finished one stays finished, another is not finished afterwards.
    volume : str
        Id of the volume that the job works on; empty for several.
    on_start, on_end : callable
        Called with the job's id, after the run was recorded; `on_end` also with the terminal event.
    """

    def __init__(
        self,
        database: Database,
        job: JobSpec,
        subject: str,
        sink: Callable[[JobEvent], None] | None,
        prediction: tuple[PredictionRecord, str] | None,
        on_start: Callable[[str], None],
        on_end: Callable[[str, JobEvent], None],
        clock: Callable[[], float] = time.monotonic,
        within: bool = False,
        volume: str = "",
    ) -> None:
        self._database, self._job, self._subject, self._sink = database, job, subject, sink
        self._prediction, self._within = prediction, within
        self._on_start, self._on_end, self._clock = on_start, on_end, clock
        self._volume = volume
        self._points: list[tuple[str, int, float, float]] = []
        self._flushed = clock()
        self._started = False
        self._warned = False

    def __call__(self, event: JobEvent) -> None:
        """Record an event and pass it on."""
        try:
            self._record(event)
        except PytcError as error:
            self._warn(event.job, f"This run is not recorded in the project: {error}")
        finally:
            if self._sink is not None:
                self._sink(event)

    def _record(self, event: JobEvent) -> None:
        if not self._started:
            self._started = True
            try:
                self._database.start_run(
                    event.job,
                    self._job.kind,
                    self._subject,
                    self._job.model_dump(mode="json"),
                    event.time,
                    self._volume,
                )
                self._note_prediction("running")
            finally:
                self._on_start(event.job)
        if isinstance(event, Measured):
            self._points.append((event.name, event.step, event.value, event.time))
        over = isinstance(event, TERMINAL)
        if self._points and (over or self._clock() - self._flushed >= _FLUSH_S):
            points, self._points, self._flushed = self._points, [], self._clock()
            if not over:
                self._database.add_metrics(event.job, points)
                return
            try:
                self._database.add_metrics(event.job, points)
            except PytcError as error:
                self._warn(event.job, f"The last points of the curves are not kept: {error}")
        if over:
            self._end(event)

    def _end(self, event: JobEvent) -> None:
        state: RunState = (
            "finished" if isinstance(event, Finished) else "failed" if isinstance(event, Failed) else "cancelled"
        )
        message, hint = (event.message, event.hint) if isinstance(event, Failed) else ("", "")
        result = event.result if isinstance(event, Finished) else {}
        try:
            self._database.end_run(event.job, state, event.time, result, message, hint)
            self._note_prediction(state)
        finally:
            self._on_end(event.job, event)

    def _note_prediction(self, state: RunState) -> None:
        if self._prediction is not None:
            record, image = self._prediction
            if self._within and state != "running":
                state = "cancelled"
            if self._within and record.state == "finished":
                return
            self._database.put_prediction(record.model_copy(update={"state": state}), image)

    def _warn(self, job: str, message: str) -> None:
        if not self._warned and self._sink is not None:
            self._warned = True
            self._sink(Warned(job=job, message=message))
