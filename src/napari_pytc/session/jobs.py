"""The jobs of a project: their specs, runs and results."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal, SignalInstance
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.files import plain_path
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import Finished, JobEvent
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.input_channels import check_n_inputs
from napari_pytc.plans.model_folder import ModelInfo, read_model_info
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.prediction_defaults import plan_with_defaults
from napari_pytc.session.live import Live
from napari_pytc.session.models import Models
from napari_pytc.session.project.description import VolumeRecord
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.project.ids import model_stem, new_id
from napari_pytc.session.records import MetricPoint, PredictionRecord, RunRecord
from napari_pytc.session.runs import training_runs
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.runs.run_recorder import RunRecorder
from napari_pytc.session.volumes.open_volumes import VolumeParts
from napari_pytc.session.volumes.training_inputs import TrainingInputs
from napari_pytc.volumes.channels import other_classes_note
from napari_pytc.volumes.image import chosen_channels

if TYPE_CHECKING:
    from napari_pytc.annotations.label_transform import LabelTransform
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.jobs import ImportSegmentationJob, SegmentJob
    from napari_pytc.exporting.jobs import ExportJob
    from napari_pytc.exporting.options import What
    from napari_pytc.jobs.runners.base import JobHandle, JobRunner
    from napari_pytc.plans.specs import ImportModelJob, PredictJob, TrainJob
    from napari_pytc.pytc.translate import ImportedConfig
    from napari_pytc.session.runs.export_preview import ExportPreview
    from napari_pytc.volumes.spec import ChannelChoice, ReadOptions

_SEGMENTING = ("segment", "import_segmentation")
"""Kinds of jobs that make a segmentation."""


class JobSignals:
    """The signals of the jobs of a project, whichever volume they work on."""

    started = Signal(str)
    ended = Signal(str)


class Jobs:
    """The jobs at a volume of a project.

    Its methods belong to the session's thread. The signals are emitted by the thread that delivers a job's events:
    connect to them with ``thread="main"``.
    """

    def __init__(
        self,
        parts: VolumeParts,
        active: ActiveJobs,
        models: Models,
        inputs: TrainingInputs,
        live: Live,
        signals: JobSignals,
    ) -> None:
        self._volume, self._state, self._active = parts.state, parts.state.project, active
        self._proofreader, self._image = parts.proofreader, parts.image
        self._predictions, self._segmentations = parts.predictions, parts.segmentations
        self._models, self._inputs, self._live = models, inputs, live
        self._signals, self._folder = signals, parts.state.project.folder

    @property
    def started(self) -> SignalInstance:
        """A run was recorded as begun, at any volume: its id."""
        return self._signals.started

    @property
    def ended(self) -> SignalInstance:
        """A run at any volume is over, and what it made is part of the project: its id."""
        return self._signals.ended

    def runs(self) -> list[RunRecord]:
        """The jobs that ran on the project, at all its volumes, the oldest first; any thread."""
        return self._state.database.runs()

    def specs(self, kind: str) -> dict[str, dict[str, Any]]:
        """The jobs of a kind at this volume or at several, as JSON, by the id of what they made; any thread."""
        return self._state.database.specs(kind, ("", self._volume.id))

    def metrics(self, run: str) -> list[MetricPoint]:
        """The curves of a run; any thread."""
        return self._state.database.metrics(run)

    def train_job(
        self,
        plan: TrainPlan,
        parent: str | Path | None = None,
        resume: bool = True,
        corrections: bool = False,
        volumes: Sequence[str] | None = None,
        edited: Sequence[str] | None = None,
    ) -> TrainJob:
        """Describe a training on what is annotated now.

        With `resume`, an interrupted training of the same plan, parent and data is resumed.

        Parameters
        ----------
        corrections : bool
            Learn from what `Corrections.collect` collected last at the volumes, too.
        volumes : sequence of str, optional
            Names of the volumes to learn from; by default all with the annotations that the plan learns from, classes
            or objects, and with `corrections` those that have some.
        edited : sequence of str, optional
            Names of the volumes whose corrections are learnt from; by default those of all volumes to learn from.

        Raises
        ------
        ProjectError
            If it is to learn from corrections and there are none.
        InvalidInput
            If the plan cannot learn from corrections, or there is no such volume.
        VolumeError
            If the image of a volume moved or changed.
        """
        from napari_pytc.plans.specs import ModelOutput, TrainJob

        self._state.check_writable()
        _check_decoder(plan.decoder)
        corrected = self._corrected(edited if edited is not None else volumes) if corrections else []
        boundary_class = self._boundary_class(plan, corrected)
        records = self._inputs.to_learn_from(plan.target, volumes)
        records += [record for record in corrected if record not in records]
        inputs = [self._inputs.of(record.id) for record in records or [self._volume.record]]
        for number, record in enumerate(records):
            if record in corrected:
                edits = self._inputs.corrections(record.id).folder
                inputs[number] = inputs[number].model_copy(update={"corrections": edits})
        parent_folder = None if parent is None else self._models.resolve(parent)
        self._inputs.check_channels(records or [self._volume.record], parent_folder)
        if plan.voxel_size_nm is not None or len(inputs) == 1:  # else the training says which voxels it learns
            space = inputs[0].space if plan.voxel_size_nm is None else VoxelSpace(plan.voxel_size_nm)
            plan.check_channels(plan.target.roles(self._state.description.class_names, space))
        folder = self._folder
        output = ModelOutput(
            model_folder=folder.models,
            run_folder=folder.runs,
            parent=parent_folder,
            baseline=self._models.in_use,
        )
        draft = TrainJob(
            inputs=tuple(inputs),
            classes=self._state.description.class_names,
            boundary_class=boundary_class,
            plan=plan,
            output=output,
            resume=resume,
        )
        work = self._work(draft)
        begun = training_runs.unfinished_runs(folder.runs, folder.models, self._active.subjects()) if resume else []
        name = next((name for name, note in begun if note.get("work") == work), None)
        if name is None:
            name = new_id(model_stem(plan.recipe, self._state.clock()), self._is_taken)
            self._active.reserved.add(name)
        folders = {"model_folder": folder.models / name, "run_folder": folder.runs / name}
        return draft.model_copy(update={"output": output.model_copy(update=folders)})

    def import_model_job(self, config: ImportedConfig, checkpoint: str | Path) -> ImportModelJob:
        """Describe the import of a checkpoint of PyTorch Connectomics as a model of the project."""
        self._state.check_writable()
        name = new_id(model_stem(config.name, self._state.clock()), self._is_taken)
        self._active.reserved.add(name)
        return config.job(plain_path(checkpoint), self._folder.models / name)

    def unfinished_trainings(self) -> list[TrainJob]:
        """Trainings that were paused, cancelled or cut short, at any volume, the latest first.

        Run one again to resume it, also with more strokes. Those of other classes, held-out boxes or volumes than the
        project has now are left out.
        """
        from napari_pytc.plans.specs import TrainJob

        folder, found = self._folder, []
        for name, note in training_runs.unfinished_runs(folder.runs, folder.models, self._active.subjects()):
            try:
                job = TrainJob.model_validate(note.get("job"))
            except (ValidationError, PytcError):  # of another version, or damaged
                continue
            parent = job.output.parent
            if parent is not None and not parent.is_dir():  # the project was moved, or the parent deleted
                parent = folder.models / parent.name
                if not parent.is_dir():
                    continue
            inputs = self._inputs.present_inputs(training_runs.noted_volumes(note), job.inputs)
            # A checkpoint fits only its own classes and held-out boxes: with others training would begin anew.
            if job.classes != self._state.description.class_names or inputs is None:
                continue
            folders = {
                "model_folder": folder.models / name,
                "run_folder": folder.runs / name,
                "parent": parent,
                "baseline": self._models.in_use,
            }
            update = {"inputs": inputs, "output": job.output.model_copy(update=folders), "resume": True}
            found.append(job.model_copy(update=update))
        return found

    def discard_training(self, job: TrainJob) -> None:
        """Give up an unfinished training with its checkpoints. `empty_trash` frees the disk space."""
        self._state.check_writable()
        self._active.check_unused(job.output.run_folder, "training")
        self._folder.discard(self._folder.runs / job.output.run_folder.name)

    def predict_job(
        self,
        plan: PredictPlan | None = None,
        model: str | Path | None = None,
        box: Box | None = None,
        focus: Sequence[float] | None = None,
        view: Box | None = None,
    ) -> PredictJob:
        """Describe a prediction; the finished tiles of one of the same model and box are kept.

        Settings that the plan was not given are those that the model brings along, if any, which is noted.

        Parameters
        ----------
        focus : sequence of float, optional
            Tiles nearest to this voxel come first.
        view : Box, optional
            The box in view, which is predicted before everything else.
        """
        info = read_model_info(self._models.resolve(model))
        own, notes = plan_with_defaults(plan or PredictPlan(), info.prediction)
        job = self._predict_job(own, model, box, focus, view)
        return job.model_copy(update={"notes": (*job.notes, *notes)}) if notes else job

    def _predict_job(
        self,
        plan: PredictPlan,
        model: str | Path | None,
        box: Box | None,
        focus: Sequence[float] | None,
        view: Box | None,
    ) -> PredictJob:
        """As `predict_job`, with the settings of a plan as they are."""
        from napari_pytc.plans.specs import PredictJob

        self._state.check_writable()
        if box is not None:
            self._volume.check_box(box)
        image, volume = self._image.check(), self._volume.record
        model_folder = self._models.resolve(model)
        if box == Box.of_shape(image.shape):
            box = None
        info = read_model_info(model_folder)
        check_n_inputs(info, image.n_channels, f"the image of {volume.name}")
        record = self._predictions.find_or_make(info.id, box, plan)
        z, y, x = focus if focus is not None else (0.0, 0.0, 0.0)
        job = PredictJob(
            image=volume.spec,
            digest=volume.fingerprint.digest,
            voxel_size_nm=volume.voxel_size_nm,
            model=model_folder,
            output=record.folder,
            plan=plan,
            box=box,
            focus=None if focus is None else (float(z), float(y), float(x)),
            notes=_class_notes(info, self._state.description.class_names),
        )
        return job if view is None else job.model_copy(update={"view": view})

    def resume_prediction_job(
        self, prediction: PredictionRecord, focus: Sequence[float] | None = None, view: Box | None = None
    ) -> PredictJob:
        """Describe the rest of a prediction, with the settings that it was begun with; see `predict_job`.

        Another device is taken where theirs is not there: the project may have moved to another machine.
        """
        plan, notes = self._predictions.plan_of(prediction)
        job = self._predict_job(plan, prediction.model, prediction.box, focus, view)
        return job.model_copy(update={"output": prediction.folder, "notes": (*job.notes, *notes), "any_device": True})

    def view_job(self, box: Box, model: str | Path | None = None, plan: PredictPlan | None = None) -> PredictJob:
        """Describe a prediction of what is in view, into the model's prediction of everything.

        No tile counts as finished by it: a prediction of everything goes over the box again.
        """
        self._state.check_writable()
        self._volume.check_box(box)
        whole = self.predict_job(plan, model)
        focus = tuple((a + b) / 2 for a, b in zip(box.start, box.stop, strict=True))
        inside = box.intersect(Box.of_shape(self._volume.shape))
        return whole.model_copy(update={"box": inside, "within": True, "focus": focus})

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

        Interrupted work of the same description is resumed: its folder is the job's output.

        Parameters
        ----------
        decoder : DecoderSettings, dict or str, optional
            Settings, or the name of a kind; by default what the prediction's model names, else what fits.
        settings : dict, optional
            Settings of the decoder to change, whichever it is.
        options : dict
            Other fields of `SegmentJob`: boundary_class, mask_class, mask_mode, block_shape, workers.
        """
        self._state.check_writable()
        if box is not None:
            self._volume.check_box(box)
        folders = self._segmentations.folders
        place = folders.place("draft")
        draft = self._segmentation(place, decoder, prediction, settings, mask_prediction, box, options)
        used = {run.subject for run in self.runs() if run.kind in _SEGMENTING}
        stamp = self._predictions.stamp(draft.prediction)
        place = folders.place_for(draft, stamp, self._state.clock(), self._active.subjects(self._volume.id), used)
        return draft.model_copy(update={"output": place})

    def preview_job(
        self,
        box: Box,
        decoder: DecoderSettings | dict[str, Any] | str | None = None,
        prediction: str | Path | PredictionRecord | None = None,
        settings: dict[str, Any] | None = None,
        mask_prediction: str | Path | PredictionRecord | None = None,
        **options: Any,
    ) -> SegmentJob:
        """Describe the preview of a segmentation in a small box; parameters as in `segment_job`.

        It has a folder of its own (the job's output, in ``segments/.preview``), which `Segmentations.discard` deletes
        and the next opening of the project sweeps away. `run` records nothing of it, and nothing becomes current.
        """
        self._state.check_writable()
        self._volume.check_box(box)
        place = self._segmentations.folders.new_preview()
        return self._segmentation(place, decoder, prediction, settings, mask_prediction, box, options)

    def import_segmentation_job(
        self,
        labels: str | Path,
        options: ReadOptions | None = None,
        transform: LabelTransform | None = None,
        boundaries: str | Path | None = None,
        gap_um: float = 0.0,
        workers: int = 1,
        image_channel: int | None = None,
    ) -> ImportSegmentationJob:
        """Describe the import of a segmentation of another program; parameters and errors as in `describe_import`.

        Interrupted work of the same description is resumed: its folder is the job's output.
        """
        from napari_pytc.decoding.imports.describe_import import describe_import

        self._state.check_writable()
        image, folders = self._image.check(), self._segmentations.folders
        place, space = folders.place("draft"), self._volume.record.space
        draft = describe_import(
            labels, image, space, place, options, transform, boundaries, gap_um, workers, image_channel
        )
        used = {run.subject for run in self.runs() if run.kind in _SEGMENTING}
        place = folders.place_for(draft, "", self._state.clock(), self._active.subjects(self._volume.id), used)
        return draft.model_copy(update={"output": place})

    def export_job(
        self,
        what: What,
        path: str | Path,
        prediction: str | Path | PredictionRecord | None = None,
        segmentation: str | None = None,
        channel: ChannelChoice = None,
        **options: Any,
    ) -> ExportJob:
        """Describe an export of a prediction, by default the newest that is finished, a segmentation or the image.

        `segmentation` is the current one by default, `channel` all channels that the image has in the project; numbers
        are those of the file. `options` are other fields of `ExportJob`: box, format, dataset,
        compression, pyramid and so on.
        """
        from napari_pytc.exporting.jobs import ExportJob
        from napari_pytc.exporting.options import OF_SEGMENTS

        source: dict[str, Any]
        if what in OF_SEGMENTS:
            source = {"segmentation": self._segmentations.resolve(segmentation)}
        elif what == "image":
            spec = chosen_channels(self._image.check(), channel).spec
            source = {"image": spec, "space": self._volume.record.space}
        else:
            source = {"prediction": self._predictions.resolve(prediction)}
        if what == "classes":
            source["class_colours"] = {c.name: c.colour for c in self._state.description.classes}
            options.setdefault("class_names", self._state.description.class_names)
        try:
            return ExportJob(what=what, output=plain_path(path), **source, **options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"An export has no such option: {where}: {first['msg']}.") from error

    def preview_export(
        self,
        what: What,
        path: str | Path,
        prediction: str | Path | PredictionRecord | None = None,
        segmentation: str | None = None,
        channel: ChannelChoice = None,
        **options: Any,
    ) -> ExportPreview:
        """Preview the files of an export; parameters and errors as in `export_job`."""
        from napari_pytc.session.runs.export_preview import preview

        return preview(self.export_job(what, path, prediction, segmentation, channel, **options))

    def run(self, job: JobSpec, runner: JobRunner, sink: Callable[[JobEvent], None] | None = None) -> JobHandle:
        """Start a job and record its run, metrics, model, prediction or segmentation.

        Edits are flushed before an export of segments starts. A segmentation becomes current when it is finished.

        `sink` gets every event after it was recorded, in the thread that delivers it.
        """
        # Distinguished by kind, not by class, because importing the modules of all specs takes time.
        content: Any = job
        if job.kind != "export":
            self._state.check_writable()
        elif content.segmentation is not None:
            self._proofreader.flush()
        is_preview = job.kind == "segment" and self._volume.folder.previews in content.output.parents
        if is_preview or (job.kind == "export" and self._state.read_only):
            return runner.start(job, sink or _ignore)
        subject, prediction = "", None
        volume = "" if job.kind in ("train", "apply", "import_model") else self._volume.id
        # Whose id the subject is.
        owner = "" if job.kind in ("train", "live", "export", "compare", "apply", "import_model") else volume
        if job.kind == "train":
            subject = content.output.model_folder.name
            self._active.check_free(subject, "A training of this model runs already.")
            with disk_errors(content.output.run_folder, "The run folder"):
                ids = self._inputs.ids_of(content.inputs)
                training_runs.note_work(content.output.run_folder, self._work(content), content, ids)
        elif job.kind == "live":
            subject = content.output.model_folder.name
            self._active.check_free(subject, "Live learning runs already.")
            self._live.begin(content)
        elif job.kind == "predict":
            subject = content.output.stem
            self._active.check_free(subject, "This prediction runs already.", owner)
            model = read_model_info(content.model).id
            box = None if content.within else content.box
            prediction = self._predictions.find_or_make(model, box, content.plan, content.output)
        elif job.kind in _SEGMENTING:
            subject = content.output.name
            self._active.check_free(subject, "This segmentation runs already.", owner)
            stamp = self._predictions.stamp(content.prediction) if job.kind == "segment" else ""
            self._segmentations.folders.begin(content, stamp)
        elif job.kind in ("export", "compare"):
            subject = str(content.output)
        elif job.kind == "import_model":
            subject = content.folder.name
        elif job.kind == "tune":
            subject = content.output.stem
            self._active.check_free(subject, "This tuning runs already.", owner)
        elif job.kind == "apply":
            subject = str(content.folder)
            self._active.check_free(subject, "A model is applied to files with results in this folder already.")
        self._active.add(subject, job, owner)
        recorder = RunRecorder(
            self._state.database,
            job,
            subject,
            sink,
            None if prediction is None else (prediction, self._volume.image_digest),
            self.started.emit,
            lambda run, event: self._on_end(job, subject, owner, prediction, run, event),
            within=job.kind == "predict" and content.within,
            volume=volume,
        )
        try:
            return runner.start(job, recorder)
        except BaseException:
            self._active.remove(subject, owner)
            raise

    def _on_end(
        self, job: JobSpec, subject: str, owner: str, prediction: PredictionRecord | None, run: str, event: JobEvent
    ) -> None:
        self._active.remove(subject, owner)
        content: Any = job
        if job.kind == "train" and isinstance(event, Finished):
            shutil.rmtree(content.output.run_folder, ignore_errors=True)
        elif job.kind == "train":
            training_runs.discard_unbegun(content.output.run_folder)
        if job.kind in ("train", "live", "import_model") and isinstance(event, Finished):
            self._models.take_in(subject)
        if job.kind == "import_segmentation" and isinstance(event, Finished):
            self._segmentations.take_in(subject)
        if job.kind == "segment" and isinstance(event, Finished):
            # A segmentation that replaces another becomes current with the edits of that one: see `Retraining`.
            self._segmentations.take_in(subject, is_current=content.reuse is None and content.keep is None)
        if prediction is not None:
            self._predictions.take_in(prediction.id)
        self.ended.emit(run)

    def _segmentation(
        self,
        output: Path,
        decoder: DecoderSettings | dict[str, Any] | str | None,
        prediction: str | Path | PredictionRecord | None,
        settings: dict[str, Any] | None,
        mask_prediction: str | Path | PredictionRecord | None,
        box: Box | None,
        options: dict[str, Any],
    ) -> SegmentJob:
        from napari_pytc.decoding.describe import describe_segmentation

        folder = self._predictions.resolve(prediction)
        record = next((record for record in self._predictions.records() if record.folder == folder), None)
        return describe_segmentation(
            folder,
            output,
            decoder,
            settings,
            None if record is None else self._folder.models / record.model,
            mask_prediction=None if mask_prediction is None else self._predictions.resolve(mask_prediction),
            box=None if box == Box.of_shape(self._volume.shape) else box,
            voxel_size_nm=self._volume.record.voxel_size_nm,
            **options,
        )

    def _corrected(self, names: Sequence[str] | None) -> list[VolumeRecord]:
        found = self._inputs.corrected(names)
        if not found:
            raise ProjectError(
                "There are no corrections to learn from.",
                "Merge, split, lock or paint segments in the panel Proofread first.",
            )
        return found

    def _boundary_class(self, plan: TrainPlan, corrected: Sequence[VolumeRecord]) -> str | None:
        """The class that keeps objects apart in the segmentations of these volumes, where a plan learns classes."""
        found = {record.name: self._inputs.corrections(record.id).boundary_class(plan) for record in corrected}
        (name, chosen), *others = found.items() or [("", None)]
        for other, different in others:
            if different != chosen:
                raise InvalidInput(
                    f"The segments of {name} are kept apart by the class {chosen!r}, those of {other} by "
                    f"{different!r}: one training learns corrections of one class.",
                    f"Learn from the corrections of one of them: --volume {name}.",
                )
        return chosen

    def _work(self, job: TrainJob) -> str:
        return training_runs.work_of(job, [self._inputs.revisions(inputs) for inputs in job.inputs])

    def _is_taken(self, name: str) -> bool:
        places = (self._folder.models / name, self._folder.runs / name)
        return name in self._active.reserved or any(place.exists() for place in places)


def _class_notes(model: ModelInfo, classes: Sequence[str]) -> tuple[str, ...]:
    """What is told of a model's classes in a project; nothing of a model that predicts single objects."""
    note = None
    target = model.plan.target
    names = model.classes if target.kind == "classes" else target.class_names
    if names:
        note = other_classes_note(f"The model {model.id}", names, classes)
    return () if note is None else (note,)


def _ignore(event: JobEvent) -> None:
    """Drop an event: the default sink of a run."""


def _check_decoder(settings: dict[str, Any]) -> None:
    """Refuse a recipe whose decoder there is not, before hours of training rather than after."""
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.plans.recipe_checks import explain

    if "kind" not in settings:
        return
    try:
        DecoderSettings.parse(settings)
    except ValidationError as error:
        raise InvalidInput(*explain(error, "the decoder of the recipe")) from error
