"""The contact of two segments around a place: its voxels, and the section that shows it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.geometry import Box, Voxel

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_REACH_UM = 1.5
"""How far from the place the contact is looked for."""
_MOST_VOXELS = 160
"""Greatest reach in voxels along an axis: what is read stays below a few million voxels."""
_MARGIN_UM = 0.5
"""Of the surroundings that are in view beside the contact."""
_GOOD_SECTION = 0.5
"""A section shows the contact well with this share of the voxels that the best one has."""


@dataclass(frozen=True, eq=False)
class Contact:
    """The voxels by which two segments touch.

    Parameters
    ----------
    box : Box
        Around the voxels.
    voxels : ndarray of bool
        (*box.shape).
    place : tuple of int
        One of the voxels, in the middle of those of the section to be shown.
    view : Box
        The part of that section to be seen: the contact with its surroundings.
    """

    box: Box
    voxels: np.ndarray
    place: Voxel
    view: Box


def find_contact(document: LabelDocument, pair: Sequence[int], place: Sequence[float], axis: int) -> Contact | None:
    """The contact of two segments around a place; None if they do not touch there.

    Parameters
    ----------
    place : sequence of float
        Position in voxels (z, y, x); of several sections that show the contact well the nearest one is chosen.
    axis : int
        The axis across the sections.
    """
    first, second = pair
    size_nm = document.space.voxel_size_nm
    reach = [min(_MOST_VOXELS, max(1, round(1000 * _REACH_UM / nm))) for nm in size_nm]
    whole = Box.of_shape(document.shape)
    around = Box.at([int(v) for v in place], (1, 1, 1)).grow(reach).intersect(whole)
    voxels = touching(document.segments(around), first, second)
    if not voxels.any():
        return None
    n_voxels = voxels.sum(axis=tuple(k for k in range(3) if k != axis))
    good = np.flatnonzero(n_voxels >= _GOOD_SECTION * n_voxels.max())
    section = int(good[np.abs(good + around.start[axis] - place[axis]).argmin()])
    points = np.argwhere(np.take(voxels, [section], axis=axis))
    points[:, axis] = section
    middle = points[np.linalg.norm((points - points.mean(axis=0)) * size_nm, axis=1).argmin()]
    start, stop = points.min(axis=0) + around.start, points.max(axis=0) + around.start + 1
    margin = [0 if k == axis else max(2, round(1000 * _MARGIN_UM / nm)) for k, nm in enumerate(size_nm)]
    view = Box(tuple(start.tolist()), tuple(stop.tolist())).grow(margin).intersect(whole)
    z, y, x = (middle + around.start).tolist()
    return Contact(around, voxels, (z, y, x), view)


def touching(labels: np.ndarray, first: int, second: int) -> np.ndarray:
    """The voxels of two segments that have a face in common with the other one, (*labels.shape) bool."""
    of_first, of_second = labels == first, labels == second
    found = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        low = tuple(slice(None, -1) if k == axis else slice(None) for k in range(labels.ndim))
        high = tuple(slice(1, None) if k == axis else slice(None) for k in range(labels.ndim))
        faces = (of_first[low] & of_second[high]) | (of_second[low] & of_first[high])
        found[low] |= faces
        found[high] |= faces
    return found
