"""From a session to jobs and back: what a job needs to know, and what becomes of it in the project."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished, JobEvent
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.learning.config import PredictPlan, TrainPlan
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.session import library, segment_jobs
from napari_pytc.session.database import Database
from napari_pytc.session.project import ProjectFolder, disk_errors
from napari_pytc.session.recording import RunRecorder
from napari_pytc.session.records import PredictionRecord

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.jobs import SegmentJob
    from napari_pytc.exporting.jobs import ExportJob, What
    from napari_pytc.jobs.runners.base import JobHandle, JobRunner
    from napari_pytc.learning.jobs import PredictJob, TrainJob
    from napari_pytc.session.session import Session


class SessionJobs:
    """The part of a session that describes, starts and records jobs."""

    def __init__(
        self, session: Session, folder: ProjectFolder, database: Database, clock: Callable[[], datetime]
    ) -> None:
        self._session, self._folder, self._database, self._clock = session, folder, database, clock
        self._reserved: set[str] = set()
        self._busy: dict[str, JobSpec] = {}

    @property
    def is_training(self) -> bool:
        """Whether a training waits or runs."""
        return any(job.kind == "train" for job in self._busy.values())

    def train_job(
        self,
        plan: TrainPlan,
        parent: str | Path | None,
        resume: bool,
        corrections: tuple[Path, str | None] | None = None,
    ) -> TrainJob:
        """See `Session.train_job`."""
        from napari_pytc.learning.jobs import TrainJob

        session, folder = self._session, self._folder
        session.check_image()
        draft = TrainJob(
            image=session.project.image,
            image_digest=self._image_digest(),
            voxel_size_nm=session.space.voxel_size_nm,
            annotations=session.annotations.folder,
            classes=tuple(c.name for c in session.classes),
            held_out=session.held_out,
            objects=self._folder.objects if self._folder.objects.is_dir() else None,
            corrections=None if corrections is None else corrections[0],
            boundary_class=None if corrections is None else corrections[1],
            plan=plan,
            model_folder=folder.models,
            run_folder=folder.runs,
            parent=None if parent is None else session.resolve_model(parent),
            baseline=self._model_in_use(),
            resume=resume,
        )
        work = self._work(draft)
        runs = library.unfinished_runs(folder.runs, folder.models, self._busy) if resume else []
        name = next((name for name, note in runs if note.get("work") == work), None)
        if name is None:
            name = library.new_id(library.model_stem(plan.recipe, self._clock()), self._model_id_taken)
            self._reserved.add(name)
        return draft.model_copy(update={"model_folder": folder.models / name, "run_folder": folder.runs / name})

    def unfinished_trainings(self) -> list[TrainJob]:
        """See `Session.unfinished_trainings`."""
        from napari_pytc.learning.jobs import TrainJob

        session, folder, found = self._session, self._folder, []
        for name, note in library.unfinished_runs(folder.runs, folder.models, self._busy):
            try:
                job = TrainJob.model_validate(note.get("job"))
            except (ValidationError, PytcError):  # of another version, or damaged
                continue
            parent = job.parent
            if parent is not None and not parent.is_dir():  # the project was moved, or the parent deleted
                parent = folder.models / parent.name
                if not parent.is_dir():
                    continue
            # A checkpoint is of its classes and held-out boxes: with others training would begin anew.
            if job.classes == tuple(c.name for c in session.classes) and job.held_out == session.held_out:
                now = {
                    "image": session.project.image,
                    "image_digest": self._image_digest(),
                    "annotations": session.annotations.folder,
                    "objects": folder.objects if folder.objects.is_dir() else None,
                    "corrections": folder.corrections if job.corrections is not None else None,
                    "model_folder": folder.models / name,
                    "run_folder": folder.runs / name,
                    "parent": parent,
                    "baseline": self._model_in_use(),
                    "resume": True,
                }
                found.append(job.model_copy(update=now))
        return found

    def uses(self, folder: Path) -> bool:
        """Whether a job that waits or runs needs a model, a prediction or checkpoints."""
        inputs = ("model", "parent", "prediction", "mask_prediction", "segmentation", "former")
        names = (*inputs, "output", "model_folder", "run_folder")
        return any(getattr(job, name, None) == folder for job in self._busy.values() for name in names)

    def predict_job(
        self, plan: PredictPlan, model: str | Path | None, box: Box | None, focus: Sequence[float] | None
    ) -> PredictJob:
        """See `Session.predict_job`."""
        from napari_pytc.learning.jobs import PredictJob

        session = self._session
        image = session.check_image()
        model_folder = session.resolve_model(model)
        if box == Box.of_shape(image.shape):
            box = None
        record = self._prediction_record(read_model_info(model_folder).id, box, plan.flips)
        z, y, x = focus if focus is not None else (0.0, 0.0, 0.0)
        return PredictJob(
            image=session.project.image,
            image_digest=self._image_digest(),
            voxel_size_nm=session.space.voxel_size_nm,
            model=model_folder,
            output=record.folder,
            plan=plan,
            box=box,
            focus=None if focus is None else (float(z), float(y), float(x)),
        )

    def view_job(self, box: Box, model: str | Path | None, plan: PredictPlan) -> PredictJob:
        """See `Session.view_job`."""
        volume = Box.of_shape(self._session.annotations.shape)
        whole = self.predict_job(plan, model, None, None)
        focus = tuple((a + b) / 2 for a, b in zip(box.start, box.stop, strict=True))
        return whole.model_copy(update={"box": box.intersect(volume), "within": True, "focus": focus})

    def segment_job(
        self,
        decoder: DecoderSettings | dict[str, Any] | str | None,
        prediction: str | Path | PredictionRecord | None,
        settings: dict[str, Any],
        mask_prediction: str | Path | PredictionRecord | None,
        box: Box | None,
        options: dict[str, Any],
        is_preview: bool,
    ) -> SegmentJob:
        """See `Session.segment_job` and `Session.preview_job`."""
        session, folders = self._session, self._session.segmentation_folders
        folder = self.prediction_folder(prediction)
        record = next((record for record in self.predictions() if record.folder == folder), None)
        plan = {} if record is None else segment_jobs.plan_decoder(self._folder.models / record.model)
        draft = segment_jobs.describe_segmentation(
            folder,
            folders.new_preview() if is_preview else folders.place("draft"),
            decoder,
            settings,
            plan,
            mask_prediction=None if mask_prediction is None else self.prediction_folder(mask_prediction),
            box=None if box == Box.of_shape(session.annotations.shape) else box,
            voxel_size_nm=session.space.voxel_size_nm,
            **options,
        )
        if is_preview:
            return draft
        used = {run.subject for run in self._database.runs() if run.kind == "segment"}
        place = folders.place_for(draft, self.prediction_stamp(folder), self._clock(), self._busy, used)
        return draft.model_copy(update={"output": place})

    def export_job(
        self,
        what: What,
        path: str | Path,
        prediction: str | Path | PredictionRecord | None,
        segmentation: str | None,
        options: dict[str, Any],
    ) -> ExportJob:
        """See `Session.export_job`."""
        from napari_pytc.exporting.jobs import ExportJob

        if what in ("segments", "table"):
            source = {"segmentation": self._session.segmentation_folder(segmentation)}
        else:
            source = {"prediction": self.prediction_folder(prediction)}
        try:
            return ExportJob(what=what, output=Path(path).absolute(), **source, **options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"An export has no such option: {where}: {first['msg']}.") from error

    def run(self, job: JobSpec, runner: JobRunner, sink: Callable[[JobEvent], None] | None) -> JobHandle:
        """See `Session.run`."""
        # Not by class: the jobs' modules are imported only by those who make one.
        content: Any = job
        if job.kind == "export" and content.segmentation is not None:
            self._session.flush_edits()
        is_preview = job.kind == "segment" and self._folder.previews in content.output.parents
        if is_preview or (job.kind == "export" and self._session.read_only):
            return runner.start(job, sink or _ignore)
        subject, prediction = "", None
        if job.kind == "train":
            subject = content.model_folder.name
            self._check_free(subject, "A training of this model runs already.")
            self._prepare_training(content)
        elif job.kind == "live":
            subject = content.model_folder.name
            self._check_free(subject, "Live learning runs already.")
            self._session.live.begin(content)
        elif job.kind == "predict":
            subject = content.output.stem
            self._check_free(subject, "This prediction runs already.")
            model = read_model_info(content.model).id
            box = None if content.within else content.box
            prediction = self._prediction_record(model, box, content.plan.flips, content.output)
        elif job.kind == "segment":
            subject = content.output.name
            self._check_free(subject, "This segmentation runs already.")
            self._session.segmentation_folders.begin(content, self.prediction_stamp(content.prediction))
        elif job.kind in ("export", "compare"):
            subject = str(content.output)
        self._busy[subject] = job
        recorder = RunRecorder(
            self._database,
            job,
            subject,
            sink,
            None if prediction is None else (prediction, self._image_digest()),
            self._session.run_started.emit,
            lambda run, event: self._ended(job, subject, prediction, run, event),
            within=job.kind == "predict" and content.within,
        )
        try:
            return runner.start(job, recorder)
        except BaseException:
            self._busy.pop(subject, None)
            raise

    @property
    def busy(self) -> set[str]:
        """What jobs that wait or run make: ids of models, predictions and segmentations, and names of files."""
        return set(self._busy)

    def prediction_stamp(self, folder: Path) -> str:
        """What differs when a prediction of the project was gone on with."""
        state = next((record.state for record in self.predictions() if record.folder == folder), "")
        ends = [run.ended for run in self._database.runs() if run.subject == folder.stem and run.kind == "predict"]
        return f"{state} {max((end for end in ends if end is not None), default=0.0)}"

    def predictions(self) -> list[PredictionRecord]:
        """Those whose folder is there, the oldest first."""
        return [record for record, _ in self._database.predictions(self._folder.predictions) if record.folder.is_dir()]

    def _ended(
        self, job: JobSpec, subject: str, prediction: PredictionRecord | None, run: str, event: JobEvent
    ) -> None:
        self._busy.pop(subject, None)
        content: Any = job
        if job.kind == "train" and isinstance(event, Finished):
            shutil.rmtree(content.run_folder, ignore_errors=True)
        if job.kind in ("train", "live") and isinstance(event, Finished):
            for model in self._session.models():
                if model.id == subject:
                    self._session.model_added.emit(model)
                    if model.refusal is not None and not model.active:
                        self._session.model_refused.emit(model)
        if job.kind == "segment" and isinstance(event, Finished):
            # One that takes over from another becomes current with that one's edits: see `Retraining`.
            self._session.take_segmentation(subject, is_current=content.reuse is None and content.keep is None)
        if prediction is not None:
            for record in self.predictions():
                if record.id == prediction.id:
                    self._session.prediction_changed.emit(record)
        self._session.run_ended.emit(run)

    def _model_in_use(self) -> Path | None:
        return next((model.folder for model in self._session.models() if model.active), None)

    def _prepare_training(self, job: TrainJob) -> None:
        with disk_errors(job.run_folder, "The run folder"):
            library.note_work(job.run_folder, self._work(job), job)

    def _work(self, job: TrainJob) -> str:
        revisions = (self._session.annotations.revision, self._session.objects_revision)
        corrected = "" if job.corrections is None else self._session.corrections_revision
        return library.work_of(job, self._image_digest(), *revisions, corrected)

    def _image_digest(self) -> str:
        return self._session.project.image_fingerprint.digest

    def _model_id_taken(self, name: str) -> bool:
        places = (self._folder.models / name, self._folder.runs / name)
        return name in self._reserved or any(place.exists() for place in places)

    def _check_free(self, subject: str, message: str) -> None:
        if subject in self._busy:
            raise ProjectError(message, "Wait for it to end, or cancel it.")

    def _prediction_record(
        self, model: str, box: Box | None, flips: bool, output: Path | None = None
    ) -> PredictionRecord:
        """The record of the same work if there is one, else a new one."""
        image, folder = self._image_digest(), self._folder.predictions
        known = self._database.predictions(folder)
        for record, of in known:
            same = (record.model, record.box, record.flips, of) == (model, box, flips, image)
            if same and (output is None or record.folder == output):
                return record
        if output is None:
            taken = {record.id for record, _ in known}
            stem = "-".join([model, *(["flips"] if flips else []), *([library.plain(str(box))] if box else [])])
            name = library.new_id(stem, lambda name: name in taken or (folder / f"{name}.zarr").exists())
            output = folder / f"{name}.zarr"
        created = self._clock().isoformat(timespec="seconds")
        return PredictionRecord(
            id=output.stem, model=model, folder=output, box=box, flips=flips, created=created, state="running"
        )

    def prediction_folder(self, prediction: str | Path | PredictionRecord | None) -> Path:
        """The folder of a prediction named by its id, the beginning of one, or a path; by default the newest finished.

        Raises
        ------
        ProjectError
            If there is none, or several.
        """
        if isinstance(prediction, PredictionRecord):
            return prediction.folder
        records = self.predictions()
        if prediction is None:
            chosen = [r for r in records if r.state == "finished"] or records
            if not chosen:
                raise ProjectError("The project has no prediction yet.", "Make one: napari-pytc predict PROJECT.")
            return chosen[-1].folder
        name = str(prediction)
        found = [r.folder for r in records if r.id == name] or [r.folder for r in records if r.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        path = Path(prediction).absolute()
        if not found and path.is_dir():
            return path
        listed = ", ".join(r.id for r in records) or "none"
        raise ProjectError(
            f"{'Several predictions begin with' if found else 'The project has no prediction'} {name!r}; there are: "
            f"{listed}.",
            "Give the id of one of them.",
        )


def _ignore(event: JobEvent) -> None:
    """Take an event that nobody asked for."""
