"""State of live learning in the window: on, off, giving way to other jobs and continuing after them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.job import JobState
from napari_pytc.plans.live_messages import annotations_message, painting_message, stop_message, view_message
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.tasks.timers import single_shot

if TYPE_CHECKING:
    from napari_pytc.plans.live_plan import LivePlan
    from napari_pytc.ui.canvas.project_layers import ProjectLayers
    from napari_pytc.ui.workspace import Workspace

TITLE = "Live learning"
_VIEW_MS = 80
"""Interval of the messages while the view moves."""
_POLL_MS = 250
_IDLE_POLLS = 2
"""Polls in a row that must find the worker idle: between the jobs of a chain it is idle for a moment."""
_STOP_MS = 15_000
"""Longest time to write the model; after that the job is cancelled."""


class LiveState(StrEnum):
    """States of live learning.

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
    """Runs a live job while the switch is on, and sends it strokes and the view.

    Parameters
    ----------
    workspace : Workspace
        Its strokes, its view and its worker.
    """

    changed = Signal()
    """State, status, or why it cannot be switched on."""
    begun = Signal()
    """The job runs and reads messages."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._job: JobModel | None = None
        self._is_wanted = self._has_begun = self._is_continuing = False
        self._stop_reason: Literal["off", "give way", "restart"] | None = None
        """Reason why the job is being stopped; None while it is not."""
        self._waiting: list[Callable[[], object]] = []
        self._n_idle = 0
        self._generation = 0
        self._sent_view: Box | None = None
        self.plan: LivePlan | None = None
        """Settings of the next job; None for the defaults."""
        self.problem: PytcError | None = None
        """The error that ended it."""
        self.trace = ""
        self.last: JobModel | None = None
        """The job that ended last."""
        self.painted_classes: list[str] = []
        """The classes that have strokes, cached because counting may wait for the disk."""
        self._poll_timer = QTimer(self)
        self._poll_timer.setInterval(_POLL_MS)
        self._poll_timer.timeout.connect(self._poll_worker)
        self._view_timer = single_shot(self, _VIEW_MS, self._send_view)
        self._stop_timer = single_shot(self, _STOP_MS, self._on_stop_timeout)
        self._layers: ProjectLayers | None = None
        jobs, viewer = workspace.jobs, workspace.viewer
        jobs.added.connect(self._on_added)
        jobs.changed.connect(self._on_changed)
        jobs.ended.connect(self._on_ended)
        jobs.closed.connect(self._close)
        workspace.project_changed.connect(self._on_project)
        workspace.session_changed.connect(self._on_session)
        workspace.strokes_changed.connect(self._count_classes)
        workspace.classes_changed.connect(self._on_setup_changed)
        workspace.held_out_changed.connect(self._on_setup_changed)
        self._stops = [viewer.on_view_changed(self._on_view), viewer.on_camera_moved(self._on_view)]
        workspace.launcher.give_way = self.give_way
        self._on_session()

    # ---- state

    @property
    def state(self) -> LiveState:
        """The present state."""
        if self._job is None:
            return LiveState.WAITING if self._is_wanted else LiveState.OFF
        if self._stop_reason is not None:
            return LiveState.STOPPING if self._stop_reason == "off" else LiveState.WAITING
        return LiveState.LEARNING if self._has_begun else LiveState.STARTING

    @property
    def is_on(self) -> bool:
        """Whether the switch is on."""
        return self._is_wanted

    @property
    def job(self) -> JobModel | None:
        """The running live job, else the one that ended last."""
        return self._job or self.last

    @property
    def waits_for(self) -> str:
        """Title of the job that has the worker; empty if it is not known."""
        others = [job.title for job in self._workspace.jobs.running if job.kind != "live"]
        return others[0] if others else ""

    def why_not(self) -> str:
        """Reason why live learning cannot be switched on; empty if it can."""
        session = self._workspace.session
        if session is None:
            return "No project is open: open or make one in the Data panel."
        if session.project.read_only:
            return session.project.read_only_reason
        if self._workspace.layers is None:
            return "The project's image was not found: choose it in the Data panel."
        if len(session.classes.names) < 2:
            return "There is only one class: add another one in the Data panel."
        return ""

    # ---- actions

    def toggle(self) -> None:
        """Switch it on or off."""
        (self.switch_off if self._is_wanted else self.switch_on)()

    def switch_on(self) -> None:
        """Switch live learning on."""
        if self._is_wanted:
            return
        reason = self.why_not()
        if reason:
            self._workspace.failed.emit(ProjectError(f"Live cannot be switched on. {reason}"))
            self.changed.emit()
            return
        self._is_wanted, self._is_continuing = True, False
        self.problem = self.last = None
        if self._job is not None:  # switched off a moment ago
            self._stop_reason = "restart"
        elif self._is_idle():
            self._start_job()
        else:
            self._await_worker()
        self.changed.emit()

    def switch_off(self) -> None:
        """Write the best model and end."""
        if not self._is_wanted:
            return
        self._is_wanted = False
        self._poll_timer.stop()
        if self._job is not None and self._stop_reason is None:
            self._stop_job("off")
        elif self._job is not None:
            self._stop_reason = "off"
        self.changed.emit()

    def give_way(self, then: Callable[[], object]) -> None:
        """Write the model, call back once the worker is free, and continue when it is free again."""
        if self._job is None or self._job.is_over:
            then()
            return
        self._waiting.append(then)
        if self._stop_reason is None:
            self._stop_job("give way")

    def send(self, message: JobMessage) -> bool:
        """Send the job a message; whether there is a job that reads it."""
        job = self._job
        if job is None or job.handle is None or job.is_over or self._stop_reason is not None:
            return False
        job.handle.send(message)
        return True

    # ---- private

    def _start_job(self) -> None:
        self._poll_timer.stop()
        self._has_begun, plan = False, self.plan
        self._workspace.launcher.start("live", TITLE, lambda session: session.live.job(plan))
        if self._job is None:  # the launcher has shown the error
            self._is_wanted = False
        self.changed.emit()

    def _stop_job(self, why: Literal["off", "give way", "restart"]) -> None:
        assert self._job is not None
        self._stop_reason = why
        if self._has_begun and self._job.handle is not None:
            self._job.handle.send(stop_message())
            self._stop_timer.start()
        else:  # there is no model yet
            self._job.cancel()
        self.changed.emit()

    def _on_stop_timeout(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _await_worker(self) -> None:
        self._n_idle = 0
        self._poll_timer.start()

    def _poll_worker(self) -> None:
        """Start the job as soon as the worker is idle."""
        self._n_idle = self._n_idle + 1 if self._is_idle() else 0
        if self._n_idle >= _IDLE_POLLS:
            self._start_job()
        else:
            self.changed.emit()

    def _is_idle(self) -> bool:
        runner = self._workspace.worker.runner
        return not self._workspace.jobs.running and (runner is None or not runner.unfinished())

    def _on_added(self, job: JobModel) -> None:
        if job.kind == "live":
            self._job, self._stop_reason, self._has_begun, self._sent_view = job, None, False, None
            # When it continues by itself, the canvas stays as it is until something is painted.
            job.is_shown = self._is_continuing
            self.changed.emit()

    def _on_changed(self, job: JobModel) -> None:
        if job is not self._job:
            return
        if job.state is JobState.RUNNING and not self._has_begun:
            self._has_begun = True
            self._send_view()
            self.begun.emit()
        self.changed.emit()

    def _on_ended(self, job: JobModel) -> None:
        if job is not self._job:
            return
        leaving = self._stop_reason
        self._job, self._stop_reason, self.last = None, None, job
        self._stop_timer.stop()
        if job.state is JobState.FAILED:
            self.problem, self.trace = PytcError(job.message, job.hint), job.trace
            self._is_wanted = False
        elif leaving is None:  # cancelled by the user
            self._is_wanted = False
        elif self._is_wanted:
            self._is_continuing = True
            self._workspace.jobs.forget(job)
        self._release_worker()
        if self._is_wanted:
            self._await_worker()
        self.changed.emit()

    def _release_worker(self) -> None:
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then()

    def _on_project(self) -> None:
        """Start over with another project; jobs of the former one were cancelled."""
        self._job = self._stop_reason = self.problem = self.last = None
        self._is_wanted = self._is_continuing = False
        for timer in (self._poll_timer, self._view_timer, self._stop_timer):
            timer.stop()
        self._release_worker()

    def _on_session(self) -> None:
        """Follow the strokes and the view of the volume that is shown; a job for another one starts anew for it."""
        if self._layers is not None:
            self._layers.stroke_begun.disconnect(self._on_stroke_begun)
            self._layers.stroke_written.disconnect(self._on_stroke)
        self._layers = self._workspace.layers
        if self._layers is not None:
            self._layers.stroke_begun.connect(self._on_stroke_begun)
            self._layers.stroke_written.connect(self._on_stroke)
        session = self._workspace.session
        if self._job is not None and session is not None and self._job.volume != session.image.volume.id:
            if self._layers is None:
                self.switch_off()
            elif self._stop_reason is None:
                self._stop_job("restart")
        self._count_classes()

    def _on_setup_changed(self) -> None:
        """Restart the job if its classes or held-out boxes have changed."""
        session = self._workspace.session
        spec: Any = None if self._job is None else self._job.spec
        if session is not None and spec is not None and self._stop_reason is None:
            now = (session.classes.names, session.held_out.boxes)
            if now != (spec.classes, spec.in_view.held_out):
                self._stop_job("restart")
        self._count_classes()

    def _on_stroke_begun(self) -> None:
        if self._job is not None:
            self.send(painting_message())

    def _on_stroke(self, box: Box) -> None:
        session, job = self._workspace.session, self._job
        if session is None or job is None or self._layers is None:
            return
        if self._layers.predictions.folder != job.output:
            job.is_shown = False  # users want to see the effect of a stroke
        self._send_view()
        self.send(annotations_message(session.strokes.store.revision, box))

    def _count_classes(self) -> None:
        session = self._workspace.session
        counts = {} if session is None else session.strokes.counts()
        self.painted_classes = [name for name, n_voxels in counts.items() if n_voxels]
        self.changed.emit()

    def _on_view(self) -> None:
        if self._job is not None and not self._view_timer.isActive():
            self._view_timer.start()

    def _send_view(self) -> None:
        if self._layers is None or self._job is None:
            return
        box = self._layers.view_box()
        if box != self._sent_view and self.send(view_message(box, self._generation + 1)):
            self._generation += 1
            self._sent_view = box

    def _close(self) -> None:
        for timer in (self._poll_timer, self._view_timer, self._stop_timer):
            timer.stop()
        for stop in self._stops:
            stop()
        self._stops = []
