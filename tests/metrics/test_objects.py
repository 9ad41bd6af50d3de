from __future__ import annotations

import math

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.metrics import ContingencyTable, average_precision
from napari_pytc.metrics.objects import classes_of_objects


def scores(predicted: list[int], truth: list[int], *thresholds: float):
    table = ContingencyTable()
    table.add(np.array(predicted), np.array(truth))
    return average_precision(table, thresholds)


def test_found_invented_and_missed():
    truth = [1] * 10 + [2] * 10 + [0] * 10
    predicted = [5] * 10 + [6] * 6 + [0] * 4 + [7] * 10
    low, high = scores(predicted, truth, 0.5, 0.75)
    assert (low.n_found, low.n_invented, low.n_missed) == (2, 1, 0)
    assert (high.n_found, high.n_invented, high.n_missed) == (1, 2, 1)
    assert low.average_precision == pytest.approx(2 / 3)
    assert high.average_precision == pytest.approx(1 / 4)


def test_background_lowers_the_overlap_of_an_object():
    (score,) = scores([1] * 30, [1] * 10 + [0] * 20, 0.5)
    assert score.n_found == 0


def test_below_one_half_objects_are_matched_one_to_one():
    truth = [1] * 12
    predicted = [1] * 4 + [2] * 4 + [3] * 4
    (score,) = scores(predicted, truth, 0.3)
    assert (score.n_found, score.n_invented, score.n_missed) == (1, 2, 0)


def test_voxels_of_an_ignored_truth_id_count_for_nothing():
    truth = [1] * 10 + [0] * 20
    predicted = [5] * 20 + [6] * 10
    table = ContingencyTable()
    table.add(np.array(predicted), np.array(truth))
    (score,) = average_precision(table, [0.9], ignore=0)
    assert (score.n_found, score.n_invented, score.n_missed) == (1, 0, 0)


def test_no_objects_is_nan():
    (score,) = scores([0, 0], [0, 0], 0.5)
    assert math.isnan(score.average_precision)


def test_thresholds_are_checked():
    with pytest.raises(InvalidInput):
        scores([1], [1], 0.0)


def test_the_class_of_an_object_is_that_of_most_of_its_voxels():
    votes = ContingencyTable()
    votes.add(np.array([1, 1, 1, 1, 2, 2, 3, 0, 4, 4]), np.array([0, 0, 0, 2, 3, 1, 0, 9, 5, 5]))
    assert classes_of_objects(votes) == {1: 2, 2: 1, 3: 0, 4: 5}


def test_chosen_objects_are_matched_alone():
    table = ContingencyTable()
    table.add(np.array([1, 1, 2, 2, 3]), np.array([1, 1, 2, 2, 0]))
    (score,) = average_precision(table, [0.5], objects=([1, 3], [1, 2]))
    assert (score.n_found, score.n_invented, score.n_missed) == (1, 1, 1)
