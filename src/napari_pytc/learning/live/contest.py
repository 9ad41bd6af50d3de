"""Which of the two models is shown, and whether more painting helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

Shown = Literal["instant", "network"]


@dataclass(frozen=True)
class Candidate:
    """The network at some step; its score is None where nothing is kept to score by."""

    weights: dict[str, Tensor]
    step: int
    score: float | None


class Contest:
    """The instant model against the network, by scores on the same voxels.

    On held-out boxes the one that is not shown must be better by `margin` to be shown, so that two that are alike do
    not take turns. A few kept strokes say less: scores of the same two models differ by some hundredths from one choice
    of strokes to the next. There the network is shown as soon as it is better at all, and stays until it is behind by
    `tolerance`.

    Parameters
    ----------
    margin, tolerance : float
        In units of the score.
    """

    def __init__(self, margin: float, tolerance: float) -> None:
        self._margin, self._tolerance = margin, tolerance
        self.shown: Shown = "instant"
        self.instant: float | None = None
        self.best: Candidate | None = None
        self._is_instant_current = self._is_network_current = self._is_of_strokes = False

    @property
    def network(self) -> float | None:
        """Score of the network's best weights."""
        return None if self.best is None else self.best.score

    def expire(self) -> None:
        """New strokes came: what was scored before is still told, and not compared any more."""
        self._is_instant_current = self._is_network_current = False

    def score_instant(self, score: float | None, is_of_strokes: bool) -> None:
        """Take the instant model's score on what is kept now: strokes, or those in held-out boxes."""
        self.instant, self._is_instant_current = score, score is not None
        self._is_of_strokes = is_of_strokes

    def enter(self, candidate: Candidate) -> bool:
        """Take newer weights of the network, scored on what is kept now, if they are its best; whether they were."""
        known = self.network if self._is_network_current else None
        if known is not None and candidate.score is not None and candidate.score < known:
            return False
        self.best, self._is_network_current = candidate, candidate.score is not None
        return True

    def decide(self) -> bool:
        """Choose what is shown from the scores; whether that changed. Without both scores all stays as it is."""
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
        """Whether the network is shown though its score on kept strokes is not the better one."""
        if self.shown == "instant" or not self._is_of_strokes or self.network is None or self.instant is None:
            return False
        return self.network < self.instant

    def concede(self) -> bool:
        """There is no network any more; whether that changes what is shown."""
        self.best = None
        was, self.shown = self.shown, "instant"
        return was == "network"


_LAST_ROUNDS = 5
_FLAT = 0.002
"""A rise of the score a round that nobody would paint for."""


class Rounds:
    """The score after each round of painting, and whether it still rises."""

    def __init__(self, scores: Sequence[float] = ()) -> None:
        self.scores = list(scores)
        self._is_open = False

    def painted(self) -> None:
        """Strokes came: the next score is of a new round."""
        self._is_open = True

    def scored(self, score: float) -> None:
        """The score now; within a round the best counts."""
        if self._is_open or not self.scores:
            self.scores.append(score)
            self._is_open = False
        else:
            self.scores[-1] = max(self.scores[-1], score)

    def verdict(self) -> tuple[bool, str]:
        """Whether more painting is not expected to help, and why, in a sentence.

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
