"""Distances in classes and back, against every number one by one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.volumes.distance_levels import distance_of_levels, level_values, quantised


@pytest.mark.parametrize("n_levels", [2, 7, 10])
def test_each_distance_has_the_level_in_whose_range_it_lies(n_levels: int) -> None:
    distances = np.concatenate([[-1.0, -0.2, 0.0, 1.0], np.random.default_rng(0).uniform(-1, 1, 300)])
    for distance, level in zip(distances, quantised(distances, n_levels), strict=True):
        if distance < 0:
            assert level == 0
            continue
        (expected,) = [
            k
            for k in range(1, n_levels + 1)
            if (k - 1) / n_levels <= distance < k / n_levels or (k == n_levels and distance == 1)
        ]
        assert level == expected


def test_ten_levels_are_those_of_pytc() -> None:
    distances = np.linspace(-1, 1, 400)
    edges = np.array([-1.0, *np.linspace(0, 1, 11)[:-1], 1.1])
    assert np.array_equal(quantised(distances, 10), np.digitize(distances, edges) - 1)


@pytest.mark.parametrize("n_levels", [2, 10])
def test_levels_come_back_to_within_half_a_step(n_levels: int) -> None:
    distances = np.concatenate([[-1.0], np.random.default_rng(1).uniform(0, 1, 200)])
    sure = (np.arange(n_levels + 1)[:, None] == quantised(distances, n_levels)).astype(np.float32)
    found = distance_of_levels(sure)
    assert found[0] == -1
    assert np.abs(found - distances)[1:].max() <= 0.5 / n_levels + 1e-6
    assert np.array_equal(quantised(found, n_levels), quantised(distances, n_levels))


def test_the_distance_is_the_mean_of_the_levels_by_their_probabilities() -> None:
    probabilities = np.random.default_rng(2).random((5, 2, 3, 4)).astype(np.float32)
    found = distance_of_levels(probabilities)
    for voxel in np.ndindex(2, 3, 4):
        share = probabilities[(slice(None), *voxel)]
        mean = sum(s * v for s, v in zip(share, level_values(4), strict=True)) / share.sum()
        assert found[voxel] == pytest.approx(mean, abs=1e-6)
    assert (distance_of_levels(np.zeros((5, 1, 1, 1), np.float32)) == -1).all()
