"""The loss of channels: what is not known does not count, and each channel is what its role says."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from napari_pytc.learning.data.instance_targets import ONE, ZERO
from napari_pytc.learning.training.losses import ChannelLoss, deeply_supervised
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, DistanceRole

ROLES = [AffinityRole(offset=(-1, 0, 0)), DistanceRole(reach_nm=50), BoundaryRole()]
DICE = [0.0, 0.5, 1.0]


def example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 2, 5, 5, generator=generator, requires_grad=True)
    targets = torch.where(torch.rand(2, 3, 2, 5, 5, generator=generator) < 0.3, ZERO, ONE)
    targets[:, 1] = torch.randint(ZERO, ONE + 1, (2, 2, 5, 5), generator=generator)
    targets[torch.rand(2, 3, 2, 5, 5, generator=generator) < 0.4] = 0
    return logits, targets.to(torch.uint8)


@pytest.mark.parametrize("dice_weight", DICE)
def test_no_gradient_reaches_what_is_not_known(dice_weight: float) -> None:
    logits, targets = example()
    ChannelLoss(ROLES, dice_weight, 0.5)(logits, targets).backward()
    assert logits.grad[targets == 0].abs().max() == 0
    assert (logits.grad[targets > 0] != 0).all()


@pytest.mark.parametrize("dice_weight", DICE)
def test_what_is_not_known_changes_nothing(dice_weight: float) -> None:
    logits, targets = example()
    loss = ChannelLoss(ROLES, dice_weight, 0.5)
    assert torch.allclose(loss(logits, targets), loss(torch.where(targets == 0, 50.0, logits), targets))


def test_without_balance_and_dice_it_is_the_mean_of_the_usual_losses() -> None:
    logits, targets = example()
    parts = []
    for channel in range(3):
        picked = targets[:, channel] > 0
        values, wanted = logits[:, channel][picked], (targets[:, channel][picked].float() - ZERO) / (ONE - ZERO)
        parts.append(
            functional.smooth_l1_loss(values.tanh(), 2 * wanted - 1)
            if channel == 1
            else functional.binary_cross_entropy_with_logits(values, wanted)
        )
    assert torch.allclose(ChannelLoss(ROLES, 0, 0)(logits, targets), torch.stack(parts).mean())


def test_balanced_zeros_and_ones_weigh_the_same() -> None:
    targets = torch.full((1, 1, 1, 1, 100), ONE, dtype=torch.uint8)
    targets[..., 0] = ZERO
    logits = torch.zeros(1, 1, 1, 1, 100, requires_grad=True)
    ChannelLoss([BoundaryRole()], 0, 1.0)(logits, targets).backward()
    gradient = logits.grad.flatten()
    assert torch.allclose(gradient[0], -gradient[1:].sum())


@pytest.mark.parametrize("dice_weight", DICE)
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_a_channel_of_ones_alone_or_of_nothing_is_no_trouble(dice_weight: float, balance: float) -> None:
    logits = torch.randn(1, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.zeros(1, 3, 2, 4, 4, dtype=torch.uint8)
    loss = ChannelLoss(ROLES, dice_weight, balance)
    nothing = loss(logits, targets)
    nothing.backward()
    assert nothing == 0
    targets[:, 0] = ONE
    value = loss(logits, targets)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[:, 1:].abs().max() == 0


def test_the_truth_costs_nothing_and_the_opposite_a_lot() -> None:
    _, targets = example()
    right = torch.where(targets == ONE, 60.0, -60.0)
    right[:, 1] = torch.atanh((2 * (targets[:, 1].float() - ZERO) / (ONE - ZERO) - 1).clamp(-0.999, 0.999))
    for dice_weight in DICE:
        loss = ChannelLoss(ROLES, dice_weight, 0.5)
        assert float(loss(right, targets)) < 1e-3
        assert float(loss(-right, targets)) > 0.5


def test_it_is_supervised_deeply_and_summed_in_float32() -> None:
    logits, targets = example()
    loss = ChannelLoss(ROLES, 0.3, 0.5)
    assert torch.allclose(deeply_supervised(loss, [logits, logits], targets), loss(logits, targets))
    assert loss(logits.bfloat16(), targets).dtype == torch.float32
