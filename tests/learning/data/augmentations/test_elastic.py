"""Elastic deformations are smooth, the same for image and labels, and show nothing that was not read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.learning.data.augmentations.elastic import _smooth_shifts, elastic_deformation
from tests.support.tissue import make_tissue

SHAPES = [(16, 48, 48), (1, 64, 40), (3, 7, 9), (1, 1, 1)]


def deformed(labels: np.ndarray, seed: int, shift: float = 4.0, anisotropy: float = 1.0, is_tilted: bool = True):
    image = torch.from_numpy(labels[None].astype(np.float32))
    rng = np.random.default_rng(seed)
    return elastic_deformation(image, torch.from_numpy(labels), rng, shift, anisotropy, is_tilted)


@pytest.mark.parametrize("is_tilted", [True, False])
def test_image_and_labels_move_alike(is_tilted: bool) -> None:
    labels = make_tissue((16, 48, 48), n_cells=8, seed=3).classes
    for seed in range(6):
        seen, target = deformed(labels, seed, is_tilted=is_tilted)
        annotated = (target > 0).numpy()
        assert annotated.mean() > 0.7
        agreement = (np.rint(seen[0].numpy()) == target.numpy())[annotated].mean()
        assert agreement > 0.9  # interpolation rounds the borders between classes
        assert (np.rint(seen[0].numpy()) == labels)[annotated].mean() < agreement


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_tilted", [True, False])
def test_shapes_and_types_stay(shape: tuple[int, int, int], is_tilted: bool) -> None:
    labels = np.random.default_rng(0).integers(-1, 4, shape).astype(np.int32)
    seen, target = deformed(labels, 0, shift=16.0, is_tilted=is_tilted)
    assert (tuple(seen.shape), tuple(target.shape), target.dtype) == ((1, *shape), shape, torch.int32)
    assert torch.isfinite(seen).all()
    assert set(target.unique().tolist()) <= {-1, 0, 1, 2, 3}


def test_sections_stay_sections_unless_tilted() -> None:
    labels = np.broadcast_to(np.arange(1, 17, dtype=np.uint8)[:, None, None], (16, 32, 32)).copy()
    tilted = 0
    for seed in range(5):
        _, target = deformed(labels, seed, is_tilted=False)
        for k in range(16):
            assert set(target[k].unique().tolist()) <= {0, k + 1}
        _, target = deformed(labels, seed, shift=8.0)
        tilted += any(len(set(section.unique().tolist()) - {0}) > 1 for section in target)
    assert tilted >= 4


def test_what_was_not_read_is_mirrored_in_the_image_and_not_annotated() -> None:
    labels = np.ones((8, 40, 40), np.uint8)
    n_ignored = 0
    for seed in range(6):
        seen, target = deformed(labels, seed, shift=8.0)
        np.testing.assert_allclose(seen.numpy(), 1, atol=1e-4)
        n_ignored += int((target == 0).sum())
        assert (target[3:5, 16:24, 16:24] == 1).all()
    assert n_ignored > 0


@pytest.mark.parametrize("shift", [1.0, 16.0])
@pytest.mark.parametrize("anisotropy", [1.0, 8.0])
def test_nothing_is_folded_over(shift: float, anisotropy: float) -> None:
    """Neighbours keep their order: along each axis the shift changes by less than a voxel from one to the next."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        shifts = _smooth_shifts(torch.Size((20, 96, 96)), 3, shift, anisotropy, rng)
        shifts[0] /= anisotropy
        for axis in range(3):
            assert float(shifts[axis].diff(dim=axis).abs().max()) < 1
        assert float(shifts[1].std()) > 0.2 * shift or shift == 16


def test_shifts_are_smooth() -> None:
    shifts = _smooth_shifts(torch.Size((4, 128, 128)), 2, 4.0, 1.0, np.random.default_rng(0))
    assert float(shifts.diff(n=2, dim=-1).abs().max()) < 0.1
