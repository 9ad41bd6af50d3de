"""What each channel should answer, against the definitions voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.instance_targets import IGNORED, ONE, ZERO, instance_targets
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole
from tests.support.learning import space

OFFSETS = [(-1, 0, 0), (0, -3, 0), (0, 0, 2), (1, -2, 3), (0, 0, -50)]


def random_labels(shape=(5, 9, 11), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.int32)


def in_a_row(text: str) -> np.ndarray:
    """Digits are labels, a point is not labelled; three rows of three sections, so that the middle has neighbours."""
    row = [0 if sign == "." else int(sign) for sign in text.replace(" ", "")]
    return np.broadcast_to(np.array(row, np.int32), (3, 3, len(row))).copy()


def middle(found: np.ndarray) -> str:
    return "".join({IGNORED: ".", ZERO: "0", ONE: "1"}[int(v)] for v in found[0, 1, 1])


@pytest.mark.parametrize("offset", OFFSETS)
def test_affinities_are_those_of_pairs(offset: tuple[int, int, int]) -> None:
    labels = random_labels()
    (found,) = instance_targets(labels, [AffinityRole(offset=offset)], space())
    for voxel in np.ndindex(labels.shape):
        partner = tuple(np.add(voxel, offset))
        inside = all(0 <= p < n for p, n in zip(partner, labels.shape, strict=True))
        a, b = labels[voxel], labels[partner] if inside else 0
        expected = IGNORED if not a or not b else ONE if a == b > 1 else ZERO
        assert found[voxel] == expected


def test_the_rows_of_the_docstring() -> None:
    labels = in_a_row("2 2 2 3 3 . . 1 1")
    assert middle(instance_targets(labels, [AffinityRole(offset=(0, 0, -1))], space())) == ".1101...0"
    assert middle(instance_targets(labels, [ClassRole(name="foreground")], space())) == "11111..00"
    assert middle(instance_targets(labels, [BoundaryRole()], space())) == ".011....."


def test_what_lies_beyond_a_patch_decides_no_boundary() -> None:
    labels = np.full((4, 5, 6), 2, np.int32)
    (found,) = instance_targets(labels, [BoundaryRole()], space())
    assert (found[1:-1, 1:-1, 1:-1] == ZERO).all()
    assert np.count_nonzero(found == IGNORED) == labels.size - 2 * 3 * 4


def test_thick_sections_make_no_boundary_across() -> None:
    labels = np.full((4, 6, 6), 2, np.int32)
    labels[2:] = 3
    (thick,) = instance_targets(labels, [BoundaryRole()], space(5.0))
    (cubic,) = instance_targets(labels, [BoundaryRole()], space())
    assert (thick[:, 1:-1, 1:-1] == ZERO).all()
    assert (cubic[1:3] == ONE).all()


@pytest.mark.parametrize("anisotropy", [1.0, 3.0])
def test_distances_are_signed_and_known_only_where_nothing_unlabelled_is_nearer(anisotropy: float) -> None:
    voxels = space(anisotropy)
    truth = np.ones((13, 40, 40), np.int32)
    truth[:, 8:32, 8:20], truth[:, 8:32, 20:32] = 2, 3
    role = DistanceRole(reach_nm=60)
    (found,) = instance_targets(truth, [role], voxels)
    known = found != IGNORED
    assert known[6, 20, 20]
    assert not known[6, 0].any()
    values = (found.astype(float) - ZERO) / (ONE - ZERO) * 2 - 1
    padded = np.pad(truth, 20, "edge")
    for k in (1, 2, 3):
        exact = ndimage.distance_transform_edt(padded == k, sampling=voxels.voxel_size_nm)[20:-20, 20:-20, 20:-20]
        # From a voxel's middle to the next one's, of which half a voxel lies beyond the border.
        expected = np.minimum(exact - 5, 60) / 60 * (1 if k > 1 else -1)
        picked = known & (truth == k)
        assert picked.any()
        assert abs(values - expected)[picked].max() < 0.1


def test_a_stroke_alone_has_no_distance() -> None:
    labels = np.zeros((5, 20, 20), np.int32)
    labels[2, 10, 3:17] = 2
    (found,) = instance_targets(labels, [DistanceRole(reach_nm=50)], space())
    assert not found.any()


def test_different_strokes_push_and_one_pulls() -> None:
    labels = np.zeros((3, 10, 12), np.int32)
    labels[1, 4, 2:8], labels[1, 7, 2:8] = 2, 3
    near, far = instance_targets(labels, [AffinityRole(offset=(0, 0, -1)), AffinityRole(offset=(0, -3, 0))], space())
    assert set(near[near > 0]) == {ONE}
    assert set(far[far > 0]) == {ZERO}
    assert np.count_nonzero(far) == 6


def test_nothing_labelled_is_nothing_to_learn() -> None:
    roles = [AffinityRole(offset=(0, -1, 0)), BoundaryRole(), ClassRole(name="foreground"), DistanceRole(reach_nm=30)]
    assert not instance_targets(np.zeros((3, 4, 5), np.int32), roles, VoxelSpace((30, 4, 4))).any()


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 1, 5), (1, 1, 1)])
def test_flat_patches(shape: tuple[int, int, int]) -> None:
    roles = [AffinityRole(offset=(-1, 0, 0)), BoundaryRole(), DistanceRole(reach_nm=30)]
    assert instance_targets(np.full(shape, 2, np.int32), roles, space()).shape == (3, *shape)
