"""The progress of the training that runs or ended last, and its buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.panels.train.controller import TrainController, begin_text
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.buttons import GoTo
from napari_pytc.ui.widgets.labels import duration, wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.progress import BusyBar

if TYPE_CHECKING:
    from napari_pytc.plans.specs import TrainJob

_PARTS = 200
_STOPPED = {"no better score": "early, as its score did not get better", "minutes": "when its time was up"}


class TrainingProgressBox(QWidget):
    """A progress bar, a sentence, and Pause, Cancel, Resume, Dismiss; hidden while there is nothing to show.

    Parameters
    ----------
    controller : TrainController
        Controller of the training that is shown.
    """

    def __init__(self, controller: TrainController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.bar = BusyBar()
        self.bar.setObjectName("trainingBar")
        self.bar.setRange(0, _PARTS)
        self.bar.setFormat("%p %")
        self.text = wrapped()
        self.text.setObjectName("trainingText")
        self.warnings = wrapped()
        self.warnings.setObjectName("trainingWarnings")
        self.notice = Notice()
        self._failed: JobModel | None = None
        self.buttons = {}
        for name, text, tip, act in (
            (
                "pause",
                "Pause",
                "Stop for now, to go on later at the same step; also after napari was closed.",
                controller.pause,
            ),
            (
                "cancel",
                "Cancel",
                "Stop this training; no model comes of it. In case you change your mind, it can be resumed until you "
                "dismiss it.",
                controller.cancel,
            ),
            ("resume", "Resume", "Go on at the step where it stopped.", controller.resume),
            (
                "dismiss",
                "Dismiss",
                "Give this training up and delete its checkpoint. Models and strokes are not touched.",
                controller.dismiss,
            ),
        ):
            button = self.buttons[name] = QPushButton(text)
            button.setObjectName(f"{name}TrainingButton")
            button.setToolTip(tip)
            button.clicked.connect(act)
        self.hold_out = GoTo("Data", "Hold out a box")
        self.hold_out.setToolTip(
            "Go to the Data panel: draw a box around something painted and hold it out, or paint in it with its "
            "pencil. What is trained after that gets a score."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.bar, self.text, self.warnings, self.notice):
            layout.addWidget(widget)
        layout.addLayout(row(self.hold_out, *self.buttons.values(), 1))
        controller.progress_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the training as it is now."""
        controller = self._controller
        if controller.job is not None:
            self._show_job(controller.job, controller.resumable() is not None)
        elif controller.unfinished:
            self._show_unfinished(controller.unfinished[0], len(controller.unfinished) - 1)
        else:
            self._show_nothing()

    # ---- private

    def _show_nothing(self) -> None:
        self.hide()
        self._failed = None
        self.notice.hide()

    def _show_job(self, job: JobModel, can_resume: bool) -> None:
        self.show()
        runs = not job.is_over
        self.bar.setVisible(runs)
        self.bar.setValue(round(_PARTS * job.share))
        self.text.setText(describe_training(job))
        self.text.setVisible(job.state is not JobState.FAILED)
        self.warnings.setText("\n".join(f"⚠ {warning}" for warning in dict.fromkeys(job.warnings)))
        self.warnings.setVisible(bool(job.warnings))
        if job.state is JobState.FAILED:
            if self._failed is not job:
                self._failed = job
                self.notice.show_error(PytcError(job.message, job.hint), job.trace)
        else:
            self._failed = None
            self.notice.hide()
        self._show_buttons(runs, not runs and job.state is not JobState.FINISHED and can_resume, not runs)
        self.buttons["resume"].setText("Resume from the last checkpoint" if job.state is JobState.FAILED else "Resume")
        self.hold_out.setVisible(job.state is JobState.FINISHED and _mean(job.result) is None)
        for name in ("pause", "cancel"):
            self.buttons[name].setEnabled(not job.cancel_requested)

    def _show_unfinished(self, job: TrainJob, n_more: int) -> None:
        """Offer a training that was not finished when napari was closed."""
        self.show()
        self.bar.hide()
        self.warnings.hide()
        self.notice.hide()
        self.hold_out.hide()
        more = f" {n_more} more after it." if n_more else ""
        self.text.setText(f"A training with {job.plan.recipe}, begun {begin_text(job)}, was not finished.{more}")
        self.text.show()
        self.buttons["resume"].setText("Resume")
        self._show_buttons(False, True, True)

    def _show_buttons(self, can_stop: bool, can_resume: bool, can_dismiss: bool) -> None:
        for name, shown in (
            ("pause", can_stop),
            ("cancel", can_stop),
            ("resume", can_resume),
            ("dismiss", can_dismiss),
        ):
            self.buttons[name].setVisible(shown)


def describe_training(job: JobModel) -> str:
    """Describe the progress of a training."""
    steps = f"step {job.done:,} of {job.total:,}" if job.total else "the beginning"
    if job.state is JobState.WAITING:
        return "Waiting for the worker to start …"
    if job.state is JobState.RUNNING:
        if job.is_paused:
            return f"Pausing at {steps} …"
        if job.cancel_requested:
            return f"Cancelling at {steps} …"
        note = (job.note or "training").capitalize()
        if not job.done:
            return f"{note} …"
        left = job.seconds_left
        return f"{note} · {steps}{'' if left is None else f' · about {duration(left)} left'}"
    if job.state is JobState.CANCELLED:
        return f"{'Paused' if job.is_paused else 'Cancelled'} at {steps}."
    if job.state is JobState.FAILED:
        return job.message
    return _outcome(job.result)


def _outcome(result: dict[str, Any]) -> str:
    mean = _mean(result)
    score = "no score" if mean is None else f"held-out Dice {mean:.3f}"
    took = duration(result.get("seconds", 0)).replace(" ", "\N{NO-BREAK SPACE}")
    why = _STOPPED.get(str(result.get("stopped")), "")
    ended = f" Ended {why}." if why else ""
    return f"{result.get('model', 'The model')} is trained: {result.get('steps', 0):,} steps in {took}; {score}.{ended}"


def _mean(result: dict[str, Any]) -> float | None:
    found: float | None = (result.get("scores") or {}).get("mean")
    return found
