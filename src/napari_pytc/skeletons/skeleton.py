"""A skeleton: nodes in space and the edges between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The centre line of a segment, a tree for each of its connected parts.

    Parameters
    ----------
    segment : int
        The segment that it is of.
    nodes_nm : ndarray of float64, shape (n, 3)
        Positions z, y, x of the nodes in nm; in voxels where the voxel size is not known.
    edges : ndarray of int64, shape (m, 2)
        Pairs of nodes that are joined.
    radii_nm : ndarray of float64, shape (n,)
        Distance of each node to the border of the segment; 0 where it is not known.
    """

    segment: int
    nodes_nm: np.ndarray
    edges: np.ndarray
    radii_nm: np.ndarray

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.nodes_nm)

    @cached_property
    def edge_lengths_nm(self) -> np.ndarray:
        """Length of each edge."""
        ends = self.nodes_nm[self.edges]
        return np.asarray(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))

    @property
    def length_nm(self) -> float:
        """Path length: the sum of all edges."""
        return float(self.edge_lengths_nm.sum())

    @cached_property
    def degrees(self) -> np.ndarray:
        """Number of edges at each node."""
        return np.bincount(self.edges.ravel(), minlength=self.n_nodes)

    @property
    def n_branch_points(self) -> int:
        """Nodes with three edges or more."""
        return int((self.degrees > 2).sum())

    @property
    def n_end_points(self) -> int:
        """Nodes with one edge, or with none."""
        return int((self.degrees < 2).sum())

    @cached_property
    def parts(self) -> np.ndarray:
        """Number of the connected part of each node, from 0."""
        return np.asarray(connected_components(_graph(self.n_nodes, *self.edges.T), directed=False)[1])

    @property
    def n_parts(self) -> int:
        """Number of connected parts."""
        return int(self.parts.max()) + 1 if self.n_nodes else 0

    @property
    def is_forest(self) -> bool:
        """Whether no edges make a circle."""
        return len(self.edges) == self.n_nodes - self.n_parts

    def rooted(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes in an order in which each comes after its parent, and the parent of each node.

        The root of a part is an end of it.

        Returns
        -------
        order, parents : ndarray of int64, shape (n,)
            `parents` is by node, -1 of a root.
        """
        n = self.n_nodes
        ends_first = np.argsort(self.degrees > 1, kind="stable")
        _, first = np.unique(self.parts[ends_first], return_index=True)
        roots = ends_first[first]
        # A node above all roots, so that one search finds all parts.
        graph = _graph(n + 1, np.r_[self.edges[:, 0], np.full(len(roots), n)], np.r_[self.edges[:, 1], roots])
        order, parents = breadth_first_order(graph, n, directed=False)
        return order[1:].astype(np.int64), np.where(parents[:n] == n, -1, parents[:n]).astype(np.int64)


def _graph(n: int, one: np.ndarray, other: np.ndarray) -> csr_array:
    return coo_array((np.ones(len(one), np.int8), (one, other)), shape=(n, n)).tocsr()
