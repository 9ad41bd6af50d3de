"""Retraining from corrections: learn, predict and segment again, with all edits that still hold.

::

    collect -> train -> (gate) -> predict -> compare -> prepare -> segment -> carry

Each step is a `Task` that whoever leads, a window or the command line, runs and then tells the outcome of. Until the
last step nothing of the project changes but that there is a model, a prediction and a segmentation more. Where it
stands is in ``retraining/state.json``, so that it can be gone on with after a stop or a kill.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationError

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.segmentation import SegmentationRecord, read_record
from napari_pytc.learning.config import PredictPlan
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.session.carrying import carry, snapshot
from napari_pytc.session.corrections import MINUTES
from napari_pytc.session.project import ProjectFolder, disk_errors
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from napari_pytc.proofreading.transfer import Carried
    from napari_pytc.session.records import ModelRecord, PredictionRecord
    from napari_pytc.session.session import Session

Step = Literal["collect", "train", "predict", "compare", "prepare", "segment", "carry", "over"]
STEPS: tuple[Step, ...] = ("collect", "train", "predict", "compare", "prepare", "segment", "carry")
TITLES: dict[Step, str] = {
    "collect": "Collect corrections",
    "train": "Train from corrections",
    "predict": "Predict everything",
    "compare": "Compare predictions",
    "prepare": "Take over segments",
    "segment": "Segment what changed",
    "carry": "Carry edits over",
}
_FOLDER, _STATE, _CHANGES, _FORMER = "retraining", "state.json", "changes.json", "former"

Report = Callable[[int, int], None]
Check = Callable[[], None]


class State(Settings):
    """Where a retraining stands."""

    step: Step = "collect"
    former: str = Field(description="Id of the segmentation whose edits teach.")
    prediction: str = Field(description="Id of the prediction that it was made of.")
    parent: str = Field(description="Id of the model to go on from.")
    minutes: float = Field(MINUTES, gt=0, description="How long to train at most.")
    insisted: bool = Field(False, description="The new model is used although it was found worse.")
    model: str | None = None
    new_prediction: str | None = None
    segmentation: str | None = None
    is_unchanged: bool = Field(False, description="The new model predicts the same, so that nothing was segmented.")
    results: dict[str, dict[str, Any]] = Field(default_factory=dict, description="What each step told.")


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
    work: Callable[[Report, Check], dict[str, Any]] | None = None

    @property
    def number(self) -> int:
        """The how-manieth it is, from 1."""
        return STEPS.index(self.step) + 1


class Retraining:
    """One retraining of a project; make one with `begin`, or `find` one that was not finished.

    Methods belong to the session's thread.
    """

    def __init__(self, session: Session, state: State) -> None:
        self._session, self.state = session, state
        self._folder = session.folder / _FOLDER

    @classmethod
    def begin(cls, session: Session, minutes: float = MINUTES) -> Self:
        """Begin with the current segmentation and its edits.

        Raises
        ------
        ProjectError
            If there is no current segmentation, or what it was made of is gone; or one is under way already.
        InvalidInput
            If the model cannot learn from corrections.
        """
        session.check_writable()
        if cls.find(session) is not None:
            raise ProjectError("A retraining was begun and is not over.", "Go on with it, or discard it.")
        place = session.segmentation_folder()
        prediction = _prediction_of(session, read_record(place))
        model = next((model for model in session.models() if model.id == prediction.model and not model.problem), None)
        if model is None:
            raise ProjectError(
                f"The model {prediction.model}, whose prediction was segmented, is gone.",
                "Predict and segment with a model of the project first.",
            )
        session.check_corrections_teach(read_model_info(model.folder).plan)
        state = State(former=place.name, prediction=prediction.id, parent=prediction.model, minutes=minutes)
        found = cls(session, state)
        found._save()
        return found

    @classmethod
    def find(cls, session: Session) -> Self | None:
        """The one that was begun and is not over; None where there is none."""
        try:
            content = json.loads((session.folder / _FOLDER / _STATE).read_text(encoding="utf-8"))
            return cls(session, State.model_validate(content))
        except (OSError, ValueError, ValidationError):
            return None

    @property
    def verdict(self) -> str:
        """What the comparison with the parent says of the new model; empty before there is one."""
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

    def insist(self) -> None:
        """Go on with a model that was found worse."""
        self._set(insisted=True)

    def task(self) -> Task:
        """What is to be run now.

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
        works: dict[Step, Callable[[Report, Check], dict[str, Any]]] = {
            "collect": self._collect,
            "prepare": self._prepare,
            "carry": self._carry,
        }
        return Task(step, TITLES[step], described.get(step), works.get(step))

    def done(self, result: dict[str, Any]) -> None:
        """Take in the outcome of the present task, and go on to the next."""
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
        """Give it up: the model, the prediction and the segmentation that it made go; all else is as it was.

        `empty_trash` gives the disk its room back, as it does after one that is over.
        """
        session, state = self._session, self.state
        session.check_writable()
        if state.segmentation is not None and session.proofreader().segmentation != state.segmentation:
            session.segmentation_folders.discard(state.segmentation)
        if state.new_prediction is not None and any(p.id == state.new_prediction for p in session.predictions()):
            session.delete_prediction(state.new_prediction)
        if state.model is not None:
            for job in session.unfinished_trainings():
                if job.run_folder.name == state.model:
                    session.discard_training(job)
            if any(model.id == state.model for model in session.models()):
                session.delete_model(state.model)
        self._remove()
        session.segmentations_changed.emit()

    @property
    def summary(self) -> dict[str, Any]:
        """What came of it in short: verdict, unchanged, and how many edits were carried, hold, or are lost."""
        state = self.state
        return {
            "verdict": self.verdict,
            "unchanged": state.is_unchanged,
            "edits": state.results.get("carry", {"carried": 0, "holds": 0, "lost": 0}),
        }

    def outcome(self) -> dict[str, Any]:
        """All that came of it, as JSON."""
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

    def carried(self) -> Carried | None:
        """What became of the edits; None before they were carried over."""
        from napari_pytc.proofreading.transfer import Carried

        name = self.state.segmentation
        return None if name is None else Carried.load(self._session.segmentation_folders.place(name))

    # ---- the steps

    def _collect(self, report: Report, check: Check) -> dict[str, Any]:
        found = self._session.collect_corrections(report, check=check)
        return {**asdict(found), "n_edits": found.n_edits}

    def _train(self) -> JobSpec:
        session, state = self._session, self.state
        for begun in session.unfinished_trainings():
            if begun.run_folder.name == state.model:
                return begun
        plan = session.correction_plan(state.parent, state.minutes)
        job = session.train_job(plan, state.parent, corrections=True)
        self._set(model=job.model_folder.name)
        return job

    def _predict(self) -> JobSpec:
        session, state = self._session, self.state
        former = self._prediction(state.prediction)
        job = session.predict_job(PredictPlan(flips=former.flips), state.model, former.box)
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

    def _prepare(self, report: Report, check: Check) -> dict[str, Any]:
        """Keep the segmentation as it is now, because editing goes on while the next one is made."""
        self._session.flush_edits()
        n_files = snapshot(self._session.segmentation_folders.place(self.state.former), self._folder / _FORMER, check)
        return {"files": n_files}

    def _segment(self) -> JobSpec:
        from napari_pytc.decoding.changes import read_changes

        session, state, record = self._session, self.state, self._record()
        former = session.segmentation_folders.job_of(state.former)
        mask, mask_prediction = former.get("mask_class"), former.get("mask_prediction")
        if mask_prediction is not None and Path(mask_prediction).stem == state.prediction:
            mask_prediction = None
        block_shape = former.get("block_shape")
        job = session.segment_job(
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

    def _carry(self, report: Report, check: Check) -> dict[str, Any]:
        state = self.state
        assert state.segmentation is not None
        found = carry(self._session, state.former, state.segmentation, report, check)
        return {name: found.count(name) for name in ("carried", "holds", "lost")}

    def _finish(self) -> None:
        model = self.state.model
        if model is not None and any(m.id == model and not m.active for m in self._session.models()):
            self._session.activate_model(model)
        self.state = self.state.model_copy(update={"step": "over"})
        self._remove()

    # ---- what follows is ours

    def _model(self) -> ModelRecord | None:
        return next((model for model in self._session.models() if model.id == self.state.model), None)

    def _record(self) -> SegmentationRecord:
        return read_record(self._session.segmentation_folders.place(self.state.former))

    def _prediction(self, id: str | None) -> PredictionRecord:
        for record in self._session.predictions():
            if record.id == id:
                return record
        raise ProjectError(f"The prediction {id} is gone.", "Discard the retraining and segment again.")

    def _set(self, **changes: Any) -> None:
        self.state = self.state.model_copy(update=changes)
        self._save()

    def _save(self) -> None:
        with disk_errors(self._folder / _STATE, "The retraining"):
            self._folder.mkdir(exist_ok=True)
            write_text_durably(self._folder / _STATE, self.state.model_dump_json(indent=1))

    def _remove(self) -> None:
        """Forget it; the state goes first, so that nothing half of it is found after a kill."""
        with disk_errors(self._folder, "The retraining"):
            (self._folder / _STATE).unlink(missing_ok=True)
        ProjectFolder(self._session.folder).discard(self._folder)


def _prediction_of(session: Session, record: SegmentationRecord) -> PredictionRecord:
    """The prediction that a segmentation was made of."""
    name = Path(record.prediction).stem
    for prediction in session.predictions():
        if prediction.id == name:
            return prediction
    raise ProjectError(
        "The prediction that the current segmentation was made of is none of the project's.",
        "Predict and segment with a model of the project first; then its edits can teach.",
    )
