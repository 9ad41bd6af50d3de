"""Parts of losses: what they are called, that they are the loss, and when they are forgotten."""

from __future__ import annotations

import pytest
import torch

from napari_pytc.learning.data.instance_targets import ONE, ZERO
from napari_pytc.learning.training.losses import SparseDiceCrossEntropy, deeply_supervised, make_loss
from napari_pytc.learning.training.losses.parts import TrainingLoss, told_apart
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import ChannelsTarget, InstancesTarget
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole

CLASSES = tuple(ClassRole(name=name) for name in "abc")
ROLES = (AffinityRole(offset=(-1, 0, 0)), AffinityRole(offset=(0, -1, 0)), DistanceRole(reach_nm=50), BoundaryRole())


def classes_example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 3, 5, 5, generator=generator)
    return logits, torch.randint(0, 4, (2, 3, 5, 5), generator=generator)


def channels_example(n_channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (2, n_channels, 2, 5, 5)
    targets = torch.where(torch.rand(shape, generator=generator) < 0.3, ZERO, ONE).to(torch.uint8)
    return torch.randn(shape, generator=generator), targets


def test_the_default_loss_is_the_weighted_sum_of_its_parts() -> None:
    loss = SparseDiceCrossEntropy(0.25)
    value = loss(*classes_example())
    parts = loss.take_parts()
    assert set(parts) == {"Dice", "cross entropy"}
    assert 0.25 * parts["Dice"] + 0.75 * parts["cross entropy"] == pytest.approx(float(value))
    assert loss.take_parts() == {}


def test_named_terms_are_parts_before_their_weights() -> None:
    terms = [{"loss": "ce", "weight": 2}, "dice", {"loss": "dice", "weight": 3}]
    loss = make_loss(TrainPlan(losses=terms), CLASSES)
    value = loss(*classes_example())
    parts = loss.take_parts()
    assert set(parts) == {"ce", "dice", "dice 2"}
    assert parts["dice"] == parts["dice 2"]
    assert 2 * parts["ce"] + parts["dice"] + 3 * parts["dice 2"] == pytest.approx(float(value))


def test_channels_of_objects_are_parts_by_group() -> None:
    loss = make_loss(TrainPlan(target=InstancesTarget(distance=True, boundary=True)), ROLES)
    logits, targets = channels_example(4)
    targets[:, 3] = 0  # nothing is known of boundaries
    value = loss(logits, targets)
    parts = loss.take_parts()
    assert set(parts) == {"near affinities", "distance"}
    assert (2 * parts["near affinities"] + parts["distance"]) / 3 == pytest.approx(float(value))


def test_entries_of_a_target_are_parts() -> None:
    target = ChannelsTarget.model_validate(
        {"channels": ["foreground", {"role": "boundary", "loss": "bce"}, {"role": "classes", "names": ["a", "b"]}]}
    )
    roles = target.roles(("a", "b"), _space())
    loss = make_loss(TrainPlan(target=target), roles)
    loss(*channels_example(len(roles)))
    assert {"foreground", "boundary", "classes", "Dice", "cross entropy"} == set(loss.take_parts())


def test_the_first_call_of_a_step_counts() -> None:
    loss = SparseDiceCrossEntropy(0.0)
    logits, labels = classes_example()
    coarse = logits[..., ::2, ::2]
    alone = float(loss(logits, labels))
    loss.forget_parts()
    deeply_supervised(loss, [logits, coarse], labels)
    assert loss.take_parts()["cross entropy"] == pytest.approx(alone)


def test_parts_of_a_batch_without_labels_are_none() -> None:
    loss = SparseDiceCrossEntropy(0.5)
    logits, labels = classes_example()
    loss(logits, torch.zeros_like(labels))
    assert loss.take_parts() == {}


def test_parts_are_neither_weights_nor_parts_of_the_graph() -> None:
    class Half(TrainingLoss):
        def forward(self, value: torch.Tensor) -> torch.Tensor:
            self.note(["half"], value / 2)
            return value / 2

    loss, value = Half(), torch.ones((), requires_grad=True)
    loss(value).backward()
    assert loss.state_dict() == {}
    assert loss.take_parts() == {"half": 0.5}
    assert not any(part.requires_grad for part, _ in loss._noted.values())


def test_names_are_told_apart() -> None:
    assert told_apart(["a", "b", "a", "a"]) == ["a", "b", "a 2", "a 3"]


def _space():  # type: ignore[no-untyped-def]
    from napari_pytc.geometry import VoxelSpace

    return VoxelSpace((10.0, 10.0, 10.0))
