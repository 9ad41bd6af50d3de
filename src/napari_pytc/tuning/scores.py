"""Scores of segments against truth in one or several boxes, of which a tuning takes one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from napari_pytc.metrics.objects import average_precision
from napari_pytc.metrics.partitions import ContingencyTable

ScoreName = Literal["voi", "adapted_rand", "ap50", "ap"]
"""What a tuning improves."""
SCORE_TITLES: dict[str, str] = {
    "voi": "variation of information (bits, split + merge)",
    "adapted_rand": "adapted Rand error",
    "ap50": "average precision at an IoU of 0.5",
    "ap": "mean average precision at IoUs of 0.5 to 0.95",
}
LOWER_IS_BETTER = ("voi", "adapted_rand")
APART = 0.5
"""Share of background in the truth from which on objects lie apart, so that finding each counts."""


@dataclass(frozen=True)
class SegmentScores:
    """All scores of one trial.

    Parameters
    ----------
    voi_split, voi_merge : float
        The two parts of the variation of information, in bits.
    adapted_rand : float
        Adapted Rand error.
    ap50, ap : float
        Average precision at an IoU of 0.5, and its mean over the usual ten; nan without any object.
    """

    voi_split: float
    voi_merge: float
    adapted_rand: float
    ap50: float
    ap: float

    @property
    def voi(self) -> float:
        """The variation of information, split and merge."""
        return self.voi_split + self.voi_merge

    def value(self, score: ScoreName) -> float:
        """One of them; of truth with an object it is always a number."""
        return {"voi": self.voi, "adapted_rand": self.adapted_rand, "ap50": self.ap50, "ap": self.ap}[score]

    def document(self) -> dict[str, float | None]:
        """All of them as JSON."""
        names = ("voi", "voi_split", "voi_merge", "adapted_rand", "ap50", "ap")
        return {name: None if math.isnan(value := getattr(self, name)) else value for name in names}


def scores_of(tables: Sequence[ContingencyTable]) -> SegmentScores:
    """Scores of several boxes together, each decoded by itself.

    An object that reaches into two boxes is one of each: entropies and errors are means weighted by the voxels that are
    compared, which of the adapted Rand error are those with an object in the truth; objects are counted box by box. Of
    one box they are those of `evaluate_instances`.
    """
    weights, object_weights, splits, merges, errors = [], [], [], [], []
    by_box = [average_precision(table) for table in tables]
    for table in tables:
        split, merge = table.variation_of_information()
        weights.append(float(table.overlaps()[2].sum()))
        object_weights.append(float(table.overlaps(ignore=0)[2].sum()))
        splits.append(split)
        merges.append(merge)
        errors.append(table.adapted_rand_error(0))
    counts = [
        tuple(sum(getattr(scores[k], name) for scores in by_box) for name in ("n_found", "n_invented", "n_missed"))
        for k in range(len(by_box[0]))
    ]
    precision = [
        found / total if (total := found + invented + missed) else math.nan for found, invented, missed in counts
    ]
    return SegmentScores(
        _mean(splits, weights),
        _mean(merges, weights),
        _mean(errors, object_weights),
        precision[0],
        sum(precision) / len(precision),
    )


def is_better(score: ScoreName, value: float, other: float) -> bool:
    """Whether a value of a score is better than another."""
    return value < other if score in LOWER_IS_BETTER else value > other


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if not math.isnan(value)]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else math.nan
