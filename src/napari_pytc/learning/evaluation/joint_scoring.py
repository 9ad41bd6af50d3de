"""Scores of a network that predicts both classes and objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.learning.evaluation.scoring import VolumeScorer, mean_of_known
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.plans.normalisation import ImageNormalisation


class JointScorer:
    """Scores of several scorers on the held-out boxes of one volume, each on the boxes that have its labels.

    Blocks of one scorer have no counts of another, so that a block is one of classes or one of objects.

    Parameters
    ----------
    scorers : VolumeScorer
        All count with names of their own, such as classes and groups of channels, and are equally important.
    """

    def __init__(self, *scorers: VolumeScorer) -> None:
        self._scorers = scorers
        self._rows = [scorer.n_rows for scorer in scorers]

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""
        return sum(scorer.n_boxes for scorer in self._scorers)

    @property
    def n_rows(self) -> int:
        """Rows of counts of all scorers."""
        return sum(self._rows)

    @property
    def n_columns(self) -> int:
        """Columns of the scorer that has the most."""
        return max(scorer.n_columns for scorer in self._scorers)

    def count(
        self,
        inferer: BoxInferer,
        check: Callable[[], None] = lambda: None,
        normalisation: ImageNormalisation | None = None,
    ) -> np.ndarray:
        """Counts of all scorers' blocks, one scorer after the other; see `VolumeScorer`."""
        found = []
        for part, scorer in zip(self._parts, self._scorers, strict=True):
            counts = scorer.count(inferer, check, normalisation)
            whole = np.zeros((len(counts), self.n_rows, self.n_columns))
            whole[:, part, : scorer.n_columns] = counts
            found.append(whole)
        return np.concatenate(found)

    def summary(self, sums: np.ndarray) -> dict[str, Any]:
        """Scores of all, by name; ``mean`` is that of the scorers' means."""
        parts = [
            scorer.summary(sums[part, : scorer.n_columns])
            for part, scorer in zip(self._parts, self._scorers, strict=True)
        ]
        found: dict[str, Any] = {**parts[0]}
        for other in parts[1:]:
            for key in ("dice", "iou", "error_nm"):
                found[key] = {**found.get(key, {}), **other.get(key, {})}
            found["n_voxels"] += other["n_voxels"]
        mean = float(self.means(sums[None])[0])
        found["mean"] = None if np.isnan(mean) else mean
        return found

    def means(self, sums: np.ndarray) -> np.ndarray:
        """Mean of the scorers' means, where they are known; see `VolumeScorer`."""
        each = [
            scorer.means(sums[:, part, : scorer.n_columns])
            for part, scorer in zip(self._parts, self._scorers, strict=True)
        ]
        return mean_of_known(np.stack(each, axis=-1))

    def truth(self) -> Iterator[tuple[Box, np.ndarray]]:
        """Those of all scorers, one after the other; see `VolumeScorer`."""
        for scorer in self._scorers:
            yield from scorer.truth()

    @property
    def _parts(self) -> list[slice]:
        ends = np.cumsum(self._rows)
        return [slice(int(end) - n, int(end)) for end, n in zip(ends, self._rows, strict=True)]
