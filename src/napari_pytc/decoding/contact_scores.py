"""Scores of contacts between groups of supervoxels: the mean of their faces, or a quantile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, Self

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.labels.contact_histograms import ContactHistograms
from napari_pytc.labels.region_graph import RegionGraph

ScoreKind = Literal["mean", "quantile", "quantile_of_maxima"]
"""What of the scores of its faces is the score of a contact."""


class ContactScores(Protocol):
    """Scores of contacts, and what it takes to score contacts that become one."""

    @property
    def values(self) -> np.ndarray:
        """The score of each contact, float64."""

    def take(self, rows: np.ndarray) -> Self:
        """Those of some contacts, in this order."""

    def added(self, starts: np.ndarray) -> Self:
        """Those of contacts that become one: of all from each start to the next."""


@dataclass(frozen=True)
class ScoreRule:
    """The rule by which a contact is scored.

    A quantile of the scores of all its faces; or, with maxima, of the highest score of each contact between two
    supervoxels, weighted by the number of faces that have it. The latter is waterz' `HistogramQuantileAffinity`, whose
    contacts start with their highest affinity (Funke et al., 2019).

    Parameters
    ----------
    permille : int
        The quantile in thousandths.
    """

    kind: ScoreKind = "mean"
    permille: int = 0

    def scores(self, graph: RegionGraph) -> ContactScores:
        """The scores of the contacts of a graph.

        Raises
        ------
        InvalidInput
            If a quantile is wanted of contacts that were stored with their mean alone.
        """
        if self.kind == "mean":
            return MeanScores(np.asarray(graph.contacts, float), np.asarray(graph.scores, float))
        histograms = graph.histograms
        if histograms is None:
            raise InvalidInput(
                "The contacts of these supervoxels were stored with the mean of their scores alone, from which no "
                "quantile follows.",
                "Segment again with a quantile as the score.",
            )
        return QuantileScores(histograms.highest() if self.kind == "quantile_of_maxima" else histograms, self.permille)


MEAN = ScoreRule()
"""The mean of the scores of all faces."""


@dataclass(frozen=True, eq=False)
class MeanScores:
    """Means of scores.

    Parameters
    ----------
    weights : ndarray of float64
        Faces of each contact.
    values : ndarray of float64
        Their mean score.
    """

    weights: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray) -> MeanScores:
        """Those of some contacts, in this order."""
        return MeanScores(self.weights[rows], self.values[rows])

    def added(self, starts: np.ndarray) -> MeanScores:
        """Those of contacts that become one: weights add up, scores are averaged over them."""
        total = np.add.reduceat(self.weights, starts)
        return MeanScores(total, np.add.reduceat(self.weights * self.values, starts) / total)


@dataclass(frozen=True, eq=False)
class QuantileScores:
    """A quantile of scores, by histograms that add up."""

    histograms: ContactHistograms
    permille: int

    @cached_property
    def values(self) -> np.ndarray:
        """The quantile of each contact."""
        return self.histograms.quantiles(self.permille)

    def take(self, rows: np.ndarray) -> QuantileScores:
        """Those of some contacts, in this order."""
        return QuantileScores(self.histograms.take(rows), self.permille)

    def added(self, starts: np.ndarray) -> QuantileScores:
        """Those of contacts that become one: their histograms add up."""
        return QuantileScores(self.histograms.added(starts), self.permille)
