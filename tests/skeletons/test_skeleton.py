from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.skeletons.skeleton import Skeleton


def skeleton_of(nodes: list[tuple[float, float, float]], edges: list[tuple[int, int]], segment: int = 1) -> Skeleton:
    return Skeleton(
        segment, np.array(nodes, float).reshape(-1, 3), np.array(edges, np.int64).reshape(-1, 2), np.zeros(len(nodes))
    )


def test_measures_of_a_fork_and_a_lone_node() -> None:
    #  0 - 1 - 2     5
    #      |
    #      3 - 4
    found = skeleton_of(
        [(0, 0, 0), (0, 0, 4), (0, 0, 8), (0, 3, 4), (0, 3, 5), (9, 9, 9)], [(0, 1), (2, 1), (1, 3), (3, 4)]
    )
    assert found.length_nm == pytest.approx(4 + 4 + 3 + 1)
    assert (found.n_branch_points, found.n_end_points, found.n_parts) == (1, 4, 2)
    assert found.is_forest
    assert not skeleton_of([(0, 0, 0), (0, 0, 1), (0, 1, 0)], [(0, 1), (1, 2), (2, 0)]).is_forest


def test_an_empty_skeleton_measures_nothing() -> None:
    found = skeleton_of([], [])
    assert (found.length_nm, found.n_branch_points, found.n_end_points, found.n_parts) == (0, 0, 0, 0)
    order, parents = found.rooted()
    assert len(order) == len(parents) == 0


@settings(max_examples=50)
@given(st.lists(st.integers(-1, 30), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_every_node_comes_after_its_parent(raw: list[int], random) -> None:
    tree = [min(parent, k - 1) for k, parent in enumerate(raw)]
    names = list(range(len(tree)))
    random.shuffle(names)
    edges = [(names[k], names[parent]) for k, parent in enumerate(tree) if parent >= 0]
    found = Skeleton(1, np.zeros((len(tree), 3)), np.array(edges, np.int64).reshape(-1, 2), np.zeros(len(tree)))
    order, parents = found.rooted()
    assert sorted(order.tolist()) == list(range(len(tree)))
    seen: set[int] = set()
    for node in order.tolist():
        assert parents[node] == -1 or parents[node] in seen
        seen.add(node)
    rebuilt = {frozenset((k, parent)) for k, parent in enumerate(parents.tolist()) if parent >= 0}
    assert rebuilt == {frozenset(edge) for edge in edges}
    assert all(found.degrees[root] < 2 for root in np.flatnonzero(parents < 0))
