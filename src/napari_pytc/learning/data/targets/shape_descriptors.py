"""Local shape descriptors (Sheridan et al. 2023, "Local shape descriptors for neuron segmentation").

Within the own object, weighted by a Gaussian around a voxel that is cut at three standard deviations::

    0  1  2    offset of the centre of mass along z, y, x, over sigma       -1 .. 1 as 0 .. 1
    3  4  5    variance along z, y, x, over sigma squared                    0 .. 1
    6  7  8    correlation of z and y, z and x, y and x                     -1 .. 1 as 0 .. 1
    9          share of the window that is the object's                     0 .. 1

In the background there is nothing: 0, and the middle of what is signed, so that it is the same in a mirror.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy import ndimage

from napari_pytc.learning.data.targets.encoding import LabelledPatch, PatchObject, encoded

_CUT = 3.0
_PAIRS = ((0, 1), (0, 2), (1, 2))
_LEAST = 1e-6
"""Least variance, over sigma squared, of which a correlation is made."""


def shape_descriptors(patch: LabelledPatch, sigma_nm: float, components: Collection[int]) -> dict[int, np.ndarray]:
    """Targets of some of the ten components.

    Known in the background, and at voxels of objects in whose window nothing lies of which it is not known whether it
    is the object's, or where the object ends before.
    """
    sigma = [sigma_nm / size for size in patch.space.voxel_size_nm]
    reach = [int(_CUT * one + 0.5) for one in sigma]
    shares = np.zeros((10, *patch.labels.shape), np.float32)
    shares[[0, 1, 2, 6, 7, 8]] = 0.5
    known = patch.background
    for one in patch.each([max(1, n) for n in reach]):
        inside = one.inside[one.crop]
        is_known = _known_window(patch, one, reach)
        if not is_known.any():
            continue
        (tight,) = ndimage.find_objects(one.inside.astype(np.uint8))
        for component, share in enumerate(_of_object(one.inside[tight], sigma)):
            shares[component][one.place][inside] = share[one.inside[tight]]
        known[one.place][inside] = is_known[one.inside]
    return {component: encoded(shares[component], known) for component in components}


def _known_window(patch: LabelledPatch, one: PatchObject, reach: list[int]) -> np.ndarray:
    if not patch.is_cut(one):
        return one.inside
    near = ndimage.maximum_filter(
        patch.open_around(one), [2 * n + 1 for n in reach], mode="constant", cval=not patch.counts_cut
    )
    return one.inside & ~near


def _of_object(inside: np.ndarray, sigma: list[float]) -> list[np.ndarray]:
    """The ten shares of 0 to 1 of an object alone in an array; what lies beyond is not its own."""

    def smooth(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = ndimage.gaussian_filter(values, sigma, mode="constant", truncate=_CUT)
        return found

    mass = inside.astype(np.float64)
    # In units of sigma, from the middle of the box: small numbers, whose squares keep their digits.
    positions = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) / s for n, s in zip(inside.shape, sigma, strict=True)), indexing="ij"
    )
    size = smooth(mass)
    weight = np.where(inside, size, 1.0)
    mean = [smooth(mass * at) / weight for at in positions]
    variance = [smooth(mass * at**2) / weight - m**2 for at, m in zip(positions, mean, strict=True)]
    offsets = [(m - at + 1) / 2 for at, m in zip(positions, mean, strict=True)]
    correlations = []
    for a, b in _PAIRS:
        covariance = smooth(mass * positions[a] * positions[b]) / weight - mean[a] * mean[b]
        both = np.sqrt(np.maximum(variance[a], _LEAST) * np.maximum(variance[b], _LEAST))
        correlations.append((covariance / both + 1) / 2)
    return [*offsets, *variance, *correlations, size]
