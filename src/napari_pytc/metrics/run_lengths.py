"""Runs of skeletons on segments, and the expected run length.

Sources: Januszewski et al., "High-precision automated reconstruction of neurons with flood-filling networks" (2018);
funlib.evaluate, which takes a single node for a merger; BANIS, which forgives some nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.units import MergedBy

OUTCOMES = ("correct", "split", "merged", "omitted")
"""What becomes of an edge, in the order of `SkeletonScore.lengths`."""


@dataclass(frozen=True)
class SkeletonScore:
    """How a segmentation follows one skeleton.

    Parameters
    ----------
    segment : int
        The skeleton's own id.
    length : float
        Its path length.
    squares : float
        Sum over segments of (correct length)^2.
    lengths : tuple of float
        Path lengths that are correct, split, merged and omitted; together `length`.
    n_segments : int
        Predicted segments at its nodes, without 0.
    """

    segment: int
    length: float
    squares: float
    lengths: tuple[float, float, float, float]
    n_segments: int

    @property
    def run_length(self) -> float:
        """Length of the run that is expected at a point of it."""
        return self.squares / self.length


@dataclass(frozen=True)
class SkeletonScores:
    """How a segmentation follows skeletons.

    Parameters
    ----------
    skeletons : list of SkeletonScore
        One for each skeleton that has a length.
    n_merging : int
        Segments that hold more than the tolerated nodes of each of two skeletons.
    n_split_edges : int
        Edges between two segments.
    """

    skeletons: list[SkeletonScore]
    n_merging: int
    n_split_edges: int

    @property
    def length(self) -> float:
        """Path length of all skeletons."""
        return math.fsum(one.length for one in self.skeletons)

    @property
    def erl(self) -> float:
        """Expected run length: the mean of the skeletons' run lengths, weighted by path length; nan without any."""
        return _ratio(math.fsum(one.squares for one in self.skeletons), self.length)

    @property
    def erl_of_truth(self) -> float:
        """The expected run length of a segmentation without any mistake; nan without any length."""
        return _ratio(math.fsum(one.length**2 for one in self.skeletons), self.length)

    @property
    def nerl(self) -> float:
        """`erl` as a part of `erl_of_truth`, 0 to 1."""
        return _ratio(self.erl, self.erl_of_truth)

    @property
    def lengths(self) -> dict[str, float]:
        """Path lengths of all skeletons by outcome."""
        return {name: math.fsum(one.lengths[k] for one in self.skeletons) for k, name in enumerate(OUTCOMES)}


def run_lengths(
    skeletons: Sequence[Skeleton],
    segments: Sequence[np.ndarray],
    tolerated: int = 0,
    merged_by: MergedBy = "segment",
) -> SkeletonScores:
    """Judge the edges of skeletons.

    ::

        segments at the two nodes      the edge is
        0 at one of them               omitted
        two segments                   split
        one that merges skeletons      merged
        one that does not              correct: part of a run

    A segment merges where it holds more than `tolerated` nodes of each of two skeletons or more. Then no edge on it is
    correct; or, by skeletons, none of those skeletons: one with few nodes on it keeps its run there. Without tolerated
    nodes this is the same.

    Parameters
    ----------
    skeletons : sequence of Skeleton
        The truth.
    segments : sequence of ndarray
        The predicted segment at each node of each skeleton; 0 where there is none.
    tolerated : int
        Nodes of a skeleton that a segment may hold by mistake.
    merged_by : "segment" or "skeleton"
        Whose edges a merger spoils.
    """
    if tolerated < 0:
        raise InvalidInput(f"A number of nodes is 0 or more, got {tolerated}.", "0 forgives no node.")
    mergers = _mergers(segments, tolerated, merged_by)
    scores, n_split = [], 0
    for skeleton, at_nodes, is_merged in zip(skeletons, segments, mergers.is_merged, strict=True):
        edges = skeleton.edge_lengths_nm
        # Exact sums, so that a run along all of a skeleton is as long as the skeleton to the last digit.
        length = math.fsum(edges)
        one, other = at_nodes[skeleton.edges].T if len(skeleton.edges) else (at_nodes[:0], at_nodes[:0])
        omitted = (one == 0) | (other == 0)
        split = ~omitted & (one != other)
        merged = ~omitted & ~split & np.isin(one, mergers.segments) & is_merged
        correct = ~(omitted | split | merged)
        n_split += int(split.sum())
        if not length:
            continue
        order = np.argsort(one[correct], kind="stable")
        starts = np.unique(one[correct][order], return_index=True)[1]
        runs = [math.fsum(run) for run in np.split(edges[correct][order], starts[1:])]
        parts = tuple(math.fsum(edges[which]) for which in (correct, split, merged, omitted))
        n_segments = len(np.unique(at_nodes[at_nodes != 0]))
        scores.append(
            SkeletonScore(skeleton.segment, length, math.fsum(run**2 for run in runs), parts, n_segments)  # type: ignore[arg-type]
        )
    return SkeletonScores(scores, len(mergers.segments), n_split)


@dataclass(frozen=True)
class _Mergers:
    """What is merged: segments, and of each skeleton its edges on them or not.

    Parameters
    ----------
    segments : ndarray of uint64
        Segments that merge skeletons.
    is_merged : list of bool
        Of each skeleton.
    """

    segments: np.ndarray
    is_merged: list[bool]


def _mergers(segments: Sequence[np.ndarray], tolerated: int, merged_by: MergedBy) -> _Mergers:
    """Segments that hold more than so many nodes of each of two skeletons, and the skeletons that lose edges on them.

    By skeletons, 0 is a segment as others are: two skeletons that leave the segmentation for more nodes than are
    tolerated count as merged, so that they lose edges on other mergers. So it is in BANIS.
    """
    held = [_held_by(at_nodes, tolerated) for at_nodes in segments]
    ids, n_skeletons = np.unique(np.concatenate([np.zeros(0, np.uint64), *held]), return_counts=True)
    merging = ids[n_skeletons > 1]
    is_merged = [merged_by == "segment" or bool(np.isin(own, merging).any()) for own in held]
    return _Mergers(merging[merging != 0], is_merged)


def _held_by(at_nodes: np.ndarray, tolerated: int) -> np.ndarray:
    """Segments, also 0, with more than so many nodes of a skeleton."""
    ids, counts = np.unique(at_nodes, return_counts=True)
    return ids[counts > tolerated].astype(np.uint64)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
