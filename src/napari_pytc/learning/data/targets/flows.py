"""Flows: unit vectors that lead to the middle of the own object (Stringer et al. 2021, "Cellpose")."""

from __future__ import annotations

import numpy as np

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.targets.encoding import SECTION, VOLUME, LabelledPatch, encoded


def flows(patch: LabelledPatch, per_section: bool) -> np.ndarray:
    """Targets of the components along z, y and x, (3, z, y, x).

    Heat is set free again and again at the object's voxel nearest to the median of all, and is averaged over a voxel
    and its neighbours within the object, as many times as twice the sum of the box's lengths. The flow is the direction
    (in nm) of the gradient of the logarithm of one and the heat. Known in the background, where it is 0, and in objects
    that are not cut.
    """
    found = np.zeros((3, *patch.labels.shape), np.float32)
    known = patch.background
    axes = SECTION if per_section else VOLUME
    for one in patch.each(axes=axes):
        if patch.is_cut(one):
            continue
        # The box of a section has no margin along z: neighbours there would be those of another.
        vectors = object_flow(one.inside, patch.space, axes)
        inside = one.inside[one.crop]
        for component, vector in zip(found, vectors, strict=True):
            component[one.place][inside] = vector[one.inside]
        known[one.place] |= inside
    return np.stack([encoded((component + 1) / 2, known) for component in found])


def object_flow(inside: np.ndarray, space: VoxelSpace, axes: tuple[int, ...] = VOLUME) -> np.ndarray:
    """Unit vectors (3, z, y, x) of one object, 0 outside of it.

    Parameters
    ----------
    inside : ndarray of bool
        Its voxels, none of which lies at the end of the array along one of the axes.
    axes : tuple of int
        Axes along which heat spreads.
    """
    heat = np.log1p(_heat(inside, axes))
    vectors = np.zeros((3, *inside.shape))
    for axis in axes:
        middle, after, before = (_along(axis, part) for part in (slice(1, -1), slice(2, None), slice(0, -2)))
        vectors[axis][middle] = (heat[after] - heat[before]) / space.voxel_size_nm[axis]
    vectors *= inside
    length = np.sqrt((vectors**2).sum(axis=0))
    found: np.ndarray = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return found


def _heat(inside: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    voxels = np.argwhere(inside)
    middle = np.median(voxels, axis=0)
    source = tuple(voxels[np.argmin(((voxels - middle) ** 2).sum(axis=1))])
    lengths = (np.ptp(voxels, axis=0) + 1)[list(axes)]
    heat = np.zeros(inside.shape)
    total = np.empty_like(heat)
    for _ in range(2 * int(lengths.sum())):
        heat[source] += 1
        for axis in axes:
            near, far = _along(axis, slice(0, -1)), _along(axis, slice(1, None))
            np.copyto(total, heat)
            total[near] += heat[far]
            total[far] += heat[near]
            heat, total = total, heat
        heat *= inside
        heat /= 3 ** len(axes)
    return heat


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if a == axis else slice(None) for a in range(3))
