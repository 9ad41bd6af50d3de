from __future__ import annotations

from pathlib import Path

import bioimage_cpp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, TileGrid
from napari_pytc.labels.region_graph import RegionGraph, contact_edges, merged

small_labels = hnp.arrays(np.uint32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 5))


def faces_one_by_one(labels: np.ndarray, join: np.ndarray) -> dict[tuple[int, int], list[float]]:
    """Scores of all faces of each pair, found voxel by voxel."""
    found: dict[tuple[int, int], list[float]] = {}
    for here in np.ndindex(labels.shape):
        for axis in range(3):
            there = tuple(i + (a == axis) for a, i in enumerate(here))
            if there[axis] == labels.shape[axis]:
                continue
            u, v = sorted((int(labels[here]), int(labels[there])))
            if u and u != v:
                score = join[(axis, *here)] if join.ndim == 4 else (float(join[here]) + float(join[there])) / 2
                found.setdefault((u, v), []).append(float(score))
    return found


def assert_same(a: RegionGraph, b: RegionGraph) -> None:
    np.testing.assert_array_equal(a.edges, b.edges)
    np.testing.assert_array_equal(a.contacts, b.contacts)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
    np.testing.assert_allclose(a.places, b.places, atol=1e-4)


@given(small_labels, st.booleans(), st.integers(0, 9))
def test_every_face_counts_once(labels: np.ndarray, each_face: bool, seed: int) -> None:
    join = np.random.default_rng(seed).random((3, *labels.shape) if each_face else labels.shape).astype(np.float32)
    graph = contact_edges(labels, join)
    expected = faces_one_by_one(labels, join)
    assert [tuple(edge) for edge in graph.edges.tolist()] == sorted(expected)
    for edge, score, contacts in zip(graph.edges.tolist(), graph.scores, graph.contacts, strict=True):
        assert contacts == len(expected[tuple(edge)])
        assert score == pytest.approx(np.mean(expected[tuple(edge)]), abs=1e-5)


@pytest.mark.slow
@given(small_labels, st.tuples(*[st.integers(1, 4)] * 3), st.integers(0, 9))
def test_blocks_add_up_to_the_whole(labels: np.ndarray, block: tuple[int, int, int], seed: int) -> None:
    join = np.random.default_rng(seed).random((3, *labels.shape)).astype(np.float32)
    whole = Box.of_shape(labels.shape)
    parts = []
    for tile in TileGrid(whole, block):
        box = Box(tile.write.start, tile.write.grow((1, 1, 1)).stop).intersect(whole)
        join_part = join[(slice(None), *box.slices)]
        parts.append(contact_edges(labels[box.slices], join_part, box.start, tile.write.shape))
    assert_same(merged(parts), contact_edges(labels, join))


def test_edges_are_those_of_bioimage_cpp() -> None:
    labels = np.random.default_rng(1).integers(1, 40, (8, 9, 10)).astype(np.uint32)
    theirs = bioimage_cpp.graph.region_adjacency_graph(labels)
    np.testing.assert_array_equal(contact_edges(labels).edges, theirs.uv_ids())
    boundary = np.random.default_rng(2).random(labels.shape).astype(np.float32)
    mean = bioimage_cpp.graph.features.edge_map_features(theirs, labels, boundary)[:, 0]
    np.testing.assert_allclose(contact_edges(labels, boundary).scores, mean, atol=1e-5)


def test_a_place_is_the_middle_of_the_contact() -> None:
    labels = np.ones((3, 4, 4), np.uint32)
    labels[:, :, 2:] = 2
    graph = contact_edges(labels, origin=(10, 20, 30))
    np.testing.assert_allclose(graph.places, [[11, 21.5, 31.5]])
    assert graph.scores.tolist() == [0.5]


@given(small_labels)
def test_neighbours_and_edges_within(labels: np.ndarray) -> None:
    graph = contact_edges(labels)
    for supervoxel in range(8):
        expected = np.flatnonzero((graph.edges == supervoxel).any(axis=1))
        np.testing.assert_array_equal(graph.neighbours(supervoxel), expected)
    for chosen in ([], [1], [1, 2, 3], [0, 5, 9], [4, 2, 4]):
        expected = np.flatnonzero(np.isin(graph.edges, chosen).all(axis=1))
        np.testing.assert_array_equal(graph.within(np.array(chosen, np.uint32)), expected)


def test_saved_and_loaded(tmp_path: Path) -> None:
    graph = contact_edges(np.random.default_rng(0).integers(0, 9, (5, 6, 7)).astype(np.uint32))
    graph.save(tmp_path)
    again = RegionGraph.load(tmp_path)
    assert_same(again, graph)
    assert isinstance(again.edges, np.memmap)
    np.testing.assert_array_equal(again.neighbours(3), graph.neighbours(3))
    for name in ("edge_starts", "second_starts", "edges_by_second"):
        (tmp_path / f"{name}.npy").unlink()
    np.testing.assert_array_equal(RegionGraph.load(tmp_path).neighbours(3), graph.neighbours(3))


def test_a_graph_without_contacts(tmp_path: Path) -> None:
    RegionGraph.empty().save(tmp_path)
    graph = RegionGraph.load(tmp_path)
    assert len(graph) == 0
    assert graph.neighbours(1).size == 0
    assert graph.within(np.array([1, 2])).size == 0
    assert len(merged([graph, graph])) == 0


def test_a_damaged_graph_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="is damaged"):
        RegionGraph.load(tmp_path)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(InvalidInput, match="join probability"):
        contact_edges(np.ones((2, 2, 2), np.uint32), np.ones((2, 2)))
    with pytest.raises(InvalidInput, match="scores"):
        RegionGraph(np.zeros((2, 2), np.uint32), np.zeros(1), np.zeros(2), np.zeros((2, 3)))
