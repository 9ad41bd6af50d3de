"""Every loss keeps the contract, and is what its formula says, written out in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_pytc.learning.data.instance_targets import IGNORED, ONE, ZERO
from napari_pytc.learning.training.losses import (
    ChannelLoss,
    Distillation,
    SparseDiceCrossEntropy,
    deeply_supervised,
)
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole
from tests.support.loss_contract import LossContract

N_CLASSES = 3
ROLES = (AffinityRole(offset=(-1, 0, 0)), DistanceRole(reach_nm=50), BoundaryRole())


def class_labels() -> Tensor:
    """Classes from 1, 0 for what is not annotated; a whole section is not."""
    labels = torch.randint(0, N_CLASSES + 1, (2, 2, 5, 5), generator=torch.Generator().manual_seed(1))
    labels[:, 1] = 0
    return labels


def channel_targets() -> Tensor:
    """Zeros and ones of affinities and boundaries, anything between of distances, 0 for what is not known."""
    generator = torch.Generator().manual_seed(2)
    targets = torch.where(torch.rand(2, 3, 2, 5, 5, generator=generator) < 0.3, ZERO, ONE)
    targets[:, 1] = torch.randint(ZERO, ONE + 1, (2, 2, 5, 5), generator=generator)
    targets[torch.rand(2, 3, 2, 5, 5, generator=generator) < 0.4] = IGNORED
    return targets.to(torch.uint8)


def best_channels(targets: Tensor) -> Tensor:
    wanted = (targets.float() - ZERO) / (ONE - ZERO)
    logits = torch.where(wanted > 0.5, 60.0, -60.0)
    logits[:, 1] = torch.atanh((2 * wanted[:, 1] - 1).clamp(-0.9999, 0.9999))
    return logits


class ClassLossContract(LossContract):
    settings: tuple[float, float]
    """Weights of Dice and of pseudo-labels."""

    def loss(self, logits: Tensor) -> Tensor:
        return SparseDiceCrossEntropy(*self.settings)(logits, class_labels())

    def ignored(self) -> Tensor:
        return (class_labels() == 0)[:, None]

    def without_labels(self, logits: Tensor) -> Tensor:
        return SparseDiceCrossEntropy(*self.settings)(logits, torch.zeros_like(class_labels()))

    def best(self) -> Tensor:
        return torch.nn.functional.one_hot(class_labels().clamp(min=1) - 1, N_CLASSES).movedim(-1, 1).float() * 60


class TestCrossEntropy(ClassLossContract):
    settings = (0.0, 0.0)


class TestDice(ClassLossContract):
    settings = (1.0, 0.0)


class TestDiceAndCrossEntropy(ClassLossContract):
    settings = (0.5, 0.25)


class ChannelLossContract(LossContract):
    settings: tuple[float, float]

    def loss(self, logits: Tensor) -> Tensor:
        return ChannelLoss(ROLES, *self.settings)(logits, channel_targets())

    def ignored(self) -> Tensor:
        return channel_targets() == IGNORED

    def without_labels(self, logits: Tensor) -> Tensor:
        return ChannelLoss(ROLES, *self.settings)(logits, torch.full_like(channel_targets(), IGNORED))

    def best(self) -> Tensor:
        return best_channels(channel_targets())


class TestChannels(ChannelLossContract):
    settings = (0.0, 0.0)


class TestBalancedChannelsWithDice(ChannelLossContract):
    settings = (0.5, 1.0)


class DistillationContract(LossContract):
    roles: tuple[Any, ...]
    is_classes: bool

    def parent(self) -> Tensor:
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(7))

    def labels(self) -> Tensor:
        return class_labels() if self.is_classes else channel_targets()

    def loss(self, logits: Tensor) -> Tensor:
        return Distillation(self.roles, self.is_classes)(logits, self.parent().to(logits.dtype), self.labels())

    def ignored(self) -> Tensor:  # what labels say is not the parent's business
        return (self.labels() > 0)[:, None] if self.is_classes else self.labels() > 0

    def without_labels(self, logits: Tensor) -> Tensor:  # labels everywhere: the parent has no say
        return Distillation(self.roles, self.is_classes)(logits, self.parent(), torch.ones_like(self.labels()))

    def best(self) -> Tensor:
        return self.parent()

    def test_the_parents_own_answer_costs_nothing_and_pulls_nowhere(self):
        logits = self.parent().requires_grad_()
        value = self.loss(logits)
        value.backward()
        assert float(value.detach()) == pytest.approx(0, abs=1e-6)
        assert logits.grad is not None
        assert logits.grad.abs().max() < 1e-6


class TestDistillationOfClasses(DistillationContract):
    roles = tuple(ClassRole(name=name) for name in "abc")
    is_classes = True


class TestDistillationOfChannels(DistillationContract):
    roles = ROLES
    is_classes = False


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dice_weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_dice_and_cross_entropy_written_out(dice_weight: float, seed: int) -> None:
    logits = torch.randn(2, 3, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
    labels = class_labels()
    rows = logits.movedim(1, -1).reshape(-1, 3).double().numpy()
    truth = labels.flatten().numpy()
    p = softmax(rows)[truth > 0]
    onehot = np.eye(3)[truth[truth > 0] - 1]
    entropy = -np.log((p * onehot).sum(axis=1)).mean()
    dice = [1 - 2 * (p[:, k] * onehot[:, k]).sum() / (p[:, k].sum() + onehot[:, k].sum()) for k in range(3)]
    expected = (1 - dice_weight) * entropy + dice_weight * np.mean(dice)
    assert float(SparseDiceCrossEntropy(dice_weight)(logits, labels)) == pytest.approx(expected, rel=1e-4)


def test_pseudo_labels_count_by_their_weight_beside_strokes() -> None:
    logits = torch.randn(1, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    strokes, pseudo_labels = torch.zeros(1, 1, 4, 4, dtype=torch.int64), torch.zeros(1, 1, 4, 4, dtype=torch.int64)
    strokes[..., 0, :] = torch.tensor([1, 2, 3, 1])
    pseudo_labels[..., 2, :] = torch.tensor([3, 1, 2, 2])
    plain = SparseDiceCrossEntropy(0.0)
    both = strokes + torch.where(pseudo_labels > 0, pseudo_labels + 3, 0)
    for weight in (0.0, 0.5, 2.0):
        found = SparseDiceCrossEntropy(0.0, weight)(logits, both)
        torch.testing.assert_close(found, plain(logits, strokes) + weight * plain(logits, pseudo_labels))


def test_what_a_voxel_is_not_is_the_probability_of_all_others() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    excluded = torch.tensor([1, 2, 3, 3, 2, 1])
    p = softmax(logits.double().numpy())
    expected = -np.log(1 - p[np.arange(6), excluded.numpy() - 1]).mean()
    loss = SparseDiceCrossEntropy(0.0)
    assert float(loss(logits, excluded + 6)) == pytest.approx(expected, rel=1e-5)
    strokes = torch.tensor([1, 0, 0, 2, 0, 0])
    mixed = torch.where(strokes > 0, strokes, excluded + 6)
    left = strokes == 0
    expected = (float(loss(logits, strokes)) - np.log(1 - p[left, excluded[left].numpy() - 1]).mean()) / 2
    assert float(loss(logits, mixed)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dice_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_channels_written_out(dice_weight: float, balance: float) -> None:
    logits = torch.randn(2, 3, 2, 5, 5, generator=torch.Generator().manual_seed(5))
    targets = channel_targets()
    values, wanted = logits.double().numpy(), targets.numpy()
    losses = []
    for channel in range(3):
        v, t = values[:, channel], wanted[:, channel]
        known = t != IGNORED
        if channel == 1:
            error = np.abs(np.tanh(v[known]) - (2 * (t[known].astype(float) - ZERO) / (ONE - ZERO) - 1))
            losses.append(np.where(error < 1, error**2 / 2, error - 0.5).mean())
            continue
        p = 1 / (1 + np.exp(-v))
        n_one, n_zero = (t == ONE).sum(), (t == ZERO).sum()
        w_one, w_zero = n_one ** (1 - balance), n_zero ** (1 - balance)
        one, zero = -np.log(p[t == ONE]).mean(), -np.log(1 - p[t == ZERO]).mean()
        entropy = (w_one * one + w_zero * zero) / (w_one + w_zero)
        dice_one = 1 - 2 * p[t == ONE].sum() / (p[known].sum() + n_one)
        dice_zero = 1 - 2 * (1 - p[t == ZERO]).sum() / ((1 - p[known]).sum() + n_zero)
        losses.append((1 - dice_weight) * entropy + dice_weight * (dice_one + dice_zero) / 2)
    found = float(ChannelLoss(ROLES, dice_weight, balance)(logits, targets))
    assert found == pytest.approx(np.mean(losses), rel=1e-4)


def test_distillation_of_classes_is_the_divergence_where_nothing_is_labelled() -> None:
    logits, parent = (torch.randn(2, 3, 2, 5, 5, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    labels = class_labels()
    p, q = (softmax(t.movedim(1, -1).reshape(-1, 3).double().numpy()) for t in (parent, logits))
    unsaid = labels.flatten().numpy() == 0
    expected = (p * np.log(p / q)).sum(axis=1)[unsaid].mean()
    found = Distillation([ClassRole(name=n) for n in "abc"], True)(logits, parent, labels)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_levels_are_weighed_by_halves() -> None:
    loss = SparseDiceCrossEntropy(0.5)
    levels = torch.randn(2, 3, 3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    each = [loss(levels[:, n], class_labels()) for n in range(3)]
    expected = (each[0] + each[1] / 2 + each[2] / 4) / 1.75
    torch.testing.assert_close(deeply_supervised(loss, levels.unbind(1), class_labels()), expected)
    torch.testing.assert_close(deeply_supervised(loss, [levels[:, 0]], class_labels()), each[0])
