"""Partition of a region graph into segments, without reading a voxel: fast enough to follow a slider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from napari_pytc.labels.region_graph import RegionGraph, packed

_Result = TypeVar("_Result")
_results: WeakKeyDictionary[RegionGraph, dict[str, Any]] = WeakKeyDictionary()
_NO_BEST = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class MergeHierarchy:
    """The order in which mean-affinity agglomeration joins supervoxels.

    ::

        score  1.0 |  1   2   3   4        threshold 0.7: {1 2} {3} {4}
               0.9 |  +-+-+   |   |        threshold 0.5: {1 2} {3 4}
               0.6 |    |     +-+-+        threshold 0.2: {1 2 3 4}
               0.3 |    +---+---+

    The score between two groups is the mean over all faces between them. A merge never makes a score that is higher
    than its own, so one hierarchy holds the result of every threshold.

    Parameters
    ----------
    pairs : ndarray of uint32, shape (k, 2)
        A supervoxel of either side of each merge.
    scores : ndarray of float64, shape (k,)
        The mean score at which they merge.
    n : int
        Number of supervoxels, the background included.
    """

    pairs: np.ndarray
    scores: np.ndarray
    n: int

    def cut(self, threshold: float) -> np.ndarray:
        """The segment of each supervoxel once all merges of at least this score are made: uint32 (n,)."""
        return components_of(self.pairs[self.scores >= threshold], self.n)


def hierarchy_of(graph: RegionGraph, n: int) -> MergeHierarchy:
    """The merge hierarchy of a graph over n supervoxels, the background included; made once."""
    return cached(graph, f"hierarchy {n}", lambda: _agglomerated(graph, n))


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


def absorb_small(segments: np.ndarray, sizes: np.ndarray, graph: RegionGraph, smallest: float) -> np.ndarray:
    """Join each segment that is too small to the neighbour with which its contact scores best, until none has one.

    Parameters
    ----------
    segments, sizes : ndarray, shape (n + 1,)
        The segment and the number of voxels of each supervoxel.
    smallest : float
        Segments of fewer voxels are too small.
    """
    n = len(segments)
    while smallest > 0:
        voxels = np.bincount(segments, weights=sizes, minlength=n)
        small = voxels < smallest
        ends = segments[graph.edges]
        rows = np.flatnonzero((ends[:, 0] != ends[:, 1]) & small[ends].any(axis=1))
        if not len(rows):
            break
        pairs, _, means = _combined(ends[rows], graph.contacts[rows], graph.scores[rows])
        best = _best_edge(pairs, means, n)
        chosen = np.unique(best[small & (best < _NO_BEST)])
        segments = components_of(pairs[chosen], n)[segments]
    return np.asarray(smallest_members(segments))


def large_islands(sizes: np.ndarray, graph: RegionGraph, smallest: float) -> np.ndarray:
    """Mask of the supervoxels in connected components of at least this size: bool (n + 1,)."""
    islands = components_of(graph.edges, len(sizes))
    voxels = np.bincount(islands, weights=np.asarray(sizes), minlength=len(sizes))
    keep = voxels[islands] >= smallest
    keep[0] = False
    return np.asarray(keep)


def _agglomerated(graph: RegionGraph, n: int) -> MergeHierarchy:
    """Agglomerate to the end, in rounds.

    In a round every two groups that are each other's best neighbour merge. Because a merge never makes a better score
    than its own, this is the hierarchy that merging one by one, best first, gives; but each round is a few numpy calls.
    """
    group = np.arange(n)
    pairs, weights = np.asarray(graph.edges, np.int64), np.asarray(graph.contacts, float)
    means = np.asarray(graph.scores, float)
    merges, scores = [], []
    while len(pairs):
        best = _best_edge(pairs, means, n)
        edge = np.arange(len(pairs))
        mutual = np.flatnonzero((best[pairs[:, 0]] == edge) & (best[pairs[:, 1]] == edge))
        merges.append(pairs[mutual])
        scores.append(means[mutual])
        group[pairs[mutual, 1]] = pairs[mutual, 0]  # a group is in at most one pair, and its name is a member's
        pairs = group[pairs]
        apart = pairs[:, 0] != pairs[:, 1]
        pairs, weights, means = _combined(pairs[apart], weights[apart], means[apart])
    if not merges:
        return MergeHierarchy(np.zeros((0, 2), np.uint32), np.zeros(0), n)
    return MergeHierarchy(np.concatenate(merges).astype(np.uint32), np.concatenate(scores), n)


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


def _combined(pairs: np.ndarray, weights: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges between the same two groups as one: weights add up, scores are averaged over them."""
    pairs = np.sort(pairs, axis=1)
    if not len(pairs):
        return pairs, weights, means
    keys = packed(pairs)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    total = np.add.reduceat(weights[order].astype(float), starts)
    mean = np.add.reduceat((weights * means)[order], starts) / total
    return pairs[order][starts], total, mean
