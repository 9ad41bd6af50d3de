"""Contacts of touched supervoxels are those of the whole volume, found in small boxes and once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.proofreading.contacts import EditedContacts


class Voxels:
    """Supervoxels and a boundary map in memory; counts how often it was asked for a supervoxel's box."""

    def __init__(self, labels: NDArray[np.uint32], boundary: np.ndarray) -> None:
        self.labels, self.map = labels, boundary
        self.asked: Counter[int] = Counter()
        self.largest = 0

    @property
    def shape(self) -> Shape:
        z, y, x = self.labels.shape
        return (z, y, x)

    def box_of(self, supervoxels: np.ndarray) -> Box:
        self.asked.update(supervoxels.tolist())
        where = np.argwhere(np.isin(self.labels, supervoxels))
        if not len(where):
            return Box((0, 0, 0), (0, 0, 0))
        return Box(tuple(where.min(axis=0).tolist()), tuple((where.max(axis=0) + 1).tolist()))

    def supervoxels(self, box: Box) -> np.ndarray:
        self.largest = max(self.largest, box.size)
        return self.labels[box.slices]

    def boundary(self, box: Box) -> np.ndarray:
        return self.map[box.slices]

    def paint(self, box: Box, label: int) -> LabelPatch:
        before = self.labels[box.slices].copy()
        self.labels[box.slices] = label
        patch = LabelPatch.between(box, before, self.labels[box.slices])
        assert patch is not None
        return patch


def make_voxels(seed: int, shape: Shape = (4, 6, 7), n: int = 5) -> Voxels:
    rng = np.random.default_rng(seed)
    return Voxels(rng.integers(0, n + 1, shape).astype(np.uint32), rng.random(shape, np.float32))


def whole_of(voxels: Voxels) -> RegionGraph:
    return contact_edges(voxels.labels, 1 - voxels.map)


def only(graph: RegionGraph, keep: np.ndarray) -> RegionGraph:
    return RegionGraph(graph.edges[keep], graph.scores[keep], graph.contacts[keep], graph.places[keep])


def ids_of(*ids: int) -> NDArray[np.uint32]:
    return np.array(sorted(ids), np.uint32)


def assert_same(found: RegionGraph, expected: RegionGraph) -> None:
    np.testing.assert_array_equal(found.edges, expected.edges)
    np.testing.assert_array_equal(found.contacts, expected.contacts)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.places, expected.places, atol=1e-4)


@given(seed=st.integers(0, 10_000), data=st.data())
@settings(max_examples=60, deadline=None)
def test_stored_and_touched_together_are_the_contacts_of_all_that_are_chosen(seed: int, data: st.DataObject) -> None:
    voxels = make_voxels(seed)
    all_ids = [int(label) for label in np.unique(voxels.labels) if label]
    chosen = data.draw(st.sets(st.sampled_from(all_ids), min_size=1))
    touched = data.draw(st.sets(st.sampled_from(sorted(chosen))))
    whole = whole_of(voxels)
    among = np.isin(whole.edges, sorted(chosen)).all(axis=1)
    stored = only(whole, among & ~np.isin(whole.edges, sorted(touched)).any(axis=1))
    found = EditedContacts(voxels).added_to(stored, ids_of(*chosen), ids_of(*touched))
    assert_same(found, only(whole, among))


def test_without_touched_ones_the_stored_contacts_come_back_and_no_voxel_is_read() -> None:
    voxels = make_voxels(1)
    whole = whole_of(voxels)
    assert_same(EditedContacts(voxels).added_to(whole, ids_of(1, 2, 3), ids_of()), whole)
    assert voxels.largest == 0


def test_a_touched_one_that_is_gone_has_no_contacts() -> None:
    voxels = make_voxels(1)
    found = EditedContacts(voxels).added_to(RegionGraph.empty(), ids_of(1, 99), ids_of(99))
    assert len(found.edges) == 0


def test_only_the_surroundings_of_the_supervoxel_are_read() -> None:
    labels = np.ones((20, 20, 20), np.uint32)
    labels[5:7, 5:7, 5:7] = 2
    voxels = Voxels(labels, np.zeros(labels.shape, np.float32))
    found = EditedContacts(voxels).added_to(RegionGraph.empty(), ids_of(1, 2), ids_of(2))
    assert found.edges.tolist() == [[1, 2]]
    assert found.contacts.tolist() == [24]
    assert voxels.largest == 4**3


def test_a_supervoxel_at_the_edge_of_the_volume_is_looked_at_within_it() -> None:
    labels = np.full((3, 3, 3), 1, np.uint32)
    labels[0, 0, 0] = 2
    voxels = Voxels(labels, np.zeros(labels.shape, np.float32))
    found = EditedContacts(voxels).added_to(RegionGraph.empty(), ids_of(1, 2), ids_of(2))
    assert found.contacts.tolist() == [3]


def test_each_looks_once_until_voxels_there_change() -> None:
    labels = np.zeros((3, 4, 40), np.uint32)
    labels[:, :, 0:3], labels[:, :, 3:6] = 1, 2
    labels[:, :, 30:33], labels[:, :, 33:36] = 3, 4
    voxels = Voxels(labels, np.zeros(labels.shape, np.float32))
    contacts = EditedContacts(voxels)
    everyone = ids_of(1, 2, 3, 4)
    for _ in range(3):
        contacts.added_to(RegionGraph.empty(), everyone, ids_of(1, 3))
    assert voxels.asked == {1: 1, 3: 1}

    contacts.forget(voxels.paint(Box((0, 0, 2), (3, 4, 3)), 2))
    found = contacts.added_to(RegionGraph.empty(), everyone, ids_of(1, 3))
    assert voxels.asked == {1: 2, 3: 1}
    assert_same(found, whole_of(voxels))


def test_voxels_right_beside_a_supervoxel_count_as_its_surroundings() -> None:
    labels = np.zeros((1, 1, 9), np.uint32)
    labels[0, 0, 3:5] = 1
    voxels = Voxels(labels, np.zeros(labels.shape, np.float32))
    contacts = EditedContacts(voxels)
    assert len(contacts.added_to(RegionGraph.empty(), ids_of(1, 2), ids_of(1)).edges) == 0
    contacts.forget(voxels.paint(Box((0, 0, 5), (1, 1, 6)), 2))
    assert contacts.added_to(RegionGraph.empty(), ids_of(1, 2), ids_of(1)).edges.tolist() == [[1, 2]]


def test_a_supervoxel_that_grows_far_away_is_looked_for_anew() -> None:
    labels = np.zeros((1, 1, 30), np.uint32)
    labels[0, 0, 0:2], labels[0, 0, 25:28] = 1, 2
    voxels = Voxels(labels, np.zeros(labels.shape, np.float32))
    contacts = EditedContacts(voxels)
    contacts.added_to(RegionGraph.empty(), ids_of(1, 2), ids_of(1))
    contacts.forget(voxels.paint(Box((0, 0, 20), (1, 1, 25)), 1))
    assert contacts.added_to(RegionGraph.empty(), ids_of(1, 2), ids_of(1)).edges.tolist() == [[1, 2]]


@pytest.mark.slow
@given(seed=st.integers(0, 10_000), steps=st.lists(st.tuples(st.integers(0, 41), st.integers(0, 6)), max_size=5))
@settings(max_examples=40, deadline=None)
def test_after_any_edits_the_contacts_are_those_of_the_voxels(seed: int, steps: list[tuple[int, int]]) -> None:
    voxels = make_voxels(seed)
    contacts = EditedContacts(voxels)
    everyone = ids_of(1, 2, 3, 4, 5, 6)
    contacts.added_to(RegionGraph.empty(), everyone, everyone)
    for place, label in steps:
        y, x = divmod(place, 7)
        box = Box((1, y, x), (2, y + 1, x + 1))
        if voxels.labels[box.slices].item() != label:
            contacts.forget(voxels.paint(box, label))
        assert_same(contacts.added_to(RegionGraph.empty(), everyone, everyone), whole_of(voxels))


def test_memory_is_bounded_and_nothing_is_lost_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_pytc.proofreading.contacts._MOST_KNOWN", 2)
    voxels = make_voxels(3)
    contacts = EditedContacts(voxels)
    everyone = ids_of(1, 2, 3, 4, 5)
    for _ in range(2):
        assert_same(contacts.added_to(RegionGraph.empty(), everyone, everyone), whole_of(voxels))
    assert len(contacts._known) <= 2
