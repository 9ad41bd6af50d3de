from __future__ import annotations

import math

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.metrics import ClassCounts
from napari_pytc.metrics.overlap import mean_of_known


def test_dice_and_iou_by_hand():
    truth = np.array([0, 1, 1, 1, 2, 2, 2, 2])
    predicted = np.array([1, 1, 1, 2, 2, 2, 2, 0])
    counts = ClassCounts()
    counts.add(predicted, truth)
    assert counts.dice([1, 2]) == {1: pytest.approx(4 / 5), 2: pytest.approx(6 / 8)}
    assert counts.iou([1, 2]) == {1: pytest.approx(2 / 3), 2: pytest.approx(3 / 5)}
    assert counts.n_voxels == 7


def test_counting_background_when_nothing_is_ignored():
    counts = ClassCounts(ignore=None)
    counts.add(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    assert counts.dice() == {0: pytest.approx(2 / 3), 1: pytest.approx(4 / 5)}


def test_another_ignored_value_leaves_its_voxels_out():
    counts = ClassCounts(ignore=255)
    counts.add(np.array([1, 1, 0], np.uint8), np.array([1, 255, 0], np.uint8))
    assert counts.dice() == {0: 1.0, 1: 1.0}


def test_class_absent_from_both_is_nan():
    counts = ClassCounts()
    counts.add(np.array([1]), np.array([1]))
    assert math.isnan(counts.dice([3])[3])
    assert math.isnan(counts.iou([3])[3])
    assert counts.classes() == [1]


def test_class_missed_or_invented_is_zero():
    counts = ClassCounts()
    counts.add(np.array([1, 1]), np.array([1, 2]))
    counts.add(np.array([3]), np.array([1]))
    assert counts.dice()[2] == 0
    assert counts.dice()[3] == 0


def test_blocks_add_up():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, (2, 8, 9, 10), dtype=np.uint8)
    whole, parts = ClassCounts(), ClassCounts()
    whole.add(predicted, truth)
    for z in range(8):
        parts.add(predicted[z], truth[z])
    assert np.array_equal(whole.confusion, parts.confusion)


@pytest.mark.parametrize(
    ("predicted", "fault"),
    [
        (np.array([0.5, 1.0]), "integers"),
        (np.array([-1, 1]), "-1 to 1"),
        (np.array([1, 256]), "instances"),
        (np.array([1]), "one shape"),
    ],
)
def test_what_is_no_class_volume_is_refused(predicted: np.ndarray, fault: str):
    with pytest.raises(InvalidInput, match=fault):
        ClassCounts().add(predicted, np.array([1, 1]))


def test_accuracies_and_the_confusion_matrix_by_hand():
    truth = np.array([0, 1, 1, 1, 2, 2, 2, 2])
    predicted = np.array([1, 1, 1, 2, 2, 2, 2, 0])
    counts = ClassCounts()
    counts.add(predicted, truth)
    assert counts.class_accuracy() == {1: pytest.approx(2 / 3), 2: pytest.approx(3 / 4)}
    assert counts.pixel_accuracy() == pytest.approx(5 / 7)
    classes, voxels = counts.confusion_of()
    assert classes == [0, 1, 2]
    assert voxels.tolist() == [[0, 0, 0], [0, 2, 1], [1, 0, 3]]
    assert counts.confusion_of([2, 1])[1].tolist() == [[3, 0], [1, 2]]
    assert math.isnan(counts.class_accuracy([7])[7])
    assert math.isnan(ClassCounts().pixel_accuracy())


def test_the_mean_of_known_scores():
    assert mean_of_known([1, math.nan, 0]) == 0.5
    assert math.isnan(mean_of_known([math.nan]))
