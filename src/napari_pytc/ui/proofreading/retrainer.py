"""Retraining from corrections as the window leads it: one step after the other, none of them in the window's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.background import Background
from napari_pytc.ui.proofreading.desk import Desk
from napari_pytc.ui.training.progress import share

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pytc.proofreading.transfer import Carried
    from napari_pytc.session.retraining import Retraining, Task
    from napari_pytc.ui.bridge import JobView
    from napari_pytc.ui.workspace import Workspace

Phase = Literal["idle", "running", "asking", "stopped", "over"]
"""Nothing was begun; a step runs; the model was found worse; it can be gone on with; the last one is done."""


class Retrainer(QObject):
    """Leads a `Retraining`. All methods belong to the Qt thread, none waits.

    Parameters
    ----------
    workspace : Workspace
        Whose segments teach.
    desk : Desk
        Knows what is proofread.
    """

    changed = Signal()
    """Phase, progress or the list of edits is another one."""
    _progressed = Signal(int, int)

    def __init__(self, workspace: Workspace, desk: Desk) -> None:
        super().__init__(desk)
        self._workspace = workspace
        self._thread = Background(self)
        self._retraining: Retraining | None = None
        self._view: JobView | None = None
        self._stop_is_due = False
        self._run = 0
        self.phase: Phase = "idle"
        self.task: Task | None = None
        """The step that runs."""
        self.share: float | None = None
        """How much of it is done; None before that is known."""
        self.problem: PytcError | None = None
        """Why it stopped, if it did not by itself."""
        self.outcome: dict[str, Any] | None = None
        """What came of the last one."""
        self.carried: Carried | None = None
        """What became of the edits that were carried over to the current segmentation."""
        self._progressed.connect(self._on_progress)
        workspace.session_changed.connect(self._on_session)
        workspace.segments.document_changed.connect(self._look)
        workspace.jobs.changed.connect(self._on_job)
        workspace.jobs.ended.connect(self._on_ended)
        workspace.jobs.closed.connect(self._close)
        self._on_session()

    @property
    def verdict(self) -> str:
        """What the comparison with the model before says of the new one; empty before there is one."""
        return "" if self._retraining is None else self._retraining.verdict

    @property
    def is_stopping(self) -> bool:
        """Whether the step that runs was asked to end."""
        return self._stop_is_due

    def begin(self, minutes: float) -> None:
        """Begin with the edits of the current segmentation."""
        session = self._workspace.session
        if session is None or self.phase not in ("idle", "over"):
            return
        from napari_pytc.session.retraining import Retraining

        self.problem, self.outcome = None, None
        try:
            self._retraining = Retraining.begin(session, minutes)
        except PytcError as error:
            self.problem = error
            self.changed.emit()
            return
        self._next()

    def go_on(self) -> None:
        """Go on where it stopped."""
        if self.phase == "stopped":
            self.problem = None
            self._next()

    def insist(self) -> None:
        """Use the model although it was found worse."""
        if self.phase == "asking" and self._retraining is not None:
            self._retraining.insist()
            self._next()

    def stop(self) -> None:
        """End the step that runs; what is done is kept, and it can be gone on with."""
        if self.phase == "running":
            self._stop_is_due = True
            if self._view is not None:
                self._view.cancel()
            self.changed.emit()

    def discard(self) -> None:
        """Give it up: everything is as it was before."""
        session, retraining = self._workspace.session, self._retraining
        if session is None or retraining is None or self.phase not in ("asking", "stopped"):
            return
        try:
            retraining.discard()
        except PytcError as error:
            self._workspace.failed.emit(error)
            return
        self._retraining, self.problem = None, None
        self._set("idle")
        self._workspace.background.run(session.empty_trash)

    # ---- what follows is ours

    def _next(self) -> None:
        """Run the next step, or see that there is none."""
        retraining = self._retraining
        assert retraining is not None
        self._view, self.share, self._stop_is_due = None, None, False
        self._run += 1
        if retraining.is_over:
            self._finish(retraining)
            return
        if retraining.is_refused:
            self._set("asking")
            return
        try:
            task = self.task = retraining.task()
        except PytcError as error:
            self._halt(error)
            return
        self._set("running")
        if task.describe is not None:
            describe = task.describe
            self._view = self._workspace.start_job(task.step, task.title, lambda session: describe())
            if self._view is None:
                self._halt(None)
        elif task.work is not None:
            work, run = task.work, self._run
            self._thread.run(
                lambda: work(self._progressed.emit, self._check),
                lambda r: self._take(run, r),
                lambda e: self._fail(run, e),
            )

    def _check(self) -> None:
        """Called in the helper thread."""
        if self._stop_is_due:
            raise PytcError("Stopped.")

    def _take(self, run: int, result: dict[str, Any]) -> None:
        retraining = self._retraining
        if run != self._run or retraining is None:
            return
        try:
            retraining.done(result)
        except PytcError as error:
            self._retraining = None if retraining.state.step == "collect" else retraining
            self._halt(error)
            return
        if self._stop_is_due and not retraining.is_over:
            self._halt(None)
        else:
            self._next()

    def _fail(self, run: int, error: PytcError) -> None:
        if run == self._run:
            self._halt(None if self._stop_is_due else error)

    def _on_job(self, view: JobView) -> None:
        if view is self._view and self.phase == "running":
            self.share = share(view) if view.total else None
            self.changed.emit()

    def _on_ended(self, view: JobView) -> None:
        if view is not self._view or self.phase != "running":
            return
        if view.state is JobState.FINISHED:
            self._take(self._run, view.result)
        else:
            self._halt(PytcError(view.message, view.hint) if view.state is JobState.FAILED else None)

    def _on_progress(self, done: int, total: int) -> None:
        if self.phase == "running" and self._view is None:
            self.share = done / total if total else None
            self.changed.emit()

    def _halt(self, error: PytcError | None) -> None:
        self.problem, self._stop_is_due, self._view = error, False, None
        self._set("idle" if self._retraining is None else "stopped")

    def _finish(self, retraining: Retraining) -> None:
        session = self._workspace.session
        self.outcome, self._retraining = retraining.summary, None
        self._set("over")
        self._look()
        if session is not None:
            self._workspace.background.run(session.empty_trash)

    def _set(self, phase: Phase) -> None:
        self.phase = phase
        if phase != "running":
            self.task = None
        self.changed.emit()

    def _on_session(self) -> None:
        """Another project: one that was begun there can be gone on with."""
        self._run += 1
        self._stop_is_due = True  # for work that is still under way
        self._retraining, session = None, self._workspace.session
        if session is not None and not session.read_only:
            from napari_pytc.session.retraining import Retraining  # takes a while if `load_panels` did not do it

            self._retraining = Retraining.find(session)
        self._view, self.problem, self.outcome, self.carried = None, None, None, None
        self._set("idle" if self._retraining is None else "asking" if self._retraining.is_refused else "stopped")

    def _look(self) -> None:
        """Read what was carried over to the current segmentation."""
        document = self._workspace.segments.document
        self.carried = None
        if document is None:
            self.changed.emit()
            return
        folder: Path = document.segmentation.folder

        def read() -> Carried | None:
            from napari_pytc.proofreading.transfer import Carried

            return Carried.load(folder)

        def take(found: Carried | None) -> None:
            now = self._workspace.segments.document
            if now is not None and now.segmentation.folder == folder:
                self.carried = found
                self.changed.emit()

        self._workspace.background.run(read, take, receiver=self)

    def _close(self) -> None:
        self._stop_is_due = True
        self._run += 1
        self._thread.close()


def retrainer_of(workspace: Workspace, desk: Desk) -> Retrainer:
    """The one retrainer of a workspace."""
    return desk.findChild(Retrainer) or Retrainer(workspace, desk)
