"""Pieces of objects whose seed lies in another block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_pytc.labels.region_graph import packed


def joined_to_seeded(
    groups: np.ndarray, seeds: np.ndarray, near: np.ndarray, well_seeded: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Groups of labels of which each without a seed joins the seeded one with which it shares the most voxels.

    Far from their seeds, two objects that touch are one piece to a block, which matches neither of the two that its
    neighbour tells apart. It is inside of an object all the same, and would be lost.

    Parameters
    ----------
    groups : ndarray, shape (n + 1,)
        The group of each label, 0 for the background.
    seeds : ndarray, shape (n + 1,)
        Seed voxels of each label.
    near : ndarray of int64, shape (m, 3)
        Two labels that touch across a face and may be joined, and how many voxels both blocks give them.
    well_seeded : callable
        `DecoderSettings.well_seeded`.

    Returns
    -------
    ndarray, as `groups`
        Pieces that touch no seeded group, over others neither, stay as they are.
    """
    groups = groups.copy()
    while True:
        n = int(groups.max()) + 1
        is_seeded = well_seeded(np.bincount(groups, weights=seeds, minlength=n))
        here, there = groups[near[:, 0]].astype(np.uint32), groups[near[:, 1]].astype(np.uint32)
        pairs = np.concatenate([np.stack([here, there], axis=1), np.stack([there, here], axis=1)])
        wanted = ~is_seeded[pairs[:, 0]] & is_seeded[pairs[:, 1]]
        if not wanted.any():
            return groups
        keys, inverse = np.unique(packed(pairs[wanted]), return_inverse=True)
        shared = np.bincount(inverse.reshape(-1), weights=np.tile(near[:, 2], 2)[wanted])
        order = np.argsort(shared, kind="stable")  # the last one that is written stays
        joins = np.arange(n)
        joins[(keys >> np.uint64(32)).astype(np.int64)[order]] = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)[order]
        groups = joins[groups]
