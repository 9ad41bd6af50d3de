"""Retraining from corrections in the window: one step after the other, none of them in the window's thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from qtpy.QtCore import QObject, Signal, SignalInstance

from napari_pytc.errors import PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.panels.proofread.editor import EditedProject, SegmentEditor
from napari_pytc.ui.panels.proofread.undo import UndoHistory
from napari_pytc.ui.tasks.background import Background

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pytc.proofreading.constraints.edit_transfer import TransferReport
    from napari_pytc.proofreading.journal.journal_file import Entry
    from napari_pytc.session.retraining import Retraining, Task
    from napari_pytc.session.session import Session
    from napari_pytc.ui.job_launcher import JobLauncher
    from napari_pytc.ui.tasks.job_board import JobModel

Phase = Literal["idle", "running", "asking", "stopped", "over"]
"""Nothing was begun; a step runs; the model was found worse; it can be resumed; the last one is done."""

N_STEPS = 7
_WORDS = {
    "merge": ("merge", "merges"),
    "split": ("split", "splits"),
    "split_line": ("split", "splits"),
    "lock": ("locked segment", "locked segments"),
    "delete": ("deleted segment", "deleted segments"),
    "paint": ("painted place", "painted places"),
    "new_segment": ("painted place", "painted places"),
    "fill_holes": ("painted place", "painted places"),
    "import_labels": ("import", "imports"),
}


class RetrainedProject(EditedProject, Protocol):
    """The project whose corrections are trained on; a `Workspace` is one."""

    background: Background
    launcher: JobLauncher
    failed: SignalInstance

    @property
    def session(self) -> Session | None:
        """The project; None while none is open."""


class RetrainingController(QObject):
    """Runs the steps of a `Retraining`. All methods belong to the Qt thread, none waits.

    Parameters
    ----------
    project : RetrainedProject
        The project whose segments are training data.
    editor : SegmentEditor
        The editor, for the reason why segments cannot be edited.
    history : UndoHistory
        The edits that are in effect.
    """

    changed = Signal()
    """Phase, progress or the list of edits is another one."""
    _progressed = Signal(int, int)

    def __init__(self, project: RetrainedProject, editor: SegmentEditor, history: UndoHistory) -> None:
        super().__init__(editor)
        self._project, self._editor, self._history = project, editor, history
        self._thread = Background(self)
        self._retraining: Retraining | None = None
        self._job: JobModel | None = None
        self._stop_requested = False
        self._run = 0
        self.phase: Phase = "idle"
        self.task: Task | None = None
        """The step that runs."""
        self.share: float | None = None
        """Fraction of the step that is done; None before it is known."""
        self.problem: PytcError | None = None
        """Error that stopped the retraining, if one did."""
        self.outcome: dict[str, Any] | None = None
        """Result of the last retraining."""
        self.transfer: TransferReport | None = None
        """Report on the edits that were carried over to the current segmentation."""
        self._progressed.connect(self._on_progress)
        history.changed.connect(self.changed)
        project.session_changed.connect(self._on_session_changed)
        project.segments.document_changed.connect(self._read_transfer)
        project.jobs.changed.connect(self._on_job_changed)
        project.jobs.ended.connect(self._on_job_ended)
        project.jobs.closed.connect(self._close)
        self._on_session_changed()

    @property
    def verdict(self) -> str:
        """Result of comparing the new model with the one before, in words; empty before there is one."""
        return "" if self._retraining is None else self._retraining.verdict

    @property
    def is_stopping(self) -> bool:
        """Whether the end of the running step was requested."""
        return self._stop_requested

    @property
    def edits(self) -> list[Entry]:
        """Edits of the current segmentation that are in effect."""
        document = self._project.segments.document
        if document is None:
            return []
        return [
            entry
            for entry in self._history.entries
            if not entry.is_undone and entry.target == "segments" and entry.segmentation == document.id
        ]

    @property
    def why_not_begin(self) -> str:
        """Reason why no retraining can be begun; empty if one can."""
        return self._editor.locked_reason or ("" if count_edits(self.edits) else "nothing was edited yet.")

    @property
    def fraction(self) -> float:
        """Fraction of all steps that is done, from 0 to 1."""
        done = 0.0 if self.task is None else self.task.number - 1 + (self.share or 0.0)
        return min(done / N_STEPS, 1.0)

    @property
    def status(self) -> str:
        """The state of the retraining in words."""
        if self.phase == "running" and self.task is not None:
            if self.is_stopping:
                return "Stopping …"
            part = "" if self.share is None else f" · {100 * self.share:.0f} %"
            return f"Step {self.task.number} of {N_STEPS}: {self.task.title}{part}. You can go on proofreading."
        if self.phase == "asking":
            return f"The new model was found worse. {self.verdict} The segments are as they were."
        if self.phase == "stopped":
            return "A retraining was begun and is not over. The segments are as they were."
        if self.phase == "over" and self.outcome is not None:
            return _describe_outcome(self.outcome)
        counted = count_edits(self.edits)
        return (
            f"Learns from {counted}."
            if counted
            else "Every edit is training data: merge, split, paint or lock segments first."
        )

    def begin(self, minutes: float) -> None:
        """Begin with the edits of the current segmentation."""
        session = self._project.session
        if session is None or self.phase not in ("idle", "over"):
            return

        self.problem, self.outcome = None, None
        try:
            self._retraining = session.retraining.begin(minutes, self._project.launcher.tracking)
        except PytcError as error:
            self.problem = error
            self.changed.emit()
            return
        self._run_next()

    def go_on(self) -> None:
        """Resume where it stopped."""
        if self.phase == "stopped":
            self.problem = None
            if self._retraining is not None and self._retraining.state.step == "train":
                self._retraining.track(self._project.launcher.tracking)
            self._run_next()

    def insist(self) -> None:
        """Use the model although it was found worse."""
        if self.phase == "asking" and self._retraining is not None:
            self._retraining.insist()
            self._run_next()

    def stop(self) -> None:
        """End the step that runs; finished steps are kept, and the retraining can be resumed."""
        if self.phase == "running":
            self._stop_requested = True
            if self._job is not None:
                self._job.cancel()
            self.changed.emit()

    def discard(self) -> None:
        """Give the retraining up: everything is as it was before."""
        session, retraining = self._project.session, self._retraining
        if session is None or retraining is None or self.phase not in ("asking", "stopped"):
            return
        try:
            retraining.discard()
        except PytcError as error:
            self._project.failed.emit(error)
            return
        self._retraining, self.problem = None, None
        self._set_phase("idle")
        self._project.background.run(session.project.empty_trash)

    # ---- private

    def _run_next(self) -> None:
        """Run the next step, or see that there is none."""
        retraining = self._retraining
        assert retraining is not None
        self._job, self.share, self._stop_requested = None, None, False
        self._run += 1
        if retraining.is_over:
            self._finish(retraining)
            return
        if retraining.is_refused:
            self._set_phase("asking")
            return
        try:
            task = self.task = retraining.task()
        except PytcError as error:
            self._halt(error)
            return
        self._set_phase("running")
        if task.describe is not None:
            describe = task.describe
            self._job = self._project.launcher.start(task.step, task.title, lambda session: describe())
            if self._job is None:
                self._halt(None)
        elif task.work is not None:
            work, run = task.work, self._run
            self._thread.run(
                lambda: work(self._progressed.emit, self._check),
                lambda result: self._on_result(run, result),
                lambda error: self._on_error(run, error),
            )

    def _check(self) -> None:
        """Raise in the helper thread once the user wants the step to end."""
        if self._stop_requested:
            raise PytcError("Stopped.")

    def _on_result(self, run: int, result: dict[str, Any]) -> None:
        retraining = self._retraining
        if run != self._run or retraining is None:
            return
        try:
            retraining.done(result)
        except PytcError as error:
            self._retraining = None if retraining.state.step == "collect" else retraining
            self._halt(error)
            return
        if self._stop_requested and not retraining.is_over:
            self._halt(None)
        else:
            self._run_next()

    def _on_error(self, run: int, error: PytcError) -> None:
        if run == self._run:
            self._halt(None if self._stop_requested else error)

    def _on_job_changed(self, job: JobModel) -> None:
        if job is self._job and self.phase == "running":
            self.share = job.share if job.total else None
            self.changed.emit()

    def _on_job_ended(self, job: JobModel) -> None:
        if job is not self._job or self.phase != "running":
            return
        if job.state is JobState.FINISHED:
            self._on_result(self._run, job.result)
        else:
            self._halt(PytcError(job.message, job.hint) if job.state is JobState.FAILED else None)

    def _on_progress(self, done: int, total: int) -> None:
        if self.phase == "running" and self._job is None:
            self.share = done / total if total else None
            self.changed.emit()

    def _halt(self, error: PytcError | None) -> None:
        self.problem, self._stop_requested, self._job = error, False, None
        self._set_phase("idle" if self._retraining is None else "stopped")

    def _finish(self, retraining: Retraining) -> None:
        session = self._project.session
        self.outcome, self._retraining = retraining.summary, None
        self._set_phase("over")
        self._read_transfer()
        if session is not None:
            self._project.background.run(session.project.empty_trash)

    def _set_phase(self, phase: Phase) -> None:
        self.phase = phase
        if phase != "running":
            self.task = None
        self.changed.emit()

    def _on_session_changed(self) -> None:
        """Find the retraining of another project that was begun and can be resumed."""
        self._run += 1
        self._stop_requested = True  # for work that is still under way
        self._retraining, session = None, self._project.session
        if session is not None and not session.project.read_only:
            self._retraining = session.retraining.find()
        self._job, self.problem, self.outcome, self.transfer = None, None, None, None
        self._set_phase("idle" if self._retraining is None else "asking" if self._retraining.is_refused else "stopped")

    def _read_transfer(self) -> None:
        """Read the report on the edits that were carried over to the current segmentation."""
        document = self._project.segments.document
        self.transfer = None
        if document is None:
            self.changed.emit()
            return
        folder: Path = document.segmentation.folder

        def read() -> TransferReport | None:
            from napari_pytc.proofreading.constraints.edit_transfer import TransferReport

            return TransferReport.load(folder)

        def on_result(found: TransferReport | None) -> None:
            now = self._project.segments.document
            if now is not None and now.segmentation.folder == folder:
                self.transfer = found
                self.changed.emit()

        self._project.background.run(read, on_result, receiver=self)

    def _close(self) -> None:
        self._stop_requested = True
        self._run += 1
        self._thread.close()


def count_edits(entries: Sequence[Entry]) -> str:
    """Edits by kind, as "3 merges, 1 split"; empty where none can be learnt from."""
    counts: Counter[tuple[str, str]] = Counter(_WORDS[entry.kind] for entry in entries if entry.kind in _WORDS)
    return ", ".join(f"{n} {words[n > 1]}" for words, n in counts.items())


def _describe_outcome(outcome: dict[str, object]) -> str:
    if outcome["unchanged"]:
        return "Done. The new model predicts the same, so the segments stay as they are."
    edits = outcome["edits"]
    assert isinstance(edits, dict)
    verdict = f"{outcome['verdict']} " if outcome["verdict"] else ""
    return (
        f"Done. {verdict}Your edits: {edits['carried']} carried over, {edits['holds']} held already, "
        f"{edits['lost']} given up. To go back, jump to “Before retraining” in the history."
    )
