"""Controller of the memory that a training step will need: asks the worker for it, while the worker has time."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.jobs.events import TERMINAL, Failed, Finished, JobEvent
from napari_pytc.ui.panels.train.recipe_controller import RecipeController
from napari_pytc.ui.tasks.timers import single_shot
from napari_pytc.ui.widgets.labels import size

if TYPE_CHECKING:
    from napari_pytc.plans.specs import StepMemoryJob
    from napari_pytc.ui.workspace import Workspace

_SETTLE_MS = 400
"""Time without an edit after which the worker is asked."""
_AFTER_JOB_MS = 1500
"""Time after another job: Live, which waits for the worker, goes first."""
_RETRY_MS = 1000
_AGAIN_MS = 15_000
"""Interval in which a step that does not fit is counted again: other programs may have ended meanwhile."""


class StepMemoryState(StrEnum):
    """What is known of the memory of a step."""

    NOTHING = "nothing"
    """There are no settings to train with."""
    NO_WORKER = "no worker"
    LOADING = "loading"
    BUSY = "busy"
    COUNTING = "counting"
    FITS = "fits"
    BEGINS_SMALLER = "begins smaller"
    REFUSED = "refused"
    FAILED = "failed"


class StepMemoryController(QObject):
    """Asks the worker what a step of the edited plan needs, when it is idle and the panel is seen.

    It never starts a worker, and an answer on settings that were edited meanwhile is dropped.

    Parameters
    ----------
    workspace : Workspace
        Its worker counts; its project has the classes, the voxel size and the channels of the image.
    recipe : RecipeController
        The plan as edited, and the model to begin with.
    """

    changed = Signal()
    """`state` or `text` is another one."""

    _received = Signal(int, object)

    def __init__(self, workspace: Workspace, recipe: RecipeController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._recipe = workspace, recipe
        self._wanted: StepMemoryJob | None = None
        self._answer: dict[str, Any] | None = None
        self._error: PytcError | None = None
        self._generation = 0
        self._running: int | None = None
        """Generation that the worker counts for."""
        self._is_due = self._is_watched = False
        self._timer = single_shot(self, _SETTLE_MS, self._ask)
        self._again = single_shot(self, _AGAIN_MS, self._count_again)
        self._received.connect(self._on_event)
        recipe.changed.connect(self._on_settings)
        for signal in (workspace.session_changed, workspace.classes_changed, workspace.volumes_changed):
            signal.connect(self._on_settings)
        workspace.worker.changed.connect(self._on_worker)
        workspace.jobs.added.connect(self._on_worker)
        workspace.jobs.ended.connect(self._on_job_ended)
        workspace.jobs.closed.connect(lambda: self.watch(False))
        self._on_settings()

    @property
    def state(self) -> StepMemoryState:
        """What is known now."""
        answer = self._answer
        if self._wanted is None:
            return StepMemoryState.NOTHING
        if answer is not None:
            if answer["problem"]:
                return StepMemoryState.REFUSED
            return StepMemoryState.BEGINS_SMALLER if answer["begins_with"] else StepMemoryState.FITS
        if self._error is not None:
            return StepMemoryState.FAILED
        worker = self._workspace.worker
        if worker.runner is None:
            return StepMemoryState.NO_WORKER
        if not worker.is_warm:
            return StepMemoryState.LOADING
        return StepMemoryState.BUSY if self._running is None and self._busy_with() else StepMemoryState.COUNTING

    @property
    def text(self) -> str:
        """What is known now, in sentences; empty where there is nothing to say."""
        state, answer = self.state, self._answer
        if state is StepMemoryState.NO_WORKER:
            return "The memory of a step is counted once the worker has started."
        if state is StepMemoryState.LOADING:
            return "The memory of a step is counted once the worker has loaded its libraries."
        if state is StepMemoryState.BUSY:
            return f"The memory of a step is counted after {self._busy_with()}."
        if state is StepMemoryState.COUNTING:
            return "Counting the memory of a step …"
        if state is StepMemoryState.FAILED:
            return f"The memory of a step could not be counted: {self._error}"
        if answer is None or not answer["needed_bytes"]:
            return ""
        needed = f"A step needs about {size(answer['needed_bytes'])}"
        if state is StepMemoryState.FITS:
            return f"{needed} of the {size(answer['free_bytes'])} that are free {_where(answer)}."
        lacks = f"⚠ {needed}, and {size(answer['free_bytes'])} are free {_where(answer)}"
        if state is StepMemoryState.REFUSED:
            return f"{lacks}."
        return f"{lacks}: the training would begin with {answer['begins_with']}. {self._remedy()}"

    @property
    def about(self) -> str:
        """The step that was counted."""
        answer = self._answer
        step = "" if answer is None or not answer["step"] else f" Counted for {answer['step']}."
        return (
            "Counted beforehand in float32: activations, gradients, weights and the optimiser's moments; bf16 and fp16 "
            f"take less. Counted again when settings change.{step}"
        )

    @property
    def refusal(self) -> str:
        """Reason why a training with these settings would be refused; empty where it would begin, or is not known."""
        if self.state is not StepMemoryState.REFUSED:
            return ""
        assert self._answer is not None
        return f"{self._answer['problem']} {self._answer['hint']}".rstrip()

    def watch(self, is_watched: bool) -> None:
        """Ask the worker while the panel is seen; otherwise leave it alone."""
        self._is_watched = is_watched
        if is_watched:
            self._is_due = self._wanted is not None
            self._schedule(_SETTLE_MS)
        else:
            self._timer.stop()
            self._again.stop()

    # ---- private

    def _on_settings(self) -> None:
        wanted = self._spec()
        if wanted != self._wanted:
            self._generation += 1
            self._wanted, self._answer, self._error = wanted, None, None
            self._is_due = wanted is not None
            self._schedule(_SETTLE_MS)
            self.changed.emit()

    def _on_worker(self) -> None:
        self._schedule(_SETTLE_MS)
        self.changed.emit()

    def _on_job_ended(self) -> None:
        self._is_due = self._wanted is not None  # memory was taken or given back
        self._schedule(_AFTER_JOB_MS)
        self.changed.emit()

    def _count_again(self) -> None:
        self._is_due = True
        self._schedule(0)

    def _schedule(self, after_ms: int) -> None:
        if self._is_watched and self._is_due:
            self._timer.start(after_ms)

    def _spec(self) -> StepMemoryJob | None:
        session, plan = self._workspace.session, self._recipe.plan
        if session is None or plan is None:
            return None
        from napari_pytc.plans.specs import StepMemoryJob

        volume, parent = session.image.volume, self._recipe.parent_record
        return StepMemoryJob(
            plan=plan,
            classes=session.classes.names,
            space=volume.space,
            n_inputs=volume.n_channels,
            parent=None if parent is None else parent.folder,
        )

    def _busy_with(self) -> str:
        """What the worker does; empty while it is idle."""
        running, runner = self._workspace.jobs.running, self._workspace.worker.runner
        if running:
            return f"“{running[0].title}”"
        return "what the worker does now" if runner is not None and runner.unfinished() else ""

    def _ask(self) -> None:
        worker, wanted, generation = self._workspace.worker, self._wanted, self._generation
        if not (self._is_watched and self._is_due) or wanted is None or self._running is not None:
            return
        runner = worker.runner
        if runner is None or not worker.is_warm or self._busy_with():
            self._timer.start(_RETRY_MS)
            self.changed.emit()
            return
        self._is_due, self._running = False, generation
        self.changed.emit()
        try:
            runner.start(wanted, lambda event: self._receive(generation, event))
        except PytcError as error:
            self._running, self._error = None, error
            self.changed.emit()

    def _receive(self, generation: int, event: JobEvent) -> None:
        """Take an event of the runner, in any of its threads."""
        if isinstance(event, TERMINAL):
            try:
                self._received.emit(generation, event)
            except RuntimeError:  # the window is gone
                return

    def _on_event(self, generation: int, event: JobEvent) -> None:
        self._running = None
        if generation != self._generation:
            pass  # of settings that were edited meanwhile: those of now are due
        elif isinstance(event, Finished):
            self._answer, self._error = event.result, None
            if self._is_watched and self.state is not StepMemoryState.FITS:
                self._again.start()
        elif isinstance(event, Failed):
            self._answer, self._error = None, PytcError(event.message, event.hint)
        else:
            self._is_due = True
        self._schedule(_SETTLE_MS)
        self.changed.emit()

    def _remedy(self) -> str:
        """What would let the step fit as it is wanted."""
        plan = self._recipe.plan
        recompute = None if plan is None else type(plan.network).model_fields.get("checkpointing")
        more = "" if recompute is None else f", or “{recompute.title}” of the network,"
        return f"A smaller batch or patch{more} avoids that."


def _where(answer: dict[str, Any]) -> str:
    if answer["device"] == "cpu":
        return "on the CPU"
    return f"on {answer['device']}" + (f" ({answer['device_name']})" if answer["device_name"] else "")
