"""Pairs of labels on both sides of a block's face that belong to one object."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from napari_pytc.geometry import Box, Tile, TileGrid
from napari_pytc.labels.region_graph import packed

MOSTLY = 0.5


def slabs(tile: Tile, grid: TileGrid) -> Iterator[tuple[str, Box]]:
    """The slabs of its neighbours that a block decodes with its halo: a name and a box beyond each of its faces.

    ::

        +-----------+-----------+
        |   low2    |           |       a block is decoded with a halo; the labels it gives to the voxels beyond a
        | +---------|--+        |       face are kept, to be compared with those that the neighbour gives them
        | |  block  |##|        |
        | |         |##| high2  |
        +-+---------+--+--------+
    """
    for axis in range(3):
        below = tile.write.start[axis] - tile.read.start[axis]
        above = tile.read.stop[axis] - tile.write.stop[axis]
        thickness = grid.tile_shape[axis]
        if below > 0:
            yield f"low{axis}", _layer(tile.write, axis, -min(below, thickness))
        if above > 0:
            last = grid.box.stop[axis] - tile.write.stop[axis]
            yield f"high{axis}", _layer(tile.write, axis, min(above, thickness, last))


def opposite(name: str) -> str:
    """Name of the neighbour's slab at the same face."""
    return name.replace("low", "high") if name.startswith("low") else name.replace("high", "low")


def touching_pairs(labels: np.ndarray, connectivity: int) -> np.ndarray:
    """Pairs of different labels that touch over faces (6), edges too (18), or corners too (26): (m, 2), u < v."""
    n_steps = {6: 1, 18: 2, 26: 3}[connectivity]
    found = [np.zeros((0, 2), np.uint32)]
    for step in product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0) or sum(abs(s) for s in step) > n_steps:
            continue
        here = labels[tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, labels.shape, strict=True))]
        there = labels[tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(step, labels.shape, strict=True))]
        differ = (here != there) & (here > 0) & (there > 0)
        found.append(unique_pairs(here[differ], there[differ]))
    pairs = np.concatenate(found)
    return unique_pairs(pairs[:, 0], pairs[:, 1])


def unique_pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pairs (m, 2) of labels, each once, the smaller first."""
    keys = np.unique(packed(np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)))
    return np.stack([keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)


def both_sides(box: Box, axis: int) -> Box:
    """The last layer of a box along an axis and the one beyond it."""
    beyond = _layer(box, axis, 1)
    start = list(beyond.start)
    start[axis] -= 1
    return Box((start[0], start[1], start[2]), beyond.stop)


def shared_voxels(low: np.ndarray, high: np.ndarray, contact: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of labels of two blocks that touch across their face, (m, 2), and how many voxels both give them, (m,).

    Parameters
    ----------
    low, high : ndarray of uint32
        Labels that either block gives to the voxels that both decode.
    contact : ndarray of uint32, shape (k, 2)
        Pairs (of low, of high) that touch across the face; 0 is background.
    """
    touching = np.unique(packed(contact[(contact > 0).all(axis=1)]))
    common = (low > 0) & (high > 0)
    keys, counts = np.unique(packed(np.stack([low[common], high[common]], axis=1)), return_counts=True)
    shared = np.zeros(len(touching), np.int64)
    has_both = np.isin(touching, keys)
    shared[has_both] = counts[np.searchsorted(keys, touching[has_both])]
    pairs = np.stack([touching >> np.uint64(32), touching & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)
    return pairs, shared


def overlapping_pairs(low: np.ndarray, high: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """Pairs of labels that two blocks gave to the same voxels, as far as these are mostly the same: (m, 2).

    The parameters are those of `shared_voxels`; labels that do not touch are not joined. Each label has at most one
    partner with which it shares more than half of what is either's, so pieces cannot grow together.
    """
    pairs, shared = shared_voxels(low, high, contact)
    pairs, shared = pairs[shared > 0], shared[shared > 0]
    n_low, n_high = _counts(low, pairs[:, 0]), _counts(high, pairs[:, 1])
    return pairs[shared > MOSTLY * (n_low + n_high - shared)]


def _counts(labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    found, counts = np.unique(labels, return_counts=True)
    return np.asarray(counts[np.searchsorted(found, wanted)] if len(wanted) else np.zeros(0, int))


def _layer(box: Box, axis: int, thickness: int) -> Box:
    """The layer beyond the far face of a box, or beyond its near face for a negative thickness."""
    start, stop = list(box.start), list(box.stop)
    if thickness < 0:
        start[axis], stop[axis] = box.start[axis] + thickness, box.start[axis]
    else:
        start[axis], stop[axis] = box.stop[axis], box.stop[axis] + thickness
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
