"""The runs of jobs: what is noted when one begins, and what becomes of its result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal, SignalInstance

from napari_pytc.jobs.events import Finished, JobEvent
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.session.jobs.base import VolumeJobs
from napari_pytc.session.jobs.segmentation import SEGMENTING
from napari_pytc.session.live import Live
from napari_pytc.session.models import Models
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.records import MetricPoint, PredictionRecord, RunRecord
from napari_pytc.session.runs import training_runs
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.runs.run_recorder import RunRecorder
from napari_pytc.session.volumes.open_volumes import VolumeParts
from napari_pytc.session.volumes.training_inputs import TrainingInputs

if TYPE_CHECKING:
    from napari_pytc.jobs.runners.base import JobHandle, JobRunner

_OF_NO_VOLUME = ("train", "apply", "import_model")
"""Kinds of jobs whose runs belong to no single volume."""
_MAKES_MODEL = ("train", "live", "import_model")


class JobSignals:
    """The signals of the jobs of a project, whichever volume they work on."""

    started = Signal(str)
    ended = Signal(str)


@dataclass(frozen=True)
class _Begun:
    """What a job makes.

    Parameters
    ----------
    subject : str
        Its id or path; empty for what is no part of the project.
    owner : str
        Id of the volume among whose things that id is; empty for those of the project.
    prediction : PredictionRecord, optional
        The prediction that it makes.
    """

    subject: str
    owner: str = ""
    prediction: PredictionRecord | None = None


class JobRuns(VolumeJobs):
    """Runs of jobs at a volume, and those that were."""

    def __init__(
        self,
        parts: VolumeParts,
        active: ActiveJobs,
        models: Models,
        inputs: TrainingInputs,
        live: Live,
        signals: JobSignals,
    ) -> None:
        super().__init__(parts, active, models, inputs)
        self._live, self._signals = live, signals

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

    def run(self, job: JobSpec, runner: JobRunner, sink: Callable[[JobEvent], None] | None = None) -> JobHandle:
        """Start a job and record its run, metrics, model, prediction or segmentation.

        Edits are flushed before an export of segments starts. A segmentation becomes current when it is finished.

        `sink` gets every event after it was recorded, in the thread that delivers it.
        """
        content: Any = job
        if job.kind != "export":
            self._state.check_writable()
        elif content.segmentation is not None:
            self._proofreader.flush()
        is_preview = job.kind == "segment" and self._volume.folder.previews in content.output.parents
        if is_preview or (job.kind == "export" and self._state.read_only):
            return runner.start(job, sink or _ignore)
        begun = self._begin(job)
        self._active.add(begun.subject, job, begun.owner)
        recorder = RunRecorder(
            self._state.database,
            job,
            begun.subject,
            sink,
            None if begun.prediction is None else (begun.prediction, self._volume.image_digest),
            self.started.emit,
            lambda run, event: self._on_end(job, begun, run, event),
            within=job.kind == "predict" and content.within,
            volume="" if job.kind in _OF_NO_VOLUME else self._volume.id,
        )
        try:
            return runner.start(job, recorder)
        except BaseException:
            self._active.remove(begun.subject, begun.owner)
            raise

    # ---- private

    def _begin(self, job: JobSpec) -> _Begun:
        """Refuse what runs already, and note what begins."""
        # Distinguished by kind, not by class, because importing the modules of all specs takes time.
        content: Any = job
        if job.kind == "train":
            return self._begin_training(content)
        if job.kind == "live":
            return self._begin_live(content)
        if job.kind == "predict":
            return self._begin_prediction(content)
        if job.kind in SEGMENTING:
            return self._begin_segmentation(content)
        if job.kind in ("export", "compare"):
            return _Begun(str(content.output))
        if job.kind == "import_model":
            return _Begun(content.folder.name)
        if job.kind == "tune":
            subject = content.output.stem
            self._active.check_free(subject, "This tuning runs already.", self._volume.id)
            return _Begun(subject, self._volume.id)
        if job.kind == "apply":
            subject = str(content.folder)
            self._active.check_free(subject, "A model is applied to files with results in this folder already.")
            return _Begun(subject)
        return _Begun("", self._volume.id)

    def _begin_training(self, job: Any) -> _Begun:
        subject = job.output.model_folder.name
        self._active.check_free(subject, "A training of this model runs already.")
        with disk_errors(job.output.run_folder, "The run folder"):
            ids = self._inputs.ids_of(job.inputs)
            training_runs.note_work(job.output.run_folder, self._work_of(job), job, ids)
        return _Begun(subject)

    def _begin_live(self, job: Any) -> _Begun:
        subject = job.output.model_folder.name
        self._active.check_free(subject, "Live learning runs already.")
        self._live.begin(job)
        return _Begun(subject)

    def _begin_prediction(self, job: Any) -> _Begun:
        subject, volume = job.output.stem, self._volume.id
        self._active.check_free(subject, "This prediction runs already.", volume)
        model, box = read_model_info(job.model).id, None if job.within else job.box
        return _Begun(subject, volume, self._predictions.find_or_make(model, box, job.plan, job.output))

    def _begin_segmentation(self, job: Any) -> _Begun:
        subject, volume = job.output.name, self._volume.id
        self._active.check_free(subject, "This segmentation runs already.", volume)
        stamp = self._predictions.stamp(job.prediction) if job.kind == "segment" else ""
        self._segmentations.folders.begin(job, stamp)
        return _Begun(subject, volume)

    def _on_end(self, job: JobSpec, begun: _Begun, run: str, event: JobEvent) -> None:
        self._active.remove(begun.subject, begun.owner)
        content: Any = job
        is_finished = isinstance(event, Finished)
        if job.kind == "train" and is_finished:
            shutil.rmtree(content.output.run_folder, ignore_errors=True)
        elif job.kind == "train":
            training_runs.discard_unbegun(content.output.run_folder)
        if job.kind in _MAKES_MODEL and is_finished:
            self._models.take_in(begun.subject)
        if job.kind == "import_segmentation" and is_finished:
            self._segmentations.take_in(begun.subject)
        if job.kind == "segment" and is_finished:
            # A segmentation that replaces another becomes current with the edits of that one: see `Retraining`.
            self._segmentations.take_in(begun.subject, is_current=content.reuse is None and content.keep is None)
        if begun.prediction is not None:
            self._predictions.take_in(begun.prediction.id)
        self.ended.emit(run)


def _ignore(event: JobEvent) -> None:
    """Drop an event: the default sink of a run."""
