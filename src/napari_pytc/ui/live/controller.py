"""Live learning in the window: on and off, making way for other jobs, going on afterwards."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.job import JobState
from napari_pytc.learning.live.messages import annotations_message, painting_message, stop_message, view_message
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.predictions import once

if TYPE_CHECKING:
    from napari_pytc.learning.live.plan import LivePlan
    from napari_pytc.ui.layers import ProjectLayers
    from napari_pytc.ui.workspace import Workspace

TITLE = "Live learning"
_VIEW_MS = 80
"""While the view moves, the worker is told as often as this."""
_LOOK_MS = 250
_LOOKS = 2
"""So many looks in a row must find the worker free: between the steps of a chain of jobs it is free for a moment."""
_PATIENCE_MS = 15_000
"""As long as it may take to keep the model; after that it is cancelled."""


class LiveState(StrEnum):
    """Where live learning is.

    ::

        off -> starting -> learning -> stopping -> off
                  ^            |
                  |            v
                  +-------- waiting        another job has the worker
    """

    OFF = "off"
    STARTING = "starting"
    LEARNING = "learning"
    WAITING = "waiting"
    STOPPING = "stopping"


class LiveController(QObject):
    """Keeps a live job going while the switch is on, and tells it of strokes and of what is looked at.

    Parameters
    ----------
    workspace : Workspace
        Whose strokes are learnt, and whose worker learns.
    """

    changed = Signal()
    """State, status, or why it cannot be switched on."""
    reached = Signal()
    """The job has begun: it can be asked for something."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._job: JobView | None = None
        self._is_wanted = self._has_begun = self._goes_on = False
        self._leaving: Literal["off", "way", "anew"] | None = None
        """Why the job was told to stop."""
        self._then: list[Callable[[], object]] = []
        self._n_idle = 0
        self._generation = 0
        self._told: Box | None = None
        self.plan: LivePlan | None = None
        """How to learn; None for the defaults."""
        self.problem: PytcError | None = None
        """Why it ended, if it failed."""
        self.trace = ""
        self.last: JobView | None = None
        """The job that ended last."""
        self.painted: list[str] = []
        """The classes that have strokes; kept, because counting may wait for a stroke on its way to the disk."""
        self._look_timer = QTimer(self)
        self._look_timer.setInterval(_LOOK_MS)
        self._look_timer.timeout.connect(self._look)
        self._view_timer = once(self, _VIEW_MS, self._tell_view)
        self._patience = once(self, _PATIENCE_MS, self._lose_patience)
        self._layers: ProjectLayers | None = None
        jobs, viewer = workspace.jobs, workspace.viewer
        jobs.added.connect(self._on_added)
        jobs.changed.connect(self._on_changed)
        jobs.ended.connect(self._on_ended)
        jobs.closed.connect(self._close)
        workspace.session_changed.connect(self._on_session)
        workspace.strokes_changed.connect(self._count)
        workspace.classes_changed.connect(self._on_taught_otherwise)
        workspace.held_out_changed.connect(self._on_taught_otherwise)
        self._stops = [viewer.on_view_changed(self._on_view), viewer.on_camera_moved(self._on_view)]
        workspace.give_way = self.give_way
        self._on_session()

    # ---- what it is

    @property
    def state(self) -> LiveState:
        """Where it is."""
        if self._job is None:
            return LiveState.WAITING if self._is_wanted else LiveState.OFF
        if self._leaving is not None:
            return LiveState.STOPPING if self._leaving == "off" else LiveState.WAITING
        return LiveState.LEARNING if self._has_begun else LiveState.STARTING

    @property
    def is_on(self) -> bool:
        """What the switch shows."""
        return self._is_wanted

    @property
    def job(self) -> JobView | None:
        """The job that learns now, else the one that ended last."""
        return self._job or self.last

    @property
    def waits_for(self) -> str:
        """What has the worker in its place; empty if nobody knows its name."""
        others = [job.title for job in self._workspace.jobs.running if job.kind != "live"]
        return others[0] if others else ""

    def why_not(self) -> str:
        """Why it cannot be switched on; empty if it can."""
        session = self._workspace.session
        if session is None:
            return "No project is open: open or make one in the Data panel."
        if session.read_only:
            return session.read_only_reason
        if self._workspace.layers is None:
            return "The project's image was not found: choose it in the Data panel."
        if len(session.classes) < 2:
            return "There is only one class: add another one in the Data panel."
        return ""

    # ---- what it does

    def toggle(self) -> None:
        """Switch it on or off."""
        (self.switch_off if self._is_wanted else self.switch_on)()

    def switch_on(self) -> None:
        """Learn from now on."""
        if self._is_wanted:
            return
        reason = self.why_not()
        if reason:
            self._workspace.failed.emit(ProjectError(f"Live cannot be switched on. {reason}"))
            self.changed.emit()
            return
        self._is_wanted, self._goes_on = True, False
        self.problem = self.last = None
        if self._job is not None:  # switched off a moment ago
            self._leaving = "anew"
        elif self._is_idle():
            self._begin()
        else:
            self._await_worker()
        self.changed.emit()

    def switch_off(self) -> None:
        """Keep the best model and end."""
        if not self._is_wanted:
            return
        self._is_wanted = False
        self._look_timer.stop()
        if self._job is not None and self._leaving is None:
            self._leave("off")
        elif self._job is not None:
            self._leaving = "off"
        self.changed.emit()

    def give_way(self, then: Callable[[], object]) -> None:
        """Call back once no live job has the worker, with the model kept; go on when the worker is free again."""
        if self._job is None or self._job.is_over:
            then()
            return
        self._then.append(then)
        if self._leaving is None:
            self._leave("way")

    def tell(self, message: JobMessage) -> bool:
        """Tell the job something; whether there is one that listens."""
        job = self._job
        if job is None or job.handle is None or job.is_over or self._leaving is not None:
            return False
        job.handle.send(message)
        return True

    # ---- what follows is ours

    def _begin(self) -> None:
        self._look_timer.stop()
        self._has_begun, plan = False, self.plan
        self._workspace.start_job("live", TITLE, lambda session: session.live_job(plan))
        if self._job is None:  # start_job has told why
            self._is_wanted = False
        self.changed.emit()

    def _leave(self, why: Literal["off", "way", "anew"]) -> None:
        assert self._job is not None
        self._leaving = why
        if self._has_begun and self._job.handle is not None:
            self._job.handle.send(stop_message())
            self._patience.start()
        else:  # nothing was learnt yet
            self._job.cancel()
        self.changed.emit()

    def _lose_patience(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _await_worker(self) -> None:
        self._n_idle = 0
        self._look_timer.start()

    def _look(self) -> None:
        """Go on as soon as the worker is free."""
        self._n_idle = self._n_idle + 1 if self._is_idle() else 0
        if self._n_idle >= _LOOKS:
            self._begin()
        else:
            self.changed.emit()

    def _is_idle(self) -> bool:
        runner = self._workspace.worker.runner
        return not self._workspace.jobs.running and (runner is None or not runner.unfinished())

    def _on_added(self, view: JobView) -> None:
        if view.kind == "live":
            self._job, self._leaving, self._has_begun, self._told = view, None, False, None
            # What is on the canvas when it goes on by itself stays there until something is painted.
            view.is_shown = self._goes_on
            self.changed.emit()

    def _on_changed(self, view: JobView) -> None:
        if view is not self._job:
            return
        if view.state is JobState.RUNNING and not self._has_begun:
            self._has_begun = True
            self._tell_view()
            self.reached.emit()
        self.changed.emit()

    def _on_ended(self, view: JobView) -> None:
        if view is not self._job:
            return
        leaving = self._leaving
        self._job, self._leaving, self.last = None, None, view
        self._patience.stop()
        if view.state is JobState.FAILED:
            self.problem, self.trace = PytcError(view.message, view.hint), view.trace
            self._is_wanted = False
        elif leaving is None:  # cancelled by the user
            self._is_wanted = False
        elif self._is_wanted:
            self._goes_on = True
            self._workspace.jobs.forget(view)
        self._let_others_begin()
        if self._is_wanted:
            self._await_worker()
        self.changed.emit()

    def _let_others_begin(self) -> None:
        waiting, self._then = self._then, []
        for then in waiting:
            then()

    def _on_session(self) -> None:
        """Another project, or none; the jobs of the former one were cancelled."""
        self._job = self._leaving = self.problem = self.last = None
        self._is_wanted = self._goes_on = False
        for timer in (self._look_timer, self._view_timer, self._patience):
            timer.stop()
        if self._layers is not None:
            self._layers.stroke_begun.disconnect(self._on_stroke_begun)
            self._layers.stroke_written.disconnect(self._on_stroke)
        self._layers = self._workspace.layers
        if self._layers is not None:
            self._layers.stroke_begun.connect(self._on_stroke_begun)
            self._layers.stroke_written.connect(self._on_stroke)
        self._let_others_begin()
        self._count()

    def _on_taught_otherwise(self) -> None:
        """Classes or held-out boxes are others: what learns by the former ones begins anew."""
        session, spec = self._workspace.session, None if self._job is None else self._job.spec
        if session is not None and spec is not None and self._leaving is None:
            now = (tuple(one.name for one in session.classes), session.held_out)
            if now != (getattr(spec, "classes", None), getattr(spec, "held_out", None)):
                self._leave("anew")
        self._count()

    def _on_stroke_begun(self) -> None:
        if self._job is not None:
            self.tell(painting_message())

    def _on_stroke(self, box: Box) -> None:
        session, job = self._workspace.session, self._job
        if session is None or job is None or self._layers is None:
            return
        if self._layers.predictions.folder != job.output:
            job.is_shown = False  # who paints wants to see what comes of it
        self._tell_view()
        self.tell(annotations_message(session.annotations.revision, box))

    def _count(self) -> None:
        session = self._workspace.session
        counts = {} if session is None else session.annotated_voxels()
        self.painted = [name for name, n_voxels in counts.items() if n_voxels]
        self.changed.emit()

    def _on_view(self) -> None:
        if self._job is not None and not self._view_timer.isActive():
            self._view_timer.start()

    def _tell_view(self) -> None:
        if self._layers is None or self._job is None:
            return
        box = self._layers.view_box()
        if box != self._told and self.tell(view_message(box, self._generation + 1)):
            self._generation += 1
            self._told = box

    def _close(self) -> None:
        for timer in (self._look_timer, self._view_timer, self._patience):
            timer.stop()
        for stop in self._stops:
            stop()
        self._stops = []


def live_of(workspace: Workspace) -> LiveController:
    """The live learning of a workspace, made when first asked for; panels and commands share it."""
    return workspace.findChild(LiveController) or LiveController(workspace)
