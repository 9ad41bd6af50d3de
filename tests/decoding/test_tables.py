"""Measures of supervoxels block by block add up to those of the volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.decoding.base import class_sums, in_order
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.decoding.tables import BlockTables, VolumeTables, add_up, renamed
from napari_pytc.geometry import Box, TileGrid
from napari_pytc.labels.region_graph import RegionGraph, contact_edges

volumes = hnp.arrays(np.uint32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 5))
blocks = st.tuples(*[st.integers(1, 4)] * 3)


def measured(labels: np.ndarray, block: tuple[int, int, int], classes: np.ndarray | None = None) -> list[BlockTables]:
    """The tables of all blocks of a volume, each of which counts the faces at its near sides."""
    whole = Box.of_shape(labels.shape)
    found = []
    for tile in TileGrid(whole, block):
        near = Box(tile.write.start, tile.write.grow((1, 1, 1)).stop).intersect(whole)
        graph = contact_edges(labels[near.slices], None, near.start, tile.write.shape)

        def sums(compact: np.ndarray, n: int, box: Box = tile.write) -> np.ndarray:
            if classes is None:
                return np.zeros((n, 0))
            evidence = Evidence(classes=classes[(slice(None), *box.slices)], class_names=("a", "b"))
            return class_sums(compact, evidence, n)

        found.append(BlockTables.measured(labels[tile.write.slices], tile.write, labels.shape, sums, graph))
    return found


@pytest.mark.slow
@given(volumes, blocks, st.integers(0, 9))
def test_blocks_add_up_to_what_a_look_at_every_voxel_finds(
    labels: np.ndarray, block: tuple[int, int, int], seed: int
) -> None:
    classes = np.random.default_rng(seed).random((2, *labels.shape)).astype(np.float32)
    tables = add_up(measured(labels, block, classes), 5)
    assert tables.sizes.dtype == np.uint64
    for k in range(1, 6):
        where = np.argwhere(labels == k)
        assert tables.sizes[k] == len(where)
        if len(where):
            assert tables.boxes[k].tolist() == [*where.min(axis=0), *(where.max(axis=0) + 1)]
            assert tables.firsts[k] == np.flatnonzero(labels == k)[0]
            np.testing.assert_allclose(tables.class_sums[k], classes[:, labels == k].sum(axis=1), rtol=1e-5)
    whole = contact_edges(labels)
    np.testing.assert_array_equal(tables.graph.edges, whole.edges)
    np.testing.assert_array_equal(tables.graph.contacts, whole.contacts)


@pytest.mark.slow
@given(volumes, blocks, st.lists(st.booleans(), min_size=6, max_size=6))
def test_labels_that_stay_count_in_the_order_of_their_first_voxels(
    labels: np.ndarray, block: tuple[int, int, int], keep: list[bool]
) -> None:
    tables = add_up(measured(labels, block), 5)
    stay = np.array([False, *keep[1:]]) & (tables.sizes > 0)
    ordered, final = tables.in_order_of(stay)
    np.testing.assert_array_equal(final[labels], in_order(np.where(stay[labels], labels, 0)))
    np.testing.assert_array_equal(ordered.sizes[1:], np.bincount(final[labels].ravel())[1:])
    assert len(ordered.sizes) == len(ordered.boxes) == len(ordered.firsts) == stay.sum() + 1
    assert (np.diff(ordered.firsts[1:]) > 0).all()
    np.testing.assert_array_equal(ordered.graph.edges, contact_edges(final[labels]).edges)


@pytest.mark.slow
@given(volumes, blocks)
def test_tables_come_back_from_their_arrays(labels: np.ndarray, block: tuple[int, int, int]) -> None:
    for tables in measured(labels, block):
        again = BlockTables.of(tables.arrays())
        for name, array in tables.arrays().items():
            found = again.arrays()[name]
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype


def test_a_block_of_background_has_empty_tables() -> None:
    (tables,) = measured(np.zeros((2, 2, 2), np.uint32), (2, 2, 2))
    assert tables.ids.shape == tables.sizes.shape == tables.firsts.shape == (0,)
    assert tables.boxes.shape == (0, 6)
    assert len(add_up([tables], 0).sizes) == 1


def test_places_are_counted_through_the_volume_also_where_it_is_larger_than_32_bits() -> None:
    labels = np.full((1, 1, 2), 3, np.uint32)
    box, shape = Box.at((9_999, 79_999, 79_998), (1, 1, 2)), (10_000, 80_000, 80_000)
    tables = BlockTables.measured(labels, box, shape, lambda labels, n: np.zeros((n, 0)), RegionGraph.empty())
    assert tables.firsts.tolist() == [10_000 * 80_000 * 80_000 - 2]
    assert tables.boxes.tolist() == [[9_999, 79_999, 79_998, 10_000, 80_000, 80_000]]


def graph_of(edges: list[tuple[int, int]]) -> RegionGraph:
    m = len(edges)
    scores = np.linspace(0.1, 0.9, m).astype(np.float32)
    places = np.arange(3 * m, dtype=np.float32).reshape(m, 3)
    return RegionGraph(np.array(edges, np.uint32).reshape(m, 2), scores, np.arange(1, m + 1, dtype=np.uint32), places)


def test_a_graph_with_other_ids_keeps_what_belongs_to_each_edge() -> None:
    graph = graph_of([(1, 2), (1, 3), (2, 4)])
    found = renamed(graph, np.array([0, 9, 4, 1, 2], np.uint32))
    assert found.edges.tolist() == [[1, 9], [2, 4], [4, 9]]
    assert found.contacts.tolist() == [2, 3, 1]
    np.testing.assert_array_equal(found.scores, graph.scores[[1, 2, 0]])
    np.testing.assert_array_equal(found.places, graph.places[[1, 2, 0]])


def test_edges_of_what_becomes_background_go() -> None:
    found = renamed(graph_of([(1, 2), (1, 3), (2, 3)]), np.array([0, 0, 1, 2], np.uint32))
    assert found.edges.tolist() == [[1, 2]]
    assert len(renamed(RegionGraph.empty(), np.zeros(1, np.uint32))) == 0


def test_the_order_of_blocks_changes_nothing() -> None:
    labels = np.random.default_rng(4).integers(0, 6, (6, 7, 8)).astype(np.uint32)
    tables = measured(labels, (3, 4, 5))
    one, other = add_up(tables, 5), add_up(tables[::-1], 5)
    for name in ("sizes", "boxes", "firsts"):
        np.testing.assert_array_equal(getattr(one, name)[1:], getattr(other, name)[1:])
    np.testing.assert_array_equal(one.graph.contacts, other.graph.contacts)
    assert isinstance(one, VolumeTables)
