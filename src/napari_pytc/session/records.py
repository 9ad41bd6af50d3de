"""Records of a project: classes, models, predictions, segmentations, runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.annotations.paint_store import MOST_CLASSES
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.plans.model_comparison import ModelComparison, comparisons, interval_of, refusal

PALETTE = (
    "#e6194b", "#3cb44b", "#4363d8", "#ffe119", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45", "#9a6324",
    "#fabed4", "#469990", "#dcbeff", "#800000", "#fffac8", "#000075", "#aaffc3", "#808000", "#ffd8b1",
)  # fmt: skip
"""Colours of classes without a chosen one; distinct on grey images."""

RunState = Literal["running", "finished", "failed", "cancelled", "interrupted"]
"""State of a job as the project records it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassSpec(_Record):
    """A class as a user names it."""

    name: str = Field(min_length=1)
    colour: str | None = Field(None, pattern="^#[0-9a-fA-F]{6}$")


class ClassInfo(_Record):
    """A class of a project; `id` is its label in the annotations, from 1."""

    id: int = Field(ge=1, le=MOST_CLASSES)
    name: str = Field(min_length=1)
    colour: str = Field(pattern="^#[0-9a-fA-F]{6}$")


class ModelRecord(_Record):
    """A model in the project's folder; `active` marks the one that is used if none is named.

    `problem` is the reason why a damaged model cannot be used, empty for all others. `tiling` tells how it predicts:
    ``"exact tiles"`` or ``"overlapping windows of ..."``. `prediction` holds the settings of predictions that it brings
    along (`PredictionDefaults`), for most models none.
    """

    id: str
    name: str
    created: str
    recipe: str
    parent: str | None
    scores: dict[str, Any]
    folder: Path
    active: bool = False
    problem: str = ""
    classes: tuple[str, ...] = ()
    tiling: str = ""
    prediction: dict[str, Any] = {}

    @property
    def comparisons(self) -> list[ModelComparison]:
        """Comparisons with other models when it was trained, the parent first."""
        return comparisons(self.scores)

    @property
    def refusal(self) -> ModelComparison | None:
        """The comparison in which it scored worse, so that it is used only if activated; None for most."""
        return refusal(self.scores)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence interval of the mean score, where it is known."""
        return interval_of(self.scores)


class PredictionRecord(_Record):
    """A prediction in the folder of the volume with the id `volume`; all but `finished` ones can be resumed.

    `flips` says whether copies mirrored along all axes were averaged; `tta` is the `TtaSettings.stamp` of all other
    test-time augmentation, empty for none.
    """

    id: str
    model: str
    folder: Path
    box: Box | None
    flips: bool
    created: str
    state: RunState
    volume: str = ""
    tta: str = ""


class SegmentationInfo(_Record):
    """A complete segmentation in the project's folder; `active` marks the current one.

    `decoder` holds the settings with their ``kind``; `prediction` is the id of the prediction, or its path where it is
    none of the project's. Numbers are those of the decoding, before any edit. `notes` are sentences on what was
    assumed, dropped or given away.
    """

    id: str
    folder: Path
    created: str = ""
    box: Box | None = None
    decoder: dict[str, Any] = {}
    prediction: str = ""
    n_supervoxels: int = 0
    n_segments: int = 0
    seconds: float = 0.0
    active: bool = False
    problem: str = ""
    notes: tuple[str, ...] = ()
    volume: str = ""


class RunRecord(_Record):
    """A job that ran on the project; `subject` is the id of the model or prediction it made.

    `volume` is the id of the volume that it worked on, empty for a training, which may learn from several.
    """

    id: str
    kind: str
    subject: str
    state: RunState
    started: float
    ended: float | None
    result: dict[str, Any]
    message: str
    hint: str
    volume: str = ""


class MetricPoint(_Record):
    """A point of a training curve."""

    name: str
    step: int
    value: float


def number_classes(classes: Sequence[str | ClassSpec], first: int = 1) -> tuple[ClassInfo, ...]:
    """Give classes their labels, and colours to those without.

    Raises
    ------
    InvalidInput
        For an empty or repeated name, or more than 255 classes.
    """
    specs = [ClassSpec(name=c.strip()) if isinstance(c, str) and c.strip() else c for c in classes]
    names = [spec.name if isinstance(spec, ClassSpec) else "" for spec in specs]
    if not all(names) or len(set(names)) != len(names) or not names:
        raise InvalidInput(
            f"Classes need names that are all different, got {', '.join(repr(n) for n in names) or 'none'}.",
            "For example: membrane, inside.",
        )
    if first + len(names) - 1 > MOST_CLASSES:
        raise InvalidInput(f"A project has at most {MOST_CLASSES} classes, got {first + len(names) - 1}.")
    found = []
    for k, spec in enumerate(specs, start=first):
        assert isinstance(spec, ClassSpec)
        found.append(ClassInfo(id=k, name=spec.name, colour=spec.colour or PALETTE[(k - 1) % len(PALETTE)]))
    return tuple(found)
