"""Distances to borders: to those of objects, and to that of the foreground."""

from __future__ import annotations

import numpy as np

from napari_pytc.learning.data.objects import NO_OBJECT, UNLABELLED
from napari_pytc.learning.data.targets.encoding import (
    ONE,
    SECTION,
    VOLUME,
    ZERO,
    LabelledPatch,
    encoded,
    pair_slices,
)
from napari_pytc.learning.data.targets.pairs import undecided
from napari_pytc.volumes.roles import SemanticDistanceRole


def boundary_distance(patch: LabelledPatch, reach_nm: float) -> np.ndarray:
    """Signed distance to the nearest border of an object, positive inside, cut at its reach.

    Known where nothing unlabelled is nearer than the border, or than the reach. A voxel at a border lies half a voxel
    from it.
    """
    known = patch.labels > UNLABELLED
    differs, open_ = _beside(patch)
    to_border = patch.nm_to(differs & known) + min(patch.space.voxel_size_nm) / 2
    nearest_unknown = patch.nm_to_unknown(known & ~open_)
    is_known = known & (np.minimum(to_border, reach_nm) <= nearest_unknown)
    share = np.minimum(to_border, reach_nm) / reach_nm
    signed = np.where(patch.labels > NO_OBJECT, share, -share)
    value = ZERO + np.rint((signed + 1) / 2 * (ONE - ZERO)).astype(np.uint8)
    return value * is_known


def _beside(patch: LabelledPatch) -> tuple[np.ndarray, np.ndarray]:
    """Whether something else is at a face of a voxel, or a label that may be its own object's as well."""
    labels = patch.labels
    differs, either = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    for axis in range(3):
        if labels.shape[axis] == 1:
            continue
        low, high = pair_slices(labels.shape, [int(a == axis) for a in range(3)])
        a, b = labels[low], labels[high]
        border = (a != b) & (a != UNLABELLED) & (b != UNLABELLED)
        if patch.relations is not None:
            open_ = undecided(a, b, patch.relations)
            border &= ~open_
            either[low] |= open_
            either[high] |= open_
        differs[low] |= border
        differs[high] |= border
    return differs, either


def foreground_distance(patch: LabelledPatch, role: SemanticDistanceRole) -> np.ndarray:
    """Distance to the border of the foreground, from middle to middle of voxels: tanh of it over a scale, signed.

    Known where nothing of which it is not known whether it is foreground lies nearer than the other side; and where it
    lies so far that, whatever it is, no other number would be stored.
    """
    axes = SECTION if role.per_section else VOLUME
    foreground, background = patch.labels > NO_OBJECT, patch.labels == NO_OBJECT
    known = foreground | background
    to_other = np.where(foreground, patch.nm_to(background, axes), patch.nm_to(foreground, axes))
    nearest_unknown = patch.nm_to_unknown(known, axes)
    scale = np.where(foreground, role.inside_nm, role.outside_nm)
    share = np.tanh(np.minimum(to_other, nearest_unknown) / scale)
    # Half of one of 254 steps: what is farther is stored as the same number.
    is_known = known & ((to_other <= nearest_unknown) | (share > 1 - 1 / 254))
    return encoded((np.where(foreground, share, -share) + 1) / 2, is_known)
