"""Copies of objects: whole ones alone, where no object is, with true labels and numbers of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.augmentations.copy_paste import copy_paste
from napari_pytc.learning.data.instance_targets import ONE, ZERO, instance_targets
from napari_pytc.learning.data.object_batches import with_copies
from napari_pytc.volumes.channels import AffinityRole

SHAPE = (6, 40, 40)


def scene(body: int = 2, around: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """One object of 3 x 6 x 5 voxels amid background, and an image that tells every voxel."""
    labels = np.full(SHAPE, around, np.int32)
    labels[2:5, 10:16, 20:25] = body
    image = np.arange(labels.size, dtype=np.float32).reshape(1, *SHAPE)
    return np.concatenate([image, -image]), labels


def pasted(labels: np.ndarray, seed: int, n_classes: int | None = None, next_number: int = 3) -> tuple[Any, Any]:
    image, _ = scene()
    return copy_paste(image, labels, np.random.default_rng(seed), n_classes, next_number)


def test_copies_of_an_object_have_numbers_of_their_own_and_its_voxels() -> None:
    image, labels = scene()
    numbers: set[int] = set()
    for seed in range(20):
        seen, target = pasted(labels, seed)
        numbers |= set(np.unique(target).tolist())
        assert (target[labels == 2] == 2).all()  # the object is not covered
        for number in np.unique(target[target > 2]):
            assert (target == number).sum() == (labels == 2).sum()
            assert set(seen[0][target == number]) == set(image[0][labels == 2])
        np.testing.assert_array_equal(seen[0], -seen[1])
        untouched = seen[0] == image[0]
        np.testing.assert_array_equal(target[untouched], labels[untouched])
    assert numbers == {1, 2, 3, 4, 5}


def test_copies_of_a_class_are_of_that_class() -> None:
    _, labels = scene()
    for seed in range(5):
        _, target = pasted(labels, seed, n_classes=2)
        assert set(np.unique(target)) == {1, 2}
        assert (target == 2).sum() > (labels == 2).sum()


def test_a_stroke_within_an_object_is_not_copied() -> None:
    _, labels = scene(around=0)
    assert all(np.array_equal(pasted(labels, seed)[1], labels) for seed in range(5))
    assert all(np.array_equal(pasted(labels, seed, n_classes=2)[1], labels) for seed in range(5))


@pytest.mark.parametrize("around", [3, 4, 6])
def test_what_is_not_sure_is_not_annotated(around: int) -> None:
    """Pseudo-labels (3, 4) and classes that a voxel is not of (6)."""
    _, labels = scene(around=around)
    labels[:, :5] = 1
    assert all(np.array_equal(pasted(labels, seed, n_classes=2)[1], labels) for seed in range(5))


def test_one_voxel_that_is_not_annotated_beside_it_is_enough() -> None:
    _, labels = scene()
    labels[3, 9, 22] = 0
    assert np.array_equal(pasted(labels, 0)[1], labels)


def test_the_border_is_background_only_where_that_is_known() -> None:
    """Another object beside it was cut off: what is there in the copy is not annotated."""
    image, labels = scene()
    labels[2:5, 10:16, 25:27] = 7
    background = labels == 1
    for seed in range(10):
        seen, target = pasted(labels, seed, next_number=8)
        came_from = seen[0].astype(int)
        moved = came_from != image[0].astype(int)
        sources = labels.ravel()[came_from[moved]]
        assert set(target[moved][sources == 1].tolist()) <= {1, 0}
        known = target[moved] == 1
        assert background.ravel()[came_from[moved]][known].all()
        copied = (target[moved] >= 8).sum()
        assert copied + (target[moved] <= 1).sum() == moved.sum()


def test_nothing_is_pasted_over_an_object() -> None:
    _, labels = scene()
    labels[:, 26:, :] = 9  # half of the patch, too large to be copied
    for seed in range(10):
        _, target = pasted(labels, seed, next_number=10)
        assert (target[labels == 9] == 9).all()


def test_an_object_that_goes_on_beyond_the_patch_is_not_cut_out() -> None:
    _, labels = scene()
    labels[labels == 2] = 1
    labels[2:5, 10:16, :5] = 2
    assert np.array_equal(pasted(labels, 0)[1], labels)


def test_an_object_through_all_sections_stays_in_its_sections() -> None:
    image, labels = scene()
    labels[labels == 2] = 1
    labels[:, 10:14, 20:25] = 2
    image[0] = np.arange(6)[:, None, None]
    n_copies = 0
    for seed in range(5):
        seen, target = copy_paste(image, labels, np.random.default_rng(seed), None, 3)
        n_copies += int((target == 3).any())
        np.testing.assert_array_equal(seen[0], image[0])
    assert n_copies >= 4


def test_nothing_to_copy_is_the_patch_as_it_is() -> None:
    image, labels = scene(body=1)
    seen, target = copy_paste(image, labels, np.random.default_rng(0), None, 2)
    assert seen is image
    assert target is labels


def test_affinities_keep_a_copy_apart_from_all_others() -> None:
    """Also where relations say which objects are known to be different."""
    _, labels = scene()
    _, target = pasted(labels, 3)
    n_copies = int(target.max()) - 2
    assert n_copies
    apart = np.zeros((4, 4), bool)  # 0, 1, 2 and what is something else
    extended = with_copies(apart, n_copies)
    assert extended.shape == (4 + n_copies,) * 2
    assert not extended[np.ix_([0, 1, 2, -1], [0, 1, 2, -1])].any()
    space, role = VoxelSpace((10, 10, 10)), AffinityRole(offset=(0, -1, 0))
    for relations in (None, extended):
        (found,) = instance_targets(target, [role], space, relations)
        copy = target == 3
        inner = copy & np.roll(copy, 1, axis=1)
        assert (found[inner] == ONE).all()
        edge = copy & (np.roll(target, 1, axis=1) == 1)
        assert edge.any()
        assert (found[edge] == ZERO).all()
    assert with_copies(apart, 0) is apart
