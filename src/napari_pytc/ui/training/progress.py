"""The training that runs, or ended last: how far it is, and its buttons."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.controls import Bar, GoTo
from napari_pytc.ui.parts import Notice, duration, row, wrapped

if TYPE_CHECKING:
    from napari_pytc.learning.jobs import TrainJob

_PARTS = 200
_STOPPED = {"no better score": "early, as its score did not get better", "minutes": "when its time was up"}


class TrainingProgress(QWidget):
    """A bar, a sentence, and Pause, Cancel, Resume, Dismiss; empty while there is nothing to say.

    It only shows and asks: what the buttons do is up to who listens.
    """

    pause = Signal()
    cancel = Signal()
    resume = Signal()
    dismiss = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = Bar()
        self.bar.setObjectName("trainingBar")
        self.bar.setRange(0, _PARTS)
        self.bar.setFormat("%p %")
        self.text = wrapped()
        self.text.setObjectName("trainingText")
        self.warnings = wrapped()
        self.warnings.setObjectName("trainingWarnings")
        self.notice = Notice()
        self._failed: JobView | None = None
        self.buttons = {}
        for name, text, tip, signal in (
            (
                "pause",
                "Pause",
                "Stop for now, to go on later at the same step; also after napari was closed.",
                self.pause,
            ),
            (
                "cancel",
                "Cancel",
                "Stop this training; no model comes of it. In case you change your mind, it can be resumed until you "
                "dismiss it.",
                self.cancel,
            ),
            ("resume", "Resume", "Go on at the step where it stopped.", self.resume),
            (
                "dismiss",
                "Dismiss",
                "Give this training up and delete its checkpoint. Models and strokes are not touched.",
                self.dismiss,
            ),
        ):
            button = self.buttons[name] = QPushButton(text)
            button.setObjectName(f"{name}TrainingButton")
            button.setToolTip(tip)
            button.clicked.connect(signal)
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
        self.show_nothing()

    def show_nothing(self) -> None:
        """There is no training to tell of."""
        self.hide()
        self._failed = None
        self.notice.hide()

    def show_job(self, job: JobView, can_resume: bool) -> None:
        """Show a training as it is now.

        Parameters
        ----------
        can_resume : bool
            Whether one that is over left a checkpoint.
        """
        self.show()
        runs = not job.is_over
        self.bar.setVisible(runs)
        self.bar.setValue(round(_PARTS * share(job)))
        self.text.setText(sentence(job))
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
        self._offer(runs, not runs and job.state is not JobState.FINISHED and can_resume, not runs)
        self.buttons["resume"].setText("Resume from the last checkpoint" if job.state is JobState.FAILED else "Resume")
        self.hold_out.setVisible(job.state is JobState.FINISHED and _mean(job.result) is None)
        for name in ("pause", "cancel"):
            self.buttons[name].setEnabled(not job.cancel_requested)

    def show_unfinished(self, job: TrainJob, begun: str, n_more: int) -> None:
        """Offer a training that was not finished when napari was closed."""
        self.show()
        self.bar.hide()
        self.warnings.hide()
        self.notice.hide()
        self.hold_out.hide()
        more = f" {n_more} more after it." if n_more else ""
        self.text.setText(f"A training with {job.plan.recipe}, begun {begun}, was not finished.{more}")
        self.text.show()
        self.buttons["resume"].setText("Resume")
        self._offer(False, True, True)

    def _offer(self, can_stop: bool, can_resume: bool, can_dismiss: bool) -> None:
        for name, shown in (
            ("pause", can_stop),
            ("cancel", can_stop),
            ("resume", can_resume),
            ("dismiss", can_dismiss),
        ):
            self.buttons[name].setVisible(shown)


def share(job: JobView) -> float:
    """How much of a job is over, by steps or by minutes, whichever is further."""
    by_steps = job.done / job.total if job.total else 0.0
    minutes = _minutes(job)
    by_time = (time.time() - job.started) / (60 * minutes) if minutes and job.started and not job.is_over else 0.0
    return min(1.0, max(by_steps, by_time))


def seconds_left(job: JobView) -> float | None:
    """Time left by the rate of steps, or until the training's minutes are over; None before there is a rate."""
    left, minutes = job.seconds_left, _minutes(job)
    if left is None or minutes is None or job.started is None:
        return left
    return min(left, max(0.0, job.started + 60 * minutes - time.time()))


def sentence(job: JobView) -> str:
    """Where a training is, in words."""
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
        left = seconds_left(job)
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


def _minutes(job: JobView) -> float | None:
    """After how long it stops, whatever the steps; only trainings do."""
    return getattr(getattr(job.spec, "plan", None), "minutes", None)
