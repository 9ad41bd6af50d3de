"""Controller of tunings in the Segment panel: whether there is truth, the job, and its trials as they end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.ui.panels.segment.choices import SegmentChoices
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.tasks.latest import Latest

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.session.session import Session
    from napari_pytc.tuning.jobs import TuneJob
    from napari_pytc.tuning.records import TuningRecord
    from napari_pytc.ui.workspace import Workspace

KIND = "tune"
FIRST_TRIALS = 40


class TuningController(QObject):
    """The tuning of the project that is open.

    Parameters
    ----------
    workspace : Workspace
        Its launcher starts the job, its session knows whether there is truth.
    """

    changed = Signal()
    """Truth, job or trials are others."""
    chosen = Signal(object)
    """Settings (`DecoderSettings`) that the user wants in the form."""

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._latest = Latest(self)
        self._n_read = -1
        self.job: JobModel | None = None
        """The tuning that runs, or ran last."""
        self.record: TuningRecord | None = None
        """Its trials."""
        self.problem: PytcError | None = None
        """Why its trials cannot be read."""
        self._why_no_truth = "the truth is being looked for."
        workspace.session_changed.connect(self._on_session_changed)
        workspace.held_out_changed.connect(self.look_for_truth)
        workspace.jobs.changed.connect(self._on_job)
        workspace.jobs.ended.connect(self._on_job)
        workspace.jobs.closed.connect(self._latest.close)
        self.look_for_truth()

    @property
    def is_tuning(self) -> bool:
        """Whether a tuning runs."""
        return any(job.kind == KIND for job in self._workspace.jobs.running)

    def why_not(self, problem: str) -> str:
        """Reason why nothing can be tuned, as the rest of a sentence; empty if it can.

        Parameters
        ----------
        problem : str
            Problem with the settings of the panel.
        """
        if self._workspace.locked_reason:
            return self._workspace.locked_reason
        if self._why_no_truth:
            return self._why_no_truth
        if problem:
            return problem
        return "a tuning runs already." if self.is_tuning else ""

    def look_for_truth(self) -> None:
        """Look in the helper thread whether there are objects in held-out boxes."""
        session = self._workspace.session
        if session is None:
            return

        def show(reason: str) -> None:
            if session is self._workspace.session and reason != self._why_no_truth:
                self._why_no_truth = reason
                self.changed.emit()

        self._workspace.background.run(
            lambda: session.tunings.why_not, show, self._workspace.failed.emit, receiver=self
        )

    def start(self, choices: SegmentChoices, n_trials: int) -> None:
        """Tune the decoder that is chosen; a tuning of the same prediction and truth goes on with its trials."""
        self.record = self.problem = None
        title = f"Tune {type(choices.decoder).title.lower()}"
        self.job = self._workspace.launcher.start(KIND, title, lambda session: _described(session, choices, n_trials))
        self._n_read = -1
        self.changed.emit()

    def use(self, number: int) -> None:
        """Put the settings of a trial into the form."""
        if self.record is None:
            return
        from napari_pytc.decoding.describe import checked_decoder

        trial = next(trial for trial in self.record.trials if trial.number == number)
        try:
            self.chosen.emit(checked_decoder(trial.decoder))
        except PytcError as error:
            self._workspace.failed.emit(error)

    # ---- private

    def _on_session_changed(self) -> None:
        self.job = self.record = self.problem = None
        self._why_no_truth = "the truth is being looked for."
        self.look_for_truth()
        self.changed.emit()

    def _on_job(self, job: JobModel) -> None:
        if job.kind != KIND or job is not self.job:
            return
        n_known = len(job.curves.get("score", ()))
        path = job.output
        if path is not None and (n_known != self._n_read or job.is_over):
            self._n_read = n_known
            self._read(job, path)
        self.changed.emit()

    def _read(self, job: JobModel, path: Path) -> None:
        def read() -> TuningRecord | None:
            from napari_pytc.tuning.records import read_record

            return read_record(path) if path.exists() else None

        def on_result(found: Any) -> None:
            if job is self.job:
                self.record, self.problem = found, None
                self.changed.emit()

        def on_error(error: PytcError) -> None:
            if job is self.job:
                self.problem = error
                self.changed.emit()

        self._latest.run(read, on_result, on_error)


def _described(session: Session, choices: SegmentChoices, n_trials: int) -> TuneJob:
    from napari_pytc.tuning.describe import TuneRequest

    arguments = choices.arguments()
    decoder: DecoderSettings = arguments.pop("decoder")
    fixed = {"object_class": decoder.object_class} if decoder.object_class else {}
    return session.tunings.tune_job(TuneRequest((decoder.kind,), fixed, trials=n_trials), **arguments)
