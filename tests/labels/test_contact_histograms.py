"""Histograms of contacts against lists of the scores themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput
from napari_pytc.labels.contact_histograms import ContactHistograms, joined
from napari_pytc.labels.region_graph import RegionGraph, contact_edges, merged

scores_of_contacts = st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=12), min_size=1, max_size=8)


def histograms_of(contacts: list[list[int]]) -> ContactHistograms:
    rows = np.repeat(np.arange(len(contacts)), [len(one) for one in contacts])
    return ContactHistograms.of_faces(rows, np.concatenate(contacts) / 255, len(contacts))


def listed(histograms: ContactHistograms) -> list[list[int]]:
    """The scores of each contact, in bytes, ascending."""
    ends = zip(histograms.starts[:-1], histograms.starts[1:], strict=True)
    return [np.repeat(histograms.bins[a:b], histograms.counts[a:b]).tolist() for a, b in ends]


@given(scores_of_contacts)
def test_they_hold_every_score(contacts: list[list[int]]) -> None:
    assert listed(histograms_of(contacts)) == [sorted(one) for one in contacts]


@given(scores_of_contacts, st.integers(0, 1000))
def test_a_quantile_is_the_score_of_its_rank(contacts: list[list[int]], permille: int) -> None:
    expected = [sorted(one)[min(len(one) * permille // 1000, len(one) - 1)] / 255 for one in contacts]
    np.testing.assert_allclose(histograms_of(contacts).quantiles(permille), expected, atol=1e-12)


@given(scores_of_contacts, st.data())
def test_contacts_are_taken_and_added_up(contacts: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(contacts) - 1), min_size=1, max_size=12))
    starts = sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)))) - {len(rows)} | {0})
    found = histograms_of(contacts).take(np.array(rows)).added(np.array(starts))
    expected = [
        sorted(score for row in rows[a:b] for score in contacts[row])
        for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)
    ]
    assert listed(found) == expected


@given(scores_of_contacts)
def test_the_highest_are_kept_with_their_number(contacts: list[list[int]]) -> None:
    assert listed(histograms_of(contacts).highest()) == [[max(one)] * one.count(max(one)) for one in contacts]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_other_scores_are_rounded_by_at_most_half_a_step(scores: list[float]) -> None:
    found = ContactHistograms.of_faces(np.arange(len(scores)), np.array(scores), len(scores)).quantiles(500)
    assert np.abs(found - scores).max() <= 0.5 / 255 + 1e-12


def test_they_come_back_from_a_folder_with_the_graph(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels, join = rng.integers(0, 6, (4, 5, 6)).astype(np.uint32), rng.random((3, 4, 5, 6)).astype(np.float32)
    graph = contact_edges(labels, join, histograms=True)
    graph.save(tmp_path)
    again = RegionGraph.load(tmp_path)
    assert graph.histograms is not None
    assert again.histograms is not None
    assert listed(again.histograms) == listed(graph.histograms)
    assert sum(map(len, listed(graph.histograms))) == graph.contacts.sum()


def test_a_graph_without_them_loads_without(tmp_path: Path) -> None:
    RegionGraph.empty().save(tmp_path)
    assert RegionGraph.load(tmp_path).histograms is None


@given(st.integers(0, 50))
def test_those_of_blocks_add_up_to_those_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, join = rng.integers(0, 5, (6, 5, 4)).astype(np.uint32), rng.random((3, 6, 5, 4)).astype(np.float32)
    whole = contact_edges(labels, join, histograms=True)
    parts = [
        contact_edges(labels[z : z + 3], join[:, z : z + 3], (z, 0, 0), (2, 5, 4), histograms=True) for z in (0, 2, 4)
    ]
    found = merged(parts)
    assert whole.histograms is not None
    assert found.histograms is not None
    np.testing.assert_array_equal(found.edges, whole.edges)
    assert listed(found.histograms) == listed(whole.histograms)


def test_no_contact_has_none() -> None:
    empty = contact_edges(np.zeros((2, 2, 2), np.uint32), histograms=True)
    assert empty.histograms is not None
    assert len(empty.histograms) == 0
    assert len(merged([empty, empty]).histograms or ()) == 0
    assert empty.histograms.quantiles(500).tolist() == []
    assert listed(joined([histograms_of([[3], [4, 4]]), histograms_of([[1]])])) == [[3], [4, 4], [1]]


def test_as_many_are_needed_as_there_are_contacts() -> None:
    graph = contact_edges(np.array([[[1, 2, 3]]], np.uint32))
    with pytest.raises(InvalidInput, match="as many histograms"):
        RegionGraph(graph.edges, graph.scores, graph.contacts, graph.places, histograms_of([[1]]))
    with pytest.raises(InvalidInput, match="Histograms need starts"):
        ContactHistograms(np.array([0, 2]), np.zeros(1, np.uint8), np.zeros(1, np.uint32))
