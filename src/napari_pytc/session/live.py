"""Live learning at a volume: its job, the model it keeps, and its suggestions where to paint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_pytc.files import write_text_durably
from napari_pytc.geometry import Box
from napari_pytc.plans.input_channels import check_n_inputs
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.session.models import Models
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.project.ids import model_stem, new_id
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.volumes.training_inputs import TrainingInputs

if TYPE_CHECKING:
    from napari_pytc.plans.live_plan import LivePlan
    from napari_pytc.plans.live_spec import LiveJob
    from napari_pytc.plans.specs import VolumeInputs

_NOTE, _RUN = "live.json", "run"


class Suggestion(BaseModel):
    """A place to paint next.

    Parameters
    ----------
    gain : float
        Expected benefit of painting there, relative to the other places.
    reason : str
        The reason, as a phrase for the user.
    uncertainty, disagreement : float
        Means from 0 to 1 over the box: how undecided the instant model is, and how often the network disagrees,
        None without a network.
    distance_um : float
        To the nearest stroke.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: Box
    gain: float
    reason: str
    uncertainty: float
    disagreement: float | None
    distance_um: float


class Suggestions(BaseModel):
    """Places to paint next, the best first, and whether painting is still expected to help.

    `text` is a sentence on how the score developed, and why more strokes help or do not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    boxes: tuple[Suggestion, ...] = ()
    saturated: bool = False
    text: str = ""


class Live:
    """Live learning at a volume: its job, the model it keeps, and its suggestions where to paint.

    Parameters
    ----------
    predictions : callable
        Lists the predictions of all volumes: a model that made one is not replaced.
    """

    def __init__(
        self,
        state: VolumeState,
        inputs: TrainingInputs,
        models: Models,
        predictions: Callable[[], list[PredictionRecord]],
    ) -> None:
        self._state, self._training_inputs = state, inputs
        self._models, self._predictions = models, predictions
        self._place = state.project.folder.live

    @property
    def prediction(self) -> Path:
        """Folder of the live prediction; it may not exist yet."""
        return self._state.folder.live_prediction

    def job(self, plan: LivePlan | None = None, parent: str | Path | None = None) -> LiveJob:
        """Describe live learning on the strokes of all volumes, resuming the last one if it was of the same classes.

        Its model replaces that of the last time, as long as nothing was made with that one.

        Parameters
        ----------
        plan : LivePlan, optional
            By default the instant model with the recipe ``fast`` behind it.
        parent : str or Path, optional
            The model that the network starts from, where it does not resume.
        """
        from napari_pytc.plans.live_plan import LivePlan
        from napari_pytc.plans.live_spec import LiveJob
        from napari_pytc.plans.specs import ModelOutput

        self._state.check_writable()
        parent = None if parent is None else self._models.resolve(parent)
        if parent is not None:
            record = self._state.record
            check_n_inputs(read_model_info(parent), record.n_channels, f"the image of {record.name}")
        output = ModelOutput(
            model_folder=self._state.project.folder.models / self._model(),
            run_folder=self._place / _RUN,
            parent=parent,
            baseline=self._models.in_use,
        )
        inputs, notes = self._inputs()
        return LiveJob(
            inputs=inputs,
            classes=self._state.project.description.class_names,
            plan=plan or LivePlan(),
            prediction=self.prediction,
            output=output,
            notes=notes,
        )

    def begin(self, job: LiveJob) -> None:
        """Record the model that live learning keeps; called when it starts."""
        with disk_errors(self._place, "The folder"):
            self._place.mkdir(exist_ok=True)
            write_text_durably(
                self._place / _NOTE, json.dumps({"model": job.output.model_folder.name, **self._subject()})
            )

    def suggestions(self) -> Suggestions:
        """The latest suggestions where to paint next; empty where there are none yet. Any thread."""
        try:
            content = json.loads(self._state.folder.suggestions.read_text(encoding="utf-8"))
            return Suggestions.model_validate(content)
        except (OSError, ValueError, ValidationError):  # none yet, or of another version: the next ones replace it
            return Suggestions()

    def _inputs(self) -> tuple[tuple[VolumeInputs, ...], tuple[str, ...]]:
        """The volume in view and the others with strokes, and a sentence for each that is left out."""
        others, problems = self._training_inputs.painted_beside(self._state.id)
        found = (self._training_inputs.of(self._state.id), *others)
        notes = tuple(f"{problem.message} Live learns without this volume." for problem in problems)
        return tuple(inputs.model_copy(update={"objects": None}) for inputs in found), notes

    def _model(self) -> str:
        """Id of the model of the last time if it may be replaced, else a new one."""
        try:
            note = json.loads((self._place / _NOTE).read_text(encoding="utf-8"))
            name, subject = str(note.pop("model")), note
        except (OSError, ValueError, KeyError, AttributeError):
            name, subject = "", None
        models = self._models.records()
        is_used = any(model.parent == name for model in models) or any(p.model == name for p in self._predictions())
        is_renamed = any(model.id == name != model.name for model in models)
        if name and subject == self._subject() and not is_used and not is_renamed:
            return name
        project = self._state.project
        return new_id(model_stem("live", project.clock()), lambda name: (project.folder.models / name).exists())

    def _subject(self) -> dict[str, Any]:
        """Classes, held-out boxes and images of a live model; where they differ, a new model is made."""
        records = self._state.project.description.volumes
        subject = {
            "classes": list(self._state.project.description.class_names),
            "held_out": [str(box) for record in records for box in record.held_out],
            "image": records[0].fingerprint.digest,
        }
        others = [record.fingerprint.digest for record in records[1:]]
        return {**subject, "others": others} if others else subject
