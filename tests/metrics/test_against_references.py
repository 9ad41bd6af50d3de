"""Scores against slow definitions, and against the libraries that the field uses."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score
from sklearn.metrics.cluster import pair_confusion_matrix

from napari_pytc.metrics import ClassCounts, ContingencyTable, average_precision, boundary_f1
from napari_pytc.metrics.boundaries import boundaries

shapes = st.shared(st.tuples(*[st.integers(1, 5)] * 3), key="shape")
labels = hnp.arrays(np.uint8, shapes, elements=st.integers(0, 4))
small = hnp.arrays(np.uint8, st.just((2, 3, 3)), elements=st.integers(0, 3))


def table_of(predicted: np.ndarray, truth: np.ndarray) -> ContingencyTable:
    table = ContingencyTable()
    table.add(predicted, truth)
    return table


def entropy(counts: Counter[object]) -> float:
    n = sum(counts.values())
    return -sum(c / n * math.log2(c / n) for c in counts.values())


@given(labels, labels)
def test_variation_of_information_is_the_difference_of_entropies(predicted: np.ndarray, truth: np.ndarray) -> None:
    p, t = predicted.ravel().tolist(), truth.ravel().tolist()
    joint = entropy(Counter(zip(p, t, strict=True)))
    split, merge = table_of(predicted, truth).variation_of_information()
    assert split == pytest.approx(joint - entropy(Counter(t)), abs=1e-9)
    assert merge == pytest.approx(joint - entropy(Counter(p)), abs=1e-9)


@settings(max_examples=30)
@given(labels, labels, labels)
def test_variation_of_information_is_a_metric(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return sum(table_of(x, y).variation_of_information())

    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9


@settings(max_examples=30)
@given(small, small)
def test_adapted_rand_error_counts_pairs_of_voxels(predicted: np.ndarray, truth: np.ndarray) -> None:
    p, t = predicted.ravel(), truth.ravel()
    pairs = list(combinations(range(p.size), 2))
    both = sum(p[i] == p[j] and t[i] == t[j] for i, j in pairs)
    in_p, in_t = sum(p[i] == p[j] for i, j in pairs), sum(t[i] == t[j] for i, j in pairs)
    expected = 1 - 2 * both / (in_p + in_t) if in_p + in_t else 0.0
    assert table_of(predicted, truth).adapted_rand_error(None) == pytest.approx(expected)
    (_, false_positive), (false_negative, hits) = pair_confusion_matrix(t, p)
    assert hits == 2 * both
    assert false_positive == 2 * (in_p - both)
    assert false_negative == 2 * (in_t - both)


@settings(max_examples=25)
@given(labels, labels)
def test_counts_of_classes_are_those_of_scikit_learn(predicted: np.ndarray, truth: np.ndarray) -> None:
    counts = ClassCounts(ignore=None)
    counts.add(predicted, truth)
    p, t = predicted.ravel(), truth.ravel()
    np.testing.assert_array_equal(counts.confusion[:5, :5], confusion_matrix(t, p, labels=range(5)))
    met = sorted(set(p.tolist()) | set(t.tolist()))
    assert counts.classes() == met
    dice, iou = counts.dice(), counts.iou()
    expected = f1_score(t, p, labels=met, average=None, zero_division=0)
    assert [dice[k] for k in met] == pytest.approx(expected.tolist())
    assert [iou[k] for k in met] == pytest.approx(
        jaccard_score(t, p, labels=met, average=None, zero_division=0).tolist()
    )
    for k in met:
        assert dice[k] == pytest.approx(2 * iou[k] / (1 + iou[k]))


@given(labels, labels, st.integers(0, 4))
def test_an_ignored_class_is_as_if_its_voxels_were_not_there(
    predicted: np.ndarray, truth: np.ndarray, ignore: int
) -> None:
    kept = truth != ignore
    with_ignore, without = ClassCounts(ignore), ClassCounts(None)
    with_ignore.add(predicted, truth)
    without.add(predicted[kept], truth[kept])
    np.testing.assert_array_equal(with_ignore.confusion, without.confusion)
    table, part = table_of(predicted, truth), table_of(predicted[kept], truth[kept])
    assert table.variation_of_information(ignore) == pytest.approx(part.variation_of_information(), nan_ok=True)
    assert table.adapted_rand_error(ignore) == pytest.approx(part.adapted_rand_error(None), nan_ok=True)


def iou_matrix(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """IoU of every predicted and every true object, voxel by voxel."""
    ps, ts = ([k for k in np.unique(a) if k] for a in (predicted, truth))
    return np.array(
        [[((predicted == p) & (truth == t)).sum() / ((predicted == p) | (truth == t)).sum() for t in ts] for p in ps]
    ).reshape(len(ps), len(ts))


@settings(max_examples=40)
@given(labels, labels, st.sampled_from([0.1, 0.25, 0.34, 0.5, 0.75, 1.0]))
def test_objects_are_matched_by_the_best_assignment(predicted: np.ndarray, truth: np.ndarray, threshold: float) -> None:
    iou = iou_matrix(predicted, truth)
    rows, columns = linear_sum_assignment(-(iou >= threshold).astype(int)) if iou.size else ([], [])
    expected = int((iou[rows, columns] >= threshold).sum()) if iou.size else 0
    (score,) = average_precision(table_of(predicted, truth), [threshold])
    assert score.n_found == expected
    assert score.n_found + score.n_invented == iou.shape[0]
    assert score.n_found + score.n_missed == iou.shape[1]
    n = score.n_found + score.n_invented + score.n_missed
    assert score.average_precision == pytest.approx(expected / n) if n else math.isnan(score.average_precision)


@given(labels, labels)
def test_a_higher_threshold_finds_no_more(predicted: np.ndarray, truth: np.ndarray) -> None:
    scores = average_precision(table_of(predicted, truth))
    found = [score.n_found for score in scores]
    assert found == sorted(found, reverse=True)
    assert [score.threshold for score in scores] == sorted(score.threshold for score in scores)


@settings(max_examples=40)
@given(labels)
def test_boundaries_are_voxels_with_a_neighbour_of_another_label(array: np.ndarray) -> None:
    expected = np.zeros(array.shape, bool)
    for here in np.ndindex(array.shape):
        for axis in range(3):
            for step in (-1, 1):
                there = list(here)
                there[axis] += step
                if 0 <= there[axis] < array.shape[axis] and array[here] != array[tuple(there)]:
                    expected[here] = True
    np.testing.assert_array_equal(boundaries(array), expected)


@settings(max_examples=30)
@given(labels, labels, st.sampled_from([0.0, 1.0, 1.5, 2.0]), st.sampled_from([(1.0, 1.0, 1.0), (4.0, 1.0, 2.0)]))
def test_boundary_scores_are_those_of_measuring_every_pair(
    predicted: np.ndarray, truth: np.ndarray, tolerance: float, size: tuple[float, float, float]
) -> None:
    ours, theirs = (np.argwhere(boundaries(a)) * size for a in (predicted, truth))

    def share(of: np.ndarray, other: np.ndarray) -> float:
        if not len(of):
            return math.nan
        if not len(other):
            return 0.0
        nearest = np.sqrt(((of[:, None] - other[None]) ** 2).sum(axis=2)).min(axis=1)
        return float((nearest <= tolerance * (1 + 1e-9)).mean())

    score = boundary_f1(predicted, truth, tolerance, size)
    assert score.precision == pytest.approx(share(ours, theirs), nan_ok=True)
    assert score.recall == pytest.approx(share(theirs, ours), nan_ok=True)
    turned = boundary_f1(truth, predicted, tolerance, size)
    assert (turned.precision, turned.recall) == pytest.approx((score.recall, score.precision), nan_ok=True)
    assert turned.f1 == pytest.approx(score.f1, nan_ok=True)


def test_a_boundary_of_a_section_is_that_of_a_volume_of_one_section() -> None:
    section = np.random.default_rng(0).integers(0, 3, (12, 13))
    np.testing.assert_array_equal(boundaries(section), boundaries(section[None])[0])
    other = np.random.default_rng(1).integers(0, 3, (12, 13))
    assert boundary_f1(section, other, 1.0) == boundary_f1(section[None], other[None], 1.0)
