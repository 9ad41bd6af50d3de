"""Controller of the Train panel: start, pause and resume trainings; their progress, curves and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.jobs.job import JobState
from napari_pytc.ui.panels.train.models_controller import ModelsController, read_curves
from napari_pytc.ui.panels.train.recipe_controller import RecipeController
from napari_pytc.ui.panels.train.step_memory_controller import StepMemoryController
from napari_pytc.ui.panels.train.tracking_controller import TrackingController
from napari_pytc.ui.panels.train.training_volumes import TrainingVolumes
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.record_text import short_date

if TYPE_CHECKING:
    from napari_pytc.plans.specs import TrainJob
    from napari_pytc.plans.targets import AnyTarget
    from napari_pytc.session.records import ClassInfo
    from napari_pytc.ui.workspace import Workspace

_NO_OBJECTS = (
    "This recipe learns single objects, and none are marked yet: paint or import some in the Data panel, under Single "
    "objects."
)


@dataclass(frozen=True)
class Scores:
    """Scores by class name, the mean Dice by volume, and the name of the model or training that they belong to.

    `precision` is the average precision of single objects of each class, where these are learnt.
    """

    of: str = ""
    dice: Mapping[str, float | None] | None = None
    iou: Mapping[str, float | None] | None = None
    volumes: Mapping[str, float | None] = field(default_factory=dict)
    precision: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def read(cls, of: str, scores: Mapping[str, Any]) -> Scores:
        """Read them from a model's scores."""
        volumes = {name: found.get("mean") for name, found in (scores.get("volumes") or {}).items()}
        of_class = (scores.get("objects") or {}).get("of_class") or {}
        precision = {name: found.get("average_precision_50") for name, found in of_class.items()}
        return cls(of, scores["dice"], scores.get("iou"), volumes, precision)


class TrainController(QObject):
    """Trainings of the project that is open.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the project; also the Qt parent.

    Attributes
    ----------
    recipe : RecipeController
        Recipe, settings and parent model.
    models : ModelsController
        The trained models.
    volumes : TrainingVolumes
        The volumes that are learned from.
    step_memory : StepMemoryController
        The memory that a training step will need.
    tracking : TrackingController
        The trackers that record trainings.
    """

    progress_changed = Signal()
    """Progress of the training, or the training that is shown, is another one."""
    curves_changed = Signal()
    classes_changed = Signal()
    """Classes, their numbers of painted voxels, or their scores have changed."""
    readiness_changed = Signal()
    """`why_not` or `learns_objects`."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.workspace = workspace
        self.recipe = RecipeController(workspace, self)
        self.models = ModelsController(workspace, self)
        self.volumes = TrainingVolumes(workspace, self)
        self.volumes.changed.connect(self._on_strokes_changed)
        self.step_memory = StepMemoryController(workspace, self.recipe, self)
        self.step_memory.changed.connect(self._on_step_memory)
        self.tracking = TrackingController(workspace, self)
        self.tracking.changed.connect(self.readiness_changed)
        self._n_points = 0
        self._target: AnyTarget | None = None
        """What the recipe learns; where its settings are wrong, what it learnt before."""
        self.job: JobModel | None = next((job for job in reversed(workspace.jobs.running) if job.kind == "train"), None)
        """The training that runs, or ended last."""
        self.unfinished: list[TrainJob] = []
        """Trainings that were paused or cut short, the newest first."""
        self.recipe.changed.connect(self._on_recipe_changed)
        workspace.project_changed.connect(self._on_project_changed)
        workspace.session_changed.connect(self._on_session_changed)
        workspace.strokes_changed.connect(self._on_strokes_changed)
        workspace.classes_changed.connect(self._on_strokes_changed)
        workspace.models_changed.connect(self._on_models_changed)
        workspace.jobs.added.connect(self._on_job_added)
        workspace.jobs.changed.connect(self._on_job_changed)
        workspace.jobs.ended.connect(self._on_job_ended)
        self._read_unfinished()

    # ---- training

    @property
    def is_training(self) -> bool:
        """Whether a training runs."""
        return any(job.kind == "train" for job in self.workspace.jobs.running)

    @property
    def learns_objects(self) -> bool:
        """Whether the recipe learns single objects instead of classes."""
        return self._target is not None and self._target.learns_objects

    @property
    def learns_classes(self) -> bool:
        """Whether the recipe learns classes, be it beside single objects."""
        return self._target is None or self._target.learns_classes

    def why_not(self) -> str:
        """Reason why no training can start now; empty if one can."""
        session = self.workspace.session
        if session is None:
            return "No project is open: open or make one in the Data panel."
        if session.project.read_only:
            return session.project.read_only_reason
        if self.workspace.layers is None:
            return "The project's image was not found: choose it in the Data panel."
        if self.is_training:
            return "A training runs already: let it end, or pause or cancel it."
        if self.learns_objects and not self.volumes.has_objects:
            is_left_out = any(volume.n_objects for volume in self.volumes.listed)
            return "Tick a volume in which objects are marked." if is_left_out else _NO_OBJECTS
        if not self.learns_classes:
            return self._refusal
        painted = [name for name, n_voxels in self.painted.items() if n_voxels]
        if len(painted) < 2:
            return "Paint strokes of at least two classes first; " + (
                f"so far only {painted[0]} has some." if painted else "there are none yet."
            )
        return self._refusal

    @property
    def _refusal(self) -> str:
        """What speaks against a training whose data are there."""
        if self.tracking.problem:
            return f"Track experiments: {self.tracking.problem}"
        return self.recipe.problem or self.step_memory.refusal

    def train(self) -> None:
        """Start a training with the recipe as edited."""
        plan = self.recipe.plan
        if plan is not None and not self.why_not():
            self.workspace.launcher.train(plan, self.recipe.parent_model)

    def pause(self) -> None:
        """Stop the training so that it can be resumed."""
        if self.job is not None and not self.job.is_over:
            self.job.is_paused = True
            self.cancel()

    def cancel(self) -> None:
        """Stop the training."""
        if self.job is not None:
            self.job.cancel()
            self.progress_changed.emit()

    def resume(self) -> None:
        """Resume the training that was stopped."""
        job = self.resumable()
        if job is not None and not self.is_training:
            self.workspace.launcher.resume_training(job)

    def dismiss(self) -> None:
        """Give the training that was stopped up, and show no more of it."""
        job, session = self.resumable(), self.workspace.session
        if job is not None and session is not None:
            self.workspace.attempt(lambda: session.jobs.discard_training(job))
            self.workspace.background.run(session.project.empty_trash)
        self.job = None
        self._read_unfinished()
        self.progress_changed.emit()

    def resumable(self) -> TrainJob | None:
        """The training that `resume` resumes; None if there is none."""
        if self.job is None:
            return self.unfinished[0] if self.unfinished else None
        spec: Any = self.job.spec
        if spec is None:
            return None
        kept = next((job for job in self.unfinished if job.output.run_folder == spec.output.run_folder), None)
        # One that was stopped before its first checkpoint begins again; one that failed would only fail again.
        return spec if kept is None and self.job.state is JobState.CANCELLED else kept

    # ---- results

    @property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """The curves of the training shown, else of the active model."""
        session, active = self.workspace.session, self.models.active
        if self.job is not None:
            return self.job.curves
        return {} if session is None or active is None else read_curves(session, active.id)

    @property
    def classes(self) -> list[ClassInfo]:
        """The classes of the project."""
        session = self.workspace.session
        return [] if session is None else list(session.classes.records())

    @property
    def colours(self) -> dict[str, str]:
        """Colours of the classes by name."""
        return {one.name: one.colour for one in self.classes}

    @property
    def painted(self) -> dict[str, int]:
        """Annotated voxels by class name, in the volumes that are learned from."""
        return self.volumes.painted

    @property
    def scores(self) -> Scores:
        """Scores of the training shown as far as it is, else of the active model."""
        job = self.job
        if job is not None:
            scores = job.result.get("scores") or {}
            if scores.get("dice"):
                return Scores.read(str(job.result.get("model", "")), scores)
            dice, precision = (
                {
                    name.removeprefix(kind): points[-1][1]
                    for name, points in job.curves.items()
                    if name.startswith(kind) and points
                }
                for kind in ("dice/", "average_precision_50/")
            )
            if dice:
                title = "this training so far" if not job.is_over else "this training"
                return Scores(title, dice, precision=precision)
        active = self.models.active
        if active is None or not active.scores.get("dice"):
            return Scores()
        return Scores.read(active.name, active.scores)

    # ---- private

    def _read_unfinished(self) -> None:
        session = self.workspace.session
        self.unfinished = [] if session is None or session.project.read_only else session.jobs.unfinished_trainings()

    def _on_project_changed(self) -> None:
        self.job = None

    def _on_session_changed(self) -> None:
        self._read_unfinished()
        for signal in (self.progress_changed, self.curves_changed, self.classes_changed, self.readiness_changed):
            signal.emit()

    def _on_recipe_changed(self) -> None:
        if self.recipe.plan is not None:
            self._target = self.recipe.plan.target
        self.volumes.learn_objects(self.learns_objects)
        self.readiness_changed.emit()

    def _on_step_memory(self) -> None:
        self.workspace.launcher.plan_refusal = self.step_memory.refusal  # for the shortcut
        self.readiness_changed.emit()

    def _on_strokes_changed(self) -> None:
        self.classes_changed.emit()
        self.readiness_changed.emit()

    def _on_models_changed(self) -> None:
        self._read_unfinished()
        self.classes_changed.emit()
        self.curves_changed.emit()

    def _on_job_added(self, job: JobModel) -> None:
        if job.kind == "train":
            self.job, self._n_points = job, 0
            self.progress_changed.emit()
            self.curves_changed.emit()
            self.readiness_changed.emit()

    def _on_job_changed(self, job: JobModel) -> None:
        if job is self.job:
            self.progress_changed.emit()
            n_points = sum(map(len, job.curves.values()))
            if n_points != self._n_points:
                self._n_points = n_points
                self.curves_changed.emit()
                self.classes_changed.emit()

    def _on_job_ended(self, job: JobModel) -> None:
        if job is self.job:
            self._read_unfinished()
            self.progress_changed.emit()
            self.classes_changed.emit()
        if job.kind == "train":
            self.readiness_changed.emit()


def begin_text(job: TrainJob) -> str:
    """Read from the name of its folder when a training began."""
    name = job.output.run_folder.name
    date, clock = [*name.split("-"), "", ""][:2]
    return (short_date(f"{date}T{clock}+00:00") if len(date) == 8 and len(clock) == 4 else "") or name
