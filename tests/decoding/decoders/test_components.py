"""Components of small arrays whose objects are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_pytc.decoding import ComponentsDecoder
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.geometry import VoxelSpace

SPACE = VoxelSpace((10, 10, 10))
VOXEL_UM2 = 1e-4
FACES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def decoded(evidence: Evidence, **settings: object) -> np.ndarray:
    return ComponentsDecoder(**{"smallest_um3": 0, "smallest_um2": 0, **settings}).decode(evidence, SPACE).labels  # type: ignore[arg-type]


def diagonal() -> Evidence:
    """Voxels that touch over a face, an edge and a corner, in this order along a chain."""
    inside = np.zeros((3, 3, 4), np.float32)
    for place in [(0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 2, 3)]:
        inside[place] = 0.9
    return Evidence(boundary=1 - inside)


@pytest.mark.parametrize(("connectivity", "n_objects"), [(6, 3), (18, 2), (26, 1)])
def test_connectivity_says_which_neighbours_are_one_object(connectivity: int, n_objects: int) -> None:
    labels = decoded(diagonal(), connectivity=connectivity)
    assert labels.max() == n_objects
    assert np.count_nonzero(labels) == 4


@pytest.mark.parametrize(("threshold", "n_voxels"), [(0.0, 4), (0.25, 3), (0.5, 2), (0.75, 1), (0.8, 0)])
def test_voxels_at_the_threshold_are_inside(threshold: float, n_voxels: int) -> None:
    inside = np.array([[[0.0, 0.25, 0.5, 0.75]]], np.float32)
    evidence = Evidence(classes=inside[None], class_names=("axon",))
    labels = decoded(evidence, threshold=threshold, object_class="axon")
    assert np.count_nonzero(labels) == n_voxels


@pytest.mark.parametrize(("n_voxels", "left"), [(0, [1, 2, 3]), (1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (4, [])])
def test_objects_smaller_than_asked_are_dropped(n_voxels: int, left: list[int]) -> None:
    inside = np.array([[[1, 0, 1, 1, 0, 1, 1, 1]]], np.float32)
    labels = decoded(Evidence(boundary=1 - inside), smallest_um2=n_voxels * VOXEL_UM2)
    sizes = np.bincount(labels.ravel())[1:].tolist()
    assert sizes == left
    assert np.unique(labels[labels > 0]).tolist() == list(range(1, len(left) + 1))


def test_objects_of_a_class_are_those_of_its_channel() -> None:
    rng = np.random.default_rng(0)
    classes = rng.random((3, 5, 9, 9)).astype(np.float32)
    evidence = Evidence(classes=classes, class_names=("membrane", "axon", "glia"))
    for channel, name in enumerate(evidence.class_names):
        expected, n_objects = ndimage.label(classes[channel] >= 0.7)
        labels = decoded(evidence, object_class=name, threshold=0.7)
        np.testing.assert_array_equal(labels > 0, expected > 0)
        assert labels.max() == n_objects


def test_without_a_class_the_membrane_keeps_objects_apart() -> None:
    membrane = np.zeros((1, 4, 9), np.float32)
    membrane[:, :, 4] = 1
    evidence = Evidence(classes=membrane[None], class_names=("cell membrane",))
    labels = decoded(evidence)
    assert labels[0, 0].tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2]


def test_a_cut_face_leaves_out_the_voxels_on_both_sides() -> None:
    faces = np.ones((3, 1, 1, 6), np.float32)
    faces[2, 0, 0, 2] = 0
    labels = decoded(Evidence(affinities=faces, offsets=FACES))
    assert labels[0, 0].tolist() == [1, 1, 0, 0, 2, 2]


def test_distances_are_objects_where_they_are_positive() -> None:
    distance = np.array([[[-1, -0.1, 0, 0.1, 1, -1, 0.5]]], np.float32)
    labels = decoded(Evidence(distance=distance))
    assert labels[0, 0].tolist() == [0, 0, 1, 1, 1, 0, 2]


def test_nothing_reaches_through_a_barrier() -> None:
    barrier = np.array([[[0, 0, 1, 0, 0]]], np.float32)
    classes = np.ones((1, 1, 1, 5), np.float32)
    labels = decoded(Evidence(classes=classes, class_names=("axon",), barrier=barrier), object_class="axon")
    assert labels[0, 0].tolist() == [1, 1, 0, 2, 2]


def test_a_mask_is_where_objects_may_lie() -> None:
    foreground = np.array([[[0.4, 0.5, 1, 0, 1]]], np.float32)
    labels = decoded(Evidence(boundary=np.zeros((1, 1, 5), np.float32), foreground=foreground))
    assert labels[0, 0].tolist() == [0, 1, 1, 0, 2]


def test_segments_are_the_supervoxels_and_each_knows_its_class() -> None:
    classes = np.zeros((2, 1, 1, 5), np.float32)
    classes[0, ..., :2], classes[1, ..., 3:] = 1, 0.9
    evidence = Evidence(boundary=1 - classes.max(axis=0), classes=classes, class_names=("axon", "glia"))
    decoding = ComponentsDecoder(smallest_um3=0).decode(evidence, SPACE)
    assert decoding.segments.tolist() == [0, 1, 2]
    assert decoding.classes.tolist() == [0, 1, 2]
    assert len(decoding.graph) == 0
