"""Agreement of a segmentation with skeletons: expected run length and variation of information.

Sources: Januszewski et al., "High-precision automated reconstruction of neurons with flood-filling networks" (2018);
Sheridan et al., "Local shape descriptors for neuron segmentation" (2022), for the variation of information at nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.geometry.label_reader import LabelReader
from napari_pytc.metrics.partitions import ContingencyTable
from napari_pytc.skeletons.skeleton import Skeleton

BLOCK_SHAPE: Shape = (32, 256, 256)
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


def run_lengths(skeletons: Sequence[Skeleton], segments: Sequence[np.ndarray], tolerated: int = 0) -> SkeletonScores:
    """Judge the edges of skeletons.

    ::

        segments at the two nodes      the edge is
        0 at one of them               omitted
        two segments                   split
        one that merges skeletons      merged
        one that does not              correct: part of a run

    A segment merges where it holds more than `tolerated` nodes of each of two skeletons or more; then no edge on it is
    correct.

    Parameters
    ----------
    skeletons : sequence of Skeleton
        The truth.
    segments : sequence of ndarray
        The predicted segment at each node of each skeleton; 0 where there is none.
    tolerated : int
        Nodes of a skeleton that a segment may hold by mistake.
    """
    if tolerated < 0:
        raise InvalidInput(f"A number of nodes is 0 or more, got {tolerated}.", "0 forgives no node.")
    merging = _merging(segments, tolerated)
    scores, n_split = [], 0
    for skeleton, at_nodes in zip(skeletons, segments, strict=True):
        edges = skeleton.edge_lengths_nm
        # Exact sums, so that a run along all of a skeleton is as long as the skeleton to the last digit.
        length = math.fsum(edges)
        one, other = at_nodes[skeleton.edges].T if len(skeleton.edges) else (at_nodes[:0], at_nodes[:0])
        omitted = (one == 0) | (other == 0)
        split = ~omitted & (one != other)
        merged = ~omitted & ~split & np.isin(one, merging)
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
    return SkeletonScores(scores, len(merging), n_split)


def evaluate_skeletons(
    predicted: LabelReader,
    skeletons: Sequence[Skeleton],
    space: VoxelSpace,
    box: Box | None = None,
    tolerated: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Expected run length and variation of information of a segmentation at the nodes of skeletons.

    Parameters
    ----------
    predicted : LabelReader
        Instance ids from 0.
    skeletons : sequence of Skeleton
        The truth.
    space : VoxelSpace
        Voxel size and origin of `predicted`.
    box : Box, optional
        Nodes outside of it are left out, with their edges; the whole volume by default.
    tolerated : int
        As of `run_lengths`.
    report : callable, optional
        Called with the number of blocks done and their total.

    Returns
    -------
    dict
        ``erl``, ``erl_of_truth`` and ``length`` in ``unit`` ("nm", or "voxels" where the voxel size is not known),
        ``nerl``, ``voi_split`` and ``voi_merge`` in bits over nodes; ``share`` of the path length by outcome (correct,
        split, merged, omitted), ``split_edges``, ``merging_segments``; ``skeletons`` has the figures of each;
        ``compared`` the numbers of skeletons and nodes, ``notes`` say it in sentences.

    Raises
    ------
    InvalidInput
        If no node lies in the box.
    """
    region = Box.of_shape(predicted.shape) if box is None else box
    inside, n_outside = _within(skeletons, space, region)
    if not inside:
        raise InvalidInput(*_nothing_inside(skeletons, space, region))
    segments = _sampled(predicted, inside, space, region, report)
    scores = run_lengths(inside, segments, tolerated)
    table = ContingencyTable()
    for skeleton, at_nodes in zip(inside, segments, strict=True):
        table.add(at_nodes, np.full(len(at_nodes), skeleton.segment, np.uint64))
    split, merge = table.variation_of_information()
    length, lengths = scores.length, scores.lengths
    compared = {
        "skeletons": len(inside),
        "skeletons_left_out": len(skeletons) - len(inside),
        "without_length": len(inside) - len(scores.skeletons),
        "nodes": sum(len(at_nodes) for at_nodes in segments),
        "nodes_left_out": n_outside,
        "nodes_at_0": sum(int((at_nodes == 0).sum()) for at_nodes in segments),
    }
    unit = "nm" if space.known else "voxels"
    return {
        "unit": unit,
        "erl": _or_none(scores.erl),
        "erl_of_truth": _or_none(scores.erl_of_truth),
        "nerl": _or_none(scores.nerl),
        "voi_split": _or_none(split),
        "voi_merge": _or_none(merge),
        "length": length,
        "share": {name: _or_none(_ratio(value, length)) for name, value in lengths.items()},
        "split_edges": scores.n_split_edges,
        "merging_segments": scores.n_merging,
        "skeletons": {
            str(one.segment): {
                "length": one.length,
                "run_length": one.run_length,
                **dict(zip(OUTCOMES, one.lengths, strict=True)),
                "segments": one.n_segments,
            }
            for one in scores.skeletons
        },
        "compared": compared,
        "notes": _notes(compared, region, space),
    }


def _merging(segments: Sequence[np.ndarray], tolerated: int) -> np.ndarray:
    """Segments that hold more than so many nodes of each of two skeletons."""
    met = [np.zeros(0, np.uint64)]
    for at_nodes in segments:
        ids, counts = np.unique(at_nodes[at_nodes != 0], return_counts=True)
        met.append(ids[counts > tolerated].astype(np.uint64))
    ids, n_skeletons = np.unique(np.concatenate(met), return_counts=True)
    return ids[n_skeletons > 1]


def _voxels(skeleton: Skeleton, space: VoxelSpace) -> np.ndarray:
    """The voxel of each node, shape (n, 3)."""
    places = (skeleton.nodes_nm - np.asarray(space.origin_nm)) / np.asarray(space.voxel_size_nm)
    # The middle of a voxel is a whole number; a node on a face belongs to the upper voxel, whatever the rounding.
    return np.floor(places + 0.5 + 1e-9).astype(np.int64)


def _within(skeletons: Sequence[Skeleton], space: VoxelSpace, box: Box) -> tuple[list[Skeleton], int]:
    """The parts of skeletons in a box, and the number of nodes that were left out."""
    inside: list[Skeleton] = []
    n_outside = 0
    for skeleton in skeletons:
        voxels = _voxels(skeleton, space)
        kept = np.all((voxels >= box.start) & (voxels < box.stop), axis=1)
        n_outside += int((~kept).sum())
        if kept.all() and len(kept):
            inside.append(skeleton)
        elif kept.any():
            number = np.cumsum(kept) - 1
            edges = number[skeleton.edges[kept[skeleton.edges].all(axis=1)]]
            inside.append(Skeleton(skeleton.segment, skeleton.nodes_nm[kept], edges, skeleton.radii_nm[kept]))
    return inside, n_outside


def _sampled(
    predicted: LabelReader,
    skeletons: Sequence[Skeleton],
    space: VoxelSpace,
    box: Box,
    report: Callable[[int, int], None] | None,
) -> list[np.ndarray]:
    """The segment at each node, uint64; only blocks with nodes are read."""
    voxels = np.concatenate([_voxels(skeleton, space) for skeleton in skeletons])
    found = np.zeros(len(voxels), np.uint64)
    grid = TileGrid(box, BLOCK_SHAPE)
    _, ny, nx = grid.counts
    of_block = ((voxels - np.asarray(box.start)) // np.asarray(BLOCK_SHAPE)) @ np.array([ny * nx, nx, 1])
    order = np.argsort(of_block, kind="stable")
    blocks, starts = np.unique(of_block[order], return_index=True)
    groups = np.split(order, starts[1:])
    for k, (block, nodes) in enumerate(zip(blocks.tolist(), groups, strict=True)):
        outer = grid[block].write
        labels = predicted.read(outer)
        z, y, x = (voxels[nodes] - np.asarray(outer.start)).T
        found[nodes] = _as_ids(labels[z, y, x])
        if report is not None:
            report(k + 1, len(groups))
    return np.split(found, np.cumsum([skeleton.n_nodes for skeleton in skeletons])[:-1])


def _as_ids(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "bui" or (labels.dtype.kind == "i" and labels.size and labels.min() < 0):
        raise InvalidInput(
            f"Instances must be whole numbers from 0, but the prediction holds {labels.dtype}.",
            "Give a label volume of instances.",
        )
    return labels.astype(np.uint64)


def _nothing_inside(skeletons: Sequence[Skeleton], space: VoxelSpace, box: Box) -> tuple[str, str]:
    nodes = [skeleton.nodes_nm for skeleton in skeletons if skeleton.n_nodes]
    if not nodes:
        return (
            "The truth has no skeleton: there is nothing to compare.",
            "Give skeletons, or labels beside 0.",
        )
    unit = "nm" if space.known else "voxels"
    low, high = (np.array([find(part, axis=0) for part in nodes]) for find in (np.min, np.max))
    ours = (np.asarray(space.nm(at)) + np.asarray(space.origin_nm) for at in (box.start, [s - 1 for s in box.stop]))
    first, last = (" ".join(f"{v:.6g}" for v in place) for place in ours)
    return (
        f"Skeletons must lie in the volume, {first} to {last} {unit} (z y x), but theirs is "
        f"{' '.join(f'{v:.6g}' for v in low.min(axis=0))} to {' '.join(f'{v:.6g}' for v in high.max(axis=0))}.",
        "Say the unit of the files with --unit, and the voxel size with --voxel-size.",
    )


def _notes(compared: dict[str, int], box: Box, space: VoxelSpace) -> list[str]:
    notes = [f"{compared['nodes']} nodes of {compared['skeletons']} skeletons were compared."]
    if compared["nodes_left_out"]:
        notes.append(
            f"{compared['nodes_left_out']} nodes lie outside of {box} and were left out with their edges"
            + (f", with them {compared['skeletons_left_out']} skeletons." if compared["skeletons_left_out"] else ".")
        )
    if compared["without_length"]:
        notes.append(
            f"{compared['without_length']} skeletons have no length: they count in the variation of information, and "
            "can merge segments, but have no run."
        )
    if compared["nodes_at_0"]:
        notes.append(
            f"{compared['nodes_at_0']} nodes lie where the prediction is 0: no run passes them, and the variation of "
            "information takes 0 for one more segment."
        )
    if not space.known:
        notes.append("The voxel size is not known: lengths are in voxels (--voxel-size says it).")
    return notes


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _or_none(value: float) -> float | None:
    """The value, None for nan, which JSON lacks."""
    return None if math.isnan(value) else value
