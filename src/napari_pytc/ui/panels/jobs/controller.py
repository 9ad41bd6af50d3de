"""Controller of the Jobs panel: the jobs of this window, the worker, and earlier runs of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pytc.ui.workspace import Workspace

if TYPE_CHECKING:
    from napari_pytc.session.records import RunRecord

MOST_EARLIER = 200


class JobsController(QObject):
    """Jobs, worker and runs of a workspace.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the jobs; also the Qt parent.
    """

    session_changed = Signal()
    worker_changed = Signal()
    """The worker was started, or has loaded its libraries."""
    runs_found = Signal(list)
    """The `RunRecord` of earlier runs, the newest first."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self.jobs = workspace.jobs
        self._was_warm = workspace.worker.is_warm
        workspace.session_changed.connect(self.session_changed)
        workspace.worker.changed.connect(self.worker_changed)
        self.jobs.changed.connect(self._on_changed)

    @property
    def has_project(self) -> bool:
        """Whether a project is open."""
        return self._workspace.session is not None

    @property
    def volume_names(self) -> dict[str, str]:
        """Names of the volumes by their ids, removed ones left out; none where the project has a single one."""
        session = self._workspace.session
        records = [] if session is None else session.volumes.records()
        return {record.id: record.name for record in records} if len(records) > 1 else {}

    @property
    def clear_reason(self) -> str:
        """Reason why no job can be taken off the list; empty if one can."""
        if not self.jobs.jobs:
            return "there are no jobs."
        return "" if len(self.jobs.jobs) > len(self.jobs.running) else "no job is over."

    @property
    def worker_text(self) -> str:
        """State of the worker in a sentence."""
        n_running = len(self.jobs.running)
        if n_running:
            return f"Worker: {n_running} {'job' if n_running == 1 else 'jobs'} to do."
        if self._workspace.worker.is_warm:
            return "Worker: ready, a job starts at once."
        return "Worker: loading its libraries; a job that is started now waits for it."

    def find_runs(self) -> None:
        """Read the earlier runs in the helper thread: the database may be written to just now."""
        session = self._workspace.session
        if session is None:
            return
        shown = {job.handle.id for job in self.jobs.jobs if job.handle is not None}

        def take(runs: list[RunRecord]) -> None:
            if self._workspace.session is session:
                self.runs_found.emit([run for run in reversed(runs) if run.id not in shown][:MOST_EARLIER])

        self._workspace.background.run(session.jobs.runs, take, receiver=self)

    def _on_changed(self, job: object) -> None:
        if self._workspace.worker.is_warm != self._was_warm:
            self._was_warm = self._workspace.worker.is_warm
            self.worker_changed.emit()
