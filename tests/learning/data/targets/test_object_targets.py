"""Targets of objects against brute force; what is known of a patch is as in the whole volume."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.targets.distances import foreground_distance
from napari_pytc.learning.data.targets.encoding import IGNORED, ONE, ZERO, LabelledPatch, decoded
from napari_pytc.learning.data.targets.flows import flows, object_flow
from napari_pytc.learning.data.targets.make import object_targets
from napari_pytc.learning.data.targets.object_distances import object_distance, skeleton_voxels
from napari_pytc.learning.data.targets.objects import foreground, polarity, small_objects
from napari_pytc.learning.data.targets.shape_descriptors import shape_descriptors
from napari_pytc.volumes.roles import (
    DistanceLevelRole,
    ForegroundRole,
    InstanceDistanceRole,
    PolarityRole,
    SemanticDistanceRole,
    SkeletonDistanceRole,
)
from tests.learning.data.targets.tissue import PATCH, assert_right_where_known, blob, patch_of, volume
from tests.support.learning import space

VOXELS = [VoxelSpace((10.0, 10.0, 10.0)), VoxelSpace((25.0, 8.0, 8.0))]


@pytest.mark.parametrize("erosion", [(0, 1, 1), (1, 2, 1), (0, 0, 0)])
def test_the_foreground_is_eroded_where_a_window_holds_two_objects(erosion) -> None:
    labels = volume()
    exact = np.zeros(labels.shape)
    for voxel in np.ndindex(labels.shape):
        window = labels[tuple(slice(max(0, v - n), v + n + 1) for v, n in zip(voxel, erosion, strict=True))]
        exact[voxel] = labels[voxel] > 1 and len(np.unique(window[window > 1])) == 1
    patch = patch_of(labels, space())
    found = foreground(patch, ForegroundRole(erosion=erosion))
    assert_right_where_known(found, exact, (0, 1))
    n_unlabelled = (patch.labels == 0).sum()
    assert (found == IGNORED).sum() == n_unlabelled if not any(erosion) else (found == IGNORED).sum() > n_unlabelled
    # What was found in a part of the window is known, whatever the rest.
    assert (found[0] == ZERO).any()


@pytest.mark.parametrize("voxels", VOXELS)
@pytest.mark.parametrize("per_section", [False, True])
def test_distances_to_the_foregrounds_border(voxels, per_section) -> None:
    labels = volume()
    role = SemanticDistanceRole(inside_nm=30.0, outside_nm=50.0, per_section=per_section)
    exact = np.empty(labels.shape)
    for part in [slice(z, z + 1) for z in range(len(labels))] if per_section else [slice(None)]:
        inside = labels[part] > 1
        if not inside.all() and inside.any():
            sampling = voxels.voxel_size_nm
            to_outside = ndimage.distance_transform_edt(inside, sampling)
            to_inside = ndimage.distance_transform_edt(~inside, sampling)
            exact[part] = np.where(inside, np.tanh(to_outside / 30), -np.tanh(to_inside / 50))
        else:
            exact[part] = np.where(inside, 1.0, -1.0)
    found = foreground_distance(patch_of(labels, voxels, share=0.002), role)
    assert_right_where_known(found, exact, (-1, 1))


def exact_of_objects(labels: np.ndarray, of, per_section: bool, outside: float) -> np.ndarray:
    found = np.full(labels.shape, outside)
    for part in [slice(z, z + 1) for z in range(len(labels))] if per_section else [slice(None)]:
        for number in np.unique(labels[part])[1:]:
            box = ndimage.find_objects((labels[part] == number).astype(int))[0]
            inside = labels[part][box] == number
            padded = np.pad(inside, [(0, 0) if per_section else (1, 1), (1, 1), (1, 1)])
            value = of(padded)
            found[part][box][inside] = value[padded]
    return found


@pytest.mark.parametrize("voxels", VOXELS)
@pytest.mark.parametrize("per_section", [False, True])
def test_distances_within_objects(voxels, per_section) -> None:
    labels = volume()

    def of(inside: np.ndarray) -> np.ndarray:
        found = ndimage.distance_transform_edt(inside, voxels.voxel_size_nm)
        return found / found.max()

    exact = exact_of_objects(labels, of, per_section, -1.0)
    patch = patch_of(labels, voxels, share=0.001)
    found = object_distance(patch, InstanceDistanceRole(per_section=per_section))
    assert_right_where_known(found, exact, (-1, 1))
    assert (found[patch.objects] != IGNORED).any()


@pytest.mark.parametrize("voxels", VOXELS)
@pytest.mark.parametrize("per_section", [False, True])
def test_distances_to_skeletons(voxels, per_section) -> None:
    labels = volume()

    def of(inside: np.ndarray) -> np.ndarray:
        at = np.argwhere(skeleton_voxels(inside, voxels)) * voxels.voxel_size_nm
        everywhere = np.argwhere(np.ones_like(inside)) * voxels.voxel_size_nm
        outside = np.argwhere(~inside) * voxels.voxel_size_nm
        to_skeleton = cdist(everywhere, at).min(axis=1).reshape(inside.shape)
        to_border = cdist(everywhere, outside).min(axis=1).reshape(inside.shape)
        return (to_border / np.maximum(to_border + to_skeleton, 1e-9)) ** 0.8

    patch = patch_of(labels, voxels, share=0.001)
    exact = exact_of_objects(labels, of, per_section, -1.0)
    found = object_distance(patch, SkeletonDistanceRole(per_section=per_section))
    assert_right_where_known(found, exact, (-1, 1))
    assert (found[patch.objects] == ONE).any()


@pytest.mark.parametrize("role", [InstanceDistanceRole(), SkeletonDistanceRole(power=0.5, per_section=True)])
def test_levels_are_the_distance_in_classes(role: InstanceDistanceRole | SkeletonDistanceRole) -> None:
    patch = patch_of(volume(), VOXELS[0], share=0.001)
    of = {
        "of": role.role.removesuffix("_distance"),
        "per_section": role.per_section,
        "power": getattr(role, "power", 1),
    }
    levels = [DistanceLevelRole(level=level, n_levels=5, **of) for level in range(6)]
    number, *classes = object_targets(patch, [role, *levels])
    known = number != IGNORED
    assert all(((one != IGNORED) == known).all() for one in classes)
    assert ((np.stack(classes) == ONE).sum(axis=0)[known] == 1).all()
    assert sum((one == ONE).any() for one in classes) > 3
    distance = 2 * decoded(number) - 1
    for level, one in enumerate(classes):
        low, high = (-1.1, -0.9) if level == 0 else ((level - 1) / 5 - 0.005, level / 5 + 0.005)
        of_level = one == ONE
        assert ((low <= distance) & (distance <= high))[of_level].all()


def test_a_skeleton_lies_within_its_object_and_reaches_from_end_to_end() -> None:
    inside = np.zeros((7, 9, 40), bool)
    inside[2:5, 3:6, 2:38] = True
    found = skeleton_voxels(inside, VOXELS[0])
    assert not (found & ~inside).any()
    assert np.ptp(np.nonzero(found)[2]) > 30


def test_the_sides_of_synapses_follow_from_odd_and_even_ids() -> None:
    labels = np.array([[[0, 1, 2, 3, 4]]], np.int32)
    patch = LabelledPatch(labels, space(), ids=np.array([0, 7, 7, 8, 12, 0]))
    assert polarity(patch, PolarityRole(side="pre")).tolist() == [[[IGNORED, ZERO, ONE, ZERO, ZERO]]]
    assert polarity(patch, PolarityRole(side="post")).tolist() == [[[IGNORED, ZERO, ZERO, ONE, ONE]]]
    assert polarity(patch, PolarityRole(side="any")).tolist() == [[[IGNORED, ZERO, ONE, ONE, ONE]]]


@pytest.mark.parametrize("voxels", VOXELS)
def test_small_objects_are_those_of_few_voxels(voxels) -> None:
    labels = volume()
    at_most = 100 * np.prod(voxels.voxel_size_nm) / 1e9
    exact = np.zeros(labels.shape)
    for number in np.unique(labels)[1:]:
        pieces, n = ndimage.label(labels == number, np.ones((3, 3, 3)))
        for piece in range(1, n + 1):
            exact[pieces == piece] = (pieces == piece).sum() <= 100
    patch = patch_of(labels, voxels, share=0.001)
    found = small_objects(patch, at_most)
    assert_right_where_known(found, exact, (0, 1))
    assert {IGNORED, ZERO, ONE} == set(np.unique(found))
    whole = small_objects(LabelledPatch(labels, voxels, counts_cut=True), at_most)
    np.testing.assert_array_equal(whole, np.where(exact > 0, ONE, ZERO))


def slow_flow(inside: np.ndarray, voxels: VoxelSpace, is_flat: bool) -> np.ndarray:
    """Heat of a voxel and its neighbours, one voxel after the other."""
    at = np.argwhere(inside)
    centre = tuple(at[np.argmin(((at - np.median(at, axis=0)) ** 2).sum(axis=1))])
    near = [step for step in product((-1, 0, 1), repeat=3) if not (is_flat and step[0])]
    heat = {tuple(v): 0.0 for v in at}
    for _ in range(2 * int((np.ptp(at, axis=0) + 1)[1 if is_flat else 0 :].sum())):
        heat[centre] += 1
        heat = {v: sum(heat.get(tuple(np.add(v, s)), 0.0) for s in near) / len(near) for v in heat}
    found = np.zeros((3, *inside.shape))
    for v in heat:
        for axis in range(1 if is_flat else 0, 3):
            step = np.eye(3, dtype=int)[axis]
            after, before = (heat.get(tuple(np.add(v, s)), 0.0) for s in (step, -step))
            found[axis][v] = (np.log1p(after) - np.log1p(before)) / voxels.voxel_size_nm[axis]
    length = np.sqrt((found**2).sum(axis=0))
    return found / np.where(length > 0, length, 1)


@pytest.mark.parametrize("voxels", VOXELS)
def test_flows_are_those_of_heat_that_spreads(voxels) -> None:
    inside = blob((5, 7, 8))
    np.testing.assert_allclose(object_flow(inside, voxels), slow_flow(inside, voxels, False), atol=1e-9)
    flat = blob((3, 9, 10))[1:2]
    np.testing.assert_allclose(object_flow(flat, voxels, (1, 2)), slow_flow(flat, voxels, True), atol=1e-9)


@pytest.mark.parametrize("per_section", [False, True])
def test_flows_are_known_of_objects_that_are_whole(per_section) -> None:
    labels, voxels = volume(), VOXELS[1]
    axes = (1, 2) if per_section else (0, 1, 2)
    patch = patch_of(labels, voxels, share=0.001)
    found = flows(patch, per_section)
    for component in range(3):
        exact = exact_of_objects(labels, lambda i, c=component: object_flow(i, voxels, axes)[c], per_section, 0.0)
        assert_right_where_known(found[component], exact, (-1, 1))
    assert (found[1][patch.objects] != IGNORED).any()


def slow_descriptors(labels: np.ndarray, voxel: tuple[int, ...], voxels: VoxelSpace, sigma_nm: float) -> np.ndarray:
    """Weighted mean, variance and correlation over the window of one voxel."""
    sigma = sigma_nm / np.array(voxels.voxel_size_nm)
    reach = (3 * sigma + 0.5).astype(int)
    weight_sums = [np.exp(-0.5 * (np.arange(-r, r + 1) / s) ** 2).sum() for r, s in zip(reach, sigma, strict=True)]
    total, offsets, weights = 0.0, [], []
    for step in product(*(range(-r, r + 1) for r in reach)):
        at = tuple(np.add(voxel, step))
        inside = all(0 <= a < n for a, n in zip(at, labels.shape, strict=True))
        if inside and labels[at] == labels[voxel]:
            weight = np.exp(-0.5 * (np.array(step) / sigma) ** 2 @ np.ones(3)) / np.prod(weight_sums)
            total += weight
            offsets.append(np.array(step) / sigma)
            weights.append(weight)
    x, w = np.array(offsets), np.array(weights) / total
    mean = w @ x
    covariance = (w[:, None] * (x - mean)).T @ (x - mean)
    d = np.sqrt(np.maximum(np.diag(covariance), 1e-6))
    correlation = [covariance[a, b] / (d[a] * d[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    return np.array([*(mean + 1) / 2, *np.diag(covariance), *(np.array(correlation) + 1) / 2, total])


@pytest.mark.parametrize(("voxels", "sigma_nm"), [(VOXELS[0], 15.0), (VOXELS[1], 20.0)])
def test_shape_descriptors_are_the_moments_of_the_window(voxels, sigma_nm) -> None:
    labels = volume()
    patch = patch_of(labels, voxels, share=0.001)
    found = shape_descriptors(patch, sigma_nm, range(10))
    known = (found[0] != IGNORED) & patch.objects
    assert known.sum() > 20
    for at in np.argwhere(known)[::5]:
        exact = slow_descriptors(labels, tuple(at + [part.start for part in PATCH]), voxels, sigma_nm)
        shown = np.array([decoded(found[c])[tuple(at)] for c in range(10)])
        np.testing.assert_allclose(shown, np.clip(exact, 0, 1), atol=0.51 / 254)
    background = patch.background
    assert all((found[c][background] == ZERO).all() for c in (3, 4, 5, 9))
    assert all((found[c][background] == 128).all() for c in (0, 1, 2, 6, 7, 8))


def test_a_cut_object_counts_as_whole_where_that_is_wanted() -> None:
    labels = np.full((4, 8, 9), 2, np.int32)
    labels[:, :, 6:] = 1
    masked, counted = (LabelledPatch(labels, space(), counts_cut=cut) for cut in (False, True))
    role = InstanceDistanceRole()
    assert (object_distance(masked, role)[..., :6] == IGNORED).all()
    found = decoded(object_distance(counted, role)) * 2 - 1
    # The distance to the background alone, as if the object ended with the patch: 6, 5, ... 1 voxels.
    np.testing.assert_allclose(found[1, 3], [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, -1, -1, -1], atol=0.01)
    assert (flows(counted, False)[2][..., :6] != IGNORED).all()
    assert (small_objects(masked, 1.0)[..., :6] == IGNORED).all()
    assert (small_objects(counted, 1.0)[..., :6] == ONE).all()


def test_objects_that_may_be_one_are_as_if_one_were_not_labelled() -> None:
    labels = np.ones((5, 7, 12), np.int32)
    labels[1:4, 2:5, 2:6], labels[1:4, 2:5, 6:10] = 2, 3
    role = InstanceDistanceRole()
    apart = np.ones((5, 5), bool)
    assert (object_distance(LabelledPatch(labels, space(), apart), role) != IGNORED).all()
    apart[2, 3] = apart[3, 2] = False
    found = object_distance(LabelledPatch(labels, space(), apart), role)
    assert (found[labels > 1] == IGNORED).all()
    assert (found[labels == 1] == ZERO).all()
