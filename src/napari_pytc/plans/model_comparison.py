"""Comparison of a model with another one by their scores on held-out voxels.

A model's ``scores.json`` holds, where something annotated was held out::

    dice, iou, mean, n_voxels   on the part of the held-out voxels that decided nothing
    interval                    [low, high] of the mean
    history                     means of the other part, by which the weights were chosen
    comparison                  a `ModelComparison` with the parent, or else with the model that was in use
    in_use                      the same with the model in use, where that is another one than the parent
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Verdict = Literal["better", "no different", "worse", "unknown"]
"""How a model compares with another one on the same held-out voxels."""

MARGIN = 0.002
"""A difference of the mean that is smaller is none, however sure."""
FEWEST_BLOCKS = 5
"""Fewer blocks give no interval and no verdict."""


class ModelComparison(BaseModel):
    """Two models on the same voxels: the new one, and the one that it is to beat.

    Parameters
    ----------
    baseline : str
        Id of the model to beat.
    mean, baseline_mean : float, optional
        Their mean scores on the same voxels.
    difference, low, high : float, optional
        New less baseline, with its interval of 95 %.
    n_blocks : int
        Number of blocks that were drawn again and again for the interval.
    reason : str
        The reason for an unknown verdict; empty for the other verdicts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str
    verdict: Verdict
    mean: float | None = None
    baseline_mean: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    n_blocks: int = 0
    reason: str = ""

    @property
    def sentence(self) -> str:
        """The comparison as a sentence."""
        return self.told(self.baseline)

    def told(self, baseline: str) -> str:
        """The comparison as a sentence, with another name for the baseline."""
        if self.verdict == "unknown" or self.difference is None or self.low is None or self.high is None:
            return f"Not known whether it is better than {baseline}: {self.reason or 'nothing was compared'}."
        word = {"better": "Better than", "no different": "No different from", "worse": "Worse than"}[self.verdict]
        return (
            f"{word} {baseline} on the same held-out voxels: {self.mean:.3f} against {self.baseline_mean:.3f} "
            f"({self.difference:+.3f}, 95 % interval {self.low:+.3f} to {self.high:+.3f})."
        )

    @property
    def short(self) -> str:
        """The verdict as a sign and the difference: "▲ +0.031"."""
        if self.difference is None or self.verdict == "unknown":
            return "?"
        return f"{ {'better': '▲', 'no different': '≈', 'worse': '▼'}[self.verdict] } {self.difference:+.3f}"


def judge(difference: float, low: float, high: float) -> Verdict:
    """The verdict of a difference and its interval: one side of 0 as a whole, and not negligible."""
    if high < 0 and difference <= -MARGIN:
        return "worse"
    return "better" if low > 0 and difference >= MARGIN else "no different"


def comparisons(scores: Mapping[str, Any]) -> list[ModelComparison]:
    """The comparisons in a model's scores, the one with the parent first."""
    found = []
    for name in ("comparison", "in_use"):
        try:
            found.append(ModelComparison.model_validate(scores[name]))
        except (KeyError, ValidationError):  # of an older version
            continue
    return found


def refusal(scores: Mapping[str, Any]) -> ModelComparison | None:
    """The comparison in which a model scored worse; None where there is none."""
    return next((found for found in comparisons(scores) if found.verdict == "worse"), None)


def interval_of(scores: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of a model's mean score; None where there is none."""
    found = scores.get("interval")
    if not isinstance(found, list | tuple) or len(found) != 2:
        return None
    return float(found[0]), float(found[1])
