"""The Jobs panel: running, waiting and finished jobs."""

from __future__ import annotations

import time
from pathlib import Path

from qtpy.QtWidgets import QPushButton, QWidget

from napari_pytc.session.records import RunRecord
from napari_pytc.ui.panels.jobs.controller import JobsController
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.job_row import JobRows
from napari_pytc.ui.widgets.labels import duration, wrapped
from napari_pytc.ui.widgets.layout import column, order_tabs, row
from napari_pytc.ui.widgets.notice import EmptyState
from napari_pytc.ui.widgets.record_list import Column, Line, RecordList
from napari_pytc.ui.widgets.record_text import short_name

_STATES = {"interrupted": "cut short"}


class JobsPanel(QWidget):
    """Jobs of this window, the newest on top, and below them the project's earlier ones.

    Parameters
    ----------
    controller : JobsController
        The controller of the panel.
    """

    def __init__(self, controller: JobsController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobsPanel")
        self._controller = controller
        jobs = controller.jobs
        self.worker = wrapped(dim=True)
        self.worker.setObjectName("workerState")
        self.worker.setToolTip("The process that trains and predicts, so that this window stays free.")
        self.empty = EmptyState("Nothing runs. Trainings, predictions and exports appear here with their progress.")
        self.rows = JobRows()
        self.clear_button = QPushButton("Clear finished")
        self.clear_button.setObjectName("clearJobsButton")
        self.clear_button.clicked.connect(jobs.clear)
        bar = QWidget()
        bar.setLayout(row(1, self.clear_button))
        columns = (Column("What", stretches=True), Column("When"), Column("Outcome"))
        self.earlier = RecordList("earlierRuns", columns, most_lines=10, selects_none=True)
        self.earlier_fold = Fold("Earlier runs of this project", self.earlier)
        self.earlier_fold.toggleButton().setToolTip("What ran in earlier sessions, the newest first.")
        self.earlier_fold.toggled.connect(self._find_runs)
        column(self, self.worker, self.empty, self.rows, bar, self.earlier_fold)
        order_tabs(self)
        jobs.added.connect(self._on_added)
        jobs.changed.connect(self.rows.refresh)
        jobs.ended.connect(self._update)
        jobs.cleared.connect(self._on_cleared)
        controller.worker_changed.connect(self._update)
        controller.session_changed.connect(self._on_session)
        controller.runs_found.connect(self._show_runs)
        for job in jobs.jobs:
            self.rows.add(job)
        self._on_session()
        self._update()

    # ---- private

    def _on_added(self, job: JobModel) -> None:
        self.rows.add(job)
        order_tabs(self)
        self._update()

    def _on_cleared(self) -> None:
        self.rows.keep(self._controller.jobs.jobs)
        self._update()
        self._find_runs()

    def _on_session(self) -> None:
        self.earlier.show_lines([])
        self.earlier_fold.setVisible(self._controller.has_project)
        self._find_runs()

    def _find_runs(self, *args: object) -> None:
        if self.earlier_fold.isExpanded():
            self._controller.find_runs()

    def _update(self, *args: object) -> None:
        has_jobs = bool(self._controller.jobs.jobs)
        self.empty.setVisible(not has_jobs)
        self.clear_button.setVisible(has_jobs)
        tip = "Take finished, failed and cancelled jobs off this list; what they made stays."
        allow(self.clear_button, self._controller.clear_reason, tip)
        self.worker.setText(self._controller.worker_text)

    def _show_runs(self, runs: list[RunRecord]) -> None:
        volumes = self._controller.volume_names
        self.earlier.show_lines([_line(run, volumes.get(run.volume, "")) for run in runs])


def _line(run: RunRecord, volume: str) -> Line:
    """A run in a line; `volume` is the name of the volume that it worked on, empty where it need not be told."""
    moment = time.localtime(run.started)
    state = _STATES.get(run.state, run.state)
    title = f"{run.kind.replace('_', ' ').capitalize()} {short_name(Path(run.subject).name)}"
    if volume:
        title = f"{title}: {volume}"
    about = [run.subject, *([f"of {volume}"] if volume else []), time.strftime("%Y-%m-%d %H:%M:%S", moment)]
    if run.ended is not None:
        about.append(f"took {duration(run.ended - run.started)}")
    about += [line for line in (run.message, run.hint) if line]
    return Line(run.id, run, [title, time.strftime("%d %b %H:%M", moment), state], tip="\n".join(about))
