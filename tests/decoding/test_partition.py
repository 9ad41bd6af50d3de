from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from bioimage_cpp.graph import UndirectedGraph, agglomeration
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.decoding import AgglomerationDecoder, MulticutDecoder, WatershedDecoder
from napari_pytc.decoding.partition import absorb_small, hierarchy_of, large_islands
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph

SPACE = VoxelSpace((10, 10, 10))


def random_graph(n: int, n_edges: int, seed: int) -> RegionGraph:
    rng = np.random.default_rng(seed)
    pairs = np.sort(rng.integers(1, n + 1, (n_edges, 2)), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).astype(np.uint32)
    m = len(pairs)
    return RegionGraph(
        pairs,
        rng.random(m).astype(np.float32),
        rng.integers(1, 50, m).astype(np.uint32),
        np.zeros((m, 3), np.float32),
    )


def same_groups(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a, b], axis=1), axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))


def agglomerated_one_by_one(graph: RegionGraph, n: int, threshold: float) -> np.ndarray:
    """The definition: merge the two groups with the highest mean score over all faces between them, and again."""
    group = np.arange(n + 1)
    while True:
        totals: dict[tuple[int, int], list[float]] = {}
        for (u, v), score, contacts in zip(graph.edges, graph.scores, graph.contacts, strict=True):
            a, b = sorted((int(group[u]), int(group[v])))
            if a != b:
                total = totals.setdefault((a, b), [0.0, 0.0])
                total[0] += float(score) * float(contacts)
                total[1] += float(contacts)
        best = max(((s / c, pair) for pair, (s, c) in totals.items()), default=(-1.0, (0, 0)))
        if best[0] < threshold:
            return group
        group[group == best[1][1]] = best[1][0]


@given(st.integers(2, 14), st.integers(1, 40), st.integers(0, 99), st.floats(0.05, 0.95))
def test_the_hierarchy_is_that_of_merging_one_by_one(n: int, n_edges: int, seed: int, threshold: float) -> None:
    graph = random_graph(n, n_edges, seed)
    found = hierarchy_of(graph, n + 1).cut(threshold)
    assert same_groups(found, agglomerated_one_by_one(graph, n, threshold))


def test_it_is_that_of_bioimage_cpp() -> None:
    graph = random_graph(300, 2000, 4)
    theirs = UndirectedGraph.from_unique_edges(301, graph.edges.astype(np.uint64))
    for threshold in (0.3, 0.5, 0.6):
        weights = graph.scores.astype(float) - threshold
        found = agglomeration.GaspClusterPolicy(linkage="mean").optimize(
            theirs, weights, edge_sizes=graph.contacts.astype(float)
        )
        assert same_groups(hierarchy_of(graph, 301).cut(threshold), found)


def test_a_higher_threshold_only_splits() -> None:
    graph = random_graph(200, 800, 2)
    sizes = np.full(201, 1000)
    cuts = [
        AgglomerationDecoder(threshold=t, smallest_um3=0).partition(graph, sizes, SPACE) for t in (0.2, 0.4, 0.6, 0.8)
    ]
    for coarse, fine in pairwise(cuts):
        assert len(np.unique(np.stack([coarse, fine], axis=1), axis=0)) == len(np.unique(fine))
    assert len(np.unique(cuts[0])) < len(np.unique(cuts[-1]))


def test_the_slider_of_multicut_goes_from_few_to_many() -> None:
    graph = random_graph(200, 800, 2)
    sizes = np.full(201, 1000)
    counts = [
        len(np.unique(MulticutDecoder(beta=beta, smallest_um3=0).partition(graph, sizes, SPACE)))
        for beta in (0.05, 0.5, 0.95)
    ]
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.slow
def test_multicut_is_near_the_best_of_all_partitions_of_a_small_graph() -> None:
    graph = random_graph(6, 30, 1)
    settings = MulticutDecoder(smallest_um3=0, solver="kernighan_lin")
    costs = settings.costs(graph)
    best = min(
        costs[assignment[graph.edges[:, 0]] != assignment[graph.edges[:, 1]]].sum()
        for code in range(6**6)
        for assignment in [np.array([0, *(code // 6**k % 6 for k in range(6))])]
    )
    found = settings.partition(graph, np.full(7, 1000), SPACE)
    assert best <= costs[found[graph.edges[:, 0]] != found[graph.edges[:, 1]]].sum() <= 0.95 * best < 0


def test_small_segments_join_their_best_neighbour_until_none_is_small() -> None:
    edges = np.array([[1, 2], [2, 3], [3, 4]], np.uint32)
    graph = RegionGraph(
        edges, np.array([0.1, 0.3, 0.2], np.float32), np.ones(3, np.uint32), np.zeros((3, 3), np.float32)
    )
    sizes = np.array([0, 100, 5, 4, 100, 3])
    segments = absorb_small(np.arange(6, dtype=np.uint32), sizes, graph, 50)
    assert segments.tolist() == [0, 1, 2, 2, 2, 5] or segments.tolist() == [0, 1, 2, 2, 4, 5]
    assert absorb_small(np.arange(6, dtype=np.uint32), sizes, graph, 0).tolist() == [0, 1, 2, 3, 4, 5]
    assert large_islands(sizes, graph, 50).tolist() == [False, True, True, True, True, False]


def test_other_decoders_leave_supervoxels_alone() -> None:
    graph = random_graph(5, 9, 0)
    assert WatershedDecoder().partition(graph, np.full(6, 9), SPACE).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("settings", [AgglomerationDecoder(), MulticutDecoder()])
def test_no_supervoxels_and_no_contacts(settings: AgglomerationDecoder) -> None:
    assert settings.partition(RegionGraph.empty(), np.zeros(1, np.uint64), SPACE).tolist() == [0]
    assert settings.partition(RegionGraph.empty(), np.array([0, 600, 700]), SPACE).tolist() == [0, 1, 2]


def test_what_is_kept_goes_with_the_graph() -> None:
    graph = random_graph(20, 60, 3)
    assert hierarchy_of(graph, 21) is hierarchy_of(graph, 21)
