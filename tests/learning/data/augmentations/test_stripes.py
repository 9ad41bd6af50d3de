"""Stripes: parallel, in a few sections or at the same place in all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.learning.data.augmentations.stripes import stripes


def pattern(seed: int, shape: tuple[int, int, int, int] = (1, 8, 40, 48)) -> torch.Tensor:
    """What is added to a blank image."""
    return stripes(torch.zeros(shape), np.random.default_rng(seed))[0]


def test_they_are_in_one_to_three_sections_or_alike_in_all() -> None:
    numbers = set()
    for seed in range(60):
        found = pattern(seed)
        sections = [k for k in range(8) if bool(found[k].any())]
        numbers.add(len(sections))
        for k in sections[1:]:
            assert torch.equal(found[k], found[sections[0]])
    assert numbers <= {0, 1, 2, 3, 8}  # none where all stripes lie beside the patch
    assert {1, 2, 3, 8} <= numbers


def test_most_of_a_section_stays() -> None:
    shares = [float((pattern(seed) != 0).float().amax(0).mean()) for seed in range(40)]
    assert 0 < np.mean(shares) < 0.4
    assert max(float(pattern(seed).abs().max()) for seed in range(40)) > 1


def test_some_are_along_rows_or_columns_and_some_at_an_angle() -> None:
    along = 0
    for seed in range(40):
        section = pattern(seed).abs().amax(0)
        along += bool((section == section[:, :1]).all() or (section == section[:1]).all())
    assert 10 < along < 35


@pytest.mark.parametrize("shape", [(1, 1, 9, 5), (1, 2, 1, 1)])
def test_small_patches_are_taken(shape: tuple[int, int, int, int]) -> None:
    image = torch.randn(shape)
    before = image.clone()
    assert stripes(image, np.random.default_rng(0)).shape == image.shape
    assert torch.equal(image, before)
