"""A job as a row of a panel: its progress, a button to end it, its log, its result."""

from __future__ import annotations

import math
from collections.abc import Callable

from qtpy.QtCore import QTimer
from qtpy.QtGui import QTextCursor
from qtpy.QtWidgets import QFrame, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.flags import OF_JOBS, READING, error_in_window
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.labels import duration, size, wrapped
from napari_pytc.ui.widgets.layout import MARGIN, order_tabs, row
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.progress import BusyBar

_TICK_MS = 1000
_LOG_HEIGHT = 130
_UNIT = "\N{NO-BREAK SPACE}Mvoxel/\N{WORD JOINER}s"
_WORDS = {
    JobState.WAITING: "Waiting",
    JobState.RUNNING: "Running",
    JobState.FINISHED: "Finished",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}


CountVoxels = Callable[[JobModel], int | None]


def _unknown(job: JobModel) -> None:
    """Number of voxels of a job where it is not known: None."""


class JobRow(QFrame):
    """Shows one job and keeps up with it by `refresh`; by itself it only counts the seconds.

    Parameters
    ----------
    job : JobModel
        The job.
    n_voxels : callable, optional
        Gives the number of voxels of a job, None if it is not known; with it the speed is shown.
    """

    def __init__(self, job: JobModel, n_voxels: CountVoxels = _unknown, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.job, self._n_voxels = job, n_voxels
        self.setObjectName("jobRow")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.title = wrapped(job.title)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setObjectName("cancelJobButton")
        self.cancel_button.clicked.connect(self._cancel)
        self.bar = BusyBar()
        self.bar.setObjectName("jobProgress")
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.status = wrapped(dim=True)
        self.status.setObjectName("jobStatus")
        self.notice = Notice()
        self._log = QPlainTextEdit()
        self._log.setReadOnly(True)
        self._log.setFixedHeight(_LOG_HEIGHT)
        self.log_fold = Fold("Log", self._log)
        self.log_fold.toggleButton().setToolTip("What the job reported, the newest last.")
        self.log_fold.toggled.connect(self._show_log)
        self._written: tuple[int, str] = (0, "")
        head = row(self.title, self.cancel_button)
        head.setStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setSpacing(3)
        layout.addLayout(head)
        for widget in (self.bar, self.status, self.notice, self.log_fold):
            layout.addWidget(widget)
        self._clock = QTimer(self)
        self._clock.setInterval(_TICK_MS)
        self._clock.timeout.connect(self._show_status)
        self.refresh()

    def refresh(self) -> None:
        """Show the job as it is now."""
        job = self.job
        if job.is_over:
            self._clock.stop()
        elif not self._clock.isActive():
            self._clock.start()
        self.cancel_button.setVisible(not job.is_over)
        self.cancel_button.setEnabled(not job.cancel_requested)
        self.cancel_button.setText("Ending …" if job.cancel_requested else "Cancel")
        self.cancel_button.setToolTip(
            "It ends after the step it is in; 5 s at most."
            if job.cancel_requested
            else "End this job; what is done stays."
        )
        self.bar.setVisible(not job.is_over)
        self.bar.setRange(0, max(0, job.total) if job.state == JobState.RUNNING else 1)
        self.bar.setValue(round(job.share * job.total))
        self._show_status()
        if job.state == JobState.FAILED and not self.notice.text:
            error = error_in_window(PytcError(job.message, job.hint), OF_JOBS.get(job.kind, READING))
            self.notice.show_error(error, job.trace)
        self.log_fold.setVisible(bool(job.log))
        self._show_log(self.log_fold.isExpanded())

    def _cancel(self) -> None:
        self.job.cancel()
        self.refresh()

    def _show_status(self) -> None:
        self.status.setText(describe(self.job, self._n_voxels(self.job)))

    def _show_log(self, is_open: bool) -> None:
        log = self.job.log
        newest = (len(log), log[-1] if log else "")
        if is_open and newest != self._written:
            self._written = newest
            self._log.setPlainText("\n".join(log))
            self._log.moveCursor(QTextCursor.MoveOperation.End)


class JobRows(QWidget):
    """Rows of jobs: those to come and those that run, then those that are over; the newest on top."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[JobModel, JobRow] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)

    @property
    def rows(self) -> list[JobRow]:
        """The rows, the oldest first."""
        return list(self._rows.values())

    def add(self, job: JobModel, n_voxels: CountVoxels = _unknown) -> None:
        """Show a job as well."""
        if job not in self._rows:
            self._rows[job] = found = JobRow(job, n_voxels)
            self._layout.insertWidget(self._n_unfinished if job.is_over else 0, found)

    def refresh(self, job: JobModel) -> None:
        """Show a job as it is now, if it is one of these."""
        if job not in self._rows:
            return
        found = self._rows[job]
        found.refresh()
        if job.is_over and self._layout.indexOf(found) < self._n_unfinished:
            self._layout.insertWidget(self._n_unfinished, found)
            order_tabs(self)

    @property
    def _n_unfinished(self) -> int:
        return sum(not job.is_over for job in self._rows)

    def keep(self, jobs: list[JobModel]) -> None:
        """Show no jobs but these."""
        for job in [job for job in self._rows if job not in jobs]:
            found = self._rows.pop(job)
            self._layout.removeWidget(found)
            found.hide()
            found.deleteLater()


def describe(job: JobModel, n_voxels: int | None = None) -> str:
    """A job's state, progress, speed and time left, in one line."""
    parts = ["Paused" if job.is_paused and job.state == JobState.CANCELLED else _WORDS[job.state]]
    if job.is_over:
        if job.started is not None and job.ended is not None:
            parts[0] += f" after {duration(job.ended - job.started)}"
        return " · ".join(parts + outcome(job))
    if job.state == JobState.WAITING:
        return "Waiting for the worker"
    if job.note:
        parts = [job.note[:1].upper() + job.note[1:]]
    if job.total > 1:
        parts.append(f"{job.done} of {job.total}")
    left = job.seconds_left
    if left is not None:
        if n_voxels and left > 0:
            parts.append(speed(n_voxels * (1 - job.done / job.total) / left))
        parts.append(f"{duration(math.ceil(left))} left")
    return " · ".join(parts)


def outcome(job: JobModel) -> list[str]:
    """Result of a finished job in a few words."""
    result = job.result
    if job.kind == "export" and "output" in result:
        return [f"{size(result['bytes'])} in {result['output']}"]
    if job.kind == "predict" and result.get("mvoxel_per_s"):
        return [speed(1e6 * float(result["mvoxel_per_s"]))]
    if job.kind in ("segment", "import_segmentation") and "n_segments" in result:
        speeds = [speed(1e6 * float(result["mvoxel_per_s"]))] if result.get("mvoxel_per_s") else []
        return [f"{result['n_segments']} segments", *speeds]
    if job.kind == "tune" and "n_trials" in result:
        n = result["n_trials"]
        return [f"{n} trial{'s' * (n != 1)}"]
    if job.kind == "apply" and "rows" in result:
        failed = f"{result['n_failed']} failed: see the log" if result["n_failed"] else ""
        done = result["n_done"] + result["n_done_before"]
        return [f"{done} of {len(result['rows'])} files in {result['folder']}", *([failed] if failed else [])]
    if job.kind == "train" and "model" in result:
        mean = (result.get("scores") or {}).get("mean")
        return [f"model {result['model']}", *([] if mean is None else [f"held-out score {mean:.3f}"])]
    return []


def speed(voxels_per_s: float) -> str:
    """Voxels a second as text, "3.1 Mvoxel/s", never broken into two lines."""
    millions = voxels_per_s / 1e6
    return f"{millions:.{1 if millions < 100 else 0}f}{_UNIT}"
