"""Agglomeration and multicut on graphs and arrays with a known answer."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_pytc.decoding import AgglomerationDecoder, MulticutDecoder
from napari_pytc.decoding.decoders.agglomeration import GraphSettings
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.partition import MergeHierarchy, cached, components_of, hierarchy_of, smallest_members
from napari_pytc.decoding.regrouping import repartition
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.volumes.roles import AffinityRole
from tests.support.contexts import RecordingContext
from tests.support.decoder_contract import labels_of
from tests.support.evidence import prediction_of, write_prediction
from tests.support.tissue import make_tissue

SPACE, THICK = VoxelSpace((10, 10, 10)), VoxelSpace((45, 4.6, 4.6))


def graph_of(edges: dict[tuple[int, int], tuple[float, int]]) -> RegionGraph:
    """A graph from its edges: score and contact of each."""
    pairs = sorted(edges)
    return RegionGraph(
        np.array(pairs, np.uint32).reshape(-1, 2),
        np.array([edges[pair][0] for pair in pairs], np.float32),
        np.array([edges[pair][1] for pair in pairs], np.uint32),
        np.zeros((len(pairs), 3), np.float32),
    )


def groups(segments: np.ndarray) -> set[frozenset[int]]:
    """The sets of supervoxels that are one, without the background."""
    return {frozenset(np.flatnonzero(segments == k).tolist()) for k in np.unique(segments[1:])}


CHAIN = graph_of({(1, 2): (0.9, 10), (2, 3): (0.3, 10), (3, 4): (0.6, 10)})


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (1.0, {frozenset({1}), frozenset({2}), frozenset({3}), frozenset({4})}),
        (0.7, {frozenset({1, 2}), frozenset({3}), frozenset({4})}),
        (0.5, {frozenset({1, 2}), frozenset({3, 4})}),
        (0.3, {frozenset({1, 2, 3, 4})}),
        (0.0, {frozenset({1, 2, 3, 4})}),
    ],
)
def test_the_threshold_cuts_the_drawn_hierarchy(threshold: float, expected: set[frozenset[int]]) -> None:
    # float32 keeps 0.3 a little above itself, so that a merge at the threshold is made.
    segments = AgglomerationDecoder(threshold=threshold, smallest_um3=0).partition(CHAIN, np.full(5, 100), SPACE)
    assert groups(segments) == expected
    assert segments.dtype == np.uint32


def test_a_large_weak_contact_outweighs_a_small_strong_one() -> None:
    """Two halves that are surely one meet a third: 0.9 over one face and 0.2 over nine are 0.27 in the mean."""
    graph = graph_of({(1, 2): (0.95, 5), (1, 3): (0.9, 1), (2, 3): (0.2, 9)})
    segments = hierarchy_of(graph, 4).cut(0.5)
    assert groups(segments) == {frozenset({1, 2}), frozenset({3})}
    assert groups(hierarchy_of(graph, 4).cut(0.27)) == {frozenset({1, 2, 3})}


def test_the_merges_of_a_hierarchy_are_reported_with_the_mean_at_which_they_happen() -> None:
    hierarchy = hierarchy_of(CHAIN, 5)
    assert isinstance(hierarchy, MergeHierarchy)
    assert sorted(hierarchy.scores.tolist(), reverse=True) == pytest.approx([0.9, 0.6, 0.3])
    assert len(hierarchy.pairs) == 3
    assert hierarchy.n == 5


@settings(max_examples=30)
@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=14))
def test_components_are_found_and_called_by_their_smallest_member(n: int, pairs: list[tuple[int, int]]) -> None:
    pairs = [(a % n, b % n) for a, b in pairs]
    name = list(range(n))
    for _ in range(n):
        for a, b in pairs:
            name[a] = name[b] = min(name[a], name[b])
    found = components_of(np.array(pairs, np.uint32).reshape(-1, 2), n)
    assert found.tolist() == name
    assert found.dtype == np.uint32


def test_groups_are_called_by_their_smallest_member_whatever_they_were_called() -> None:
    assert smallest_members(np.array([5, 9, 5, 2, 9])).tolist() == [0, 1, 0, 3, 1]
    assert smallest_members(np.zeros(0, int)).tolist() == []


def test_what_depends_on_a_graph_alone_is_made_once_for_each_graph() -> None:
    made: list[str] = []
    one, other = graph_of({(1, 2): (0.5, 1)}), graph_of({(1, 2): (0.5, 1)})
    for graph in (one, one, other):
        assert cached(graph, "answer", lambda: made.append("x") or 42) == 42  # type: ignore[func-returns-value]
    assert len(made) == 2


def test_the_costs_of_a_cut_are_log_odds_times_faces() -> None:
    graph = graph_of({(1, 2): (0.5, 3), (1, 3): (0.9, 2), (2, 3): (0.1, 2)})
    costs = MulticutDecoder(beta=0.5).costs(graph)
    assert costs.tolist() == pytest.approx([0, 2 * np.log(9), -2 * np.log(9)], abs=1e-5)
    assert (MulticutDecoder(beta=0.2).costs(graph) > costs).all()
    assert (MulticutDecoder(beta=0.8).costs(graph) < costs).all()


def test_certain_scores_cost_a_lot_but_not_endlessly() -> None:
    costs = MulticutDecoder().costs(graph_of({(1, 2): (0.0, 1), (1, 3): (1.0, 1)}))
    assert np.isfinite(costs).all()
    assert costs[0] == pytest.approx(-costs[1])


@pytest.mark.parametrize("solver", ["greedy", "kernighan_lin"])
def test_multicut_weighs_all_contacts_at_once(solver: str) -> None:
    """One strong contact does not join two pairs that two others say are apart."""
    graph = graph_of({(1, 2): (0.95, 9), (3, 4): (0.95, 9), (1, 3): (0.8, 1), (2, 4): (0.05, 5), (1, 4): (0.2, 5)})
    segments = MulticutDecoder(solver=solver, smallest_um3=0).partition(graph, np.full(5, 100), SPACE)
    assert groups(segments) == {frozenset({1, 2}), frozenset({3, 4})}


@settings(max_examples=20)
@given(st.integers(0, 500))
def test_kernighan_lin_is_never_worse_than_greedy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [pair for pair in itertools.combinations(range(1, 9), 2) if rng.random() < 0.6]
    graph = graph_of({pair: (float(rng.uniform(0.05, 0.95)), int(rng.integers(1, 9))) for pair in pairs})

    def energy(solver: str) -> float:
        decoder = MulticutDecoder(solver=solver, smallest_um3=0)
        found = decoder.partition(graph, np.full(9, 100), SPACE)
        return float(decoder.costs(graph)[found[graph.edges[:, 0]] != found[graph.edges[:, 1]]].sum())

    assert energy("kernighan_lin") <= energy("greedy") + 1e-6


@pytest.mark.parametrize("decoder", [AgglomerationDecoder, MulticutDecoder])
def test_sections_are_flooded_apart_where_they_are_thick_or_where_that_is_asked_for(
    decoder: type[GraphSettings],
) -> None:
    for sections, space, depth in (
        ("auto", SPACE, True),
        ("auto", THICK, False),
        ("each", SPACE, False),
        ("together", THICK, True),
    ):
        assert (decoder(sections=sections).halo(space)[0] > 0) is depth, (sections, space)


@pytest.mark.parametrize("decoder", [AgglomerationDecoder(smallest_um3=0), MulticutDecoder(smallest_um3=0)])
def test_two_cells_behind_a_wall_are_two_segments(decoder: GraphSettings) -> None:
    boundary = np.zeros((6, 12, 26), np.float32)
    boundary[:, :, 12:14] = 1
    decoding = decoder.decode(Evidence(boundary=boundary), SPACE)
    labels = decoding.labels
    assert len(np.unique(labels)) == 2
    assert len(np.unique(labels[:, :, :12])) == len(np.unique(labels[:, :, 14:])) == 1
    assert (labels > 0).all()  # the wall is given to one of them


def test_islands_that_are_too_small_are_dropped_and_others_join() -> None:
    settings = AgglomerationDecoder(smallest_um3=50e-6, threshold=1.0)
    graph = graph_of({(1, 2): (0.1, 3)})
    sizes = np.array([0, 10, 100, 10])
    assert settings.large_enough(sizes, graph, SPACE).tolist() == [False, True, True, False]
    assert settings.partition(graph, sizes[:3], SPACE).tolist() == [0, 1, 1]


QUANTILES = ("quantile", "quantile_of_maxima")


def gap() -> Evidence:
    """Two cells beside one another with a boundary between them, which has a gap in two of six faces."""
    faces = np.ones((3, 1, 6, 8), np.float32)
    faces[2, 0, :, 3] = [0.1, 0.1, 0.1, 0.1, 0.8, 0.8]
    return Evidence(affinities=faces, offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1)))


def halves(evidence: Evidence, **settings: object) -> set[int]:
    """Segments of the two halves, which are the supervoxels."""
    decoder = AgglomerationDecoder(**{"smallest_um3": 0, "smallest_um2": 0, **settings})  # type: ignore[arg-type]
    labels = np.repeat(np.repeat(np.array([[[1, 2]]], np.uint32), 4, axis=2), 6, axis=1)
    graph = contact_edges(labels, evidence.join(), histograms=decoder.needs_histograms)
    return set(decoder.partition(graph, np.array([0, 24, 24]), SPACE)[1:].tolist())


@pytest.mark.parametrize(
    ("score", "quantile", "threshold", "n"),
    [
        ("mean", 0.5, 0.3, 1),
        ("mean", 0.5, 0.4, 2),
        ("quantile", 0.5, 0.2, 2),
        ("quantile", 0.85, 0.75, 1),
        ("quantile", 0.85, 0.85, 2),
        ("quantile", 0.66, 0.75, 2),
        ("quantile", 0.67, 0.75, 1),
        ("quantile_of_maxima", 0.0, 0.75, 1),
        ("quantile_of_maxima", 0.85, 0.85, 2),
    ],
)
def test_the_score_of_a_contact_is_what_is_chosen(score: str, quantile: float, threshold: float, n: int) -> None:
    assert len(halves(gap(), score=score, quantile=quantile, threshold=threshold)) == n


@pytest.mark.parametrize("score", QUANTILES)
@pytest.mark.parametrize("sign", [1, -1])
def test_blocks_count_every_face_of_a_contact_once(tmp_path: Path, score: str, sign: int) -> None:
    rng = np.random.default_rng(1)
    # Sections are flooded on their own, and blocks that are cut along z have the supervoxels of the whole.
    affinities = ndimage.gaussian_filter(rng.random((3, 8, 24, 24)), (0, 0, 1.5, 1.5))
    affinities = (affinities - affinities.min()) / np.ptp(affinities)
    roles = [AffinityRole(offset=(sign, 0, 0)), AffinityRole(offset=(0, sign, 0)), AffinityRole(offset=(0, 0, sign))]
    path = write_prediction(tmp_path / "prediction", affinities, roles, SPACE)
    decoder = AgglomerationDecoder(
        score=score,  # type: ignore[arg-type]
        quantile=0.7,
        threshold=0.5 if score == "quantile" else 0.75,
        sections="each",
        smallest_um3=0.00002,
        join_from=0.3,
    )
    for name, depth in (("whole", 8), ("blocks", 3)):
        job = SegmentJob(prediction=path, decoder=decoder, output=tmp_path / name, block_shape=(depth, 24, 24))
        job.run(RecordingContext())
    whole, blocks = (Segmentation.open(tmp_path / name) for name in ("whole", "blocks"))
    assert whole.graph.histograms is not None
    assert blocks.graph.histograms is not None
    for name in ("starts", "bins", "counts"):
        np.testing.assert_array_equal(getattr(blocks.graph.histograms, name), getattr(whole.graph.histograms, name))
    np.testing.assert_array_equal(blocks.segments, whole.segments)
    assert 1 < whole.record.n_segments < whole.record.n_supervoxels
    assert (
        np.add.reduceat(whole.graph.histograms.counts, whole.graph.histograms.starts[:-1]) == whole.graph.contacts
    ).all()


def test_a_segmentation_by_quantiles_is_grouped_again_with_another_one(tmp_path: Path) -> None:
    evidence = prediction_of(tmp_path / "prediction", make_tissue((8, 24, 24), 5, seed=1).cells, SPACE, ("near",))
    decoder = AgglomerationDecoder(score="quantile", smallest_um3=0, threshold=0.9)
    SegmentJob(prediction=evidence, decoder=decoder, output=tmp_path / "s").run(RecordingContext())
    before = Segmentation.open(tmp_path / "s")
    few = repartition(before.folder, decoder.model_copy(update={"threshold": 0.2, "quantile": 0.95})).n_segments
    assert few < before.record.n_segments
    assert (
        repartition(before.folder, decoder.model_copy(update={"score": "mean"})).n_supervoxels == len(before.sizes) - 1
    )


def test_a_segmentation_by_the_mean_is_not_grouped_by_a_quantile(tmp_path: Path) -> None:
    evidence = prediction_of(tmp_path / "prediction", make_tissue((8, 24, 24), 5, seed=1).cells, SPACE, ("near",))
    SegmentJob(prediction=evidence, decoder=AgglomerationDecoder(), output=tmp_path / "s").run(RecordingContext())
    with pytest.raises(InvalidInput, match="mean of their scores alone"):
        repartition(tmp_path / "s", AgglomerationDecoder(score="quantile"))


@pytest.mark.parametrize(
    ("join_from", "drop_below", "expected"),
    [
        (0.0, 1.0, [0, 1, 1, 3]),  # joins whatever the score
        (0.3, 1.0, [0, 1, 1, 3]),
        (0.5, 1.0, [0, 1, 0, 3]),  # no contact is good enough
        (0.5, 0.5, [0, 1, 0, 3]),
        (0.5, 0.3, [0, 1, 2, 3]),  # large enough to stay
    ],
)
def test_small_segments_join_a_good_neighbour_or_are_dropped(
    join_from: float, drop_below: float, expected: list[int]
) -> None:
    graph = graph_of({(1, 2): (0.4, 10), (2, 3): (0.2, 10)})
    decoder = AgglomerationDecoder(
        threshold=0.9, smallest_um3=10 * 1e-6, join_from=join_from, drop_below=drop_below
    )  # ten voxels
    assert decoder.partition(graph, np.array([0, 50, 4, 60]), SPACE).tolist() == expected


def test_dust_of_islands_is_dropped_below_its_size() -> None:
    keep = AgglomerationDecoder(smallest_um3=10 * 1e-6, drop_below=0.5).large_enough(
        np.array([0, 4, 6, 20]), RegionGraph.empty(), SPACE
    )
    assert keep.tolist() == [False, False, True, True]


def test_segments_that_are_dropped_are_background_in_the_segmentation(tmp_path: Path) -> None:
    affinities = np.ones((3, 2, 8, 12))
    affinities[2, :, :, 7] = 0.1  # a wall before the last four columns
    roles = [AffinityRole(offset=(1, 0, 0)), AffinityRole(offset=(0, 1, 0)), AffinityRole(offset=(0, 0, 1))]
    path = write_prediction(tmp_path / "prediction", affinities, roles, SPACE)
    decoder = AgglomerationDecoder(smallest_um3=100 * 1e-6, join_from=0.5, fill=True, smoothing_um=0)
    result = SegmentJob(prediction=path, decoder=decoder, output=tmp_path / "s").run(RecordingContext())
    labels = labels_of(tmp_path / "s")
    assert labels[0, 0, 0] > 0
    assert not labels[..., -1].any()
    assert result["n_segments"] == 1
    assert SegmentsView.open(tmp_path / "s").segment_ids().tolist() == [labels[0, 0, 0]]
