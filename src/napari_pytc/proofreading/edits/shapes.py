"""Shapes of a segment in an array: its holes, its smoothed outline, its islands."""

from __future__ import annotations

from collections.abc import Sequence

import cc3d
import numpy as np
from bioimage_cpp.distance import distance_transform
from scipy import ndimage

_CORE = 0.7


def holes_of(mask: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Voxels outside of a mask from which no way of faces leads to the array's edge.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
    axis : int, optional
        Look at slices across this axis one by one, so that what is enclosed in a slice alone counts as well.
    """
    if axis is not None:
        slices = np.moveaxis(mask, axis, 0)
        found = np.stack([ndimage.binary_fill_holes(one) & ~one if one.any() else one for one in slices])
        return np.moveaxis(found, 0, axis)
    around = np.pad(~mask, 1, constant_values=True)
    parts = cc3d.connected_components(around, connectivity=6)
    return np.asarray((parts != parts[0, 0, 0]) & around)[1:-1, 1:-1, 1:-1]


def smoothed(mask: np.ndarray, radius: Sequence[float]) -> np.ndarray:
    """A mask with a smoother outline; what is thinner than the radius gets thinner, but keeps its core.

    ::

        ####            ###         a voxel belongs to it where most of its surroundings do,
        ##### ## #  ->  ########    and along the middle of every branch
        ####            ###

    Parameters
    ----------
    radius : sequence of float
        Of the surroundings along z, y, x, in voxels.
    """
    share = ndimage.gaussian_filter(mask.astype(np.float32), radius, mode="nearest", truncate=2.5)
    body = share > 0.5
    finest = min(radius)
    # A segment goes on beyond the array: its faces are no outline.
    outline = np.pad(mask, 1, mode="edge")
    depth = distance_transform(outline, sampling=[finest / r for r in radius])[1:-1, 1:-1, 1:-1]
    window = [2 * max(1, int(np.ceil(r))) + 1 for r in radius]
    core = mask & ~body & (depth >= _CORE * ndimage.maximum_filter(depth, window))
    parts = cc3d.connected_components(core, connectivity=26)
    for number, where in enumerate(ndimage.find_objects(parts), start=1):
        # A bump has a core as well; a branch is longer than the surroundings of a voxel.
        if any(part.stop - part.start > 2 * r for part, r in zip(where, radius, strict=True)):
            body[where] |= parts[where] == number
    return np.asarray(body)


def islands_of(mask: np.ndarray, smallest: int, inner: Sequence[bool] = (True,) * 6) -> np.ndarray:
    """Parts of a mask that hang together with nothing else of it, numbered from 1; its largest part is none.

    Parameters
    ----------
    smallest : int
        Parts of so many voxels are kept as they are; with 0 all of them are islands.
    inner : sequence of bool
        For the first and last face along z, y, x, whether the segment ends there; parts at other faces may go on beyond
        the array and are kept.
    """
    parts = cc3d.connected_components(mask, connectivity=26)
    sizes = np.bincount(parts.ravel())
    if len(sizes) < 3:
        return np.zeros(mask.shape, np.uint32)
    kept = np.zeros(len(sizes), bool)
    kept[0] = kept[1 + sizes[1:].argmax()] = True
    if smallest:
        kept |= sizes >= smallest
    for face, is_inner in enumerate(inner):
        if not is_inner:
            kept[np.unique(parts.take(0 if face % 2 == 0 else -1, axis=face // 2))] = True
    numbers = np.where(kept, 0, np.cumsum(~kept)).astype(np.uint32)
    return np.asarray(numbers[parts])


def nearest_labels(labels: np.ndarray, known: np.ndarray, wanted: np.ndarray, sampling: Sequence[float]) -> np.ndarray:
    """Label of the nearest known voxel for each wanted one; one label per voxel of `wanted`, in C order.

    There must be a known voxel.
    """
    where = distance_transform(~known, sampling=list(sampling), return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(where[axis][wanted] for axis in range(3))])
