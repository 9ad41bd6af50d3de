"""Corrections of segments as labels of the class that keeps objects apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_pytc.annotations.said import BACKGROUND, OTHER, Said
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.boundary_corrections import BETWEEN, WITHIN, BoundaryCorrections
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.lessons import make_lesson
from napari_pytc.learning.losses import SparseDiceCrossEntropy
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.objects import ObjectLabels
from napari_pytc.learning.training import train
from tests.support.contexts import RecordingContext
from tests.support.learning import STILL, MemoryObjects, folders, tiny_plan, training_data

SHAPE = (12, 24, 40)
CUBIC = VoxelSpace((10, 10, 10))
MEMBRANE, N_CLASSES = 1, 3


def said_of(ids: np.ndarray, said: Said, space: VoxelSpace = CUBIC) -> BoundaryCorrections:
    return BoundaryCorrections([ObjectLabels(MemoryObjects(ids), (), said)], MEMBRANE, N_CLASSES, space)


def two(said: Said) -> BoundaryCorrections:
    ids = np.full(SHAPE, 7, np.uint32)
    ids[:, :, 20:] = 8
    return said_of(ids, said)


def test_beside_a_cut_is_the_class_and_far_from_it_another() -> None:
    corrections = two(Said(pairs=frozenset({(7, 8)})))
    row = corrections.places(Box.of_shape(SHAPE))[6, 12]
    assert row[18:22].tolist() == [0, BETWEEN, BETWEEN, 0]
    # From 19 the fourth voxel is more than 30 nm away; the patch ends with voxels of which the sides are not known.
    assert row[10:19].tolist() == [WITHIN] * 6 + [0] * 3
    labels = corrections.labels(Box.of_shape(SHAPE))[6, 12]
    assert set(labels[row == BETWEEN]) == {MEMBRANE}
    assert set(labels[row == WITHIN]) == {2 * N_CLASSES + MEMBRANE}


def test_where_two_meet_of_which_nothing_is_said_nothing_is_taught() -> None:
    row = two(Said()).places(Box.of_shape(SHAPE))[6, 12]
    assert not row[16:24].any()
    assert row[12] == row[28] == WITHIN


def test_what_is_around_objects_is_not_taken_for_a_border() -> None:
    ids = np.full(SHAPE, 7, np.uint32)
    ids[:, :, 20:22], ids[:, :, 22:] = OTHER, BACKGROUND
    found = said_of(ids, Said(whole=frozenset({7}))).places(Box.of_shape(SHAPE))
    assert BETWEEN not in found
    assert not found[:, :, 17:].any()


@pytest.mark.parametrize("box", [Box((2, 3, 5), (9, 20, 33)), Box((0, 0, 18), (12, 24, 19))])
def test_a_part_says_what_the_whole_says(box: Box) -> None:
    corrections = two(Said(pairs=frozenset({(7, 8)})))
    assert np.array_equal(corrections.places(box), corrections.places(Box.of_shape(SHAPE))[box.slices])


def test_later_corrections_count() -> None:
    cut, joined = np.full(SHAPE, 7, np.uint32), np.zeros(SHAPE, np.uint32)
    cut[:, :, 20:] = 8
    joined[:, :, 10:30] = 3
    sources = [ObjectLabels(MemoryObjects(cut), (), Said(pairs=frozenset({(7, 8)})))]
    sources.append(ObjectLabels(MemoryObjects(joined), (), Said()))
    found = BoundaryCorrections(sources, MEMBRANE, N_CLASSES, CUBIC).places(Box.of_shape(SHAPE))
    assert found[6, 12, 19] == WITHIN


def test_any_but_a_class_is_the_sum_of_the_others() -> None:
    torch.manual_seed(0)
    logits = torch.randn(40, 3, requires_grad=True)
    labels = torch.full((40,), 2 * 3 + 2)
    loss = SparseDiceCrossEntropy(0.0)(logits, labels)
    expected = -torch.log(1 - logits.softmax(1)[:, 1]).mean()
    assert torch.allclose(loss, expected, atol=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[:, 1] > 0).all()  # pushed down, and the others up
    assert (logits.grad[:, [0, 2]] < 0).all()


def test_with_two_classes_any_but_one_is_the_other() -> None:
    logits = torch.randn(40, 2)
    found = SparseDiceCrossEntropy(0.0)(logits, torch.full((40,), 2 * 2 + 1))
    assert torch.allclose(found, functional.cross_entropy(logits, torch.ones(40, dtype=torch.int64)), atol=1e-6)


def test_strokes_and_what_voxels_are_not_weigh_the_same() -> None:
    logits = torch.randn(4, 2)
    stroke, other = SparseDiceCrossEntropy(0.0), SparseDiceCrossEntropy(0.0)
    labels = torch.tensor([1, 5, 5, 5])
    mixed = SparseDiceCrossEntropy(0.0)(logits, labels)
    assert torch.allclose(mixed, (stroke(logits[:1], labels[:1]) + other(logits[1:], labels[1:])) / 2)


def corrected_data() -> TrainingData:
    of = training_data(held_out=())
    ids = np.zeros(of.source.shape, np.uint32)
    ids[:, 10:40, 10:24], ids[:, 10:40, 24:40] = 7, 8
    corrections = ObjectLabels(MemoryObjects(ids), (), Said(pairs=frozenset({(7, 8)})))
    return TrainingData(of.source, of.annotations, of.classes, (), of.space, None, (corrections,), "membrane")


def test_patches_show_corrections_where_nobody_painted() -> None:
    data = corrected_data()
    plan = tiny_plan(corrections_share=1.0, augmentation=STILL, batch_size=1)
    image = TrainingImage(data.source, Normalisation(mean=0, std=1, low=-1e6, high=1e6))
    batches = make_lesson(plan, data).batches(image, plan, 1, (4, 16, 16), None)
    seen = torch.cat([batches.batch(step).labels.ravel() for step in range(10)])
    assert set(seen.tolist()) <= {0, 1, 2, 5}
    assert {1, 5} <= set(seen.tolist())
    strokes = data.annotations.read(Box.of_shape(data.source.shape))
    shown = make_lesson(tiny_plan(corrections_share=0.0), data).batches(image, plan, 1, data.source.shape, None)
    whole = Box.of_shape(data.source.shape)
    assert np.array_equal(shown._labels(whole)[strokes > 0], strokes[strokes > 0])


def test_a_network_of_classes_learns_from_corrections(tmp_path: Path) -> None:
    ended = train(tiny_plan(), corrected_data(), folders(tmp_path), RecordingContext())
    assert ended.info.steps == 6
