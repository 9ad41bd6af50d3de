"""Average precision of each class, by hand and against brute force."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.metrics.instances import InstanceCounts
from napari_pytc.metrics.objects import THRESHOLDS

SHAPE = (2, 4, 5)
ids = hnp.arrays(np.uint32, SHAPE, elements=st.integers(0, 4))
classes = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 2))


def counted(predicted: object, truth: object, of_predicted: object, of_truth: object) -> InstanceCounts:
    counts = InstanceCounts(with_classes=True)
    counts.add(*(np.array(part) for part in (predicted, truth)), (np.array(of_predicted), np.array(of_truth)))
    return counts


def test_average_precision_of_each_class_by_hand() -> None:
    # Two true mitochondria (class 1) of 10 voxels and a vesicle (class 2) of 4.
    truth = [1] * 10 + [2] * 10 + [3] * 4 + [0] * 6
    of_truth = [1] * 20 + [2] * 4 + [0] * 6
    # The first is found whole, of the second 6 voxels of 10 (IoU 0.6); the vesicle is found as a mitochondrion, and
    # another vesicle is invented where there is nothing.
    predicted = [7] * 10 + [8] * 6 + [0] * 4 + [9] * 4 + [5] * 6
    of_predicted = [1] * 16 + [0] * 4 + [1] * 4 + [2] * 6
    found = counted(predicted, truth, of_predicted, of_truth).figures()
    # Mitochondria at 0.5: 2 found, 1 invented; at 0.65 to 0.95 (seven thresholds): 1 found, 2 invented, 1 missed.
    of_mitochondria = (3 * 2 / 3 + 7 * 1 / 4) / 10
    assert found["of_class"]["1"] == {
        "average_precision": pytest.approx(of_mitochondria),
        "average_precision_50": pytest.approx(2 / 3),
        "predicted_objects": 3,
        "truth_objects": 2,
    }
    assert found["of_class"]["2"] == {
        "average_precision": 0, "average_precision_50": 0, "predicted_objects": 1, "truth_objects": 1
    }  # fmt: skip
    assert found["mean_average_precision_50"] == pytest.approx(1 / 3)
    assert found["mean_average_precision"] == pytest.approx(of_mitochondria / 2)
    # Without regard to classes the vesicle is found: 3 found, 1 invented.
    assert found["average_precision_50"] == pytest.approx(3 / 4)
    assert (found["predicted_objects"], found["truth_objects"]) == (4, 3)


def class_of(labels: np.ndarray, of_voxels: np.ndarray, one: int) -> int:
    """The class of most voxels of an object, of equals the lowest; 0 without any."""
    votes = Counter(int(k) for k in of_voxels[labels == one] if k)
    return min((k for k in votes if votes[k] == max(votes.values())), default=0)


def brute_force(
    predicted: np.ndarray, truth: np.ndarray, of_predicted: np.ndarray, of_truth: np.ndarray, number: int
) -> list[float]:
    """Average precision of a class at each threshold: above an IoU of 0.5 each object has one partner at most."""
    ours = [k for k in np.unique(predicted) if k and class_of(predicted, of_predicted, k) == number]
    theirs = [k for k in np.unique(truth) if k and class_of(truth, of_truth, k) == number]
    overlaps = [
        ((predicted == p) & (truth == t)).sum() / ((predicted == p) | (truth == t)).sum() for p in ours for t in theirs
    ]
    values = []
    for threshold in THRESHOLDS[1:]:
        n_found = sum(overlap >= threshold for overlap in overlaps)
        n = len(ours) + len(theirs) - n_found
        values.append(n_found / n if n else math.nan)
    return values


@settings(max_examples=60)
@given(ids, ids, classes, classes)
def test_average_precision_of_each_class_is_that_of_brute_force(
    predicted: np.ndarray, truth: np.ndarray, of_predicted: np.ndarray, of_truth: np.ndarray
) -> None:
    counts = InstanceCounts(with_classes=True)
    for section in range(SHAPE[0]):  # block by block
        parts = (array[section] for array in (predicted, truth, of_predicted, of_truth))
        ours, theirs, *known = parts
        counts.add(ours, theirs, tuple(known))
    figures = counts.figures()
    for number in (1, 2):
        expected = brute_force(predicted, truth, of_predicted, of_truth, number)
        found = figures["of_class"].get(str(number))
        if found is None:
            assert all(math.isnan(value) for value in expected)
            continue
        at_half = found["average_precision_50"]
        assert at_half >= expected[0] - 1e-9
        assert found["average_precision"] == pytest.approx(np.mean([at_half, *expected]))


def test_voxels_of_an_ignored_id_count_nowhere() -> None:
    truth, predicted = [9] * 4 + [1] * 4, [2] * 4 + [3] * 4
    found = counted(predicted, truth, [1] * 8, [0] * 4 + [1] * 4).figures(ignore=9)
    assert found["of_class"] == {
        "1": {"average_precision": 1, "average_precision_50": 1, "predicted_objects": 1, "truth_objects": 1}
    }
    assert (found["voi_split"], found["voi_merge"]) == (0, 0)


def test_objects_without_a_class_are_told() -> None:
    counts = counted([1, 2], [3, 0], [0, 1], [0, 0])
    assert counts.notes() == ["1 predicted and 1 true objects have no voxel with a class: they count in no class."]
    assert counts.n_voxels_of(3) == 1
    assert counts.n_voxels_of(None) == 0
    assert counts.n_voxels == 2
