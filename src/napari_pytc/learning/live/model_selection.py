"""Choice of the model in view by validation scores, and whether more painting helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

Shown = Literal["instant", "network"]


@dataclass(frozen=True)
class ModelScores:
    """Weights of the network at some step; the score is None without validation data."""

    weights: dict[str, Tensor]
    step: int
    score: float | None


class ModelSelector:
    """Chooses between the instant model and the network, by scores on the same voxels.

    On held-out boxes a model must be better by `margin` to replace the one in view, so that two that are alike do not
    take turns. A few validation strokes are less reliable: scores of the same two models differ by some hundredths from
    one choice of strokes to the next. There the network is shown as soon as it is better at all, and stays until it
    is behind by `tolerance`.

    Parameters
    ----------
    margin, tolerance : float
        In units of the score.
    """

    def __init__(self, margin: float, tolerance: float) -> None:
        self._margin, self._tolerance = margin, tolerance
        self.shown: Shown = "instant"
        self.instant: float | None = None
        self.best: ModelScores | None = None
        self._is_instant_current = self._is_network_current = self._is_of_strokes = False

    @property
    def network(self) -> float | None:
        """Score of the network's best weights."""
        return None if self.best is None else self.best.score

    def invalidate(self) -> None:
        """Note new strokes: earlier scores are still reported, but not compared any more."""
        self._is_instant_current = self._is_network_current = False

    def set_instant_score(self, score: float | None, is_of_strokes: bool) -> None:
        """Set the score of the instant model on the present validation data: strokes, or those in held-out boxes."""
        self.instant, self._is_instant_current = score, score is not None
        self._is_of_strokes = is_of_strokes

    def submit(self, candidate: ModelScores) -> bool:
        """Take newer weights of the network with their score, if they are the best; whether they were."""
        known = self.network if self._is_network_current else None
        if known is not None and candidate.score is not None and candidate.score < known:
            return False
        self.best, self._is_network_current = candidate, candidate.score is not None
        return True

    def select(self) -> bool:
        """Choose the model in view; whether it changed. Without both scores it stays."""
        if not (self._is_instant_current and self._is_network_current):
            return False
        assert self.instant is not None
        assert self.network is not None
        ahead = self.network - self.instant
        least, most = (0.0, self._tolerance) if self._is_of_strokes else (self._margin, self._margin)
        if self.shown == "instant" and ahead >= least and ahead > 0:
            self.shown = "network"
        elif self.shown == "network" and -ahead >= most and ahead < 0:
            self.shown = "instant"
        else:
            return False
        return True

    @property
    def is_doubtful(self) -> bool:
        """Whether the network is shown though its score on validation strokes is not the better one."""
        if self.shown == "instant" or not self._is_of_strokes or self.network is None or self.instant is None:
            return False
        return self.network < self.instant

    def drop_network(self) -> bool:
        """Give up the network; whether that changes the model in view."""
        self.best = None
        was, self.shown = self.shown, "instant"
        return was == "network"


_LAST_ROUNDS = 5
_FLAT = 0.002
"""A rise of the score a round below which painting is not worth it."""


class LearningCurve:
    """The score after each round of painting, and whether it still rises."""

    def __init__(self, scores: Sequence[float] = ()) -> None:
        self.scores = list(scores)
        self._is_open = False

    def start_round(self) -> None:
        """Note new strokes: the next score is of a new round."""
        self._is_open = True

    def add_score(self, score: float) -> None:
        """Add a score; within a round the best one counts."""
        if self._is_open or not self.scores:
            self.scores.append(score)
            self._is_open = False
        else:
            self.scores[-1] = max(self.scores[-1], score)

    def saturation(self) -> tuple[bool, str]:
        """Whether more painting is not expected to help, and why in a sentence.

        The slope of a line through the last five rounds is compared with its standard error: a rise within its own
        noise counts as none.
        """
        n = len(self.scores)
        if not n:
            return (
                False,
                "There is no score yet: paint more strokes of each class.",
            )
        last = f"score {self.scores[-1]:.2f}"
        if n < _LAST_ROUNDS:
            return False, f"After {n} round{'s' if n > 1 else ''} of painting ({last}) it is too early to tell."
        slope, error = _slope(self.scores[-_LAST_ROUNDS:])
        if slope <= max(error, _FLAT):
            return True, (
                f"The score did not rise over the last {_LAST_ROUNDS} rounds ({last}): more strokes are not expected "
                "to help."
            )
        return False, f"The score rose by {slope:.3f} a round over the last {_LAST_ROUNDS} ({last}): painting helps."


def _slope(values: Sequence[float]) -> tuple[float, float]:
    """Slope of the least-squares line through equally spaced values, and its standard error."""
    y = np.asarray(values, float)
    x = np.arange(len(y)) - (len(y) - 1) / 2
    slope = float((x * y).sum() / (x * x).sum())
    residual = y - y.mean() - slope * x
    return slope, float(np.sqrt((residual**2).sum() / (len(y) - 2) / (x * x).sum()))
