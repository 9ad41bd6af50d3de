"""Pseudo-labels of the instant model: only where it is confident, never over a stroke, never in a held-out box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.data.pseudo_labels import PseudoLabels
from napari_pytc.learning.data.sampling import PatchBatches, TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training.losses import SparseDiceCrossEntropy
from napari_pytc.learning.training.train import TrainingFolders, train
from napari_pytc.plans.networks import FilterUNetNetwork
from napari_pytc.plans.recipes import load_recipe
from tests.support.contexts import RecordingContext
from tests.support.learning import (
    HELD_OUT,
    STILL,
    same_weights,
    tiny_plan,
    tissue,
    train_tiny,
    training_data,
    weights_of,
)

GUIDED = {
    "network": FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8)),
    "guess_weight": 1.0,
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("teacher")
    where = TrainingFolders(folder / "model", folder / "run")
    train(load_recipe("instant", ["device=cpu"]), training_data(), where, RecordingContext())
    return TrainedModel.load(where.model)


@pytest.fixture
def pseudo_labels(teacher: TrainedModel) -> PseudoLabels:
    data = training_data()
    image = TrainingImage(data.source, teacher.normalisation, data.held_out)
    return PseudoLabels(teacher, image, confidence=0.9)


@pytest.mark.slow
def test_pseudo_labels_are_mostly_right_where_the_teacher_is_confident(pseudo_labels: PseudoLabels) -> None:
    of = tissue()
    found = pseudo_labels.read(Box.of_shape(of.raw.shape))
    sure = found > 0
    assert set(np.unique(found)) <= {0, 3, 4}
    assert 0.3 < sure.mean() < 1
    assert (found[sure] - 2 == of.classes[sure]).mean() > 0.9


def test_no_pseudo_label_in_a_held_out_box(pseudo_labels: PseudoLabels) -> None:
    found = pseudo_labels.read(Box.of_shape(tissue().raw.shape))
    assert not found[HELD_OUT.slices].any()
    assert found.any()


def test_a_box_is_read_the_same_from_any_side(pseudo_labels: PseudoLabels) -> None:
    whole = pseudo_labels.read(Box.of_shape(tissue().raw.shape))
    box = Box((2, 5, 30), (7, 40, 48))
    assert np.array_equal(pseudo_labels.read(box), whole[box.slices])


def test_a_stroke_wins_over_a_pseudo_label(pseudo_labels: PseudoLabels, teacher: TrainedModel) -> None:
    data = training_data()
    image = TrainingImage(data.source, teacher.normalisation, data.held_out)
    plan = tiny_plan(augmentation=STILL)
    with_pseudo_labels = PatchBatches([TrainingVolume(data, image, pseudo_labels)], plan, 2, (4, 16, 16))
    without = PatchBatches([TrainingVolume(data, image)], plan, 2, (4, 16, 16))
    for step in range(4):
        labels, strokes = with_pseudo_labels.batch(step).labels, without.batch(step).labels
        assert torch.equal(labels[strokes > 0], strokes[strokes > 0])
        assert (labels > 2).sum() > (labels > 0).sum() / 2


def test_pseudo_labels_count_by_their_weight() -> None:
    logits = torch.randn(1, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    strokes = torch.zeros(1, 1, 4, 4, dtype=torch.long)
    strokes[..., 0, :] = 1
    guessed = strokes.clone()
    guessed[..., 2, :] = 2 + 2  # a guess of the second class
    as_strokes = torch.where(guessed > 2, guessed - 2, 0)
    alone, apart = (SparseDiceCrossEntropy(0.5)(logits, labels) for labels in (strokes, as_strokes))
    together = SparseDiceCrossEntropy(0.5, guess_weight=0.3)(logits, guessed)
    assert torch.allclose(together, alone + 0.3 * apart)
    assert torch.allclose(SparseDiceCrossEntropy(0.5)(logits, guessed), alone)


@pytest.mark.slow
def test_a_guided_training_begins_as_good_as_its_teacher(teacher: TrainedModel, tmp_path: Path) -> None:
    of = training_data()
    same_bank = FilterUNetNetwork(channels=(4, 8), starter=True)
    first = train_tiny(tmp_path, of, network=same_bank, guess_weight=1.0, steps=1, learning_rate=1e-6, ema_decay=0)
    assert first.info.scores["mean"] == pytest.approx(teacher.info.scores["mean"], abs=0.05)
    assert not (tmp_path / "run" / "teacher").exists()


@pytest.mark.slow
def test_a_guided_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole = train_tiny(tmp_path / "whole", **GUIDED)
    ctx = RecordingContext()
    report = ctx.report

    def cancel_at_the_third(done: int, total: int, note: str = "") -> None:
        report(done, total, note)
        if note == "training" and done == 3:
            ctx.cancel()

    ctx.report = cancel_at_the_third  # type: ignore[method-assign]
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path / "cut", ctx=ctx, **GUIDED)
    again = train_tiny(tmp_path / "cut", **GUIDED)
    assert same_weights(weights_of(whole), weights_of(again))


def test_the_teacher_may_wait_before_each_block_but_not_for_known_ones(teacher: TrainedModel) -> None:
    asked: list[int] = []
    image = TrainingImage(training_data().source, teacher.normalisation)
    pseudo_labels = PseudoLabels(teacher, image, confidence=0.9, between=lambda: asked.append(1))
    whole = Box.of_shape(tissue().raw.shape)
    first = pseudo_labels.read(whole)
    n_blocks = len(asked)
    assert n_blocks >= 1
    np.testing.assert_array_equal(pseudo_labels.read(whole), first)
    assert len(asked) == n_blocks
