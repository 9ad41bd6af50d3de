"""The session: a project that is open, and the only one who changes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pytc.errors import InvalidInput, ModelError, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import JobEvent
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.learning.config import PredictPlan, TrainPlan
from napari_pytc.learning.model_folder import copy_model, rename_model
from napari_pytc.session.class_editing import ClassEditing
from napari_pytc.session.corrections import Correcting
from napari_pytc.session.jobs import SessionJobs
from napari_pytc.session.library import ModelLibrary
from napari_pytc.session.live import LiveRuns, Suggestions
from napari_pytc.session.objects import ObjectMarking
from napari_pytc.session.opening import NewProject, OpenedProject, make_project, read_project
from napari_pytc.session.project import disk_errors
from napari_pytc.session.records import (
    ClassInfo,
    ClassSpec,
    MetricPoint,
    ModelRecord,
    PredictionRecord,
    RunRecord,
    SegmentationInfo,
    number_classes,
)
from napari_pytc.session.segmentations import Segmenting
from napari_pytc.session.strokes import StrokeEditing

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.jobs import SegmentJob
    from napari_pytc.exporting.jobs import ExportJob, What
    from napari_pytc.jobs.runners.base import JobHandle, JobRunner
    from napari_pytc.learning.jobs import PredictJob, TrainJob
    from napari_pytc.learning.live.job import LiveJob
    from napari_pytc.learning.live.plan import LivePlan
    from napari_pytc.session.preview import ExportPreview

__all__ = ["ClassInfo", "ClassSpec", "ModelRecord", "PredictionRecord", "RunRecord", "SegmentationInfo", "Session"]


def _now() -> datetime:
    return datetime.now(UTC)


class Session(ClassEditing, StrokeEditing, Correcting, ObjectMarking, Segmenting):
    """An open project. Make one with `create`, `open` or `adopt`, and close it.

    All methods belong to the thread that opened it, where they do not say otherwise. Signals about jobs (`run_started`,
    `run_ended`, `model_added`, `model_refused`, `prediction_changed`) are emitted by the thread that delivers a job's
    events: connect to them with ``thread="main"``. A second session on the same project is `read_only`; it says why in
    `read_only_reason`.
    """

    run_started = Signal(str)
    run_ended = Signal(str)
    model_added = Signal(ModelRecord)
    model_refused = Signal(ModelRecord)
    models_changed = Signal()
    prediction_changed = Signal(PredictionRecord)
    predictions_changed = Signal()

    def __init__(self, opened: OpenedProject, clock: Callable[[], datetime]) -> None:
        super().__init__(opened)
        self._models = ModelLibrary(self._folder.models)
        self._jobs = SessionJobs(self, self._folder, self._database, clock)
        self.live = LiveRuns(self, self._folder, clock)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        image: str | Path,
        classes: Sequence[str | ClassSpec],
        voxel_size_nm: tuple[float, float, float] | None = None,
        channel: int | None = None,
        overwrite: bool = False,
    ) -> Session:
        """Make a project and open it; parameters and errors as in `NewProject` and `make_project`."""
        specs = tuple(ClassSpec(name=c.name, colour=c.colour) for c in number_classes(classes))
        make_project(NewProject(Path(folder), image, specs, voxel_size_nm, channel, overwrite))
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path, read_only: bool = False, clock: Callable[[], datetime] = _now) -> Session:
        """Open a project; read-only where another process may change it.

        Raises
        ------
        ProjectError
            If the folder is no project, is damaged, or was written by a newer version.
        """
        return cls.adopt(read_project(folder, read_only, with_image=False), clock)

    @classmethod
    def adopt(cls, opened: OpenedProject, clock: Callable[[], datetime] = _now) -> Session:
        """Take over a project that was read, perhaps in another thread; this one is the session's. Costs nothing."""
        try:
            return cls(opened, clock)
        except BaseException:
            opened.release()
            raise

    def models(self) -> list[ModelRecord]:
        """The project's models, the oldest first."""
        return self._models.records(self._project.active_model)

    def resolve_model(self, model: str | Path | None = None) -> Path:
        """The folder of a model named by its id, the beginning of one, or a path; by default the active."""
        return self._models.resolve(model, self._project.active_model)

    def activate_model(self, id: str) -> None:
        """Use this model where none is named, until another one is activated, also if it was found worse than another.

        The one that would be used if none was ever chosen gives way to the next again that is trained.
        """
        self.check_writable()
        record = self._model(id)
        if record.problem:
            raise ModelError(f"The model {id} cannot be used: {record.problem}", "Choose another one.")
        by_default = next(model.id for model in self._models.records() if model.active)
        self._save(active_model=None if id == by_default else id)
        self.models_changed.emit()

    def rename_model(self, id: str, name: str) -> None:
        """Give a model another name for people; its id stays."""
        self.check_writable()
        if not name.strip():
            raise InvalidInput("A model needs a name.", "Write one.")
        folder = self._model(id).folder
        with disk_errors(folder, "The model"):
            rename_model(folder, name.strip())
        self.models_changed.emit()

    def delete_model(self, id: str) -> None:
        """Delete a model; its predictions stay. `empty_trash` gives the disk its room back."""
        self.check_writable()
        folder = self._model(id).folder
        self._check_unused(folder, "model")
        if self._project.active_model == id:
            self._save(active_model=None)
        self._folder.discard(folder)
        self.models_changed.emit()

    def export_model(self, id: str, destination: str | Path) -> Path:
        """Copy a model's folder to another place, where any project may use it; any thread.

        Returns
        -------
        Path
            The copy: `destination`, or a folder in it where that is one already.
        """
        return copy_model(self._folder.models / id, destination)

    def delete_prediction(self, id: str) -> None:
        """Delete a prediction. `empty_trash` gives the disk its room back."""
        self.check_writable()
        for record in self.predictions():
            if record.id == id:
                self._check_unused(record.folder, "prediction")
                self._folder.discard(record.folder)
                self._database.forget_prediction(id)
                self.predictions_changed.emit()
                return
        raise ProjectError(f"The project has no prediction {id!r}.", "Choose one of those that are listed.")

    def unfinished_trainings(self) -> list[TrainJob]:
        """Trainings that were paused, cancelled or cut short and left a checkpoint, the latest first.

        Run one again to go on with it, also with more strokes. Those of other classes or held-out boxes than the
        project has now are left out.
        """
        return self._jobs.unfinished_trainings()

    def discard_training(self, job: TrainJob) -> None:
        """Give up an unfinished training with its checkpoints. `empty_trash` gives the disk its room back."""
        self.check_writable()
        self._check_unused(job.run_folder, "training")
        self._folder.discard(self._folder.runs / job.run_folder.name)

    def predictions(self) -> list[PredictionRecord]:
        """The project's predictions, the oldest first."""
        return self._jobs.predictions()

    def runs(self) -> list[RunRecord]:
        """The jobs that ran on the project, the oldest first."""
        return self._database.runs()

    def metrics(self, run: str) -> list[MetricPoint]:
        """The curves of a run."""
        return self._database.metrics(run)

    def train_job(
        self, plan: TrainPlan, parent: str | Path | None = None, resume: bool = True, corrections: bool = False
    ) -> TrainJob:
        """Describe a training on what is annotated now.

        With `resume`, a training of the same plan, parent and data that was cut short is gone on with.

        Parameters
        ----------
        corrections : bool
            Learn from what `collect_corrections` collected last, too.

        Raises
        ------
        ProjectError
            If it is to learn from corrections and there are none.
        InvalidInput
            If the plan cannot learn from corrections.
        """
        self.check_writable()
        return self._jobs.train_job(plan, parent, resume, self.corrections_to_learn(plan) if corrections else None)

    def live_job(self, plan: LivePlan | None = None, parent: str | Path | None = None) -> LiveJob:
        """Describe live learning on what is annotated, going on from the last time if that was of the same classes.

        Its model replaces that of the last time, as long as nothing was made with that one.

        Parameters
        ----------
        plan : LivePlan, optional
            By default the instant model with the recipe ``fast`` behind it.
        parent : str or Path, optional
            The model that the network begins as, where it does not go on from the last time.
        """
        self.check_writable()
        return self.live.job(plan, None if parent is None else self.resolve_model(parent))

    def suggestions(self) -> Suggestions:
        """Where to paint next, as live learning found it last; empty where it has found nothing yet. Any thread."""
        return self.live.suggestions()

    def predict_job(
        self,
        plan: PredictPlan | None = None,
        model: str | Path | None = None,
        box: Box | None = None,
        focus: Sequence[float] | None = None,
        view: Box | None = None,
    ) -> PredictJob:
        """Describe a prediction; the finished tiles of one of the same model and box are kept.

        Parameters
        ----------
        focus : sequence of float, optional
            Tiles nearest to this voxel come first.
        view : Box, optional
            What is looked at: predicted before everything else.
        """
        self.check_writable()
        if box is not None:
            self._check_box(box)
        job = self._jobs.predict_job(plan or PredictPlan(), model, box, focus)
        return job if view is None else job.model_copy(update={"view": view})

    def view_job(self, box: Box, model: str | Path | None = None, plan: PredictPlan | None = None) -> PredictJob:
        """Describe a prediction of what is in view, into the model's prediction of everything.

        No tile counts as finished by it: a prediction of everything goes over the box again.
        """
        self.check_writable()
        self._check_box(box)
        return self._jobs.view_job(box, model, plan or PredictPlan())

    def segment_job(
        self,
        decoder: DecoderSettings | dict[str, Any] | str | None = None,
        prediction: str | Path | PredictionRecord | None = None,
        settings: dict[str, Any] | None = None,
        mask_prediction: str | Path | PredictionRecord | None = None,
        box: Box | None = None,
        **options: Any,
    ) -> SegmentJob:
        """Describe a segmentation of a prediction, by default the newest one that is finished.

        The same work that was cut short is gone on with: its folder is the job's output.

        Parameters
        ----------
        decoder : DecoderSettings, dict or str, optional
            Settings, or the name of a kind; by default what the prediction's model names, else what fits.
        settings : dict, optional
            Settings of the decoder to change, whichever it is.
        options : dict
            Other fields of `SegmentJob`: boundary_class, mask_class, mask_mode, block_shape, workers.
        """
        self.check_writable()
        if box is not None:
            self._check_box(box)
        return self._jobs.segment_job(decoder, prediction, settings or {}, mask_prediction, box, options, False)

    def preview_job(
        self,
        box: Box,
        decoder: DecoderSettings | dict[str, Any] | str | None = None,
        prediction: str | Path | PredictionRecord | None = None,
        settings: dict[str, Any] | None = None,
        mask_prediction: str | Path | PredictionRecord | None = None,
        **options: Any,
    ) -> SegmentJob:
        """Describe a segmentation of a small box for a look; parameters as in `segment_job`.

        It has a folder of its own (the job's output, in ``segments/.preview``), which `discard_segmentation` deletes
        and the next opening of the project sweeps away. `run` records nothing of it, and nothing becomes current.
        """
        self.check_writable()
        self._check_box(box)
        return self._jobs.segment_job(decoder, prediction, settings or {}, mask_prediction, box, options, True)

    def unfinished_segmentations(self) -> list[SegmentJob]:
        """Segmentations that were cancelled or cut short, the latest first; run one again to go on with it."""
        return self.segmentation_folders.unfinished(self._jobs.busy)

    def export_job(
        self,
        what: What,
        path: str | Path,
        prediction: str | Path | PredictionRecord | None = None,
        segmentation: str | None = None,
        **options: Any,
    ) -> ExportJob:
        """Describe an export of a prediction, by default the newest one that is finished, or of a segmentation.

        `segmentation` is the current one by default. `options` are other fields of `ExportJob`: box, dataset,
        compression, overwrite.
        """
        return self._jobs.export_job(what, path, prediction, segmentation, options)

    def preview_export(
        self,
        what: What,
        path: str | Path,
        prediction: str | Path | PredictionRecord | None = None,
        segmentation: str | None = None,
        **options: Any,
    ) -> ExportPreview:
        """What an export would write; parameters and errors as in `export_job`."""
        from napari_pytc.session.preview import preview

        return preview(self.export_job(what, path, prediction, segmentation, **options))

    def run(self, job: JobSpec, runner: JobRunner, sink: Callable[[JobEvent], None] | None = None) -> JobHandle:
        """Start a job and keep what comes of it: its run, metrics, model, prediction or segmentation.

        Edits are flushed before an export of segments starts. A segmentation becomes current when it is finished.

        `sink` gets every event after it was recorded, in the thread that delivers it.
        """
        if job.kind != "export":
            self.check_writable()
        return self._jobs.run(job, runner, sink)

    def _model(self, id: str) -> ModelRecord:
        for record in self.models():
            if record.id == id:
                return record
        raise ModelError(f"The project has no model {id!r}.", "Choose one of those that are listed.")

    def _check_unused(self, folder: Path, what: str) -> None:
        if self._jobs.uses(folder):
            raise ProjectError(f"A job needs this {what}.", "Wait for it to end, or cancel it, then delete it.")

    def _check_no_training(self) -> None:
        if self._jobs.is_training:
            raise ProjectError("A training is running.", "Wait for it to end, or cancel it, then do this again.")
