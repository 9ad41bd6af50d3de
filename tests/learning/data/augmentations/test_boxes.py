"""Blank, coarse and noisy boxes: one region, all channels alike, whatever the shape of a patch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from napari_pytc.learning.data.augmentations.boxes import cut_blur, cut_noise, cut_out

Change = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]
ALL = [cut_out, cut_blur, cut_noise]


def image_of(shape: tuple[int, ...] = (2, 12, 40, 40)) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).normal(size=shape).astype(np.float32))


def changed_box(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The smallest box (c, z, y, x) with all changes, of `after`."""
    where = (before != after).nonzero()
    return after[tuple(slice(int(a), int(b) + 1) for a, b in zip(where.amin(0), where.amax(0), strict=True))]


@pytest.mark.parametrize("change", ALL)
@pytest.mark.parametrize("shape", [(1, 12, 40, 40), (3, 1, 33, 20), (2, 2, 1, 5), (1, 1, 1, 1)])
def test_shapes_stay_and_the_image_passed_is_left_alone(change: Change, shape: tuple[int, ...]) -> None:
    image = image_of(shape)
    before = image.clone()
    for seed in range(5):
        after = change(image, np.random.default_rng(seed))
        assert after.shape == image.shape
        assert torch.isfinite(after).all()
        assert torch.equal(after, change(image, np.random.default_rng(seed)))
    assert torch.equal(image, before)


@pytest.mark.parametrize("change", ALL)
def test_a_part_of_the_patch_changes(change: Change) -> None:
    image = image_of()
    shares = [float((change(image, np.random.default_rng(seed)) != image).float().mean()) for seed in range(20)]
    assert min(shares) > 0
    assert max(shares) < 0.5
    assert len(set(shares)) > 10


def test_blank_boxes_are_of_one_intensity_in_all_channels() -> None:
    means = set()
    for seed in range(20):
        after = cut_out(image := image_of(), np.random.default_rng(seed))
        values = after[after != image].unique()
        assert 1 <= len(values) <= 3
        assert torch.equal((after != image)[0], (after != image)[1])
        assert float(values.abs().max()) <= 2
        means.add(bool((values == 0).any()))
    assert means == {True, False}


def test_coarse_boxes_keep_their_mean_and_lose_contrast() -> None:
    image = image_of((2, 6, 48, 48))
    for seed in range(10):
        after = cut_blur(image, np.random.default_rng(seed))
        box = changed_box(image, after)
        assert box.shape[0] == 2
        assert float(box.std()) < 0.7
        assert abs(float(box.mean())) < 0.2


def test_noise_is_in_one_box() -> None:
    image = torch.zeros(2, 8, 40, 40)
    for seed in range(10):
        box = changed_box(image, cut_noise(image, np.random.default_rng(seed)))
        assert bool((box != 0).all())
        assert 0.05 < float(box.std()) < 0.7
