"""Weighted sums of losses: channels, pseudo-labels, balancing, levels, and a training with them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.learning.data.instance_targets import ONE, ZERO
from napari_pytc.learning.training.losses import (
    ChannelTerms,
    ClassTerms,
    SparseDiceCrossEntropy,
    deeply_supervised,
    make_loss,
)
from napari_pytc.plans.losses import LossSettings
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import InstancesTarget
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole

CLASSES = tuple(ClassRole(name=name) for name in "abc")
ROLES = (AffinityRole(offset=(-1, 0, 0)), DistanceRole(reach_nm=50), BoundaryRole())


def plan_of(*terms: Any, instances: bool = False, **settings: Any) -> TrainPlan:
    target = {"target": InstancesTarget(distance=True, boundary=True)} if instances else {}
    return TrainPlan(losses=terms, **target, **settings)


def classes_example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 3, 5, 5, generator=generator)
    return logits, torch.randint(0, 4, (2, 3, 5, 5), generator=generator)


def channels_example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.where(torch.rand(2, 3, 2, 5, 5, generator=generator) < 0.3, ZERO, ONE)
    targets[:, 1] = torch.randint(ZERO, ONE + 1, (2, 2, 5, 5), generator=generator)
    targets[torch.rand(2, 3, 2, 5, 5, generator=generator) < 0.4] = 0
    return torch.randn(2, 3, 2, 5, 5, generator=generator), targets.to(torch.uint8)


def test_without_losses_it_is_what_it_was() -> None:
    assert isinstance(make_loss(TrainPlan(), CLASSES), SparseDiceCrossEntropy)


def test_cross_entropy_by_name_is_that_of_the_default_without_dice() -> None:
    logits, labels = classes_example()
    named = make_loss(plan_of("ce"), CLASSES)
    assert isinstance(named, ClassTerms)
    torch.testing.assert_close(named(logits, labels), SparseDiceCrossEntropy(0.0)(logits, labels))
    rows = logits.movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(named(rows, labels.flatten()), named(logits, labels))


def test_pseudo_labels_and_excluded_classes_count_as_in_the_default() -> None:
    logits, labels = classes_example()
    labels[0] += 3 * (labels[0] > 0)  # pseudo-labels
    labels[1, 0] += 6 * (labels[1, 0] > 0)  # any but
    named, default = make_loss(plan_of("ce"), CLASSES, 0.7), SparseDiceCrossEntropy(0.0, 0.7)
    torch.testing.assert_close(named(logits, labels), default(logits, labels))
    only_excluded = torch.full_like(labels, 8)
    torch.testing.assert_close(named(logits, only_excluded), default(logits, only_excluded))


def test_terms_are_weighted_and_see_their_channels() -> None:
    logits, targets = channels_example()
    terms = (
        {"loss": "bce", "channels": "0,2", "weight": 2},
        {"loss": "smooth_l1", "heads": ["distance"], "weight": 0.5},
    )
    loss = make_loss(plan_of(*terms, instances=True), ROLES)
    assert isinstance(loss, ChannelTerms)
    known = targets > 0
    wanted = (targets.float() - ZERO) / (ONE - ZERO)
    both = known[:, [0, 2]]
    entropy = functional.binary_cross_entropy_with_logits(logits[:, [0, 2]][both], wanted[:, [0, 2]][both])
    error = functional.smooth_l1_loss(logits[:, 1][known[:, 1]].tanh(), 2 * wanted[:, 1][known[:, 1]] - 1)
    torch.testing.assert_close(loss(logits, targets), 2 * entropy + 0.5 * error)


def test_a_channel_that_is_not_judged_has_no_gradient() -> None:
    logits, labels = classes_example()
    logits = torch.cat([logits, logits[:, :1]], 1).requires_grad_()
    loss = LossSettings.kinds["dice"]().build("sigmoid", (0, 2))
    target = torch.rand(logits.shape, generator=torch.Generator().manual_seed(1)).round()
    loss(logits, target, torch.ones_like(target)).backward()
    assert logits.grad is not None
    assert not logits.grad[:, [1, 3]].any()
    assert logits.grad[:, [0, 2]].all()
    assert len(labels)


def test_learnt_balance_lets_the_larger_term_count_less() -> None:
    logits, labels = classes_example()
    loss = make_loss(plan_of({"loss": "ce", "weight": 4}, "dice", loss_balancing="uncertainty"), CLASSES)
    assert isinstance(loss, ClassTerms)
    learnt = loss.terms.log_variances
    assert learnt is not None
    fixed = make_loss(plan_of({"loss": "ce", "weight": 4}, "dice"), CLASSES)
    torch.testing.assert_close(loss(logits, labels), fixed(logits, labels) / 2)
    each = [make_loss(plan_of(one), CLASSES)(logits, labels) for one in ({"loss": "ce", "weight": 4}, "dice")]
    with torch.no_grad():  # where each is the logarithm of its term there is nothing to gain
        learnt.copy_(torch.stack(each).log())
    loss(logits, labels).backward()
    assert learnt.grad is not None
    torch.testing.assert_close(learnt.grad, torch.zeros(2))


def test_levels_are_weighed_as_asked_and_upsampled() -> None:
    logits, labels = classes_example()
    loss = make_loss(plan_of("dice_ce"), CLASSES)
    coarse = torch.randn(2, 3, 2, 3, 3, generator=torch.Generator().manual_seed(3), requires_grad=True)
    whole = functional.interpolate(coarse, size=logits.shape[2:], mode="trilinear")
    found = deeply_supervised(loss, [logits, coarse], labels)
    torch.testing.assert_close(found, (loss(logits, labels) + loss(whole, labels) / 2) / 1.5)
    found = deeply_supervised(loss, [logits, coarse], labels, (1.0, 3.0))
    torch.testing.assert_close(found, (loss(logits, labels) + 3 * loss(whole, labels)) / 4)
    assert deeply_supervised(loss, [logits, coarse], labels, (2.0,)) == loss(logits, labels)
