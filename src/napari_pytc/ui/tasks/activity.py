"""Jobs in napari's activity dock, and in its confirmation dialog on closing while something runs."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

from napari.utils.progress import cancelable_progress
from napari.utils.task_status import Status, TaskStatusManager
from qtpy.QtCore import QObject, QTimer

from napari_pytc.jobs.job import JobState
from napari_pytc.ui.tasks.job_board import JobBoard, JobModel

_UPDATE_MS = 250


class JobProgress(cancelable_progress):
    """A bar of the activity dock whose button cancels a job; made, changed and closed in the Qt thread."""

    def __init__(self, job: JobModel) -> None:
        self._job = job
        self._shown = job.total
        # To a file of its own: where there is no dock, tqdm would write into the terminal.
        super().__init__(desc=job.title, total=job.total, file=io.StringIO())

    def follow(self) -> None:
        """Show how far the job is."""
        if self._job.total != self._shown:
            self.total = self._shown = self._job.total
        if self._job.done != self.n:
            self.update(self._job.done - self.n)

    def cancel(self) -> None:
        """Cancel the job; called by the dock's button."""
        super().cancel()
        self._job.cancel()


class Activity(QObject):
    """Mirrors the running jobs.

    Four times a second and from a timer of its own, because napari's bars run the event loop whenever they change.

    Parameters
    ----------
    jobs : JobBoard
        The jobs.
    window : QMainWindow
        Napari's main window; its parent.
    """

    def __init__(self, jobs: JobBoard, window: Any) -> None:
        super().__init__(window)
        self._jobs = jobs
        self._bars: dict[JobModel, JobProgress] = {}
        self._status: UUID | None = None
        self._shown_titles: tuple[str, ...] = ()
        self._is_updating = False
        self._is_closed = False
        # napari has no public way to it; a version without it closes without confirmation.
        manager = getattr(getattr(window, "_window", None), "_task_status_manager", None)
        self._manager: TaskStatusManager | None = manager
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_UPDATE_MS)
        self._timer.timeout.connect(self._update)
        self._jobs.added.connect(self._on_change)
        self._jobs.changed.connect(self._on_change)
        self._jobs.ended.connect(self._on_change)
        self._jobs.closed.connect(self.close)

    def close(self) -> None:
        """Take all bars away and let the window close without a question."""
        self._is_closed = True
        self._timer.stop()
        self._show_status([])
        for job in list(self._bars):
            self._bars.pop(job).close()

    # ---- private

    @property
    def _running(self) -> list[JobModel]:
        """Live learning has no end to wait for, and loses nothing when the window closes."""
        return [job for job in self._jobs.running if job.kind != "live"]

    def _on_change(self, job: JobModel) -> None:
        self._show_status(self._running)
        if not self._timer.isActive():
            self._timer.start()

    def _update(self) -> None:
        if self._is_closed:
            return
        if self._is_updating:  # from within the event loop that a bar runs
            self._timer.start()
            return
        self._is_updating = True
        try:
            for job in list(self._bars):
                if job.is_over:
                    self._bars.pop(job).close()
            for job in [] if self._is_closed else self._running:
                if job.state == JobState.RUNNING:
                    self._follow(job)
        finally:
            self._is_updating = False

    def _follow(self, job: JobModel) -> None:
        if job not in self._bars:
            self._bars[job] = JobProgress(job)
        if self._is_closed:  # meanwhile, in the event loop that the new bar ran
            self.close()
        else:
            self._bars[job].follow()

    def _show_status(self, running: list[JobModel]) -> None:
        """Keep one entry in napari's list of tasks; it has no way to take one out."""
        titles = tuple(job.title for job in running)
        if self._manager is None or titles == self._shown_titles:
            return
        self._shown_titles = titles
        status = Status.BUSY if titles else Status.COMPLETED
        description = f"{', '.join(titles)}. Closing cancels this; what is done stays." if titles else ""
        if self._status is None:
            self._status = self._manager.register_task_status("PyTC", status, description, self._cancel_all)
        else:
            self._manager.update_task_status(self._status, status, description)

    def _cancel_all(self) -> bool:
        for job in self._jobs.running:
            job.cancel()
        return True
