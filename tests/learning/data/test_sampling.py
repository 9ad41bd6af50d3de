"""Batches: what is drawn, how often, and never what is held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.data.augmentations.mixup import with_mixup
from napari_pytc.learning.data.sampling import AnnotationSampler, PatchBatches, TrainingVolume, VoxelBatches
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.plans.augmentation import Augmentation
from napari_pytc.plans.networks import SectionUNetNetwork
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from tests.support.annotations import MemoryAnnotations
from tests.support.images import memory_image, one_channel
from tests.support.learning import HELD_OUT, STILL, space, tiny_plan, training_data

PLAIN = one_channel(mean=0, std=1, low=-1e6, high=1e6)
SHAPE = (4, 16, 16)


def normalisation(mean: float = 120.0) -> ImageNormalisation:
    return one_channel(mean=mean, std=50, low=-1e6, high=1e6)


def batches(data: VolumeData, plan: TrainPlan, shape=SHAPE, batch_size: int = 3) -> PatchBatches:
    image = TrainingImage(data.source, normalisation(), data.held_out)
    return PatchBatches([TrainingVolume(data, image)], plan, batch_size, shape)


def test_a_batch_has_the_shapes_and_types_of_a_network() -> None:
    batch = batches(training_data(), tiny_plan()).batch(0)
    assert batch.image.shape == (3, 1, *SHAPE)
    assert batch.labels.shape == (3, *SHAPE)
    assert batch.image.dtype == torch.float32
    assert batch.labels.dtype == torch.int64
    assert (batch.labels > 0).flatten(1).any(dim=1).all()  # every patch has something to learn


@pytest.mark.parametrize("section", [0, 7])
def test_strokes_of_the_first_and_last_section_are_learnt_where_a_patch_has_a_margin(section: int) -> None:
    labels = np.zeros(training_data().source.shape, np.uint8)
    labels[section, 26, 20:30], labels[section, 28, 20:30] = 1, 2
    network = SectionUNetNetwork(context_sections=2)
    plan = tiny_plan(network=network, augmentation=STILL)
    source = batches(training_data(labels=labels, held_out=()), plan, (5, 16, 16))
    for step in range(4):
        found = source.batch(step).labels
        assert (found[:, 2] > 0).flatten(1).any(dim=1).all()


def test_a_step_has_one_batch_whatever_came_before() -> None:
    a, b = batches(training_data(), tiny_plan()), batches(training_data(), tiny_plan())
    a.batch(0)
    for one, other in zip(a.batch(5)[:2], b.batch(5)[:2], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(a.batch(5).image, a.batch(6).image)
    assert not torch.equal(a.batch(5).image, batches(training_data(), tiny_plan(seed=1)).batch(5).image)
    assert not torch.equal(a.batch(5).image[0], a.batch(5).image[1])


MOVED = STILL.model_copy(
    update={"flips": True, **dict.fromkeys(("affine", "elastic", "misaligned_section", "copy_paste", "mixup"), 1.0)}
)


@pytest.mark.parametrize("change", ["still", "moved", "usual"])
def test_held_out_voxels_are_never_in_a_batch(change: str) -> None:
    # In the held-out box lies a value that nothing else has, and strokes all over it.
    calm = training_data()
    raw, labels = np.full(calm.source.shape, 120, np.uint8), np.zeros(calm.source.shape, np.uint8)
    raw[HELD_OUT.slices] = 255
    labels[HELD_OUT.slices] = 1
    labels[:, 26, 20:30], labels[:, 28, 20:30] = 1, 2
    data = training_data(raw=raw, labels=labels)
    changes = {"still": STILL, "moved": MOVED, "usual": Augmentation()}
    plan = tiny_plan(augmentation=changes[change], recent=0.0)
    source = with_mixup(batches(data, plan), plan)
    n_labels = 0
    for step in range(12):
        image, found, *_ = source.batch(step)
        if change != "usual":
            assert not image.any()  # 120 everywhere is 0, and so is what is blanked
            n_labels = max(n_labels, int((found > 0).sum(dim=(1, 2, 3)).max()))
        else:
            assert image.abs().max() < 8  # contrast and noise, but never the 2.7 standard deviations of a whole box
    # About the two lines of ten voxels a section at most: none of the 4 x 24 x 24 painted in the held-out box.
    assert change == "usual" or 0 < n_labels <= (80 if change == "still" else 160)


def test_a_voxel_drawn_is_annotated_and_not_held_out() -> None:
    data = training_data()
    sampler = AnnotationSampler([data], class_balance=0.5, recent=0.5)
    labels = data.annotations.read(Box.of_shape(data.source.shape))
    drawn = [sampler.draw(np.random.default_rng(seed)).voxel for seed in range(200)]
    assert all(labels[voxel] > 0 for voxel in drawn)
    assert not any(HELD_OUT.contains_point(voxel) for voxel in drawn)
    assert {int(labels[voxel]) for voxel in drawn} == {1, 2}


def rare_and_common() -> VolumeData:
    labels = np.zeros((1, 32, 64), np.uint8)
    labels[0, 0, 0], labels[0, 16, :] = 1, 2
    raw = memory_image(np.zeros(labels.shape, np.uint8))
    return VolumeData(raw, MemoryAnnotations(labels, (1, 32, 32)), ("rare", "common", "never"), (), space())


@pytest.mark.parametrize(("balance", "low", "high"), [(0.0, 0.002, 0.05), (0.5, 0.06, 0.17), (1.0, 0.42, 0.58)])
def test_classes_are_drawn_evenly_by_their_balance(balance: float, low: float, high: float) -> None:
    sampler = AnnotationSampler([rare_and_common()], class_balance=balance, recent=0)
    rng = np.random.default_rng(0)
    share = np.mean([sampler.draw(rng).voxel == (0, 0, 0) for _ in range(600)])
    assert low < share < high


def test_recent_strokes_are_drawn_more_often_and_old_ones_still() -> None:
    labels = np.zeros((1, 8, 64), np.uint8)
    labels[0, 2, 4:20], labels[0, 2, 36:52], labels[0, 6, 0] = 1, 1, 2
    changed = {(0, 0, 0): 0.0, (0, 0, 32): 6000.0}
    annotations = MemoryAnnotations(labels, (1, 8, 32), changed)
    raw = memory_image(np.zeros(labels.shape, np.uint8))
    data = VolumeData(raw, annotations, ("a", "b"), (), space())

    def share_of_recent(recent: float) -> float:
        sampler, rng = AnnotationSampler([data], class_balance=1, recent=recent), np.random.default_rng(0)
        drawn = [voxel for voxel in (sampler.draw(rng).voxel for _ in range(600)) if voxel[1] == 2]
        return float(np.mean([voxel[2] >= 32 for voxel in drawn]))

    assert 0.42 < share_of_recent(0.0) < 0.58
    assert 0.6 < share_of_recent(1.0) < 0.75  # one minute older: half as often


def test_strokes_erased_while_the_training_runs_are_not_drawn() -> None:
    data = training_data()
    sampler = AnnotationSampler([data], class_balance=0.5, recent=0)
    half = Box((0, 0, 0), (8, 48, 32))
    data.annotations.paint(half, 0)
    drawn = [sampler.draw(np.random.default_rng(seed)).voxel for seed in range(50)]
    assert not any(half.contains_point(voxel) for voxel in drawn)


def test_all_strokes_erased_are_reported() -> None:
    data = training_data()
    sampler = AnnotationSampler([data], class_balance=0.5, recent=0)
    data.annotations.paint(Box.of_shape(data.source.shape), 0)
    with pytest.raises(ModelError, match="were erased"):
        sampler.draw(np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(1, 5, 7), (2, 64, 3), (1, 1, 9)])
def test_a_volume_smaller_than_a_patch_is_mirrored(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint8)
    labels.flat[0], labels.flat[1] = 1, 2
    raw = memory_image(rng.integers(0, 255, shape).astype(np.uint8))
    data = VolumeData(raw, MemoryAnnotations(labels), ("a", "b"), (), space())
    image, found, *_ = batches(data, tiny_plan(augmentation=STILL), (8, 32, 32), 2).batch(3)
    assert image.shape == (2, 1, 8, 32, 32)
    assert image.std() > 0.1
    assert set(found.unique().tolist()) <= {0, 1, 2}
    assert found.sum(dim=(1, 2, 3)).max() <= 3  # labels are not mirrored: a stroke is one stroke


def test_voxels_are_drawn_evenly_by_their_balance() -> None:
    labels = torch.cat([torch.full((5,), 1), torch.full((995,), 2)])
    features = torch.arange(1000.0)[:, None]
    for balance, low, high in ((0.0, 0.001, 0.02), (1.0, 0.45, 0.55)):
        source = VoxelBatches(features, labels, 3, tiny_plan(class_balance=balance), 1)
        image, drawn, *_ = source.batch(0)
        assert len(image) == 1024
        assert torch.equal(labels[image[:, 0].long()], drawn)
        assert low <= float((drawn == 1).float().mean()) <= high
        assert torch.equal(source.batch(7).image, source.batch(7).image)
        assert not torch.equal(source.batch(7).image, source.batch(8).image)


def two_volumes(n_small: int = 8, n_large: int = 800) -> list[VolumeData]:
    """A class in both volumes, and one that only the small volume has."""
    found = []
    for n in (n_small, n_large):
        labels = np.zeros((1, 32, 32), np.uint8)
        labels.ravel()[:n] = 1
        if n == n_small:
            labels[0, -1, -1] = 2
        raw = memory_image(np.zeros(labels.shape, np.float32), space())
        found.append(VolumeData(raw, MemoryAnnotations(labels, (1, 32, 32)), ("a", "b"), (), space()))
    return found


@pytest.mark.parametrize(("balance", "low", "high"), [(0.0, 0.0, 0.03), (0.75, 0.15, 0.33), (1.0, 0.44, 0.56)])
def test_a_large_volume_does_not_drown_a_small_one(balance: float, low: float, high: float) -> None:
    sampler = AnnotationSampler(two_volumes(), class_balance=0, recent=0, volume_balance=balance)
    rng = np.random.default_rng(0)
    drawn = [sampler.draw(rng) for _ in range(800)]
    share = np.mean([one.volume == 0 for one in drawn if one.voxel != (0, 31, 31)])
    assert low <= share <= high
    labels = torch.tensor([1] * 808)
    volumes = torch.tensor([0] * 8 + [1] * 800)
    source = VoxelBatches(volumes[:, None].float(), labels, 2, tiny_plan(volume_balance=balance), 1, volumes)
    assert low <= 1 - float(source.batch(0).image.mean()) <= high


def test_the_balance_of_volumes_leaves_that_of_classes() -> None:
    """Class b is in the small volume alone; it is drawn as often as without a balance of volumes."""
    shares = []
    for balance in (0.0, 1.0):
        sampler = AnnotationSampler(two_volumes(), class_balance=1, recent=0, volume_balance=balance)
        rng = np.random.default_rng(0)
        shares.append(np.mean([sampler.draw(rng).voxel == (0, 31, 31) for _ in range(400)]))
    assert shares[0] == shares[1] == pytest.approx(0.5, abs=0.08)
    labels = torch.tensor([1] * 808 + [2] * 4)
    volumes = torch.tensor([0] * 8 + [1] * 800 + [0] * 4)
    found = [
        VoxelBatches(labels[:, None].float(), labels, 2, tiny_plan(volume_balance=b, class_balance=1.0), 1, volumes)
        for b in (0.0, 1.0)
    ]
    assert float(found[0].batch(0).image.mean()) == pytest.approx(float(found[1].batch(0).image.mean()), abs=0.05)


def test_patches_are_of_the_volume_that_was_drawn() -> None:
    volumes = two_volumes(40, 40)
    images = [TrainingImage(of.source, PLAIN) for of in volumes]
    volumes[1].source.array[:] = 3.0
    plan = tiny_plan(augmentation=STILL, volume_balance=1.0)
    source = PatchBatches([TrainingVolume(v, i) for v, i in zip(volumes, images, strict=True)], plan, 8, (1, 8, 8))
    means = {float(patch.mean()) for patch in source.batch(0).image}
    assert means == {0.0, 3.0}
