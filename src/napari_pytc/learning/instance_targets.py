"""From the objects of a patch to what each channel should answer, as far as the labels decide it."""

from __future__ import annotations

from collections.abc import Sequence

import bioimage_cpp as bic
import numpy as np

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.objects import NO_OBJECT, SOMETHING_ELSE, UNLABELLED
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ChannelRole, DistanceRole

IGNORED, ZERO, ONE = 0, 1, 255
"""Targets as uint8: nothing is known, then 0 to 1 in 254 steps."""
_THICK = 2.0
"""Beyond this ratio to the finest voxels a face neighbour is too far off to make a boundary."""


def instance_targets(
    labels: np.ndarray, roles: Sequence[ChannelRole], space: VoxelSpace, apart: np.ndarray | None = None
) -> np.ndarray:
    """What each channel should answer.

    ::

        labels        2 2 2 3 3 . . 1 1 ? ? 4      (. unlabelled, 1 background, ? something else than the objects)
        affinity -1   . 1 1 0 1 . . . 0 0 . 0      (to the left neighbour)
        boundary      . 0 1 1 . . . . . . 1 1
        foreground    1 1 1 1 1 . . 0 0 . . 1

    An affinity is known where both of its voxels are labelled, a boundary where something else is beside a voxel or
    all that is beside it is the same, a distance where nothing unlabelled is nearer than the border. What lies beyond
    the patch is not labelled. Where two labels are not said to be different objects, a pair of them is as if one were
    not labelled.

    Parameters
    ----------
    labels : ndarray
        (z, y, x) integers: -1 = something else than the objects, 0 = unlabelled, 1 = background, others are objects.
    roles : sequence of ChannelRole
        The channels.
    apart : ndarray of bool, optional
        Whether two labels are said to be different objects, at ``[a, b]``, -1 counted from the end; by default all
        are, and differ from what is something else.

    Returns
    -------
    ndarray
        (c, z, y, x) uint8: `IGNORED`, or `ZERO` to `ONE`.
    """
    found = np.empty((len(roles), *labels.shape), np.uint8)
    if apart is None and labels.size and labels.min() < 0:
        apart = np.ones((int(labels.max()) + 2,) * 2, bool)
    for channel, role in zip(found, roles, strict=True):
        if isinstance(role, AffinityRole):
            channel[...] = _affinity(labels, role.offset, apart)
        elif isinstance(role, BoundaryRole):
            channel[...] = _boundary(labels, space, apart)
        elif isinstance(role, DistanceRole):
            channel[...] = _distance(labels, role.reach_nm, space, apart)
        else:
            channel[...] = np.where(labels > NO_OBJECT, ONE, ZERO) * (labels > UNLABELLED)
    return found


def pair_slices(shape: Sequence[int], offset: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of the voxels whose partner at an offset lies inside, and of their partners."""
    voxel = tuple(slice(max(0, -step), max(0, n - max(0, step))) for n, step in zip(shape, offset, strict=True))
    partner = tuple(slice(max(0, step), max(0, n + min(0, step))) for n, step in zip(shape, offset, strict=True))
    return voxel, partner


def _affinity(labels: np.ndarray, offset: Sequence[int], apart: np.ndarray | None) -> np.ndarray:
    found = np.zeros(labels.shape, np.uint8)
    voxel, partner = pair_slices(labels.shape, offset)
    a, b = labels[voxel], labels[partner]
    if a.size:
        answer = ((a == b) & (a > NO_OBJECT)).view(np.uint8) * np.uint8(ONE - ZERO)
        answer += np.uint8(ZERO)
        answer *= ((a != UNLABELLED) & (b != UNLABELLED)).view(np.uint8)
        if apart is not None:  # what is no object is joined with nothing, whatever that is
            answer[_undecided(a, b, apart) & (a != NO_OBJECT) & (b != NO_OBJECT)] = IGNORED
        found[voxel] = answer
    return found


def _undecided(a: np.ndarray, b: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Which pairs of labels may be one object as well as two."""
    found = (a == SOMETHING_ELSE) & (b == SOMETHING_ELSE)
    where = np.nonzero((a != b) & (a != UNLABELLED) & (b != UNLABELLED))
    found[where] = ~apart[a[where], b[where]]
    found |= (a == SOMETHING_ELSE) & (b == NO_OBJECT)
    found |= (b == SOMETHING_ELSE) & (a == NO_OBJECT)
    return found


def _boundary(labels: np.ndarray, space: VoxelSpace, apart: np.ndarray | None) -> np.ndarray:
    """Where something else is beside a voxel, in the plane alone if sections are thick."""
    differs, unsure, _ = _beside(labels, space, apart)
    labelled = labels != UNLABELLED
    return np.where(differs, np.uint8(ONE), np.uint8(ZERO)) * (labelled & (differs | ~unsure))


def _beside(
    labels: np.ndarray, space: VoxelSpace, apart: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether something else is beside a voxel, something of which nothing is known, or a label it may share."""
    differs, unsure, undecided = (np.zeros(labels.shape, bool) for _ in range(3))
    finest = min(space.voxel_size_nm)
    for axis, size in enumerate(space.voxel_size_nm):
        if size > _THICK * finest:
            continue
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(0, 1), slice(-1, None)
        unsure[tuple(first)] = unsure[tuple(last)] = True
        if labels.shape[axis] > 1:
            low, high = pair_slices(labels.shape, [int(a == axis) for a in range(3)])
            a, b = labels[low], labels[high]
            border = (a != b) & (a != UNLABELLED) & (b != UNLABELLED)
            if apart is not None:
                either = _undecided(a, b, apart)
                border &= ~either
                undecided[low] |= either
                undecided[high] |= either
            differs[low] |= border
            differs[high] |= border
            unsure[low] |= b == UNLABELLED
            unsure[high] |= a == UNLABELLED
    return differs, unsure | undecided, undecided


def _distance(labels: np.ndarray, reach_nm: float, space: VoxelSpace, apart: np.ndarray | None) -> np.ndarray:
    known = labels > UNLABELLED
    differs, _, undecided = _beside(labels, VoxelSpace((1, 1, 1)), apart)
    # A voxel at a border lies half a voxel from it.
    to_border = _nm_to(differs & known, space) + min(space.voxel_size_nm) / 2
    nearest_unknown = _nm_to_unknown(known & ~undecided, space)
    is_known = known & (np.minimum(to_border, reach_nm) <= nearest_unknown)
    share = np.minimum(to_border, reach_nm) / reach_nm
    signed = np.where(labels > NO_OBJECT, share, -share)
    value = ZERO + np.rint((signed + 1) / 2 * (ONE - ZERO)).astype(np.uint8)
    return value * is_known


def _nm_to(places: np.ndarray, space: VoxelSpace) -> np.ndarray:
    if not places.any():
        return np.full(places.shape, np.inf, np.float32)
    found: np.ndarray = bic.distance.distance_transform(~places, sampling=list(space.voxel_size_nm))
    return found


def _nm_to_unknown(labelled: np.ndarray, space: VoxelSpace) -> np.ndarray:
    """How far what is not labelled is at least, beyond the patch included."""
    found = _nm_to(~labelled, space)
    for axis, size in enumerate(space.voxel_size_nm):
        n = labelled.shape[axis]
        to_edge = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) * size
        found = np.minimum(found, to_edge.reshape([-1 if a == axis else 1 for a in range(3)]).astype(np.float32))
    return found
