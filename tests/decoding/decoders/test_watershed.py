"""Watersheds of small arrays whose basins are known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.decoding import WatershedDecoder
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.geometry import VoxelSpace

SPACE = VoxelSpace((10, 10, 10))


def decoder(**settings: object) -> WatershedDecoder:
    return WatershedDecoder(**{"smallest_um3": 0, "seed_distance_um": 0.04, **settings})  # type: ignore[arg-type]


def balls(*centres: tuple[int, int, int], radius: float = 5.5) -> np.ndarray:
    """How far inside of the nearest of some balls a voxel lies, in voxels."""
    z, y, x = np.ogrid[:14, :16, :30]
    return np.max([radius - np.sqrt((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2) for a, b, c in centres], axis=0)


TWO = balls((7, 8, 9), (7, 8, 18))


def test_two_balls_that_touch_are_two_objects() -> None:
    evidence = Evidence(distance=np.clip(TWO / 10, -1, 1).astype(np.float32))
    labels = decoder(fill=False).decode(evidence, SPACE).labels
    assert labels.max() == 2
    assert labels[7, 8, 9] != labels[7, 8, 18]
    np.testing.assert_array_equal(labels > 0, evidence.boundary_map() < 0.5)
    assert len(np.unique(labels[:, :, :13])) == len(np.unique(labels[:, :, 15:])) == 2  # one object and background


@pytest.mark.parametrize(("seed_distance_um", "n_objects"), [(0.04, 2), (0.4, 1)])
def test_of_seeds_that_must_lie_far_apart_the_deeper_one_stays(seed_distance_um: float, n_objects: int) -> None:
    uneven = np.maximum(balls((7, 8, 9)), balls((7, 8, 18), radius=4.5))
    evidence = Evidence(distance=np.clip(uneven / 10, -1, 1).astype(np.float32))
    settings = decoder(fill=False, seed_distance_um=seed_distance_um)
    assert settings.decode(evidence, SPACE).labels.max() == n_objects


def test_with_filling_every_voxel_belongs_to_an_object() -> None:
    evidence = Evidence(distance=np.clip(TWO / 10, -1, 1).astype(np.float32))
    assert (decoder(fill=True).decode(evidence, SPACE).labels > 0).all()


@pytest.mark.parametrize(("seed_threshold", "n_objects"), [(0.05, 1), (0.3, 2), (0.5, 1)])
def test_pieces_that_are_surely_no_boundary_are_seeds(seed_threshold: float, n_objects: int) -> None:
    """A waist of 0.4 between two wells of 0.1: below it the two are apart, above it they are one."""
    boundary = np.full((3, 7, 20), 0.1, np.float32)
    boundary[:, :, 9:11] = 0.4
    evidence = Evidence(boundary=boundary)
    found = decoder(seeds="boundary", seed_threshold=seed_threshold, smoothing_um=0).decode(evidence, SPACE)
    assert found.labels.max() == n_objects


def test_the_objects_of_a_class_lie_inside_of_it() -> None:
    axon = np.where(TWO > 0, 0.9, 0.1).astype(np.float32)
    evidence = Evidence(classes=axon[None], class_names=("axon",))
    labels = decoder(object_class="axon").decode(evidence, SPACE).labels
    np.testing.assert_array_equal(labels > 0, axon >= 0.5)
    assert labels.max() == 2


@pytest.mark.parametrize(("n_voxels", "n_objects"), [(0, 2), (100, 1), (10_000, 0)])
def test_objects_smaller_than_asked_are_dropped(n_voxels: int, n_objects: int) -> None:
    inside = np.zeros((8, 10, 20), np.float32)
    inside[2:6, 2:8, 2:10], inside[3:5, 3:6, 14:17] = 1, 1
    evidence = Evidence(boundary=1 - inside)
    settings = decoder(fill=False, smoothing_um=0, smallest_um3=n_voxels * 1e-6)
    assert settings.decode(evidence, SPACE).labels.max() == n_objects


def test_the_halo_grows_with_the_distance_of_seeds() -> None:
    near, far = decoder(seed_distance_um=0.05), decoder(seed_distance_um=0.2)
    assert near.halo(SPACE) == (20, 20, 20)
    assert far.halo(SPACE) == (50, 50, 50)
    assert far.halo(VoxelSpace((50, 10, 5))) == (10, 50, 100)


def test_every_supervoxel_is_its_own_segment() -> None:
    evidence = Evidence(distance=np.clip(TWO / 10, -1, 1).astype(np.float32))
    decoding = decoder(fill=False).decode(evidence, SPACE)
    assert decoding.segments.tolist() == [0, 1, 2]
    assert decoding.graph.edges.tolist() == [[1, 2]]
