"""The record of a tuning: its trials and what they were made of, as JSON that anybody may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_pytc.errors import ProjectError
from napari_pytc.files import write_text_durably
from napari_pytc.tuning.scores import LOWER_IS_BETTER, ScoreName


class TunedTrial(BaseModel):
    """One trial that is over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(description="Counted from 0, the default settings, in the order in which they ended.")
    score: float | None = Field(description="What the tuning improves; null for a trial that could not be scored.")
    scores: dict[str, float | None] = Field({}, description="All scores.")
    decoder: dict[str, Any] = Field(description="All settings, with the kind.")
    seconds: float = 0.0
    problem: str = Field("", description="Why it could not be scored.")


class TuningRecord(BaseModel):
    """A tuning with all its trials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    created: str
    prediction: str = Field(description="Path of the prediction.")
    options: dict[str, Any] = Field({}, description="Boundary class and mask, as a segmentation takes them.")
    truth: str = Field(description="The truth in words.")
    boxes: tuple[str, ...] = Field(description="Where trials were scored.")
    score: ScoreName
    seed: int
    tuned: dict[str, tuple[str, ...]] = Field(description="Names of the settings that were tried, by kind of decoder.")
    trials: tuple[TunedTrial, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def default(self) -> TunedTrial:
        """The trial of today's default settings.

        Raises
        ------
        ProjectError
            If there is no trial yet.
        """
        if not self.trials:
            raise ProjectError(f"The tuning {self.id} has no trial yet.", "Run it again.")
        return self.trials[0]

    @property
    def ranked(self) -> list[TunedTrial]:
        """The trials that have a score, the best first; of equal ones the earlier."""
        known = [trial for trial in self.trials if trial.score is not None]
        return sorted(known, key=lambda trial: (self._rank(trial), trial.number))

    @property
    def best(self) -> TunedTrial:
        """The best trial; errors as of `default`."""
        return next(iter(self.ranked), self.default)

    def _rank(self, trial: TunedTrial) -> float:
        score = trial.score or 0.0
        return score if self.score in LOWER_IS_BETTER else -score


def write_record(path: Path, record: TuningRecord) -> None:
    """Replace the file of a record in one step."""
    write_text_durably(path, record.model_dump_json(indent=1))


def read_record(path: Path) -> TuningRecord:
    """Read the file of a record.

    Raises
    ------
    ProjectError
        If it is not there, or damaged.
    """
    try:
        return TuningRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError) as error:
        raise ProjectError(
            f"The record of the tuning {path} cannot be read: {_short(error)}.", "Tune again."
        ) from error


def _short(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
