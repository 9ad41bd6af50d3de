from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure, segmentation

from napari_pytc.decoding.flooding import Depth, connected, deepest, distances, flood, is_thick, smoothed
from napari_pytc.geometry import VoxelSpace
from tests.support.evidence import boundary_of
from tests.support.tissue import make_tissue

CUBIC, THICK = VoxelSpace((10, 10, 10)), VoxelSpace((45, 4.6, 4.6))
DEPTH = Depth(smoothing_nm=7, boundary_threshold=0.5, seed_distance_nm=40, per_section=False)


@pytest.fixture(scope="module")
def boundary() -> np.ndarray:
    return boundary_of(make_tissue((16, 40, 40), 10).cells, noise=0.05)


def test_distances_are_those_of_scipy(boundary: np.ndarray) -> None:
    for sampling in ((10.0, 10.0, 10.0), (45.0, 4.6, 4.6)):
        expected = ndimage.distance_transform_edt(boundary < 0.5, sampling=sampling)
        np.testing.assert_allclose(distances(boundary < 0.5, sampling), expected, rtol=1e-5)


def test_components_are_those_of_scikit_image(boundary: np.ndarray) -> None:
    for connectivity, theirs in ((6, 1), (18, 2), (26, 3)):
        found = connected(boundary < 0.4, connectivity)
        expected = measure.label(boundary < 0.4, connectivity=theirs)
        assert len(np.unique(found)) == len(np.unique(expected))
        assert len(np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).T) == len(np.unique(found))


def test_the_flooding_is_about_that_of_scikit_image(boundary: np.ndarray) -> None:
    """Ties between basins are broken otherwise, so a few voxels on ridges may differ."""
    found = flood(boundary, np.ones(boundary.shape, bool), CUBIC, DEPTH)
    seeds = deepest(
        np.mean([distances(smoothed(boundary, 7, (10.0,) * 3) < t, (10.0,) * 3) for t in (0.15, 0.4)], axis=0),
        DEPTH,
        (10.0,) * 3,
    )
    expected = segmentation.watershed(smoothed(boundary, 7, (10.0,) * 3), connected(seeds))
    assert found.max() == expected.max()
    agreeing = sum(np.bincount(expected[found == label]).max() for label in range(1, int(found.max()) + 1))
    assert agreeing / found.size > 0.9


def test_sections_are_flooded_apart() -> None:
    boundary = np.zeros((3, 12, 12), np.float32)
    boundary[:, :, 6] = 1
    depth = Depth(smoothing_nm=0, boundary_threshold=0.5, seed_distance_nm=20, per_section=True)
    labels = flood(boundary, np.ones(boundary.shape, bool), THICK, depth)
    assert len(np.unique(labels)) == 6
    assert len({tuple(np.unique(section)) for section in labels}) == 3
    together = flood(boundary, np.ones(boundary.shape, bool), CUBIC, Depth(0, 0.5, 60, False))
    assert len(np.unique(together)) == 2


def test_only_the_region_is_flooded_and_all_of_it(boundary: np.ndarray) -> None:
    region = np.zeros(boundary.shape, bool)
    region[:, 5:20, 5:9] = True
    region[0, 0, 0] = True  # an island without a seed of its own
    labels = flood(boundary, region, CUBIC, DEPTH)
    np.testing.assert_array_equal(labels > 0, region)


def test_an_axis_with_long_voxels_is_not_smoothed() -> None:
    values = np.random.default_rng(0).random((3, 5, 5)).astype(np.float32)
    found = smoothed(values, 10, (45.0, 4.6, 4.6))
    np.testing.assert_allclose(found, ndimage.gaussian_filter(values, (0, 10 / 4.6, 10 / 4.6), mode="nearest"))
    np.testing.assert_array_equal(smoothed(values, 0, (1.0, 1.0, 1.0)), values)


def test_halo_and_thickness() -> None:
    assert is_thick(THICK)
    assert not is_thick(CUBIC)
    assert DEPTH.halo(CUBIC) == (18, 18, 18)
    assert Depth(7, 0.5, 40, True).halo(THICK)[0] == 0
