"""A viewer's project, jobs and layers: what the panels show, and what their buttons do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.background import Background, readable
from napari_pytc.ui.bridge import JobBoard, JobView
from napari_pytc.ui.current_segments import CurrentSegments
from napari_pytc.ui.hiring import Hiring

if TYPE_CHECKING:
    # What reads volumes takes a while to import: the functions that need it do so, most of them in the helper thread.
    from napari_pytc.exporting.jobs import What
    from napari_pytc.geometry import Box
    from napari_pytc.jobs.runners.base import JobRunner
    from napari_pytc.jobs.spec import JobSpec
    from napari_pytc.learning.config import PredictPlan, TrainPlan
    from napari_pytc.learning.jobs import TrainJob
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.session.opening import NewProject, OpenedProject
    from napari_pytc.session.recent import RecentProjects
    from napari_pytc.session.records import PredictionRecord
    from napari_pytc.session.session import Session
    from napari_pytc.ui.layers import ProjectLayers
    from napari_pytc.ui.port import ViewerPort

Scope = Literal["view", "box", "all"]


class Workspace(QObject):
    """What all panels of a viewer share. Everything here happens in the Qt thread; what takes long, elsewhere.

    Panels call its methods, listen to its signals, and read `session`; they never touch one another.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    hire : callable
        Makes the runner; called in a helper thread, because starting a process takes a while.
    recent : RecentProjects
        Where the projects opened lately are remembered.
    """

    session_changed = Signal()
    """A project was opened or closed; `session` is the new one, or None."""
    busy_changed = Signal(str)
    """What a project is waited for, as "Opening fly.pytc …"; empty when it is over."""
    failed = Signal(object)
    """A `PytcError` of something the user asked for, to be shown."""
    classes_changed = Signal()
    strokes_changed = Signal()
    """Strokes were saved; `annotated_voxels` is up to date."""
    held_out_changed = Signal()
    models_changed = Signal()
    predictions_changed = Signal()
    segmentations_changed = Signal()
    """A segmentation came, went or became current."""
    runner_changed = Signal()
    """The worker was hired or could not be."""

    def __init__(
        self,
        viewer: ViewerPort,
        hire: Callable[[], JobRunner],
        recent: RecentProjects | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.jobs = JobBoard(self)
        self.background = Background(self)
        if recent is None:
            from napari_pytc.session.recent import RecentProjects

            recent = RecentProjects()
        self.recent = recent
        self.session: Session | None = None
        self.layers: ProjectLayers | None = None
        self.busy = ""
        self.plan: TrainPlan | None = None
        """What the Train panel is set to; None before it was looked at, and while its settings are wrong."""
        self.plan_problem = ""
        """What is wrong with them."""
        self.parent_model: str | None = None
        self.worker = Hiring(hire, self.background, self)
        self.worker.changed.connect(self.runner_changed)
        self.worker.failed.connect(self.failed)
        self.segments = CurrentSegments(self)
        self.segments.document_changed.connect(self._show_segments)
        self.segments.edited.connect(self._on_edited)
        self.segments.failed.connect(self.failed)
        self._closed = False
        self._links: list[tuple[Any, Callable[..., object]]] = []
        self.jobs.produced.connect(self._on_produced)
        self.jobs.ended.connect(self._on_ended)

    # ---- the worker

    def warm_up(self) -> None:
        """Start the worker, so that torch is loaded by the time it is needed; returns at once."""
        if not self._closed:
            self.worker.begin()

    @property
    def is_warm(self) -> bool:
        """Whether a job would start at once."""
        return self.worker.is_warm

    # ---- projects

    def open_project(self, folder: str | Path) -> None:
        """Open a project in place of the one that is open."""
        path = Path(folder)

        def read() -> OpenedProject:
            from napari_pytc.session.opening import read_project

            return read_project(path)

        self._wait_for(f"Opening {path.name} …", read, self._adopt)

    def create_project(self, request: NewProject) -> None:
        """Make a project and open it."""

        def make() -> OpenedProject:
            from napari_pytc.session.opening import make_project, read_project

            make_project(request)
            return read_project(request.folder)

        self._wait_for(f"Making {Path(request.folder).name} …", make, self._adopt)

    def close_project(self) -> None:
        """Put the project away: its jobs are cancelled, its strokes are on the disk, its layers go."""
        session, layers = self.session, self.layers
        if session is None:
            return
        for job in self.jobs.running:
            job.cancel()
        self.session = self.layers = None
        for signal, told in self._links:
            signal.disconnect(told)
        self.segments.close()
        if layers is not None:
            layers.close()
        session.close()
        self.session_changed.emit()

    @property
    def is_changeable(self) -> bool:
        """Whether there is a project that this window may change."""
        return self.session is not None and not self.session.read_only

    def require_layers(self) -> ProjectLayers:
        """The layers of the project that is open; a `ProjectError` says what is missing."""
        if self.layers is not None:
            return self.layers
        if self.session is None:
            raise ProjectError("No project is open.", "Open or make one in the Data panel.")
        raise ProjectError(f"The image of {self.session.folder.name} was not found.", "Choose it in the Data panel.")

    def attempt(self, change: Callable[[], Any]) -> Any:
        """Call something of the session; an error of the user's is shown by `failed` and None returned."""
        try:
            return change()
        except PytcError as error:
            self.failed.emit(error)
            return None

    # ---- jobs

    def train(self, plan: TrainPlan, parent: str | None = None) -> None:
        """Train on the strokes as they are on the canvas; one training at a time."""
        self._start_training(f"Train {plan.recipe}", lambda session: session.train_job(plan, parent))

    def train_now(self) -> None:
        """Train with the settings of the Train panel; with `instant` where nobody chose any."""
        if self.plan is not None:
            self.train(self.plan, self.parent_model)
            return
        if self.plan_problem:
            self.failed.emit(InvalidInput(self.plan_problem, "Mend the settings in the Train panel."))
            return
        from napari_pytc.learning.recipes import load_recipe

        self.background.run(lambda: load_recipe("instant"), self.train, self.failed.emit)

    def go_on_training(self, job: TrainJob) -> None:
        """Go on with a training that was paused, cancelled or cut short."""
        self._start_training(f"Train {job.plan.recipe} (resumed)", lambda session: job)

    def predict(self, scope: Scope = "all", model: str | None = None, plan: PredictPlan | None = None) -> None:
        """Predict what is in view, in the drawn box, or everything from the view outwards."""

        def describe(session: Session) -> JobSpec:
            from napari_pytc.ui.drawn_box import drawn_box

            layers = self.require_layers()
            if scope == "view":
                return session.view_job(layers.view_box(), model, plan)
            box = drawn_box(self) if scope == "box" else None
            return session.predict_job(plan, model, box, layers.focus())

        what = {"view": "the view", "box": "the box", "all": "the volume"}[scope]
        self.start_job("predict", f"Predict {what}", describe)

    def go_on_predicting(self, prediction: PredictionRecord) -> None:
        """Go on with a prediction that was cancelled or cut short; its finished tiles are kept."""

        def describe(session: Session) -> JobSpec:
            from napari_pytc.learning.config import PredictPlan

            plan, focus = PredictPlan(flips=prediction.flips), self.require_layers().focus()
            return session.predict_job(plan, prediction.model, prediction.box, focus)

        self.start_job("predict", f"Predict with {prediction.model} (resumed)", describe)

    def delete_prediction(self, prediction: str) -> None:
        """Delete a prediction from the disk, and from the canvas if it is shown."""
        session = self.session
        if session is None:
            return
        layers = self.layers
        shown = None if layers is None else layers.predictions.folder
        if layers is not None and any(r.id == prediction and r.folder == shown for r in session.predictions()):
            layers.show_prediction(None)
        self.attempt(lambda: session.delete_prediction(prediction))
        self.background.run(session.empty_trash)

    def export(self, what: What, path: Path, prediction: str | None = None, **options: Any) -> None:
        """Export a prediction, or segments as they are now, to a file."""

        def start(flushed: object = None) -> None:
            self.start_job(
                "export", f"Export {path.name}", lambda session: session.export_job(what, path, prediction, **options)
            )

        if what in ("segments", "table"):
            self.segments.do(lambda proofreader: proofreader.flush(), start, self.failed.emit)
        else:
            start()

    def start_job(self, kind: str, title: str, describe: Callable[[Session], JobSpec]) -> None:
        """Start a job once the strokes are on the disk and the worker is there; `describe` is called then."""
        layers, session = self.attempt(self.require_layers), self.session
        if session is None or layers is None:
            return
        if session.read_only and kind != "export":
            hint = "Close it in the other program, then open it here again."
            self.failed.emit(ProjectError(session.read_only_reason, hint))
            return
        view, sink = self.jobs.open(kind, title)

        def refuse(error: PytcError) -> None:
            self.jobs.withdraw(view, error.message, error.hint)
            self.failed.emit(error)

        def run() -> None:
            if view.cancel_requested:  # before a runner had it
                return
            runner = self.worker.runner
            if self.session is not session or runner is None:
                refuse(ProjectError("The project was closed before the job began."))
                return
            try:
                view.spec = describe(session)
                view.handle = session.run(view.spec, runner, sink)
            except (PytcError, OSError) as error:
                refuse(readable(error))

        layers.flush(lambda: self.worker.when_hired(run, refuse), refuse)

    # ---- the end

    def shutdown(self) -> None:
        """Save, end the worker, let go of everything; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.jobs.close()
        self.segments.close()
        self.segments.shutdown()
        self.background.close()
        self.worker.close()
        if self.layers is not None:
            self.layers.close()
        if self.session is not None:
            self.session.close()
        self.session = self.layers = None

    # ---- what follows is ours

    def _wait_for(self, what: str, work: Callable[[], OpenedProject], then: Callable[[OpenedProject], None]) -> None:
        if self.busy:
            self.failed.emit(ProjectError(f"{self.busy.rstrip(' …')} is not over yet.", "Wait for it."))
            return
        self._set_busy(what)

        def succeed(found: OpenedProject) -> None:
            self._set_busy("")
            try:
                then(found)
            except PytcError as error:
                self.failed.emit(error)

        def fail(error: PytcError) -> None:
            self._set_busy("")
            self.failed.emit(error)

        self.background.run(work, succeed, fail, discard=lambda found: found.release())

    def _set_busy(self, what: str) -> None:
        self.busy = what
        self.busy_changed.emit(what)

    def _adopt(self, opened: OpenedProject) -> None:
        """Take a project over that was read in the helper thread."""
        from napari_pytc.session.session import Session
        from napari_pytc.ui.layers import ProjectLayers

        now = self.session
        if now is not None and now.folder == opened.folder and not (now.read_only and opened.lock is not None):
            opened.release()
            self.viewer.show_status(f"{opened.folder.name} is open already.")
            return
        self.close_project()
        session = Session.adopt(opened)
        try:
            if opened.image is not None:
                self.layers = ProjectLayers(self.viewer, session, opened.image, self.background, self)
                self.layers.saved.connect(self.strokes_changed)
                self.layers.failed.connect(self.failed)
        except PytcError:
            session.close()
            raise
        self.session = session
        # Signals of its jobs come through the board instead.
        self._links = [
            (session.classes_changed, self.classes_changed.emit),
            (session.held_out_changed, self.held_out_changed.emit),
            (session.models_changed, self.models_changed.emit),
            (session.predictions_changed, self.predictions_changed.emit),
            (session.segmentations_changed, self.segmentations_changed.emit),
        ]
        for signal, told in self._links:
            signal.connect(told)
        self.recent.add(session.folder)
        self.segments.open(session)
        self.session_changed.emit()
        if opened.problem is not None:
            self.failed.emit(opened.problem)
        if session.read_only:
            self.failed.emit(ProjectError(session.read_only_reason, "You can look and export; close it there to edit."))

    def _start_training(self, title: str, describe: Callable[[Session], JobSpec]) -> None:
        if any(job.kind == "train" for job in self.jobs.running):
            hint = "Let it end, or pause or cancel it in the Train panel."
            self.failed.emit(ProjectError("A training runs already.", hint))
        else:
            self.start_job("train", title, describe)

    def _on_produced(self, view: JobView, boxes: list[Box]) -> None:
        if self.layers is None or view.kind != "predict":
            return
        # A prediction comes to the canvas with its first voxels; after that the user may look at another one.
        if not view.is_shown or view.output == self.layers.predictions.folder:
            if not view.is_shown:
                self.layers.predictions.set_visible(True)
            view.is_shown = True
            self.layers.show_new_voxels(view.output, boxes)

    def _on_ended(self, view: JobView) -> None:
        if self.session is None:
            return
        if view.kind == "train":
            self.models_changed.emit()
        elif view.kind == "predict":
            if view.state == JobState.FINISHED and not view.is_shown and self.layers is not None:
                self.layers.show_new_voxels(view.output, [])  # it was all there already
            self.predictions_changed.emit()

    def _show_segments(self) -> None:
        if self.layers is not None:
            self.layers.show_segments(self.segments.document)

    def _on_edited(self, change: Change) -> None:
        if self.layers is not None and change.target == "segments":
            self.layers.segments.refresh(change.box)
