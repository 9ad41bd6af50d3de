"""Sections out of focus, missing and misaligned: single ones, and labels show nothing that was not read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.learning.data.augmentations.section_faults import (
    blurred_sections,
    misaligned_section,
    missing_section,
)


def changed_sections(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    return [k for k in range(before.shape[1]) if not torch.equal(before[0, k], after[0, k])]


def test_blur_is_of_single_sections_and_without_a_frame() -> None:
    image = torch.randn(1, 12, 32, 32) + 5
    found = set()
    for seed in range(20):
        after = blurred_sections(image, np.random.default_rng(seed))
        changed = changed_sections(image, after)
        assert 1 <= len(changed) <= 3
        found.add(len(changed))
        for k in changed:
            assert after[0, k].std() < image[0, k].std()
            assert abs(float(after[0, k, 0].mean()) - 5) < 1
    assert found == {1, 2, 3}


def test_one_section_goes_missing_in_whole_or_part() -> None:
    image = torch.randn(1, 6, 40, 40)
    shares, blank = [], 0
    for seed in range(40):
        after = missing_section(image, np.random.default_rng(seed))
        (k,) = changed_sections(image, after)
        touched = after[0, k] != image[0, k]
        shares.append(float(touched.float().mean()))
        assert after[0, k][touched].std() < 0.5 * image[0, k].std()
        blank += bool(after[0, k][touched].std() < 1e-6)
    assert max(shares) == 1
    assert min(shares) < 0.9
    assert 5 < blank < 35


@pytest.mark.parametrize("n_sections", [1, 2])
def test_no_section_goes_missing_where_there_are_no_neighbours(n_sections: int) -> None:
    image = torch.randn(1, n_sections, 8, 8)
    assert torch.equal(missing_section(image, np.random.default_rng(0)), image)


def test_misaligned_sections_shift_with_their_labels_and_reveal_nothing() -> None:
    labels = torch.from_numpy(np.random.default_rng(0).integers(1, 200, (8, 40, 48)).astype(np.uint8))
    image = labels[None].float()
    numbers = set()
    for seed in range(30):
        seen, target = misaligned_section(image, labels, np.random.default_rng(seed))
        annotated = target > 0
        assert torch.equal(seen[0][annotated], target[annotated].float())
        moved = changed_sections(image, seen)
        numbers.add(len(moved))
        if not moved:
            continue
        assert 0 not in moved
        assert moved == list(range(moved[0], moved[-1] + 1))
        assert len(moved) == 1 or moved[-1] == 7
        for k in moved:
            ignored = ~annotated[k]
            rows, columns = int(ignored.all(dim=1).sum()), int(ignored.all(dim=0).sum())
            assert rows <= 40 // 6
            assert columns <= 48 // 6
            assert int(ignored.sum()) == rows * 48 + columns * 40 - rows * columns
            assert rows + columns > 0
    assert 1 in numbers
    assert max(numbers) > 1


def test_a_single_section_is_not_misaligned() -> None:
    image, labels = torch.randn(1, 1, 8, 8), torch.ones(1, 8, 8, dtype=torch.uint8)
    seen, target = misaligned_section(image, labels, np.random.default_rng(0))
    assert torch.equal(seen, image)
    assert torch.equal(target, labels)
