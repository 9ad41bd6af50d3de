from __future__ import annotations

import math

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.metrics import boundary_f1
from napari_pytc.metrics.boundaries import boundaries


def halves(at: int, shape: tuple[int, ...] = (4, 10, 20)) -> np.ndarray:
    labels = np.ones(shape, np.uint8)
    labels[..., at:] = 2
    return labels


def test_boundaries_lie_on_both_sides():
    assert np.flatnonzero(boundaries(halves(10))[0, 0]).tolist() == [9, 10]


@pytest.mark.parametrize(("tolerance", "f1"), [(0, 0.0), (1, 0.0), (2, 0.5), (3, 1.0)])
def test_a_shifted_boundary_matches_within_the_tolerance(tolerance: float, f1: float):
    assert boundary_f1(halves(10), halves(13), tolerance).f1 == pytest.approx(f1)


def test_the_voxel_size_scales_distance():
    moved = np.moveaxis(halves(10, (6, 10, 20)), 2, 0), np.moveaxis(halves(11, (6, 10, 20)), 2, 0)
    assert boundary_f1(*moved, tolerance=39, voxel_size=(40, 4, 4)).f1 == pytest.approx(0.5)
    assert boundary_f1(*moved, tolerance=40, voxel_size=(40, 4, 4)).f1 == 1.0


def test_precision_and_recall_are_reported_apart():
    predicted = halves(10)
    predicted[..., 16:] = 3
    score = boundary_f1(predicted, halves(10), tolerance=1)
    assert score.precision == pytest.approx(0.5)
    assert score.recall == 1.0


def test_no_boundary_at_all():
    flat = np.ones((3, 4, 5), int)
    assert all(math.isnan(v) for v in boundary_f1(flat, flat))
    assert boundary_f1(flat, halves(2, (3, 4, 5))).f1 == 0.0


def test_refusals():
    with pytest.raises(InvalidInput, match="one shape"):
        boundary_f1(halves(3), halves(3, (4, 10, 21)))
    with pytest.raises(InvalidInput, match="0 or more"):
        boundary_f1(halves(3), halves(3), -1)
