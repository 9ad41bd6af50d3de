"""The Protocol of trackers, and what they are told of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from napari_pytc.errors import PytcError


class TrackerError(PytcError):
    """A tracker cannot record a training; message and hint are told, and the training goes on."""


@dataclass(frozen=True)
class TrackedTraining:
    """A training as it begins, or goes on.

    Parameters
    ----------
    name : str
        Id of the training, and of the model that it makes.
    folder : Path
        Where the tracker may write; of this training and tracker alone.
    settings : dict
        The whole plan, as JSON values.
    provenance : dict
        As in the model's ``provenance.json``: names and digests of volumes, versions, parent, annotations. No path.
    first_step : int
        Steps that are done: what was recorded after them is of an attempt that was cut short, and counts no more.
    tell : callable
        Gets sentences for the user.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    provenance: dict[str, Any]
    first_step: int
    tell: Callable[[str], None]


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training ended.

    Parameters
    ----------
    state : {"finished", "stopped", "failed"}
        Stopped: by the user; it may go on later.
    summary : dict
        Final numbers by name, and why a finished training ended.
    """

    state: Literal["finished", "stopped", "failed"]
    summary: Mapping[str, float | str] = field(default_factory=dict)


class Tracker(Protocol):
    """The record of one training in a program that shows experiments.

    All calls come from one thread, which is not that of the training. Whatever a call raises ends the record, not the
    training.
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers of a step; steps only grow."""

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Record pictures by title, each (y, x, 3) uint8."""

    def finish(self, outcome: TrainingOutcome) -> None:
        """End the record, with everything on disk or sent; also after a call that failed, perhaps this one."""
