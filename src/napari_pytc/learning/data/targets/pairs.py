"""Targets that are decided by pairs of voxels: affinities and boundaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from napari_pytc.geometry import Shape
from napari_pytc.learning.data.objects import NO_OBJECT, SOMETHING_ELSE, UNLABELLED
from napari_pytc.learning.data.targets.encoding import IGNORED, ONE, ZERO, LabelledPatch, pair_slices
from napari_pytc.volumes.roles import BoundaryRole

_THICK = 2.0
"""Beyond this ratio to the finest voxels a face neighbour is too far off to make a boundary."""


def affinity(patch: LabelledPatch, offset: Sequence[int]) -> np.ndarray:
    """Whether voxels and their partners at an offset are of one object; known where both are labelled."""
    found = np.zeros(patch.labels.shape, np.uint8)
    voxel, partner = pair_slices(patch.labels.shape, offset)
    a, b = patch.labels[voxel], patch.labels[partner]
    if a.size:
        answer = ((a == b) & (a > NO_OBJECT)).view(np.uint8) * np.uint8(ONE - ZERO)
        answer += np.uint8(ZERO)
        answer *= ((a != UNLABELLED) & (b != UNLABELLED)).view(np.uint8)
        if patch.relations is not None:  # background is joined with nothing, whatever the other label is
            answer[undecided(a, b, patch.relations) & (a != NO_OBJECT) & (b != NO_OBJECT)] = IGNORED
        found[voxel] = answer
    return found


def undecided(a: np.ndarray, b: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Mask of the pairs of labels that may be one object as well as two."""
    found = (a == SOMETHING_ELSE) & (b == SOMETHING_ELSE)
    where = np.nonzero((a != b) & (a != UNLABELLED) & (b != UNLABELLED))
    found[where] = ~apart[a[where], b[where]]
    found |= (a == SOMETHING_ELSE) & (b == NO_OBJECT)
    found |= (b == SOMETHING_ELSE) & (a == NO_OBJECT)
    return found


def boundary(patch: LabelledPatch, role: BoundaryRole) -> np.ndarray:
    """Voxels at borders; known where a border was found, or where nothing within its thickness is unknown."""
    axes = [
        axis
        for axis in range(3)
        if patch.space.voxel_size_nm[axis] <= _THICK * min(patch.space.voxel_size_nm)
        and not (role.per_section and axis == 0)
    ]
    is_border, unsure = np.zeros(patch.labels.shape, bool), np.zeros(patch.labels.shape, bool)
    for offset in _steps(role.thickness, axes):
        voxel, partner = pair_slices(patch.labels.shape, offset)
        outside = np.ones(patch.labels.shape, bool)
        outside[voxel] = False
        unsure |= outside
        if not patch.labels[voxel].size:
            continue
        differs, open_ = _border(patch, role, patch.labels[voxel], patch.labels[partner])
        is_border[voxel] |= differs
        unsure[voxel] |= open_
    labelled = patch.labels != UNLABELLED
    decided = _decided_alone(patch, role)
    is_known = labelled & (is_border | ~unsure | decided)
    return np.where(is_border, np.uint8(ONE), np.uint8(ZERO)) * is_known


def _border(patch: LabelledPatch, role: BoundaryRole, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For voxels and their partners: whether the voxel is at a border by it, and whether that cannot be known."""
    unlabelled = (a == UNLABELLED) | (b == UNLABELLED)
    differs, open_ = (a != b) & ~unlabelled, b == UNLABELLED
    if patch.relations is not None:
        either = undecided(a, b, patch.relations) & ~unlabelled
        differs &= ~either
        open_ |= either
    if role.edge_mode == "seg-no-bg":
        # What is something else may be background.
        open_ |= differs & ((a == SOMETHING_ELSE) | (b == SOMETHING_ELSE))
        differs &= (a > NO_OBJECT) & (b > NO_OBJECT)
    if role.mode == "inner":
        differs &= a > NO_OBJECT
    elif role.mode == "outer":
        open_ |= differs & (a > NO_OBJECT) & (b == SOMETHING_ELSE)
        differs &= (a == NO_OBJECT) | ((a > NO_OBJECT) & (b > NO_OBJECT))
    return differs, open_ & ~differs


def _decided_alone(patch: LabelledPatch, role: BoundaryRole) -> np.ndarray:
    """Voxels that are no border whatever lies beside them: background, where only objects or their own side count."""
    if role.edge_mode == "seg-no-bg" or role.mode == "inner":
        return patch.background
    return np.zeros(patch.labels.shape, bool)


def _steps(thickness: int, axes: Sequence[int]) -> Iterator[Shape]:
    """All offsets of at most so many steps along some axes."""
    reach = [range(-thickness, thickness + 1) if axis in axes else range(1) for axis in range(3)]
    for z, y, x in product(*reach):
        if 0 < abs(z) + abs(y) + abs(x) <= thickness:
            yield (z, y, x)
