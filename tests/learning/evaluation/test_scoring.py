"""Scores on held-out boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.scoring import HeldOutScorer
from napari_pytc.learning.prediction.predictor import ReadImage
from napari_pytc.plans.networks import NetworkLimits
from tests.support.annotations import MemoryAnnotations
from tests.support.images import memory_image, one_channel
from tests.support.learning import space

PLAIN = one_channel(mean=0, std=1, low=-1e6, high=1e6)
SHAPE = (4, 32, 40)
CLASSES = ("a", "b", "c")


class Reader:
    """Stands for a network: the image itself says the class; notes what it was shown."""

    limits = NetworkLimits(halo=(1, 3, 3), alignment=(1, 4, 4))

    def __init__(self) -> None:
        self.n_calls = 0
        self.shapes: list[tuple[int, ...]] = []

    def predict_box(self, read: ReadImage, box: Box, whole: Box) -> torch.Tensor:
        seen = box.grow(self.limits.halo).aligned(self.limits.alignment).intersect(whole)
        return self(read(seen), box.relative_to(seen.start))

    def __call__(self, image: np.ndarray, inner: Box) -> torch.Tensor:
        self.n_calls += 1
        self.shapes.append(inner.shape)
        values = torch.from_numpy(image[0][inner.slices]).long()
        return torch.nn.functional.one_hot(values, 3).movedim(-1, 0).float()


def scorer(truth: np.ndarray, predicted: np.ndarray, held_out, most: int = 10**6) -> tuple[HeldOutScorer, VolumeData]:
    source = memory_image((predicted - 1).astype(np.uint8))
    data = VolumeData(source, MemoryAnnotations(truth), CLASSES, tuple(held_out), space())
    return HeldOutScorer(data, PLAIN, most), data


def some() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(SHAPE) < 0.2, rng.integers(1, 3, SHAPE), 0)
    return truth, rng.integers(1, 4, SHAPE)


def test_scores_are_dice_and_iou_of_the_annotated_voxels_held_out() -> None:
    truth, predicted = some()
    held = [Box((0, 3, 5), (4, 17, 40)), Box((1, 20, 0), (3, 29, 9))]
    inside = np.zeros(SHAPE, bool)
    for box in held:
        inside[box.slices] = True
    picked = inside & (truth > 0)
    found = scorer(truth, predicted, held)[0].score(Reader())
    for k, name in enumerate(("a", "b"), start=1):
        t, p = truth[picked] == k, predicted[picked] == k
        assert found["dice"][name] == pytest.approx(2 * (t & p).sum() / (t.sum() + p.sum()))
        assert found["iou"][name] == pytest.approx((t & p).sum() / (t | p).sum())
    assert found["n_voxels"] == picked.sum()
    confusion = [[((truth == t) & (predicted == p) & picked).sum() for p in (1, 2, 3)] for t in (1, 2, 3)]
    assert found["confusion"] == {"classes": ["a", "b", "c"], "voxels": confusion}
    right = (truth == predicted) & picked
    assert found["accuracy"] == pytest.approx(right.sum() / picked.sum())
    of_true = [right[truth == t].sum() / (picked & (truth == t)).sum() for t in (1, 2)]
    assert found["mean_accuracy"] == pytest.approx(np.mean(of_true))
    assert found["mean_iou"] == pytest.approx(np.mean([found["iou"]["a"], found["iou"]["b"], 0]))
    assert found["mean"] == pytest.approx((found["dice"]["a"] + found["dice"]["b"]) / 2)
    assert found["boxes"] == [str(box) for box in held]


def test_a_class_that_nobody_has_has_no_score() -> None:
    truth = np.zeros(SHAPE, int)
    truth[0, 0:4, 0:4] = 1
    found = scorer(truth, np.ones(SHAPE, int), [Box((0, 0, 0), (1, 8, 8))])[0].score(Reader())
    assert found["dice"] == {"a": 1.0, "b": None, "c": None}
    assert [found[name] for name in ("mean", "mean_iou", "accuracy", "mean_accuracy")] == [1, 1, 1, 1]


def test_nothing_annotated_in_the_held_out_boxes_is_nothing_to_score() -> None:
    truth, predicted = np.zeros(SHAPE, int), np.ones(SHAPE, int)
    made, _ = scorer(truth, predicted, [Box((0, 0, 0), (4, 8, 8))])
    assert made.n_boxes == 0
    assert made.score(Reader())["mean"] is None


def test_only_the_hull_of_the_annotations_is_predicted() -> None:
    truth = np.zeros(SHAPE, int)
    truth[1, 10:12, 20:25] = 1
    reader = Reader()
    scorer(truth, np.ones(SHAPE, int), [Box((0, 0, 0), SHAPE)])[0].score(reader)
    assert reader.shapes == [(1, 2, 5)]


def test_a_large_part_is_sampled_always_the_same() -> None:
    truth, predicted = some()
    made, _ = scorer(truth, predicted, [Box((0, 0, 0), SHAPE)], most=300)
    readers = [Reader(), Reader()]
    a, b = (made.score(reader) for reader in readers)
    assert a == b
    assert 0 < sum(int(np.prod(shape)) for shape in readers[0].shapes) <= 300


def test_overlapping_boxes_count_their_voxels_once() -> None:
    truth, predicted = some()
    one = scorer(truth, predicted, [Box((0, 0, 0), (4, 20, 40))])[0].score(Reader())
    two = scorer(truth, predicted, [Box((0, 0, 0), (4, 15, 40)), Box((0, 10, 0), (4, 20, 40))])[0].score(Reader())
    assert two["n_voxels"] == one["n_voxels"]
    assert two["dice"] == one["dice"]


def test_it_can_be_given_up() -> None:
    def check() -> None:
        raise JobCancelled

    truth, predicted = some()
    reader = Reader()
    with pytest.raises(JobCancelled):
        scorer(truth, predicted, [Box((0, 0, 0), SHAPE)])[0].score(reader, check)
    assert reader.n_calls == 0
