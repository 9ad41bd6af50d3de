"""Partition of a region graph into segments, without reading a voxel: fast enough to follow a slider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from napari_pytc.decoding.contact_scores import MEAN, ContactScores, ScoreRule
from napari_pytc.labels.region_graph import RegionGraph, packed

_Result = TypeVar("_Result")
_results: WeakKeyDictionary[RegionGraph, dict[str, Any]] = WeakKeyDictionary()
_NO_BEST = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class MergeHierarchy:
    """The order in which agglomeration joins supervoxels.

    ::

        score  1.0 |  1   2   3   4        threshold 0.7: {1 2} {3} {4}
               0.9 |  +-+-+   |   |        threshold 0.5: {1 2} {3 4}
               0.6 |    |     +-+-+        threshold 0.2: {1 2 3 4}
               0.3 |    +---+---+

    The score between two groups is the mean, or a quantile, over all faces between them. A merge never makes a score
    that is higher than its own, so one hierarchy holds the result of every threshold.

    Parameters
    ----------
    pairs : ndarray of uint32, shape (k, 2)
        A supervoxel of either side of each merge.
    scores : ndarray of float64, shape (k,)
        The score at which they merge.
    n : int
        Number of supervoxels, the background included.
    """

    pairs: np.ndarray
    scores: np.ndarray
    n: int

    def cut(self, threshold: float) -> np.ndarray:
        """The segment of each supervoxel once all merges of at least this score are made: uint32 (n,)."""
        return components_of(self.pairs[self.scores >= threshold], self.n)


def hierarchy_of(graph: RegionGraph, n: int, rule: ScoreRule = MEAN) -> MergeHierarchy:
    """The merge hierarchy of a graph over n supervoxels, the background included; made once.

    Raises
    ------
    InvalidInput
        If the graph lacks what the rule needs.
    """
    return cached(graph, f"hierarchy {n} {rule}", lambda: _agglomerated(graph, n, rule))


def cached(graph: RegionGraph, what: str, make: Callable[[], _Result]) -> _Result:
    """A result that depends on the graph alone, made once and kept as long as the graph is."""
    results = _results.setdefault(graph, {})
    if what not in results:
        results[what] = make()
    found: _Result = results[what]
    return found


def components_of(pairs: np.ndarray, n: int) -> np.ndarray:
    """Groups that pairs connect, each called by its smallest member: uint32 (n,)."""
    from scipy import sparse

    ones = np.ones(len(pairs), bool)
    matrix = sparse.coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, groups = sparse.csgraph.connected_components(matrix, directed=False)
    return smallest_members(groups)


def smallest_members(groups: np.ndarray) -> np.ndarray:
    """Call each group by its smallest member: uint32 (n,)."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.asarray(first[inverse].astype(np.uint32))


def counted(groups: np.ndarray) -> np.ndarray:
    """Groups that are called by their smallest member, counted from 0 in order of these: uint32 (n,)."""
    is_first = groups == np.arange(len(groups))
    return np.asarray((np.cumsum(is_first) - 1)[groups].astype(np.uint32))


def absorb_small(
    segments: np.ndarray,
    sizes: np.ndarray,
    graph: RegionGraph,
    smallest: float,
    rule: ScoreRule = MEAN,
    least: float = 0.0,
) -> np.ndarray:
    """Join each segment that is too small to the neighbour with which its contact scores best, until none has one.

    Parameters
    ----------
    segments, sizes : ndarray, shape (n + 1,)
        The segment and the number of voxels of each supervoxel.
    smallest : float
        Segments of fewer voxels are too small.
    rule : ScoreRule
        The score of a contact; of the contacts between two segments together it is found anew after each round.
    least : float
        Over contacts that score less none is joined.
    """
    n = len(segments)
    all_scores = rule.scores(graph) if smallest > 0 else None
    while all_scores is not None:
        voxels = np.bincount(segments, weights=sizes, minlength=n)
        small = voxels < smallest
        ends = segments[graph.edges]
        rows = np.flatnonzero((ends[:, 0] != ends[:, 1]) & small[ends].any(axis=1))
        if not len(rows):
            break
        pairs, scores = _combined(ends[rows], all_scores.take(rows))
        good = scores.values >= least
        pairs = pairs[good]
        best = _best_edge(pairs, scores.values[good], n)
        chosen = np.unique(best[small & (best < _NO_BEST)])
        if not len(chosen):
            break
        segments = components_of(pairs[chosen], n)[segments]
    return np.asarray(smallest_members(segments))


def without_dust(segments: np.ndarray, sizes: np.ndarray, smallest: float) -> np.ndarray:
    """Segments of which those of fewer voxels than the smallest are background: 0."""
    voxels = np.bincount(segments, weights=np.asarray(sizes), minlength=len(segments))
    return np.where(voxels[segments] < smallest, 0, segments).astype(np.uint32)


def large_islands(sizes: np.ndarray, graph: RegionGraph, smallest: float) -> np.ndarray:
    """Mask of the supervoxels in connected components of at least this size: bool (n + 1,)."""
    islands = components_of(graph.edges, len(sizes))
    voxels = np.bincount(islands, weights=np.asarray(sizes), minlength=len(sizes))
    keep = voxels[islands] >= smallest
    keep[0] = False
    return np.asarray(keep)


def _agglomerated(graph: RegionGraph, n: int, rule: ScoreRule) -> MergeHierarchy:
    """Agglomerate to the end, in rounds.

    In a round every two groups that are each other's best neighbour merge. Because a merge never makes a better score
    than its own, this is the hierarchy that merging one by one, best first, gives; but each round is a few numpy calls.
    """
    group = np.arange(n)
    pairs, scores = np.asarray(graph.edges, np.int64), rule.scores(graph)
    merges, found = [], []
    while len(pairs):
        best = _best_edge(pairs, scores.values, n)
        edge = np.arange(len(pairs))
        mutual = np.flatnonzero((best[pairs[:, 0]] == edge) & (best[pairs[:, 1]] == edge))
        merges.append(pairs[mutual])
        found.append(scores.values[mutual])
        group[pairs[mutual, 1]] = pairs[mutual, 0]  # a group is in at most one pair, and its name is a member's
        pairs = group[pairs]
        apart = np.flatnonzero(pairs[:, 0] != pairs[:, 1])
        pairs, scores = _combined(pairs[apart], scores.take(apart))
    if not merges:
        return MergeHierarchy(np.zeros((0, 2), np.uint32), np.zeros(0), n)
    return MergeHierarchy(np.concatenate(merges).astype(np.uint32), np.concatenate(found), n)


def _best_edge(pairs: np.ndarray, means: np.ndarray, n: int) -> np.ndarray:
    """The edge of each node with the highest score, of equal ones the first; a huge number for nodes without edges."""
    rank = np.empty(len(pairs), np.int64)
    order = np.lexsort((np.arange(len(pairs)), -means))
    rank[order] = np.arange(len(pairs))
    best = np.full(n, _NO_BEST)
    np.minimum.at(best, pairs[:, 0], rank)
    np.minimum.at(best, pairs[:, 1], rank)
    reached = best < _NO_BEST
    best[reached] = order[best[reached]]
    return best


def _combined(pairs: np.ndarray, scores: ContactScores) -> tuple[np.ndarray, ContactScores]:
    """Edges between the same two groups as one, with the score over all their faces."""
    pairs = np.sort(pairs, axis=1)
    if not len(pairs):
        return pairs, scores
    keys = packed(pairs)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return pairs[order][starts], scores.take(order).added(starts)
