"""Live learning in a project: the job, the model it keeps, and where it suggests to paint."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_pytc.durable import write_text_durably
from napari_pytc.geometry import Box
from napari_pytc.session.library import model_stem, new_id
from napari_pytc.session.project import ProjectFolder, disk_errors

if TYPE_CHECKING:
    from napari_pytc.learning.live.job import LiveJob
    from napari_pytc.learning.live.plan import LivePlan
    from napari_pytc.session.session import Session

_FOLDER, _NOTE, _RUN = "live", "live.json", "run"
_PREDICTION, _SUGGESTIONS = "prediction.zarr", "suggestions.json"


class Suggestion(BaseModel):
    """A place to paint next.

    Parameters
    ----------
    gain : float
        What painting there is expected to win, in relation to the others.
    reason : str
        Why, in words for people.
    uncertainty, disagreement : float
        Means from 0 to 1 over the box: how undecided the instant model is, and how often the network says otherwise,
        None where there was no network to ask.
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

    `text` says in a sentence how the score went, and why more strokes help or do not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    boxes: tuple[Suggestion, ...] = ()
    saturated: bool = False
    text: str = ""


class LiveRuns:
    """The part of a session that describes live learning and reads what it found."""

    def __init__(self, session: Session, folder: ProjectFolder, clock: Callable[[], datetime]) -> None:
        self._session, self._folder, self._clock = session, folder, clock
        self._place = folder.path / _FOLDER

    @property
    def prediction(self) -> Path:
        """Where live learning writes its prediction, if it ever did."""
        return self._place / _PREDICTION

    def job(self, plan: LivePlan | None, parent: Path | None) -> LiveJob:
        """See `Session.live_job`."""
        from napari_pytc.learning.live.job import LiveJob
        from napari_pytc.learning.live.plan import LivePlan

        session = self._session
        session.check_image()
        in_use = next((model.folder for model in session.models() if model.active), None)
        return LiveJob(
            image=session.project.image,
            image_digest=session.project.image_fingerprint.digest,
            voxel_size_nm=session.space.voxel_size_nm,
            annotations=session.annotations.folder,
            classes=tuple(c.name for c in session.classes),
            held_out=session.held_out,
            plan=plan or LivePlan(),
            output=self.prediction,
            model_folder=self._folder.models / self._model(),
            run_folder=self._place / _RUN,
            parent=parent,
            baseline=in_use,
        )

    def begin(self, job: LiveJob) -> None:
        """Remember which model live learning keeps; called when it starts."""
        with disk_errors(self._place, "The folder"):
            self._place.mkdir(exist_ok=True)
            write_text_durably(self._place / _NOTE, json.dumps({"model": job.model_folder.name, **self._subject()}))

    def suggestions(self) -> Suggestions:
        """See `Session.suggestions`."""
        try:
            content = json.loads((self._place / _SUGGESTIONS).read_text(encoding="utf-8"))
            return Suggestions.model_validate(content)
        except (OSError, ValueError, ValidationError):  # none yet, or of another version: the next ones replace it
            return Suggestions()

    def _model(self) -> str:
        """Id of the model of the last time if it may be replaced, else a new one."""
        try:
            note = json.loads((self._place / _NOTE).read_text(encoding="utf-8"))
            name, subject = str(note.pop("model")), note
        except (OSError, ValueError, KeyError, AttributeError):
            name, subject = "", None
        models = self._session.models()
        is_used = any(model.parent == name for model in models) or any(
            p.model == name for p in self._session.predictions()
        )
        is_renamed = any(model.id == name != model.name for model in models)
        if name and subject == self._subject() and not is_used and not is_renamed:
            return name
        return new_id(model_stem("live", self._clock()), lambda name: (self._folder.models / name).exists())

    def _subject(self) -> dict[str, Any]:
        """What a model of live learning is of; another one is made where it differs."""
        return {
            "classes": [c.name for c in self._session.classes],
            "held_out": [str(box) for box in self._session.held_out],
            "image": self._session.project.image_fingerprint.digest,
        }
