"""Cuts through a graph of pieces between seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow

_UNCUTTABLE = 2**30
_LARGEST_CAPACITY = 10**5
_STEEPNESS = 18.0


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of a segment, 0 to n - 1, and their contacts.

    Parameters
    ----------
    n : int
        Number of pieces.
    edges : ndarray of int, shape (m, 2)
        Pairs that touch, none twice.
    scores : ndarray of float, shape (m,)
        Probability that both are one object.
    contacts : ndarray of int, shape (m,)
        Faces between them.
    """

    n: int
    edges: np.ndarray
    scores: np.ndarray
    contacts: np.ndarray

    def capacities(self) -> np.ndarray:
        """Cost to cut each edge: its faces, each the cheaper the more it looks like a boundary; int32.

        Scaled to the largest, because a flow is counted in integers; no edge is free.
        """
        cost = self.contacts * np.exp(_STEEPNESS * (np.asarray(self.scores, float) - 1))
        largest = cost.max(initial=0.0)
        scaled = cost * (_LARGEST_CAPACITY / largest) if largest > 0 else cost
        return np.maximum(np.rint(scaled), 1).astype(np.int32)


def cut(pieces: Pieces, seeds: np.ndarray) -> np.ndarray:
    """The cheapest way to keep the seeds of different colours apart.

    Two colours: a minimum cut, by maximum flow. More: the isolating cuts of all colours but the dearest one, which is
    at most twice as dear as the best (Dahlhaus et al., 1994). Pieces that are then cut off from all seeds of their
    colour go with the neighbours they touch most.

    Parameters
    ----------
    seeds : ndarray of int, shape (n,)
        Colour of the pieces that are seeds, from 1; 0 for all others.

    Returns
    -------
    ndarray of int, shape (n,)
        Colour of every piece; 0 where no seed can be reached at all.
    """
    used = [int(colour) for colour in np.unique(seeds) if colour]
    capacities = pieces.capacities()
    if len(used) < 2:
        colours = np.full(pieces.n, used[0] if used else 0)
    elif len(used) == 2:
        near = _source_side(pieces, capacities, seeds == used[0], seeds == used[1])
        colours = np.where(near, used[0], used[1])
    else:
        colours = _isolating_cuts(pieces, capacities, seeds, used)
    return adopt_orphans(pieces, colours, seeds)


def adopt_orphans(pieces: Pieces, colours: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Give groups of pieces that hold no seed of their colour the colour they touch most; 0 where they touch none."""
    u, v = pieces.edges[:, 0], pieces.edges[:, 1]
    same = colours[u] == colours[v]
    _, groups = connected_components(_matrix(pieces.n, pieces.edges[same], np.ones(int(same.sum()), np.int32)), False)
    has_seeds = np.zeros(groups.max(initial=-1) + 1, bool)
    has_seeds[groups[(seeds > 0) & (seeds == colours)]] = True
    colours = np.where(has_seeds[groups], colours, 0)
    n_colours = int(seeds.max(initial=0)) + 1
    while True:
        crossing = (colours[u] == 0) != (colours[v] == 0)
        if not crossing.any():
            return colours
        homeless = np.where(colours[u] == 0, u, v)[crossing]
        home = np.where(colours[u] == 0, v, u)[crossing]
        votes = np.bincount(
            groups[homeless] * n_colours + colours[home], pieces.contacts[crossing], len(has_seeds) * n_colours
        ).reshape(-1, n_colours)
        choice = np.where(votes.any(axis=1), votes.argmax(axis=1), 0)
        colours = np.where(colours == 0, choice[groups], colours)


def _isolating_cuts(pieces: Pieces, capacities: np.ndarray, seeds: np.ndarray, used: list[int]) -> np.ndarray:
    sides = {}
    for colour in used:
        near = _source_side(pieces, capacities, seeds == colour, (seeds > 0) & (seeds != colour))
        u, v = pieces.edges[:, 0], pieces.edges[:, 1]
        sides[colour] = (int(capacities[near[u] != near[v]].sum(dtype=np.int64)), near)
    dearest = max(used, key=lambda colour: sides[colour][0])
    colours = np.full(pieces.n, dearest)
    # Source sides that flows leave are the smallest ones, and the smallest isolating sides never overlap.
    for colour in used:
        if colour != dearest:
            colours[sides[colour][1]] = colour
    return colours


def _source_side(pieces: Pieces, capacities: np.ndarray, sources: np.ndarray, sinks: np.ndarray) -> np.ndarray:
    """The pieces that can still be reached from the sources once the largest flow runs; bool, shape (n,)."""
    source, sink = pieces.n, pieces.n + 1
    tied = [(source, np.flatnonzero(sources)), (sink, np.flatnonzero(sinks))]
    ties = np.concatenate([np.stack([np.full(len(nodes), end), nodes], axis=1) for end, nodes in tied])
    edges = np.concatenate([pieces.edges, ties])
    values = np.concatenate([capacities, np.full(len(ties), _UNCUTTABLE, np.int32)])
    network = _matrix(pieces.n + 2, edges, values)
    left = network - maximum_flow(network, source, sink).flow
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    side = np.zeros(pieces.n + 2, bool)
    side[breadth_first_order(left, source, return_predecessors=False)] = True
    return side[: pieces.n]


def _matrix(n: int, edges: np.ndarray, values: np.ndarray) -> csr_matrix:
    """The edges in both directions."""
    ends = np.concatenate([edges, edges[:, ::-1]]).astype(np.int32)
    return coo_matrix((np.concatenate([values, values]).astype(np.int32), (ends[:, 0], ends[:, 1])), (n, n)).tocsr()
