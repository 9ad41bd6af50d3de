"""Retraining from corrections: learn, predict and segment again, with all edits that still hold.

::

    collect -> train -> (gate) -> predict -> compare -> prepare -> segment -> carry

Each step is a `Task`. The window or the command line runs it and hands the outcome to `Retraining.done`. Until the
last step the project only gains a model, a prediction and a segmentation. The state of the retraining is in
``volumes/<id>/retraining/state.json``, so that it can be resumed after a stop or a kill.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.files import write_text_durably
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.segmentation import SegmentationRecord, read_record
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.tracking import Tracking
from napari_pytc.session.corrections import MINUTES, Corrections
from napari_pytc.session.jobs import Jobs
from napari_pytc.session.models import Models
from napari_pytc.session.predictions import Predictions
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.proofreading.edit_transfer import carry, snapshot
from napari_pytc.session.proofreading.proofreader import Proofreader
from napari_pytc.session.records import ModelRecord, PredictionRecord
from napari_pytc.session.segmentations import Segmentations
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from napari_pytc.proofreading.constraints.edit_transfer import TransferReport

Step = Literal["collect", "train", "predict", "compare", "prepare", "segment", "carry", "over"]
"""A step of a retraining."""
STEPS: tuple[Step, ...] = ("collect", "train", "predict", "compare", "prepare", "segment", "carry")
"""The steps in their order."""
TITLES: dict[Step, str] = {
    "collect": "Collect corrections",
    "train": "Train from corrections",
    "predict": "Predict everything",
    "compare": "Compare predictions",
    "prepare": "Take over segments",
    "segment": "Segment what changed",
    "carry": "Carry edits over",
}
"""What each step is called in the window and on the command line."""
_STATE, _CHANGES, _FORMER = "state.json", "changes.json", "former"

Check = Callable[[], None]


class State(Settings):
    """State of a retraining, as kept in ``retraining/state.json``."""

    step: Step = "collect"
    former: str = Field(description="Id of the segmentation whose edits are the corrections.")
    prediction: str = Field(description="Id of the prediction that it was made of.")
    parent: str = Field(description="Id of the model to go on from.")
    minutes: float = Field(MINUTES, gt=0, description="How long to train at most.")
    tracking: Tracking | None = Field(
        None, exclude_if=lambda tracking: tracking is None, description="Trackers that record the training."
    )
    insisted: bool = Field(False, description="The new model is used although it was found worse.")
    model: str | None = None
    new_prediction: str | None = None
    segmentation: str | None = None
    is_unchanged: bool = Field(False, description="The new model predicts the same, so that nothing was segmented.")
    results: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Outcome of each step.")


@dataclass(frozen=True)
class Task:
    """A step to run: a job to be described in the session's thread, or work for any thread.

    Parameters
    ----------
    describe : callable, optional
        Gives the job.
    work : callable, optional
        Called with a report (done, total) and a check that raises to give up; what it returns is its outcome.
    """

    step: Step
    title: str
    describe: Callable[[], JobSpec] | None = None
    work: Callable[[ProgressCallback, Check], dict[str, Any]] | None = None

    @property
    def number(self) -> int:
        """Number of the step, from 1."""
        return STEPS.index(self.step) + 1


class Retraining:
    """One retraining of a volume, from collecting corrections to carrying edits over.

    `Retrainings` begins and finds it. Methods belong to the session's thread.

    Parameters
    ----------
    state : State
        Its present state.
    corrections_beside : callable
        Gives the corrections of the other volumes, which the training learns from as well.
    """

    def __init__(
        self,
        state: State,
        project: VolumeState,
        proofreader: Proofreader,
        models: Models,
        predictions: Predictions,
        segmentations: Segmentations,
        corrections: Corrections,
        jobs: Jobs,
        corrections_beside: Callable[[], list[Corrections]],
    ) -> None:
        self.state, self._corrections_beside = state, corrections_beside
        self._project, self._proofreader, self._models, self._predictions = project, proofreader, models, predictions
        self._segmentations, self._corrections, self._jobs = segmentations, corrections, jobs
        self._folder = project.folder.retraining

    @property
    def verdict(self) -> str:
        """Result of the comparison with the parent, as a sentence; empty before there is a new model."""
        model = self._model()
        return model.comparisons[0].sentence if model is not None and model.comparisons else ""

    @property
    def is_refused(self) -> bool:
        """Whether it waits for somebody to insist on a model that was found worse."""
        model = self._model()
        return self.state.step == "predict" and not self.state.insisted and model is not None and bool(model.refusal)

    @property
    def is_over(self) -> bool:
        """Whether everything is done."""
        return self.state.step == "over"

    def track(self, tracking: Tracking | None) -> None:
        """Let other trackers record the training, where it is not over."""
        self._set(tracking=tracking)

    def insist(self) -> None:
        """Go on with a model that was found worse."""
        self._set(insisted=True)

    def task(self) -> Task:
        """The task to run now.

        Raises
        ------
        ProjectError
            If the model was found worse and nobody insisted, or all is over.
        """
        if self.is_over:
            raise ProjectError("The retraining is over.", "Begin another one.")
        if self.is_refused:
            raise ProjectError(
                f"The new model was found worse. {self.verdict}", "Insist to use it all the same, or discard it."
            )
        step = self.state.step
        described: dict[Step, Callable[[], JobSpec]] = {
            "train": self._train,
            "predict": self._predict,
            "compare": self._compare,
            "segment": self._segment,
        }
        beside = self._corrections_beside() if step == "collect" else []  # opens volumes: not for any thread
        works: dict[Step, Callable[[ProgressCallback, Check], dict[str, Any]]] = {
            "collect": partial(self._collect, beside),
            "prepare": self._prepare,
            "carry": self._carry,
        }
        return Task(step, TITLES[step], described.get(step), works.get(step))

    def done(self, result: dict[str, Any]) -> None:
        """Record the outcome of the present task and go on to the next."""
        state = self.state
        if state.step == "collect" and not result.get("n_edits"):
            self._remove()
            raise InvalidInput(
                "There is nothing to learn from: no edit of the current segmentation is in effect.",
                "Merge, split, paint or lock segments first.",
            )
        results = {**state.results, state.step: result}
        following: Step = "over" if state.step == "carry" else STEPS[STEPS.index(state.step) + 1]
        if state.step == "compare" and not result["changed"]:
            self._set(results=results, is_unchanged=True)
            self._finish()
        elif following == "over":
            self._set(results=results)
            self._finish()
        else:
            self._set(results=results, step=following)

    def discard(self) -> None:
        """Give up: the model, prediction and segmentation that it made are deleted; all else stays.

        `empty_trash` frees the disk space, as it does after one that is over.
        """
        state = self.state
        self._project.check_writable()
        if state.segmentation is not None and self._proofreader.segmentation != state.segmentation:
            self._segmentations.folders.discard(state.segmentation)
        if state.new_prediction is not None and any(p.id == state.new_prediction for p in self._predictions.records()):
            self._predictions.delete(state.new_prediction)
        if state.model is not None:
            for job in self._jobs.unfinished_trainings():
                if job.output.run_folder.name == state.model:
                    self._jobs.discard_training(job)
            if any(model.id == state.model for model in self._models.records()):
                self._models.delete(state.model)
        self._remove()
        self._segmentations.changed.emit()

    @property
    def summary(self) -> dict[str, Any]:
        """The outcome in short: verdict, unchanged, and how many edits were carried over, hold, or are lost."""
        state = self.state
        return {
            "verdict": self.verdict,
            "unchanged": state.is_unchanged,
            "edits": state.results.get("carry", {"carried": 0, "holds": 0, "lost": 0}),
        }

    def outcome(self) -> dict[str, Any]:
        """The whole outcome, as JSON."""
        state, carried = self.state, self.carried()
        document: dict[str, Any] = {
            "former": state.former,
            "parent": state.parent,
            "model": state.model,
            "segmentation": state.segmentation,
            "steps": state.results,
            "lost": [],
            **self.summary,
        }
        if carried is not None:
            document["lost"] = [
                {"title": edit.title, "place": list(edit.place), "reason": edit.reason} for edit in carried.lost
            ]
        return document

    def carried(self) -> TransferReport | None:
        """Report of the edits that were carried over; None before that."""
        from napari_pytc.proofreading.constraints.edit_transfer import TransferReport

        name = self.state.segmentation
        return None if name is None else TransferReport.load(self._segmentations.folders.place(name))

    # ---- the steps

    def _collect(self, beside: Sequence[Corrections], report: ProgressCallback, check: Check) -> dict[str, Any]:
        """Collect those of all volumes, which the training learns from; the outcome counts the edits of this one."""
        found = self._corrections.collect(report, check=check)
        for other in beside:
            other.collect(check=check)
        return {**asdict(found), "n_edits": found.n_edits}

    def _train(self) -> JobSpec:
        state = self.state
        for begun in self._jobs.unfinished_trainings():
            if begun.output.run_folder.name == state.model:
                return begun.model_copy(update={"tracking": state.tracking})
        plan = self._corrections.plan(state.parent, state.minutes)
        job = self._jobs.train_job(plan, state.parent, corrections=True, tracking=state.tracking)
        self._set(model=job.output.model_folder.name)
        return job

    def _predict(self) -> JobSpec:
        state = self.state
        former = self._prediction(state.prediction)
        plan, _ = self._predictions.plan_of(former)  # a difference of settings would count as one of the models
        plan = plan.model_copy(update={"device": "auto", "precision": "auto"})
        job = self._jobs.predict_job(plan, state.model, former.box)
        self._set(new_prediction=job.output.stem)
        return job

    def _compare(self) -> JobSpec:
        from napari_pytc.decoding.jobs import CompareJob

        return CompareJob(
            former=self._prediction(self.state.prediction).folder,
            prediction=self._prediction(self.state.new_prediction).folder,
            output=self._folder / _CHANGES,
            box=self._record().box,
        )

    def _prepare(self, report: ProgressCallback, check: Check) -> dict[str, Any]:
        """Keep the segmentation as it is now, because editing goes on while the next one is made."""
        self._proofreader.flush()
        n_files = snapshot(self._segmentations.folders.place(self.state.former), self._folder / _FORMER, check)
        return {"files": n_files}

    def _segment(self) -> JobSpec:
        from napari_pytc.decoding.blocks.prediction_diff import read_changes

        state, record = self.state, self._record()
        former = self._segmentations.folders.job_of(state.former)
        mask, mask_prediction = former.get("mask_class"), former.get("mask_prediction")
        if mask_prediction is not None:
            place = Path(mask_prediction)
            if place.stem == state.prediction:
                mask_prediction = None
            elif not place.is_dir():  # the project was moved
                mask_prediction = self._project.folder.predictions / place.name
        block_shape = former.get("block_shape")
        job = self._jobs.segment_job(
            record.decoder,
            self._prediction(state.new_prediction),
            mask_prediction=mask_prediction,
            box=record.box,
            boundary_class=former.get("boundary_class"),
            mask_class=mask,
            mask_mode=former.get("mask_mode", "inside"),
            block_shape=None if block_shape is None else tuple(block_shape),
            workers=former.get("workers", 1),
            reuse=self._folder / _FORMER,
            keep=self._folder / _FORMER,
            changed=read_changes(self._folder / _CHANGES),
        )
        self._set(segmentation=job.output.name)
        return job

    def _carry(self, report: ProgressCallback, check: Check) -> dict[str, Any]:
        state = self.state
        assert state.segmentation is not None
        found = carry(self._proofreader, state.former, state.segmentation, report, check)
        return {name: found.count(name) for name in ("carried", "holds", "lost")}

    def _finish(self) -> None:
        model = self.state.model
        if model is not None and any(m.id == model and not m.active for m in self._models.records()):
            self._models.activate(model)
        self.state = self.state.model_copy(update={"step": "over"})
        self._remove()

    def _model(self) -> ModelRecord | None:
        return next((model for model in self._models.records() if model.id == self.state.model), None)

    def _record(self) -> SegmentationRecord:
        return read_record(self._segmentations.folders.place(self.state.former))

    def _prediction(self, id: str | None) -> PredictionRecord:
        for record in self._predictions.records():
            if record.id == id:
                return record
        raise ProjectError(f"The prediction {id} is gone.", "Discard the retraining and segment again.")

    def _set(self, **changes: Any) -> None:
        self.state = self.state.model_copy(update=changes)
        self.save()

    def save(self) -> None:
        """Write the state, from which it is resumed after a stop or a kill."""
        with disk_errors(self._folder / _STATE, "The retraining"):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text_durably(self._folder / _STATE, self.state.model_dump_json(indent=1))

    def _remove(self) -> None:
        """Delete its folder; the state first, so that a kill leaves nothing half done."""
        with disk_errors(self._folder, "The retraining"):
            (self._folder / _STATE).unlink(missing_ok=True)
        self._project.project.folder.discard(self._folder)


def _state_of(content: dict[str, Any]) -> State:
    """The state that was saved; without trackers that are not installed here any more."""
    try:
        return State.model_validate(content)
    except InvalidInput:
        return State.model_validate({**content, "tracking": None})


class Retrainings:
    """Begins the retraining of a volume, and finds the one that is not over."""

    def __init__(
        self,
        project: VolumeState,
        proofreader: Proofreader,
        models: Models,
        predictions: Predictions,
        segmentations: Segmentations,
        corrections: Corrections,
        jobs: Jobs,
        corrections_beside: Callable[[], list[Corrections]],
    ) -> None:
        self._project, self._models, self._predictions = project, models, predictions
        self._segmentations, self._corrections = segmentations, corrections
        self._open = partial(
            Retraining,
            project=project,
            proofreader=proofreader,
            models=models,
            predictions=predictions,
            segmentations=segmentations,
            corrections=corrections,
            jobs=jobs,
            corrections_beside=corrections_beside,
        )

    def begin(self, minutes: float = MINUTES, tracking: Tracking | None = None) -> Retraining:
        """Begin with the current segmentation and its edits, its training recorded by trackers, if any.

        Raises
        ------
        ProjectError
            If there is no current segmentation, or what it was made of is gone; or one is under way already.
        InvalidInput
            If the model cannot learn from corrections.
        """
        self._project.check_writable()
        if self.find() is not None:
            raise ProjectError("A retraining was begun and is not over.", "Go on with it, or discard it.")
        place = self._segmentations.resolve()
        prediction = self._prediction_of(read_record(place))
        models = self._models.records()
        model = next((model for model in models if model.id == prediction.model and not model.problem), None)
        if model is None:
            raise ProjectError(
                f"The model {prediction.model}, whose prediction was segmented, is gone.",
                "Predict and segment with a model of the project first.",
            )
        self._corrections.boundary_class(read_model_info(model.folder).plan)
        state = State(
            former=place.name, prediction=prediction.id, parent=prediction.model, minutes=minutes, tracking=tracking
        )
        found = self._open(state)
        found.save()
        return found

    def find(self) -> Retraining | None:
        """The one that was begun and is not over; None where there is none."""
        try:
            content = json.loads((self._project.folder.retraining / _STATE).read_text(encoding="utf-8"))
            return self._open(_state_of(content))
        except (OSError, ValueError, ValidationError):
            return None

    def _prediction_of(self, record: SegmentationRecord) -> PredictionRecord:
        """The prediction that a segmentation was made of."""
        name = Path(record.prediction).stem
        for prediction in self._predictions.records():
            if prediction.id == name:
                return prediction
        raise ProjectError(
            "The prediction that the current segmentation was made of is none of the project's.",
            "Predict and segment with a model of the project first; then retrain from its edits.",
        )
