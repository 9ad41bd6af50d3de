"""Cuts through voxels: a watershed from seeds on a boundary map, within a mask."""

from __future__ import annotations

import numpy as np
from bioimage_cpp.distance import distance_transform
from bioimage_cpp.segmentation import watershed
from scipy import ndimage

from napari_pytc.geometry import Shape

_AT_ONCE = 150_000
"""Voxels that are flooded at full resolution, about a tenth of a second."""
_FLAT = 1e-3
_NEARNESS = 0.02
"""What the way to the nearest seed adds to the boundary map at most: where nothing else tells, the nearer seed wins."""


def watershed_from(
    mask: np.ndarray, boundary: np.ndarray, voxels: np.ndarray, colours: np.ndarray, voxel_size_nm: tuple[float, ...]
) -> np.ndarray:
    """Give every voxel of a mask to the seed it is reached from over the lowest boundary.

    A large mask is flooded coarsely first, and then anew at full resolution near where two colours met.

    ::

        coarse  1 1 1 2 2     kept  1 1 . . 2 2      the dots are flooded again,
                1 1 2 2 2           1 1 . . 2 2      voxel by voxel

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
    boundary : ndarray of float32
        1 = boundary; same shape.
    voxels : ndarray of int, shape (n, 3)
        Seeds, all within the mask.
    colours : ndarray of int, shape (n,)
        Their colours, from 1.
    voxel_size_nm : tuple of float
        To treat a voxel that is longer along one axis as what it is.

    Returns
    -------
    ndarray of uint32, shape (z, y, x)
        Colours; 0 outside of the mask, and in parts of it that no seed reaches.
    """
    stride = _stride(int(np.count_nonzero(mask)), voxel_size_nm)
    coarse = voxels // np.array(stride)
    if stride == (1, 1, 1) or _clash(coarse, colours):
        return _flood(mask, boundary, voxels, colours, voxel_size_nm)
    small_mask, small_boundary = _pooled(mask, stride), _pooled(boundary * mask, stride)
    small_size = tuple(n * s for n, s in zip(voxel_size_nm, stride, strict=True))
    found = _flood(small_mask, small_boundary, coarse, colours, small_size)
    return _refined(mask, boundary, found, stride, voxels, colours)


def _flood(
    mask: np.ndarray, boundary: np.ndarray, voxels: np.ndarray, colours: np.ndarray, voxel_size_nm: tuple[float, ...]
) -> np.ndarray:
    markers = np.zeros(mask.shape, np.uint32)
    markers[tuple(voxels.T)] = colours
    away = distance_transform(markers == 0, sampling=voxel_size_nm)
    inside = boundary[mask]
    if float(np.ptp(inside)) < _FLAT:
        height = away
    else:
        height = boundary + away * np.float32(_NEARNESS / max(float(away.max()), 1e-6))
    return np.asarray(watershed(np.ascontiguousarray(height, np.float32), markers, mask=mask))


def _refined(
    mask: np.ndarray,
    boundary: np.ndarray,
    found: np.ndarray,
    stride: Shape,
    voxels: np.ndarray,
    colours: np.ndarray,
) -> np.ndarray:
    highest = ndimage.maximum_filter(found, footprint=ndimage.generate_binary_structure(3, 1))
    beyond = np.where(found == 0, np.iinfo(np.uint32).max, found)
    lowest = ndimage.minimum_filter(beyond, footprint=ndimage.generate_binary_structure(3, 1))
    near = (found > 0) & (highest != lowest) & (lowest <= highest)
    open_cells = near | ((found == 0) & _pooled(mask, stride))
    rim = ndimage.binary_dilation(open_cells, ndimage.generate_binary_structure(3, 1))
    result = np.where(mask, _enlarged(found, stride, mask.shape), 0)
    markers = np.where(_enlarged(open_cells, stride, mask.shape), 0, result).astype(np.uint32)
    markers[tuple(voxels.T)] = colours
    again = _enlarged(rim, stride, mask.shape) & mask
    again[tuple(voxels.T)] = True
    flooded = watershed(np.ascontiguousarray(boundary, np.float32), markers, mask=again)
    return np.where(again & (flooded > 0), flooded, np.where(again, 0, result)).astype(np.uint32)


def _stride(n_voxels: int, voxel_size_nm: tuple[float, ...]) -> Shape:
    """How many voxels along each axis become one, so that few enough are left; the shorter ones first."""
    stride = [1, 1, 1]
    while n_voxels > _AT_ONCE * stride[0] * stride[1] * stride[2] and max(stride) < 8:
        lengths = [size * s for size, s in zip(voxel_size_nm, stride, strict=True)]
        stride = [s + (length < 1.5 * min(lengths)) for s, length in zip(stride, lengths, strict=True)]
    return (stride[0], stride[1], stride[2])


def _clash(cells: np.ndarray, colours: np.ndarray) -> bool:
    """Whether two colours share a cell."""
    return len(np.unique(cells, axis=0)) < len(np.unique(np.column_stack([cells, colours]), axis=0))


def _pooled(values: np.ndarray, stride: Shape) -> np.ndarray:
    """The largest value of each cell."""
    for axis, step in enumerate(stride):
        if step > 1:
            values = np.maximum.reduceat(values, np.arange(0, values.shape[axis], step), axis=axis)
    return values


def _enlarged(cells: np.ndarray, stride: Shape, shape: tuple[int, ...]) -> np.ndarray:
    for axis, step in enumerate(stride):
        cells = np.repeat(cells, step, axis=axis) if step > 1 else cells
    return cells[tuple(slice(0, n) for n in shape)]
