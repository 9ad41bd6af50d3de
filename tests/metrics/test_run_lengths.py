"""Runs of skeletons: both rules of mergers, by hand and against the definitions of funlib.evaluate and BANIS."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.metrics import run_lengths
from napari_pytc.skeletons.skeleton import Skeleton

DOCS = Path(__file__).parents[2] / "docs" / "skeletons.md"


def skeleton(number: int, places: list[float]) -> Skeleton:
    """Nodes along x, each joined to the next."""
    nodes = np.array([[0, number, x] for x in places], float).reshape(-1, 3)
    edges = np.array([[k, k + 1] for k in range(len(places) - 1)], np.int64).reshape(-1, 2)
    return Skeleton(number, nodes, edges, np.zeros(len(places)))


def by_definition(skeletons: list[Skeleton], segments: list[np.ndarray], tolerated: int) -> float:
    """The expected run length as funlib.evaluate defines it, with the number of forgiven nodes of BANIS.

    1. A pair of skeleton and segment, also 0, counts where they share more nodes than are tolerated.
    2. Segments of two pairs merge, and the skeletons of such pairs are merged.
    3. An edge is correct if both nodes lie on one segment other than 0, unless the segment merges and the skeleton is
       merged.
    """
    pairs = {
        (number, segment)
        for number, at in enumerate(segments)
        for segment in at.tolist()
        if at.tolist().count(segment) > tolerated
    }
    merging = {segment for _, segment in pairs if sum(other == segment for _, other in pairs) > 1}
    merged = {number for number, segment in pairs if segment in merging}
    total, erl = sum(one.length_nm for one in skeletons), 0.0
    for number, (one, at) in enumerate(zip(skeletons, segments, strict=True)):
        runs: dict[int, float] = {}
        for (a, b), length in zip(one.edges.tolist(), one.edge_lengths_nm.tolist(), strict=True):
            segment = int(at[a])
            if segment and segment == at[b] and not (segment in merging and number in merged):
                runs[segment] = runs.get(segment, 0.0) + length
        if one.length_nm:
            erl += one.length_nm / total * sum(run * run / one.length_nm for run in runs.values())
    return erl


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=5),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_by_skeletons_run_lengths_are_those_of_the_definition(nodes, tolerated: int, random) -> None:
    skeletons = [skeleton(k, [10 * n + random.random() for n, _ in enumerate(at)]) for k, at in enumerate(nodes)]
    segments = [np.array(at, np.uint64) for at in nodes]
    found = run_lengths(skeletons, segments, tolerated, "skeleton")
    expected = by_definition(skeletons, segments, tolerated) if any(len(at) > 1 for at in nodes) else math.nan
    assert found.erl == pytest.approx(expected, nan_ok=True)
    strict = run_lengths(skeletons, segments, tolerated, "segment")
    assert strict.n_merging == found.n_merging
    if not math.isnan(expected):
        assert strict.erl <= found.erl + 1e-9
    if tolerated == 0:  # then the rules are the same
        assert strict == found


def test_the_worked_example_of_the_page() -> None:
    skeletons, segments = example()
    text = DOCS.read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\d)` \| `(segment|skeleton)` \|.*\| ([\d.]+) \|$", text, re.MULTILINE)
    assert len(table) == 4
    for tolerated, merged_by, nerl in table:
        found = run_lengths(skeletons, segments, int(tolerated), merged_by)
        assert f"{found.nerl:.3f}" == nerl


def example() -> tuple[list[Skeleton], list[np.ndarray]]:
    """The skeletons of the page, a node every 10 nm, and the segments at their nodes."""
    text = DOCS.read_text(encoding="utf-8")
    rows = re.findall(r"^([ABC])  ((?:\d ?)+)$", text, re.MULTILINE)
    assert [name for name, _ in rows] == ["A", "B", "C"]
    segments = [np.array(row.split(), np.uint64) for _, row in rows]
    return [skeleton(k, [10.0 * n for n in range(len(at))]) for k, at in enumerate(segments)], segments


def test_the_worked_example_by_hand() -> None:
    skeletons, segments = example()
    assert [one.length_nm for one in skeletons] == [60, 50, 60]
    # 1 holds seven nodes of A, six of B and three of C: A and B are merged. C has 20 nm on 1 and 30 nm on 2.
    truth = 60**2 + 50**2 + 60**2
    for tolerated in (0, 2):
        strict = run_lengths(skeletons, segments, tolerated, "segment")
        assert strict.nerl == pytest.approx(30**2 / truth)
        assert strict.lengths == {"correct": 30, "split": 10, "merged": 130, "omitted": 0}
    kind = run_lengths(skeletons, segments, 3, "skeleton")
    assert kind.nerl == pytest.approx((20**2 + 30**2) / truth)
    assert kind.lengths == {"correct": 50, "split": 10, "merged": 110, "omitted": 0}
    assert run_lengths(skeletons, segments, 3, "segment").nerl == pytest.approx(30**2 / truth)
