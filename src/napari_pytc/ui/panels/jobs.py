"""The Jobs panel: what runs, what waits, what came of the others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHeaderView, QPushButton, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_pytc.session.records import RunRecord
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.controls import order_tabs
from napari_pytc.ui.job_row import JobRows
from napari_pytc.ui.parts import MARGIN, EmptyState, Fold, allow, duration, row, wrapped

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace

MOST_EARLIER = 200
_STATES = {"interrupted": "cut short"}


class JobsPanel(QWidget):
    """Jobs of this window, the newest on top, and below them the project's earlier ones.

    Parameters
    ----------
    workspace : Workspace
        What it shows.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobsPanel")
        self._workspace = workspace
        self.worker = wrapped(dim=True)
        self.worker.setObjectName("workerState")
        self.worker.setToolTip("The process that trains and predicts, so that this window stays free.")
        self.empty = EmptyState("Nothing runs. Trainings, predictions and exports appear here with their progress.")
        self.rows = JobRows()
        self.clear_button = QPushButton("Clear finished")
        self.clear_button.setObjectName("clearJobsButton")
        self.clear_button.clicked.connect(workspace.jobs.clear)
        self.earlier = QTreeWidget()
        self.earlier.setObjectName("earlierRuns")
        self.earlier.setColumnCount(3)
        self.earlier.setHeaderLabels(["What", "When", "Outcome"])
        self.earlier.setRootIsDecorated(False)
        self.earlier.setMinimumHeight(160)
        self.earlier.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.earlier.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.earlier_fold = Fold("Earlier runs of this project", self.earlier)
        self.earlier_fold.button.setToolTip("What ran in earlier sessions, the newest first.")
        self.earlier_fold.button.toggled.connect(self._read_earlier)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self.worker)
        layout.addWidget(self.empty)
        layout.addWidget(self.rows)
        layout.addLayout(row(1, self.clear_button))
        layout.addWidget(self.earlier_fold)
        layout.addStretch(1)
        order_tabs(self)
        jobs = workspace.jobs
        jobs.added.connect(self._on_added)
        jobs.changed.connect(self._on_changed)
        jobs.ended.connect(self._on_ended)
        jobs.cleared.connect(self._on_cleared)
        workspace.runner_changed.connect(self._tell_worker)
        workspace.session_changed.connect(self._on_session)
        for job in jobs.jobs:
            self.rows.add(job)
        self._on_session()
        self._renew()

    # ---- what follows is ours

    def _on_added(self, job: JobView) -> None:
        self.rows.add(job)
        order_tabs(self)
        self._renew()

    def _on_changed(self, job: JobView) -> None:
        self.rows.refresh(job)
        if self._workspace.is_warm != self._was_warm:
            self._tell_worker()

    def _on_ended(self, job: JobView) -> None:
        self._renew()

    def _on_cleared(self) -> None:
        self.rows.keep(self._workspace.jobs.jobs)
        self._renew()
        self._read_earlier(self.earlier_fold.button.isChecked())

    def _on_session(self) -> None:
        self.earlier.clear()
        self.earlier_fold.setVisible(self._workspace.session is not None)
        self._read_earlier(self.earlier_fold.button.isChecked())

    def _renew(self) -> None:
        jobs = self._workspace.jobs
        self.empty.setVisible(not jobs.jobs)
        self.clear_button.setVisible(bool(jobs.jobs))
        n_over = len(jobs.jobs) - len(jobs.running)
        allow(
            self.clear_button,
            "" if n_over else "no job is over." if jobs.jobs else "there are no jobs.",
            "Take finished, failed and cancelled jobs off this list; what they made stays.",
        )
        self._tell_worker()

    def _tell_worker(self) -> None:
        self._was_warm = self._workspace.is_warm
        n_running = len(self._workspace.jobs.running)
        if n_running:
            self.worker.setText(f"Worker: {n_running} {'job' if n_running == 1 else 'jobs'} to do.")
        elif self._was_warm:
            self.worker.setText("Worker: ready, a job starts at once.")
        else:
            self.worker.setText("Worker: loading its libraries; a job that is started now waits for it.")

    def _read_earlier(self, is_open: bool) -> None:
        """Read the database in the helper thread: it may be writing just now."""
        session = self._workspace.session
        if not is_open or session is None:
            return
        shown = {job.handle.id for job in self._workspace.jobs.jobs if job.handle is not None}

        def put(runs: list[RunRecord]) -> None:
            if self._workspace.session is session:
                self._put_earlier([run for run in reversed(runs) if run.id not in shown][:MOST_EARLIER])

        self._workspace.background.run(session.runs, put, receiver=self)

    def _put_earlier(self, runs: list[RunRecord]) -> None:
        self.earlier.clear()
        for run in runs:
            when = time.strftime("%d %b %H:%M", time.localtime(run.started))
            item = QTreeWidgetItem(
                [f"{run.kind.capitalize()} {Path(run.subject).name}", when, _STATES.get(run.state, run.state)]
            )
            lines = [run.subject, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.started))]
            if run.ended is not None:
                lines.append(f"took {duration(run.ended - run.started)}")
            lines += [line for line in (run.message, run.hint) if line]
            for column in range(3):
                item.setToolTip(column, "\n".join(lines))
            self.earlier.addTopLevelItem(item)
        if not runs:
            self.earlier.addTopLevelItem(QTreeWidgetItem(["None yet.", "", ""]))
