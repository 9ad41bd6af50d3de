"""Agreement of boundaries: precision, recall and F1 within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_pytc.errors import InvalidInput


class BoundaryScore(NamedTuple):
    """Share of predicted boundary that is true, share of true boundary that was found, and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def boundaries(labels: np.ndarray) -> np.ndarray:
    """Voxels with a face neighbour of another label, bool; the volume's own faces are no boundary."""
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        near = [slice(None)] * labels.ndim
        far = [slice(None)] * labels.ndim
        near[axis], far[axis] = slice(None, -1), slice(1, None)
        differs = labels[tuple(near)] != labels[tuple(far)]
        edge[tuple(near)] |= differs
        edge[tuple(far)] |= differs
    return edge


def boundary_f1(
    predicted: np.ndarray, truth: np.ndarray, tolerance: float = 2.0, voxel_size: Sequence[float] | None = None
) -> BoundaryScore:
    """Compare the boundaries of two label arrays.

    A boundary voxel counts as matched where the other's boundary lies within the tolerance. The distance transform
    needs the whole array in memory: meant for held-out boxes, not for whole volumes.

    Parameters
    ----------
    predicted, truth : ndarray
        Labels of the same shape, 2D or 3D.
    tolerance : float
        Largest distance of a match, in units of `voxel_size`.
    voxel_size : sequence of float, optional
        Edge lengths of a voxel along each axis; 1 by default, so that the tolerance is in voxels.

    Returns
    -------
    BoundaryScore
        Precision is nan without a predicted boundary, recall without a true one, F1 without either.
    """
    if predicted.shape != truth.shape:
        raise InvalidInput(f"Prediction and truth must have one shape, got {predicted.shape} and {truth.shape}.")
    if tolerance < 0:
        raise InvalidInput(f"The tolerance of a boundary must be 0 or more, got {tolerance}.")
    sampling = (1.0,) * truth.ndim if voxel_size is None else tuple(voxel_size)
    ours, theirs = boundaries(predicted), boundaries(truth)
    precision = _share_within(ours, theirs, tolerance, sampling)
    recall = _share_within(theirs, ours, tolerance, sampling)
    if math.isnan(precision) and math.isnan(recall):
        return BoundaryScore(math.nan, math.nan, math.nan)
    if math.isnan(precision) or math.isnan(recall) or precision + recall == 0:
        return BoundaryScore(precision, recall, 0.0)
    return BoundaryScore(precision, recall, 2 * precision * recall / (precision + recall))


def _share_within(of: np.ndarray, other: np.ndarray, tolerance: float, sampling: tuple[float, ...]) -> float:
    """Share of the voxels of one mask that lie within a distance of another mask; nan for an empty mask."""
    if not of.any():
        return math.nan
    if not other.any():
        return 0.0
    distance = ndimage.distance_transform_edt(~other, sampling=sampling)
    # A distance that equals the tolerance counts, also where the square root rounds up.
    return float((distance[of] <= tolerance * (1 + 1e-9)).mean())
