"""Targets of single objects: their foreground, their size, and the side of a synapse."""

from __future__ import annotations

import cc3d
import numpy as np
from scipy import ndimage

from napari_pytc.learning.data.objects import UNLABELLED
from napari_pytc.learning.data.targets.encoding import IGNORED, ONE, ZERO, LabelledPatch
from napari_pytc.volumes.roles import ForegroundRole, PolarityRole


def foreground(patch: LabelledPatch, role: ForegroundRole) -> np.ndarray:
    """Voxels of objects; eroded, of those that are alone in a window.

    Known where labelled. Eroded, an object's voxel is known where another object lies in its window, or where nothing
    in it is unknown.
    """
    found = np.where(patch.objects, ONE, ZERO) * (patch.labels > UNLABELLED)
    if not any(role.erosion):
        return found.astype(np.uint8)
    window = [2 * n + 1 for n in role.erosion]
    for one in patch.each(role.erosion):
        near_other = ndimage.maximum_filter(one.other, window, mode="constant")
        near_unsure = ndimage.maximum_filter(one.unsure, window, mode="constant")
        value = np.where(near_other, ZERO, np.where(near_unsure, IGNORED, ONE))
        found[one.place][one.inside[one.crop]] = value[one.inside]
    return found.astype(np.uint8)


def polarity(patch: LabelledPatch, role: PolarityRole) -> np.ndarray:
    """Voxels of one side of synapses; known where labelled.

    Objects with odd ids are presynaptic and those with even ids postsynaptic.
    """
    numbers = np.arange(int(patch.labels.max(initial=0)) + 1) if patch.ids is None else np.asarray(patch.ids)
    is_odd = numbers % 2 == 1
    labels = np.maximum(patch.labels, 0)
    wanted = {"pre": is_odd, "post": ~is_odd, "any": np.ones_like(is_odd)}[role.side][labels]
    return (np.where(wanted & patch.objects, ONE, ZERO) * (patch.labels > UNLABELLED)).astype(np.uint8)


def small_objects(patch: LabelledPatch, at_most_um3: float) -> np.ndarray:
    """Voxels of connected objects (over faces, edges and corners) of at most a volume.

    Known where labelled, but in pieces that are small as far as they are known and may go on.
    """
    z, y, x = patch.space.voxel_size_nm
    at_most = at_most_um3 * 1e9 / (z * y * x)
    pieces = cc3d.connected_components(np.where(patch.objects, patch.labels, 0), connectivity=26)
    sizes = np.bincount(pieces.ravel())
    value = np.where(sizes <= at_most, ONE, ZERO)
    value[0] = ZERO
    for piece in _open_pieces(patch, pieces):
        if value[piece] == ONE:
            value[piece] = IGNORED
    return (value[pieces] * (patch.labels > UNLABELLED)).astype(np.uint8)


def _open_pieces(patch: LabelledPatch, pieces: np.ndarray) -> list[int]:
    """Pieces that touch something of which it is not known whether it is theirs."""
    whole = ndimage.generate_binary_structure(3, 3)
    found: set[int] = set()
    for one in patch.each():
        touching = one.inside & ndimage.binary_dilation(patch.open_around(one), whole)
        found.update(int(n) for n in np.unique(pieces[one.place][touching[one.crop]]))
    return sorted(found - {0})
