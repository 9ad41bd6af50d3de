"""A small labelled volume, and a patch of it of which some is not known."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.targets.encoding import IGNORED, LabelledPatch, decoded

PATCH = (slice(2, 16), slice(3, 21), slice(3, 23))


def volume(seed: int = 0, shape: tuple[int, int, int] = (18, 24, 26)) -> np.ndarray:
    """Objects of some size (2, 3, ...) that touch, and background (1)."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, shape, (22, 3))
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    squared = ((grid[..., None, :] - points) ** 2).sum(axis=-1)
    found = squared.argmin(axis=-1) + 2
    found[squared.min(axis=-1) > 9] = 1
    return found.astype(np.int32)


def blob(shape: tuple[int, int, int] = (6, 9, 11), seed: int = 0) -> np.ndarray:
    """The voxels of one connected object that does not touch the ends of the array."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.2)
    inside = np.zeros(shape, bool)
    core = tuple(slice(1, -1) for _ in shape)
    inside[core] = noise[core] > np.quantile(noise[core], 0.5)
    pieces, _ = ndimage.label(inside)
    return np.asarray(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1)


def patch_of(labels: np.ndarray, space: VoxelSpace, seed: int = 1, share: float = 0.01) -> LabelledPatch:
    """The patch, with some voxels not labelled."""
    found = labels[PATCH].copy()
    found[np.random.default_rng(seed).random(found.shape) < share] = 0
    return LabelledPatch(found, space)


def assert_right_where_known(
    targets: np.ndarray, exact: np.ndarray, span: tuple[float, float], least: int = 20
) -> None:
    """Known targets of the patch are those of the whole volume, to the step of 1/254, and there are some."""
    known = targets != IGNORED
    assert known.sum() >= least
    low, high = span
    expected = (np.clip(exact[PATCH], low, high) - low) / (high - low)
    assert np.abs(decoded(targets) - expected)[known].max() <= 0.51 / 254
