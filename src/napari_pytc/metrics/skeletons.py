"""Agreement of a segmentation with skeletons: expected run length and variation of information.

Source of the variation of information at nodes: Sheridan et al., "Local shape descriptors for neuron segmentation"
(2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.geometry.label_reader import LabelReader
from napari_pytc.metrics.partitions import ContingencyTable
from napari_pytc.metrics.run_lengths import OUTCOMES, SkeletonScores, run_lengths
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.units import MergedBy

BLOCK_SHAPE: Shape = (32, 256, 256)


def evaluate_skeletons(
    predicted: LabelReader,
    skeletons: Sequence[Skeleton],
    space: VoxelSpace,
    box: Box | None = None,
    tolerated: int = 0,
    report: Callable[[int, int], None] | None = None,
    merged_by: MergedBy = "segment",
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
    merged_by : "segment" or "skeleton"
        As of `run_lengths`.

    Returns
    -------
    dict
        ``erl``, ``erl_of_truth`` and ``length`` in ``unit`` ("nm", or "voxels" where the voxel size is not known),
        ``nerl``, ``voi_split`` and ``voi_merge`` in bits over nodes; ``share`` of the path length by outcome (correct,
        split, merged, omitted), ``split_edges``, ``merging_segments``; ``skeletons`` has the figures of each;
        ``mergers`` how they were told (``tolerated_nodes`` and ``merged_by``), ``compared`` the numbers of skeletons
        and nodes, ``notes`` say it in sentences.

    Raises
    ------
    InvalidInput
        If no node lies in the box.
    """
    region = Box.of_shape(predicted.shape) if box is None else box
    inside, n_outside = _within(skeletons, space, region)
    if not inside:
        raise InvalidInput(*_nothing_inside(skeletons, space, region))
    segments = segments_at_nodes(predicted, inside, space, region, report)
    scores = run_lengths(inside, segments, tolerated, merged_by)
    compared = {
        "skeletons": len(inside),
        "skeletons_left_out": len(skeletons) - len(inside),
        "without_length": len(inside) - len(scores.skeletons),
        "nodes": sum(len(at_nodes) for at_nodes in segments),
        "nodes_left_out": n_outside,
        "nodes_at_0": sum(int((at_nodes == 0).sum()) for at_nodes in segments),
    }
    return {
        "unit": "nm" if space.known else "voxels",
        **_figures(scores),
        **_at_nodes(inside, segments),
        "mergers": {"tolerated_nodes": tolerated, "merged_by": merged_by},
        "compared": compared,
        "notes": _notes(compared, region, space),
    }


def _figures(scores: SkeletonScores) -> dict[str, Any]:
    """Run lengths of all skeletons and of each, as JSON values."""
    length = scores.length
    return {
        "erl": _or_none(scores.erl),
        "erl_of_truth": _or_none(scores.erl_of_truth),
        "nerl": _or_none(scores.nerl),
        "length": length,
        "share": {name: value / length if length else None for name, value in scores.lengths.items()},
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
    }


def _at_nodes(skeletons: Sequence[Skeleton], segments: Sequence[np.ndarray]) -> dict[str, Any]:
    """Variation of information of skeletons and segments over nodes."""
    table = ContingencyTable()
    for skeleton, at_nodes in zip(skeletons, segments, strict=True):
        table.add(at_nodes, np.full(len(at_nodes), skeleton.segment, np.uint64))
    split, merge = table.variation_of_information()
    return {"voi_split": _or_none(split), "voi_merge": _or_none(merge)}


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


def segments_at_nodes(
    predicted: LabelReader,
    skeletons: Sequence[Skeleton],
    space: VoxelSpace,
    box: Box,
    report: Callable[[int, int], None] | None = None,
) -> list[np.ndarray]:
    """The segment at each node of each skeleton, uint64; only blocks with nodes are read.

    Parameters
    ----------
    predicted : LabelReader
        Ids from 0.
    skeletons : sequence of Skeleton
        At least one; all nodes lie in the box.
    space : VoxelSpace
        Voxel size and origin of `predicted`.
    report : callable, optional
        Called with the number of blocks done and their total.
    """
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


def _or_none(value: float) -> float | None:
    """The value, None for nan, which JSON lacks."""
    return None if math.isnan(value) else value
