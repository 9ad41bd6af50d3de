"""Curves of a training as data: the loss, and held-out scores by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

_MOST_POINTS = 2000

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Series:
    """A curve.

    Parameters
    ----------
    name : str
        As in the legend.
    points : sequence of (int, float)
        Step and value.
    plot : "loss" or "score"
        The plot that it belongs to.
    colour : str, optional
        As #rrggbb; by default the text's.
    dashed : bool
        Whether the line is dashed, to distinguish two runs.
    """

    name: str
    points: Points
    plot: Literal["loss", "score"]
    colour: str | None = None
    dashed: bool = False


_OTHER_SCORES = {
    "mean_iou": "mean IoU",
    "accuracy": "accuracy",
    "mean_accuracy": "mean accuracy",
    "average_precision_50": "AP 0.5",
    "average_precision": "AP 0.5–0.95",
}


def series_of_run(
    curves: Mapping[str, Points], colours: Mapping[str, str], name: str = "", dashed: bool = False
) -> list[Series]:
    """The curves of a training.

    Parameters
    ----------
    curves : mapping
        Points by name: "loss", "dice" for the mean, "dice/<class>", "mean_iou", "accuracy" of all voxels,
        "mean_accuracy" over the classes, "average_precision_50" and "average_precision" of objects,
        "average_precision_50/<class>".
    colours : mapping
        Colours by class.
    name : str
        Of the run, before the names of its curves.
    """
    found = []
    for curve, points in curves.items():
        kind, _, of = curve.partition("/")
        if kind == "loss":
            found.append(Series(f"{name} loss".strip(), tuple(points), "loss", dashed=dashed))
        elif kind == "dice":
            title = f"{name} {of or 'mean'}".strip()
            found.append(Series(title, tuple(points), "score", colours.get(of), dashed))
        elif kind in _OTHER_SCORES:
            title = f"{name} {_OTHER_SCORES[kind]} {of}".strip()
            found.append(Series(title, tuple(points), "score", colours.get(of), dashed))
    return found


def thinned(points: Points, most: int = _MOST_POINTS) -> tuple[list[int], list[float]]:
    """Steps and values of at most so many points, the last among them; without those that are no finite number."""
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    every = -(-len(finite) // most) if finite else 1
    chosen = finite[::-1][::every][::-1]
    return [step for step, _ in chosen], [value for _, value in chosen]
