"""Mixup: blended images, and the loss of either patch's labels by its share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.learning.data.augmentations.mixup import MixedBatches, with_mixup
from napari_pytc.learning.data.sampling import Batch, PatchBatches, TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.training.steps.module import SegmentationModule
from napari_pytc.plans.augmentation import Augmentation
from napari_pytc.plans.plan import TrainPlan
from tests.support.contexts import RecordingContext
from tests.support.images import one_channel
from tests.support.learning import CLASSES, STILL, folders, instance_plan, object_data, tiny_plan, training_data

PLAIN = one_channel(mean=120, std=50, low=-1e6, high=1e6)
SHAPE = (4, 16, 16)


def batches(batch_size: int = 2, plan: TrainPlan | None = None) -> PatchBatches:
    data = training_data()
    volume = TrainingVolume(data, TrainingImage(data.source, PLAIN, data.held_out))
    return PatchBatches([volume], plan or tiny_plan(augmentation=STILL), batch_size, SHAPE)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_patches_are_blended_with_others_by_a_share_of_at_least_a_half(batch_size: int) -> None:
    source = batches(batch_size)
    mixed = MixedBatches(source, 1.0, seed=0)
    shares = []
    for step in range(12):
        plain, batch = source.batch(step), mixed.batch(step)
        assert batch.other_labels is not None
        assert torch.equal(batch.labels, plain.labels)
        assert 0.5 <= batch.share <= 1
        shares.append(batch.share)
        other = source.batch(2**32 + step) if batch_size == 1 else plain
        order = [(k - 1) % batch_size for k in range(batch_size)]
        assert torch.equal(batch.other_labels, other.labels[order])
        expected = batch.share * plain.image + (1 - batch.share) * other.image[order]
        assert torch.allclose(batch.image, expected, atol=1e-6)
        assert torch.equal(mixed.batch(step).image, batch.image)
    assert len(set(shares)) == 12


def test_a_share_of_the_batches_is_blended_and_others_are_as_without() -> None:
    source = batches()
    mixed = MixedBatches(source, 0.5, seed=0)
    found = [mixed.batch(step) for step in range(30)]
    blended = [batch.other_labels is not None for batch in found]
    assert 8 <= sum(blended) <= 22
    for step, batch in enumerate(found):
        if not blended[step]:
            assert torch.equal(batch.image, source.batch(step).image)
            assert batch.share == 1
    off = tiny_plan()
    assert with_mixup(source, off) is source
    assert isinstance(
        with_mixup(source, off.model_copy(update={"augmentation": Augmentation(mixup=0.1)})), MixedBatches
    )


def module() -> SegmentationModule:
    class Clock:
        step = 0

        def share(self) -> float:
            return 0.0

    torch.manual_seed(0)
    plan, data = tiny_plan(), training_data()
    return SegmentationModule(build_network(plan.network, len(CLASSES), data.space), plan, Clock()).eval()


def test_the_loss_is_that_of_either_patch_by_its_share() -> None:
    learner, plain = module(), batches().batch(0)
    other = plain.labels.roll(1, 0)
    share = 0.7
    one, two = (learner.training_step(Batch(plain.image, labels)) for labels in (plain.labels, other))
    found = learner.training_step(Batch(plain.image, plain.labels, None, other, share))
    assert torch.isclose(found, share * one + (1 - share) * two)


def test_voxels_that_neither_patch_has_annotated_have_no_gradient() -> None:
    learner, plain = module(), batches().batch(0)
    labels, other = torch.zeros_like(plain.labels), torch.zeros_like(plain.labels)
    labels[:, :, :8], other[:, :, :, :8] = 1, 2
    seen: list[torch.Tensor] = []
    network = learner.network

    def logits(image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seen.append(network(image).detach().requires_grad_())
        return (seen[-1],)

    learner.training_logits = logits
    learner.training_step(Batch(plain.image, labels, None, other, 0.6)).backward()
    gradient = seen[0].grad
    assert gradient is not None
    touched = gradient.abs().amax(1) > 0
    assert torch.equal(touched, (labels > 0) | (other > 0))


@pytest.mark.parametrize("kind", ["classes", "objects", "distilled"])
def test_a_training_with_every_change_runs(tmp_path: Path, kind: str) -> None:
    from napari_pytc.learning.training.train import train

    names = ("elastic", "stripes", "cut_out", "cut_blur", "cut_noise", "copy_paste", "mixup")
    every = Augmentation.model_validate({**dict.fromkeys(names, 1.0), "turns": "always"})
    if kind == "objects":
        train(instance_plan(steps=2, augmentation=every), object_data(), folders(tmp_path), RecordingContext())
        return
    first = train(tiny_plan(steps=2, augmentation=every), training_data(), folders(tmp_path), RecordingContext())
    if kind == "distilled":
        where = replace(folders(tmp_path / "second"), parent=first.folder)
        plan = tiny_plan(steps=2, augmentation=every, distil_weight=1.0)
        done = train(plan, training_data(), where, RecordingContext())
        assert done.info.parent == first.info.id


def test_the_identity_of_a_plan_is_that_of_before_where_what_came_later_is_off() -> None:
    before = {"flips", "affine", "contrast", "noise", "blur", "missing_section", "misaligned_section"}
    assert set(Augmentation().identity()) == before
    assert set(Augmentation(elastic_shift=8).identity()) == before
    assert set(Augmentation(elastic=0.5).identity()) == before | {"elastic", "elastic_shift"}
    assert set(Augmentation(mixup=0.5, turns="never").identity()) == before | {"mixup", "turns"}
    assert set(tiny_plan().identity(1)["augmentation"]) == before
    assert np.isfinite(STILL.affine)
