"""Distances within single objects: to their border, as part of the largest or of that to their skeleton."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from bioimage_cpp.skeleton import teasar_labels

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.targets.encoding import SECTION, VOLUME, LabelledPatch, PatchObject, distance_to, encoded
from napari_pytc.volumes.distance_levels import quantised
from napari_pytc.volumes.roles import DistanceLevelRole, InstanceDistanceRole, SkeletonDistanceRole

_WIDTH_VOXELS = 10


def object_distance(patch: LabelledPatch, role: InstanceDistanceRole | SkeletonDistanceRole) -> np.ndarray:
    """Target of a distance within objects."""
    value, known = relative_distance(patch, role)
    return encoded((value + 1) / 2, known)


def distance_levels(patch: LabelledPatch, role: DistanceLevelRole) -> np.ndarray:
    """The level of each voxel, int16; -1 where the distance is not known."""
    value, known = relative_distance(patch, role.distance)
    return np.where(known, quantised(value, role.n_levels).astype(np.int16), np.int16(-1))


def relative_distance(
    patch: LabelledPatch, role: InstanceDistanceRole | SkeletonDistanceRole
) -> tuple[np.ndarray, np.ndarray]:
    """Distances within objects, 0 to 1 and -1 in the background, float32; and where they are known."""
    if isinstance(role, InstanceDistanceRole):
        return _instance_distance(patch, role)
    return _skeleton_distance(patch, role)


def _instance_distance(patch: LabelledPatch, role: InstanceDistanceRole) -> tuple[np.ndarray, np.ndarray]:
    """Distance of an object's voxels to its border over the largest of them, 0 to 1; -1 in the background.

    Distances are from middle to middle of voxels. Known in the background, and in objects that are not cut.
    """

    def of(one: PatchObject) -> np.ndarray:
        found = _to_border(patch, one)
        largest = found[one.inside].max()
        return np.ones_like(found) if np.isinf(largest) else found / largest

    return _each_object(patch, role.per_section, of)


def _skeleton_distance(patch: LabelledPatch, role: SkeletonDistanceRole) -> tuple[np.ndarray, np.ndarray]:
    """Distance b of an object's voxels to its border against that s to its skeleton: (b / (b + s)) ** power.

    The skeleton is that of TEASAR (Sato et al. 2000). Known in the background, and in objects that are not cut.
    """

    def of(one: PatchObject) -> np.ndarray:
        border = _to_border(patch, one)
        skeleton = skeleton_voxels(one.inside, patch.space)
        to_skeleton = distance_to(skeleton, patch.space)
        with np.errstate(invalid="ignore"):
            share = np.where(np.isinf(border), 1.0, border / np.maximum(border + to_skeleton, 1e-6))
        return np.asarray(share**role.power)

    return _each_object(patch, role.per_section, of)


def skeleton_voxels(inside: np.ndarray, space: VoxelSpace) -> np.ndarray:
    """Voxels of the skeletons of an object's connected parts, bool (z, y, x).

    Parameters
    ----------
    inside : ndarray of bool
        The object's voxels.
    """
    found = np.zeros(inside.shape, bool)
    spacing = list(space.voxel_size_nm)
    # As wide as ten of the coarsest voxels, so that a bump of the surface gets no branch.
    skeletons = teasar_labels(inside.astype(np.uint32), spacing=spacing, constant=_WIDTH_VOXELS * max(spacing))
    for vertices, _, _ in skeletons.values():
        at = np.rint(vertices / np.array(spacing)).astype(int)
        found[tuple(at.T)] = True
    return found & inside


def _each_object(
    patch: LabelledPatch, per_section: bool, of: Callable[[PatchObject], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    value = np.full(patch.labels.shape, -1.0, np.float32)
    known = patch.background
    for one in patch.each(axes=SECTION if per_section else VOLUME):
        if not patch.is_cut(one):
            value[one.place][one.inside[one.crop]] = of(one)[one.inside]
            known[one.place] |= one.inside[one.crop]
    return value, known


def _to_border(patch: LabelledPatch, one: PatchObject) -> np.ndarray:
    """Distance (nm) to the nearest voxel that is not the object's; beyond the patch none is, where objects are cut."""
    inside = one.inside
    if patch.counts_cut:
        beyond = np.ones(inside.shape, bool)
        beyond[one.crop] = False
        inside = inside | beyond
    return distance_to(~inside, patch.space)
