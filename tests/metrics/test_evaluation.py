from __future__ import annotations

import json

import numpy as np
import pytest
from skimage.metrics import adapted_rand_error, variation_of_information

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.metrics import evaluate_classes, evaluate_instances, evaluation
from tests.support.tissue import make_tissue


class CountingVolume:
    """An array that notes the largest block ever read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape
        self.largest = 0

    def read(self, box: Box) -> np.ndarray:
        self.largest = max(self.largest, box.size)
        return self.array[box.slices]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluation, "BLOCK_SHAPE", (3, 20, 20))


def test_classes_streamed_equal_whole():
    tissue = make_tissue((8, 45, 50), 9)
    predicted = np.where(tissue.raw < 120, 1, 2).astype(np.uint8)
    truth = tissue.classes.copy()
    truth[:, :10] = 0
    ours = CountingVolume(predicted)
    scores = evaluate_classes(ours, CountingVolume(truth))
    kept = truth > 0
    for k in (1, 2):
        p, t = predicted[kept] == k, truth[kept] == k
        assert scores["dice"][str(k)] == pytest.approx(2 * (p & t).sum() / (p.sum() + t.sum()))
        assert scores["iou"][str(k)] == pytest.approx((p & t).sum() / (p | t).sum())
    assert scores["compared"] == {
        "voxels": truth.size, "compared": int(kept.sum()), "left_out": int((~kept).sum()), "truth_0": int((~kept).sum())
    }  # fmt: skip
    assert set(scores["dice"]) == {"1", "2"}
    assert ours.largest <= 3 * 20 * 20


def test_absent_class_is_null_in_json():
    volume = CountingVolume(np.ones((2, 3, 4), np.uint8))
    scores = json.loads(json.dumps(evaluate_classes(volume, volume, classes=[1, 2]), allow_nan=False))
    assert (scores["dice"], scores["iou"]) == ({"1": 1.0, "2": None}, {"1": 1.0, "2": None})


def test_instances_streamed_equal_skimage():
    tissue = make_tissue((8, 45, 50), 9)
    predicted = np.where(tissue.classes == 1, 0, tissue.cells // 2)
    truth = np.where(tissue.classes == 1, 0, tissue.cells)
    scores = evaluate_instances(CountingVolume(predicted), CountingVolume(truth))
    split, merge = variation_of_information(truth.astype(int), predicted.astype(int))
    assert scores["voi_split"] == pytest.approx(split)
    assert scores["voi_merge"] == pytest.approx(merge)
    assert scores["arand"] == pytest.approx(adapted_rand_error(truth.astype(int), predicted.astype(int))[0])
    without_membrane = evaluate_instances(CountingVolume(predicted), CountingVolume(truth), ignore=0)
    split, merge = variation_of_information(truth.astype(int), predicted.astype(int), ignore_labels=[0])
    assert (without_membrane["voi_split"], without_membrane["voi_merge"]) == pytest.approx((split, merge))


def test_average_precision_streamed_equals_counting_pair_by_pair():
    tissue = make_tissue((8, 45, 50), 9)
    truth = np.where(tissue.classes == 1, 0, tissue.cells)
    predicted = np.where(tissue.cells % 3 == 0, tissue.cells // 2, tissue.cells)
    predicted[:, :6] = 0
    scores = evaluate_instances(CountingVolume(predicted), CountingVolume(truth))
    iou = np.array(
        [
            [((truth == t) & (predicted == p)).sum() / ((truth == t) | (predicted == p)).sum() for p in ids(predicted)]
            for t in ids(truth)
        ]
    )
    assert set(scores["average_precision_at"]) == {f"{k / 100:g}" for k in range(50, 100, 5)}
    for threshold, value in scores["average_precision_at"].items():
        n_found = int((iou >= float(threshold)).sum())  # from 0.5 on, an object has one partner at most
        assert value == pytest.approx(n_found / (sum(iou.shape) - n_found))
    assert scores["average_precision_50"] == scores["average_precision_at"]["0.5"]
    assert scores["average_precision"] == pytest.approx(np.mean(list(scores["average_precision_at"].values())))
    assert 0 < scores["average_precision"] < scores["average_precision_50"] < 1


def ids(labels: np.ndarray) -> list[int]:
    return [int(k) for k in np.unique(labels) if k]


def test_a_box_and_its_progress():
    truth = np.ones((6, 40, 40), np.uint8)
    predicted = truth.copy()
    predicted[3:] = 2
    told: list[tuple[int, int]] = []
    scores = evaluate_classes(
        CountingVolume(predicted),
        CountingVolume(truth),
        box=Box((0, 0, 0), (3, 40, 40)),
        report=lambda done, total: told.append((done, total)),
    )
    assert scores["dice"] == {"1": 1.0}
    assert told == [(n, 4) for n in (1, 2, 3, 4)]


def test_different_shapes_are_refused():
    a, b = CountingVolume(np.ones((2, 3, 4), int)), CountingVolume(np.ones((2, 3, 5), int))
    for evaluate in (evaluate_classes, evaluate_instances):
        with pytest.raises(InvalidInput, match=r"\(2, 3, 4\) and \(2, 3, 5\)"):
            evaluate(a, b)


def test_a_box_outside_is_refused():
    a = CountingVolume(np.ones((2, 3, 4), int))
    for box in (Box((0, 0, 0), (3, 3, 4)), Box((0, 0, 0), (0, 3, 4))):
        with pytest.raises(InvalidInput, match="box"):
            evaluate_classes(a, a, box=box)


def test_truth_without_annotation_is_refused():
    a = CountingVolume(np.zeros((2, 3, 4), int))
    with pytest.raises(InvalidInput, match="nothing to compare"):
        evaluate_classes(a, a)
