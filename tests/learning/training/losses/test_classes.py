"""Losses see annotated voxels and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from napari_pytc.learning.training.losses import SparseDiceCrossEntropy, deeply_supervised

WEIGHTS = [0.0, 0.5, 1.0]


def example(n_classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, n_classes, 2, 5, 5, generator=generator, requires_grad=True)
    labels = torch.randint(0, n_classes + 1, (2, 2, 5, 5), generator=generator)
    labels[:, 1] = 0
    return logits, labels


@pytest.mark.parametrize("dice_weight", WEIGHTS)
def test_no_gradient_reaches_what_is_not_annotated(dice_weight: float) -> None:
    logits, labels = example()
    SparseDiceCrossEntropy(dice_weight)(logits, labels).backward()
    gradient = logits.grad.abs().sum(dim=1)
    assert gradient[labels == 0].max() == 0
    assert (gradient[labels > 0] > 0).all()


@pytest.mark.parametrize("dice_weight", WEIGHTS)
def test_what_is_not_annotated_changes_nothing(dice_weight: float) -> None:
    logits, labels = example()
    other = torch.where((labels == 0)[:, None], torch.full_like(logits, 50.0), logits)
    loss = SparseDiceCrossEntropy(dice_weight)
    assert torch.equal(loss(logits, labels), loss(other, labels))


def test_without_dice_it_is_cross_entropy() -> None:
    logits, labels = example()
    expected = functional.cross_entropy(logits, labels - 1, ignore_index=-1)
    assert torch.allclose(SparseDiceCrossEntropy(0.0)(logits, labels), expected)


def test_dice_of_the_truth_is_zero_and_of_the_opposite_one() -> None:
    labels = torch.tensor([[[[1, 2, 0, 1]]]])
    right = functional.one_hot(labels.clamp(min=1) - 1, 3).movedim(-1, 1).float() * 60
    loss = SparseDiceCrossEntropy(1.0)
    assert float(loss(right, labels)) == pytest.approx(0, abs=1e-3)
    assert float(loss(right.roll(1, dims=1), labels)) == pytest.approx(1, abs=1e-3)


def test_an_absent_class_does_not_count_in_dice() -> None:
    labels = torch.tensor([[[[1, 1, 2, 2]]]])
    two = torch.randn(1, 2, 1, 1, 4, generator=torch.Generator().manual_seed(0))
    three = torch.cat([two, torch.full((1, 1, 1, 1, 4), -60.0)], dim=1)
    loss = SparseDiceCrossEntropy(1.0)
    assert torch.allclose(loss(two, labels), loss(three, labels), atol=1e-5)


@pytest.mark.parametrize("dice_weight", WEIGHTS)
def test_nothing_annotated_is_no_loss_with_a_graph(dice_weight: float) -> None:
    logits, labels = example()
    loss = SparseDiceCrossEntropy(dice_weight)(logits, torch.zeros_like(labels))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_single_voxels_are_the_same_loss() -> None:
    logits, labels = example()
    loss = SparseDiceCrossEntropy(0.5)
    rows = logits.movedim(1, -1).reshape(-1, 3)
    assert torch.allclose(loss(logits, labels), loss(rows, labels.flatten()))


def test_half_precision_is_summed_in_float32() -> None:
    logits, labels = example()
    assert SparseDiceCrossEntropy(0.5)(logits.bfloat16(), labels).dtype == torch.float32


def test_coarser_levels_count_half_as_much() -> None:
    logits, labels = example()
    loss = SparseDiceCrossEntropy(0.5)
    other = logits.detach().flip(1)
    both = deeply_supervised(loss, [logits, other], labels)
    assert torch.allclose(both, (loss(logits, labels) + 0.5 * loss(other, labels)) / 1.5)
