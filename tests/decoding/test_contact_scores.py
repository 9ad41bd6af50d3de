"""Agglomeration by means and quantiles against merging one contact after another, by lists of scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.decoding.contact_scores import MEAN, ScoreKind, ScoreRule
from napari_pytc.decoding.partition import absorb_small, hierarchy_of, without_dust
from napari_pytc.errors import InvalidInput
from napari_pytc.labels.contact_histograms import ContactHistograms
from napari_pytc.labels.region_graph import RegionGraph

Faces = dict[tuple[int, int], list[int]]


@st.composite
def contacts(draw: st.DrawFn) -> Faces:
    """Scores, in bytes, of all faces of each contact between some of eight supervoxels."""
    pairs = draw(st.sets(st.tuples(st.integers(1, 7), st.integers(2, 8)).filter(lambda pair: pair[0] < pair[1])))
    return {pair: draw(st.lists(st.integers(0, 255), min_size=1, max_size=6)) for pair in sorted(pairs)}


def graph_of(faces: Faces) -> RegionGraph:
    rows = np.repeat(np.arange(len(faces)), [len(one) for one in faces.values()]).astype(int)
    scores = np.array([score for one in faces.values() for score in one], float) / 255
    means = [np.mean(one) / 255 for one in faces.values()]
    return RegionGraph(
        np.array(list(faces), np.uint32).reshape(-1, 2),
        np.array(means, np.float32),
        np.array([len(one) for one in faces.values()], np.uint32),
        np.zeros((len(faces), 3), np.float32),
        ContactHistograms.of_faces(rows, scores, len(faces)),
    )


def score_of(scores: list[int], rule: ScoreRule) -> float:
    if rule.kind == "mean":
        return float(np.mean(scores)) / 255
    return sorted(scores)[min(len(scores) * rule.permille // 1000, len(scores) - 1)] / 255


def started(faces: Faces, rule: ScoreRule) -> Faces:
    """What counts of each contact before anything is merged."""
    if rule.kind != "quantile_of_maxima":
        return faces
    return {pair: [max(one)] * one.count(max(one)) for pair, one in faces.items()}


def between(faces: Faces, groups: list[int]) -> Faces:
    """Scores of the faces between each two groups."""
    found: Faces = {}
    for (u, v), scores in faces.items():
        a, b = sorted((groups[u], groups[v]))
        if a != b:
            found.setdefault((a, b), []).extend(scores)
    return found


def merged_one_by_one(faces: Faces, rule: ScoreRule, threshold: float) -> list[int]:
    """The published rule: merge the two groups with the best contact, score theirs anew, and again."""
    groups, faces = list(range(9)), started(faces, rule)
    while True:
        scores = {pair: score_of(one, rule) for pair, one in between(faces, groups).items()}
        best = max(scores, key=lambda pair: scores[pair], default=None)
        if best is None or scores[best] < threshold:
            return groups
        groups = [best[0] if one == best[1] else one for one in groups]


def partition(groups: list[int]) -> set[frozenset[int]]:
    return {frozenset(k for k, one in enumerate(groups) if one == group) for group in set(groups)}


RULES = st.one_of(
    st.just(MEAN),
    st.builds(ScoreRule, st.sampled_from(["quantile", "quantile_of_maxima"]), st.integers(0, 1000)),
)


@given(contacts(), RULES, st.integers(0, 255))
def test_the_hierarchy_is_that_of_merging_one_by_one(faces: Faces, rule: ScoreRule, step: int) -> None:
    threshold = (step - 0.5) / 255  # between two scores of bytes; means have no ties with it either
    found = hierarchy_of(graph_of(faces), 9, rule).cut(threshold).tolist()
    assert partition(found) == partition(merged_one_by_one(faces, rule, threshold))


@given(contacts(), RULES)
def test_a_merge_never_makes_a_better_contact(faces: Faces, rule: ScoreRule) -> None:
    hierarchy = hierarchy_of(graph_of(faces), 9, rule)
    counts = [len(set(hierarchy.cut(t).tolist())) for t in np.linspace(0, 1, 12)]
    assert counts == sorted(counts)


def joined_by_the_rule(
    faces: Faces, sizes: list[int], smallest: int, rule: ScoreRule, least: float
) -> set[frozenset[int]]:
    """In rounds, each segment that is too small joins the neighbour of its best contact, where that is good enough."""
    groups, faces = list(range(9)), started(faces, rule)
    while True:
        scores = {pair: score_of(one, rule) for pair, one in between(faces, groups).items()}
        pairs = set()
        for group in set(groups):
            if sum(size for size, one in zip(sizes, groups, strict=True) if one == group) >= smallest:
                continue
            mine = [pair for pair in sorted(scores) if group in pair and scores[pair] >= least]
            if mine:
                pairs.add(max(mine, key=lambda pair: scores[pair]))
        if not pairs:
            return partition(groups)
        for pair in pairs:
            a, b = groups[pair[0]], groups[pair[1]]
            groups = [a if one == b else one for one in groups]


@given(contacts(), st.lists(st.integers(1, 20), min_size=8, max_size=8), st.integers(1, 25), RULES, st.floats(0, 1))
def test_small_segments_join_by_the_rule(
    faces: Faces, sizes: list[int], smallest: int, rule: ScoreRule, least: float
) -> None:
    every = [0, *sizes]
    segments = np.arange(9, dtype=np.uint32)
    found = absorb_small(segments, np.array(every), graph_of(faces), smallest, rule, least)
    expected = joined_by_the_rule(faces, [10**6, *sizes], smallest, rule, least)
    assert partition(found.tolist()) == expected


def test_what_joined_none_is_dropped_below_a_size() -> None:
    segments, sizes = np.array([0, 1, 1, 3, 4], np.uint32), np.array([0, 3, 4, 5, 9])
    assert without_dust(segments, sizes, 6).tolist() == [0, 1, 1, 0, 4]
    assert without_dust(segments, sizes, 0).tolist() == segments.tolist()


@pytest.mark.parametrize("kind", ["quantile", "quantile_of_maxima"])
def test_a_quantile_of_contacts_of_which_only_the_mean_is_known_is_told(kind: ScoreKind) -> None:
    graph = replace(graph_of({(1, 2): [3, 4]}), histograms=None)
    with pytest.raises(InvalidInput, match="mean of their scores alone"):
        hierarchy_of(graph, 3, ScoreRule(kind, 850))
