"""Start of jobs: on strokes that are saved, by a worker that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from qtpy.QtCore import QObject, SignalInstance

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.exporting.options import OF_SEGMENTS, What
from napari_pytc.ui.canvas.drawn_box import DrawnBox
from napari_pytc.ui.tasks.background import Background, readable
from napari_pytc.ui.tasks.current_segments import CurrentSegments
from napari_pytc.ui.tasks.job_board import JobBoard, JobModel
from napari_pytc.ui.tasks.worker_handle import WorkerHandle

if TYPE_CHECKING:
    # These take a while to import: the functions that need them do so.
    from napari_pytc.jobs.spec import JobSpec
    from napari_pytc.plans.plan import PredictPlan, TrainPlan
    from napari_pytc.plans.specs import TrainJob
    from napari_pytc.plans.tracking import Tracking
    from napari_pytc.session.records import PredictionRecord
    from napari_pytc.session.session import Session
    from napari_pytc.ui.canvas.project_layers import ProjectLayers

Scope = Literal["view", "box", "all"]
"""What is predicted: the view, the drawn box, or everything."""


class OpenProject(Protocol):
    """The project that is open in a window, if any; a `Workspace` is one."""

    failed: SignalInstance
    background: Background
    segments: CurrentSegments
    drawn_box: DrawnBox

    @property
    def session(self) -> Session | None:
        """The project."""

    def require_layers(self) -> ProjectLayers:
        """The project's layers; without them a `ProjectError` names the missing part."""


class JobLauncher(QObject):
    """Starts trainings, predictions, exports and other jobs on the project that is open.

    Parameters
    ----------
    project : OpenProject
        The project of the jobs; its `failed` is emitted with the error of a refused one.
    jobs : JobBoard
        The board that shows the jobs.
    worker : WorkerHandle
        The worker that runs them.
    """

    def __init__(
        self, project: OpenProject, jobs: JobBoard, worker: WorkerHandle, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._project, self._jobs, self._worker = project, jobs, worker
        self.plan: TrainPlan | None = None
        """Training plan of the Train panel; None before the panel was shown, and while its settings are wrong."""
        self.plan_problem = ""
        """Problem with the settings of the Train panel."""
        self.plan_refusal = ""
        """Reason why a training with these settings would be refused: its step does not fit into the memory."""
        self.parent_model: str | None = None
        self.volumes: list[str] | None = None
        """Names of the volumes that trainings learn from; None for all that are annotated."""
        self.tracking: Tracking | None = None
        """Trackers that record trainings; None for none."""
        self.give_way: Callable[[Callable[[], object]], object] = lambda then: then()
        """Called before a job starts: live learning, which has the worker to itself, ends and then calls back."""

    def train(self, plan: TrainPlan, parent: str | None = None) -> None:
        """Train on the strokes as they are on the canvas; one training at a time."""
        volumes, tracking = self.volumes, self.tracking
        if volumes == []:
            error = InvalidInput("No volume is ticked to learn from.", "Tick one in the Train panel.")
            self._project.failed.emit(error)
            return
        self._start_training(
            f"Train {plan.recipe}",
            lambda session: session.jobs.train_job(plan, parent, volumes=volumes, tracking=tracking),
        )

    def train_now(self) -> None:
        """Train with the settings of the Train panel; with `instant` where none are chosen."""
        if self.plan is not None and self.plan_refusal:
            self._project.failed.emit(InvalidInput(self.plan_refusal))
            return
        if self.plan is not None:
            self.train(self.plan, self.parent_model)
            return
        if self.plan_problem:
            self._project.failed.emit(InvalidInput(self.plan_problem, "Mend the settings in the Train panel."))
            return
        from napari_pytc.plans.recipes import load_recipe

        self._project.background.run(lambda: load_recipe("instant"), self.train, self._project.failed.emit)

    def resume_training(self, job: TrainJob) -> None:
        """Go on with a training that was paused, cancelled or cut short, recorded by the trackers chosen now."""
        tracked = job.model_copy(update={"tracking": self.tracking})
        self._start_training(f"Train {job.plan.recipe} (resumed)", lambda session: tracked)

    def predict(self, scope: Scope = "all", model: str | None = None, plan: PredictPlan | None = None) -> None:
        """Predict the box in view, the drawn box, or everything from the view outwards."""
        try:  # now: when the job starts, another volume may be shown
            layers = self._project.require_layers()
            box = self._project.drawn_box.require() if scope == "box" else None
        except PytcError as error:
            self._project.failed.emit(error)
            return
        focus, view = layers.focus(), layers.view_box()

        def describe(session: Session) -> JobSpec:
            if scope == "view":
                return session.jobs.view_job(view, model, plan)
            return session.jobs.predict_job(plan, model, box, focus, view)

        what = {"view": "the view", "box": "the box", "all": "the volume"}[scope]
        self.start("predict", f"Predict {what}", describe)

    def resume_prediction(self, prediction: PredictionRecord) -> None:
        """Go on with a prediction that was cancelled or cut short; its finished tiles are kept."""
        try:
            layers = self._project.require_layers()
        except PytcError as error:
            self._project.failed.emit(error)
            return
        focus, view = layers.focus(), layers.view_box()
        self.start(
            "predict",
            f"Predict with {prediction.model} (resumed)",
            lambda session: session.jobs.resume_prediction_job(prediction, focus, view),
        )

    def export(self, what: What, path: Path, prediction: str | None = None, **options: Any) -> None:
        """Export a prediction, or segments as they are now, to a file."""

        def start(flushed: object = None) -> None:
            self.start(
                "export",
                f"Export {path.name}",
                lambda session: session.jobs.export_job(what, path, prediction, **options),
            )

        if what in OF_SEGMENTS:
            self._project.segments.do(lambda proofreader: proofreader.flush(), start, self._project.failed.emit)
        else:
            start()

    def start(self, kind: str, title: str, describe: Callable[[Session], JobSpec]) -> JobModel | None:
        """Start a job once the strokes are on the disk and the worker is there; `describe` is called then.

        Returns
        -------
        JobModel or None
            What became of it so far; None where it was refused at once.
        """
        project, session = self._project, self._project.session
        try:
            layers = project.require_layers()
        except PytcError as error:
            project.failed.emit(error)
            return None
        assert session is not None
        if session.project.read_only and kind != "export":
            hint = "Close it in the other program, then press “Open for editing” in the Data panel."
            project.failed.emit(ProjectError(session.project.read_only_reason, hint))
            return None
        volume = "" if kind == "train" else session.image.volume.id
        if kind != "live" and volume and len(session.volumes.names) > 1:
            title = f"{title}: {session.image.volume.name}"
        job, sink = self._jobs.open(kind, title, volume)

        def refuse(error: PytcError) -> None:
            self._jobs.withdraw(job, error.message, error.hint)
            project.failed.emit(error)

        def run() -> None:
            if job.cancel_requested:  # before a runner had it
                return
            runner = self._worker.runner
            if session.project.is_closed or runner is None:
                refuse(ProjectError("The project was closed before the job began."))
                return
            try:
                job.spec = describe(session)
                job.handle = session.jobs.run(job.spec, runner, sink)
            except (PytcError, OSError) as error:
                refuse(readable(error))

        def begin() -> None:
            self._worker.when_ready(run, refuse)

        layers.flush(begin if kind == "live" else lambda: self.give_way(begin), refuse)
        return job

    def _start_training(self, title: str, describe: Callable[[Session], JobSpec]) -> None:
        if any(job.kind == "train" for job in self._jobs.running):
            hint = "Let it end, or pause or cancel it in the Train panel."
            self._project.failed.emit(ProjectError("A training runs already.", hint))
        else:
            self.start("train", title, describe)
