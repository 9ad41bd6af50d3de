from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.metrics import evaluate_skeletons, run_lengths
from napari_pytc.skeletons.skeleton import Skeleton
from tests.support.arrays import FakeArray

SPACE = VoxelSpace((10.0, 10.0, 10.0), (0.0, 100.0, 0.0))


def line(segment: int, n: int, y: int = 0, first: int = 0) -> Skeleton:
    """n nodes along x, a voxel apart."""
    nodes = np.array([[0, 100 + 10 * y, 10 * (first + k)] for k in range(n)], float).reshape(-1, 3)
    edges = np.array([[k, k + 1] for k in range(n - 1)], np.int64).reshape(-1, 2)
    return Skeleton(segment, nodes, edges, np.zeros(n))


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def reference(skeletons: list[Skeleton], segments: list[np.ndarray], tolerated: int) -> float:
    """The expected run length by its definition, edge by edge; with 0 tolerated nodes as in funlib.evaluate."""
    nodes_of: dict[tuple[int, int], int] = {}
    for skeleton, at in zip(skeletons, segments, strict=True):
        for segment in at.tolist():
            nodes_of[segment, skeleton.segment] = nodes_of.get((segment, skeleton.segment), 0) + 1
    owners: dict[int, set[int]] = {}
    for (segment, skeleton_id), n in nodes_of.items():
        if n > tolerated:
            owners.setdefault(segment, set()).add(skeleton_id)
    total = sum(skeleton.length_nm for skeleton in skeletons)
    erl = 0.0
    for skeleton, at in zip(skeletons, segments, strict=True):
        runs: dict[int, float] = {}
        for (a, b), length in zip(skeleton.edges.tolist(), skeleton.edge_lengths_nm.tolist(), strict=True):
            if at[a] == at[b] != 0 and len(owners.get(int(at[a]), ())) < 2:
                runs[int(at[a])] = runs.get(int(at[a]), 0.0) + length
        length = skeleton.length_nm
        if length:
            erl += length / total * sum(run * run / length for run in runs.values())
    return erl


def test_run_lengths_by_hand() -> None:
    #  skeleton 1, 100 nm: 5 5 5 5 5 0 6 6 6 6 6     40 nm on 5, 20 nm at 0, 40 nm on 6
    #  skeleton 2,  50 nm: 7 7 7 8 8 8               20 nm on 7, 10 nm split, 20 nm on 8
    #  skeleton 3,  20 nm: 8 8 8                     8 merges 2 and 3
    skeletons = [line(1, 11), line(2, 6), line(3, 3)]
    segments = [ids(5, 5, 5, 5, 5, 0, 6, 6, 6, 6, 6), ids(7, 7, 7, 8, 8, 8), ids(8, 8, 8)]
    scores = run_lengths(skeletons, segments)
    first, second, third = scores.skeletons
    assert first.lengths == (80, 0, 0, 20)
    assert second.lengths == (20, 10, 20, 0)
    assert third.lengths == (0, 0, 20, 0)
    assert first.run_length == pytest.approx((40**2 + 40**2) / 100)
    assert second.run_length == pytest.approx(20**2 / 50)
    assert third.run_length == 0
    erl = (100 * 32 + 50 * 8) / 170
    assert scores.erl == pytest.approx(erl)
    assert scores.erl_of_truth == pytest.approx((100**2 + 50**2 + 20**2) / 170)
    assert scores.nerl == pytest.approx(3600 / 12900)
    assert (scores.n_merging, scores.n_split_edges) == (1, 1)
    assert scores.lengths == {"correct": 100, "split": 10, "merged": 40, "omitted": 20}


def test_tolerated_nodes_forgive_a_touch() -> None:
    skeletons = [line(1, 6), line(2, 6)]
    segments = [ids(*[5] * 6), ids(5, 6, 6, 6, 6, 6)]
    assert run_lengths(skeletons, segments).skeletons[0].run_length == 0
    forgiven = run_lengths(skeletons, segments, tolerated=1)
    assert forgiven.n_merging == 0
    assert [one.run_length for one in forgiven.skeletons] == pytest.approx([50, 40**2 / 50])
    with pytest.raises(InvalidInput, match="0 or more, got -1"):
        run_lengths(skeletons, segments, tolerated=-1)


def test_the_truth_itself_scores_one_and_nothing_scores_nothing() -> None:
    skeletons = [line(1, 6), line(2, 3)]
    perfect = run_lengths(skeletons, [ids(*[3] * 6), ids(*[4] * 3)])
    assert perfect.nerl == 1
    assert perfect.erl == perfect.erl_of_truth
    assert run_lengths(skeletons, [ids(*[0] * 6), ids(*[0] * 3)]).nerl == 0
    points = run_lengths([line(1, 1), line(2, 0)], [ids(1), ids()])
    assert points.skeletons == []
    assert math.isnan(points.nerl)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=12), min_size=1, max_size=4),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_run_lengths_are_those_of_the_definition(nodes: list[list[int]], tolerated: int, random) -> None:
    skeletons, segments = [], []
    for k, at in enumerate(nodes):
        places = np.array([[k, random.random() * 100, n] for n, _ in enumerate(at)])
        edges = np.array([[random.randrange(n), n] for n in range(1, len(at))], np.int64).reshape(-1, 2)
        skeletons.append(Skeleton(k + 1, places, edges, np.zeros(len(at))))
        segments.append(ids(*at))
    expected = reference(skeletons, segments, tolerated) if any(len(at) > 1 for at in nodes) else math.nan
    assert run_lengths(skeletons, segments, tolerated).erl == pytest.approx(expected, nan_ok=True)


def test_segments_are_read_at_the_nodes() -> None:
    labels = np.zeros((1, 300, 600), np.uint32)
    labels[0, 2, :300], labels[0, 2, 300:], labels[0, 280] = 4, 5, 6
    skeletons = [line(1, 600, y=2), line(9, 600, y=280)]
    steps: list[tuple[int, int]] = []
    found = evaluate_skeletons(FakeArray(labels), skeletons, SPACE, report=lambda *step: steps.append(step))
    assert steps[-1] == (6, 6)
    assert found["unit"] == "nm"
    assert found["skeletons"]["9"] == {
        "length": 5990, "run_length": 5990, "correct": 5990, "split": 0, "merged": 0, "omitted": 0, "segments": 1
    }  # fmt: skip
    assert found["erl"] == pytest.approx((2 * 2990**2 / 5990 + 5990) / 2)
    assert found["erl_of_truth"] == pytest.approx(5990)
    assert found["nerl"] == pytest.approx(found["erl"] / 5990)
    assert (found["voi_split"], found["voi_merge"]) == pytest.approx((0.5, 0))
    assert found["share"]["split"] == pytest.approx(10 / 11980)
    assert found["notes"] == ["1200 nodes of 2 skeletons were compared."]


def test_merged_nodes_show_in_the_variation_of_information() -> None:
    found = evaluate_skeletons(
        FakeArray(np.ones((1, 3, 10), np.uint8)), [line(1, 10), line(2, 10, y=2)], VoxelSpace((10, 10, 10), (0, 100, 0))
    )
    assert (found["voi_split"], found["voi_merge"]) == pytest.approx((0, 1))
    assert (found["nerl"], found["merging_segments"]) == (0, 1)


def test_what_lies_outside_is_left_out_and_told() -> None:
    labels = FakeArray(np.ones((1, 3, 10), np.uint8))
    found = evaluate_skeletons(labels, [line(1, 20), line(2, 4, y=30), line(3, 1, y=1)], SPACE)
    assert found["length"] == 90
    assert found["compared"] == {
        "skeletons": 2, "skeletons_left_out": 1, "without_length": 1, "nodes": 11, "nodes_left_out": 14, "nodes_at_0": 0
    }  # fmt: skip
    assert "14 nodes lie outside of 0:1,0:3,0:10 and were left out with their edges, with them 1" in found["notes"][1]
    assert "1 skeletons have no length" in found["notes"][2]
    boxed = evaluate_skeletons(labels, [line(1, 20)], SPACE, Box((0, 0, 2), (1, 3, 5)))
    assert boxed["length"] == 20
    with pytest.raises(InvalidInput, match=r"must lie in the volume, 0 100 0 to 0 120 90 nm .z y x., but .* 0 900 0"):
        evaluate_skeletons(labels, [line(1, 5, y=80)], SPACE)
    with pytest.raises(InvalidInput, match="no skeleton"):
        evaluate_skeletons(labels, [], SPACE)


def test_without_a_voxel_size_lengths_are_in_voxels() -> None:
    line_of_voxels = Skeleton(1, np.array([[0.0, 0, 0], [0, 0, 4]]), np.array([[0, 1]]), np.zeros(2))
    labels = np.array([[[1, 1, 1, 1, 0]]], np.uint8)
    found = evaluate_skeletons(FakeArray(labels), [line_of_voxels], VoxelSpace.unknown())
    assert (found["unit"], found["length"], found["nerl"]) == ("voxels", 4, 0)
    assert "1 nodes lie where the prediction is 0" in found["notes"][1]
    assert "lengths are in voxels" in found["notes"][2]
    with pytest.raises(InvalidInput, match="whole numbers from 0, but the prediction holds float64"):
        evaluate_skeletons(FakeArray(labels.astype(float)), [line_of_voxels], VoxelSpace.unknown())
