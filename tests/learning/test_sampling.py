"""Batches: what is drawn, how often, and never what is held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.sampling import AnnotationSampler, PatchBatches, VoxelBatches
from napari_pytc.volumes.memory import MemoryVolume
from tests.support.annotations import MemoryAnnotations
from tests.support.learning import HELD_OUT, STILL, space, tiny_plan, training_data

SHAPE = (4, 16, 16)


def normalisation(mean: float = 120.0) -> Normalisation:
    return Normalisation(mean=mean, std=50, low=-1e6, high=1e6)


def batches(data: TrainingData, plan: TrainPlan, shape=SHAPE, batch_size: int = 3) -> PatchBatches:
    image = TrainingImage(data.source, normalisation(), data.held_out)
    return PatchBatches(data, image, plan, batch_size, shape)


def test_a_batch_has_the_shapes_and_types_of_a_network() -> None:
    batch = batches(training_data(), tiny_plan()).batch(0)
    assert batch.image.shape == (3, 1, *SHAPE)
    assert batch.labels.shape == (3, *SHAPE)
    assert batch.image.dtype == torch.float32
    assert batch.labels.dtype == torch.int64
    assert (batch.labels > 0).flatten(1).any(dim=1).all()  # every patch has something to learn


def test_a_step_has_one_batch_whatever_came_before() -> None:
    a, b = batches(training_data(), tiny_plan()), batches(training_data(), tiny_plan())
    a.batch(0)
    for one, other in zip(a.batch(5)[:2], b.batch(5)[:2], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(a.batch(5).image, a.batch(6).image)
    assert not torch.equal(a.batch(5).image, batches(training_data(), tiny_plan(seed=1)).batch(5).image)
    assert not torch.equal(a.batch(5).image[0], a.batch(5).image[1])


@pytest.mark.parametrize("still", [True, False])
def test_held_out_voxels_are_never_in_a_batch(still: bool) -> None:
    # In the held-out box lies a value that nothing else has, and strokes all over it.
    calm = training_data()
    raw, labels = np.full(calm.source.shape, 120, np.uint8), np.zeros(calm.source.shape, np.uint8)
    raw[HELD_OUT.slices] = 255
    labels[HELD_OUT.slices] = 1
    labels[:, 26, 20:30], labels[:, 28, 20:30] = 1, 2
    data = training_data(raw=raw, labels=labels)
    plan = tiny_plan(augmentation=STILL, recent=0.0) if still else tiny_plan(recent=0.0)
    source = batches(data, plan)
    n_labels = 0
    for step in range(12):
        image, found, _ = source.batch(step)
        if still:
            assert not image.any()  # 120 everywhere is 0, and so is what is blanked
            n_labels = max(n_labels, int((found > 0).sum(dim=(1, 2, 3)).max()))
        else:
            assert image.abs().max() < 8  # contrast and noise, but never the 2.7 standard deviations of a whole box
    # At most the two lines of ten voxels a section: none of the 4 x 24 x 24 painted in the held-out box.
    assert not still or 0 < n_labels <= 80


def test_a_voxel_drawn_is_annotated_and_not_held_out() -> None:
    data = training_data()
    sampler = AnnotationSampler(data, class_balance=0.5, recent=0.5)
    labels = data.annotations.read(Box.of_shape(data.source.shape))
    drawn = [sampler.draw(np.random.default_rng(seed)) for seed in range(200)]
    assert all(labels[voxel] > 0 for voxel in drawn)
    assert not any(HELD_OUT.contains_point(voxel) for voxel in drawn)
    assert {int(labels[voxel]) for voxel in drawn} == {1, 2}


def rare_and_common() -> TrainingData:
    labels = np.zeros((1, 32, 64), np.uint8)
    labels[0, 0, 0], labels[0, 16, :] = 1, 2
    raw = MemoryVolume(np.zeros(labels.shape, np.uint8))
    return TrainingData(raw, MemoryAnnotations(labels, (1, 32, 32)), ("rare", "common", "never"), (), space())


@pytest.mark.parametrize(("balance", "low", "high"), [(0.0, 0.002, 0.05), (0.5, 0.06, 0.17), (1.0, 0.42, 0.58)])
def test_classes_are_drawn_evenly_by_their_balance(balance: float, low: float, high: float) -> None:
    sampler = AnnotationSampler(rare_and_common(), class_balance=balance, recent=0)
    rng = np.random.default_rng(0)
    share = np.mean([sampler.draw(rng) == (0, 0, 0) for _ in range(600)])
    assert low < share < high


def test_recent_strokes_are_drawn_more_often_and_old_ones_still() -> None:
    labels = np.zeros((1, 8, 64), np.uint8)
    labels[0, 2, 4:20], labels[0, 2, 36:52], labels[0, 6, 0] = 1, 1, 2
    changed = {(0, 0, 0): 0.0, (0, 0, 32): 6000.0}
    annotations = MemoryAnnotations(labels, (1, 8, 32), changed)
    raw = MemoryVolume(np.zeros(labels.shape, np.uint8))
    data = TrainingData(raw, annotations, ("a", "b"), (), space())

    def share_of_recent(recent: float) -> float:
        sampler, rng = AnnotationSampler(data, class_balance=1, recent=recent), np.random.default_rng(0)
        drawn = [voxel for voxel in (sampler.draw(rng) for _ in range(600)) if voxel[1] == 2]
        return float(np.mean([voxel[2] >= 32 for voxel in drawn]))

    assert 0.42 < share_of_recent(0.0) < 0.58
    assert 0.6 < share_of_recent(1.0) < 0.75  # one minute older: half as often


def test_strokes_erased_while_the_training_runs_are_not_drawn() -> None:
    data = training_data()
    sampler = AnnotationSampler(data, class_balance=0.5, recent=0)
    half = Box((0, 0, 0), (8, 48, 32))
    data.annotations.paint(half, 0)
    drawn = [sampler.draw(np.random.default_rng(seed)) for seed in range(50)]
    assert not any(half.contains_point(voxel) for voxel in drawn)


def test_all_strokes_erased_are_told() -> None:
    data = training_data()
    sampler = AnnotationSampler(data, class_balance=0.5, recent=0)
    data.annotations.paint(Box.of_shape(data.source.shape), 0)
    with pytest.raises(ModelError, match="were erased"):
        sampler.draw(np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(1, 5, 7), (2, 64, 3), (1, 1, 9)])
def test_a_volume_smaller_than_a_patch_is_mirrored(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint8)
    labels.flat[0], labels.flat[1] = 1, 2
    raw = MemoryVolume(rng.integers(0, 255, shape).astype(np.uint8))
    data = TrainingData(raw, MemoryAnnotations(labels), ("a", "b"), (), space())
    image, found, _ = batches(data, tiny_plan(augmentation=STILL), (8, 32, 32), 2).batch(3)
    assert image.shape == (2, 1, 8, 32, 32)
    assert image.std() > 0.1
    assert set(found.unique().tolist()) <= {0, 1, 2}
    assert found.sum(dim=(1, 2, 3)).max() <= 3  # labels are not mirrored: a stroke is one stroke


def test_voxels_are_drawn_evenly_by_their_balance() -> None:
    labels = torch.cat([torch.full((5,), 1), torch.full((995,), 2)])
    features = torch.arange(1000.0)[:, None]
    for balance, low, high in ((0.0, 0.001, 0.02), (1.0, 0.45, 0.55)):
        source = VoxelBatches(features, labels, 3, tiny_plan(class_balance=balance), 1)
        image, drawn, _ = source.batch(0)
        assert len(image) == 1024
        assert torch.equal(labels[image[:, 0].long()], drawn)
        assert low <= float((drawn == 1).float().mean()) <= high
        assert torch.equal(source.batch(7).image, source.batch(7).image)
        assert not torch.equal(source.batch(7).image, source.batch(8).image)
