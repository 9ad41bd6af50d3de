"""Cuts through voxels: a watershed from seeds on a boundary map, within a mask."""

from __future__ import annotations

import numpy as np
from bioimage_cpp.distance import distance_transform
from bioimage_cpp.segmentation import watershed
from scipy import spatial

from napari_pytc.geometry import Box, Shape, TileGrid

_AT_ONCE = 500_000
"""Voxels that are flooded at full resolution: a coarse flood is less exact, and pays for itself only beyond that."""
_SPARSE = 24
"""Voxels of the array per voxel of the mask, from which on the array's size decides how coarse the flood is."""
_FLAT = 1e-3
_SEED_NM, _SEED_VOXELS = 30.0, 2.0
"""Radius of the ball that a seed stands for: the larger of the two, but the latter at most twice."""
_APART = 0.67
_TILE: Shape = (64, 64, 64)
_STEPS = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])


def watershed_from(
    mask: np.ndarray, boundary: np.ndarray, voxels: np.ndarray, colours: np.ndarray, voxel_size_nm: tuple[float, ...]
) -> np.ndarray:
    """Give every voxel of a mask to the seed it is reached from over the lowest boundary.

    A seed stands for a small ball around it: a single voxel that happens to lie on something that looks like a boundary
    would be shut in there. A large mask is flooded coarsely first, and then anew at full resolution near where two
    colours met.

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
    grown, grown_colours = _grown(mask, voxels, colours, voxel_size_nm)
    stride = _stride(max(int(np.count_nonzero(mask)), mask.size // _SPARSE), voxel_size_nm)
    cells = np.concatenate([grown, voxels]) // np.array(stride)
    if stride == (1, 1, 1) or _clash(voxels // np.array(stride), colours):
        markers = _markers(mask.shape, np.concatenate([grown, voxels]), np.concatenate([grown_colours, colours]))
        return _flood(mask, boundary, markers, voxel_size_nm)
    small_mask, small_boundary = _pooled(mask, stride), _pooled(boundary * mask, stride)
    small_size = tuple(n * s for n, s in zip(voxel_size_nm, stride, strict=True))
    # Seeds come last: a cell that the balls of two colours share goes to the seed in it.
    markers = _markers(small_mask.shape, cells, np.concatenate([grown_colours, colours]))
    return _refined(mask, boundary, _flood(small_mask, small_boundary, markers, small_size), stride, voxels, colours)


def _grown(
    mask: np.ndarray, voxels: np.ndarray, colours: np.ndarray, voxel_size_nm: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Voxels of the mask close to a seed, and much closer than to any seed of another colour; with their colours."""
    size = np.array(voxel_size_nm)
    radius = min(max(_SEED_NM, _SEED_VOXELS * size.min()), 2 * _SEED_VOXELS * size.min())
    reach = (radius // size).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = offsets[((offsets * size) ** 2).sum(axis=1) <= radius**2]
    near = np.unique((voxels[:, None] + offsets).reshape(-1, 3), axis=0)
    near = near[((near >= 0) & (near < mask.shape)).all(axis=1)]
    near = near[mask[tuple(near.T)]]
    used = np.unique(colours)
    away = np.stack([spatial.cKDTree(voxels[colours == c] * size).query(near * size)[0] for c in used], axis=1)
    nearest = away.argmin(axis=1)
    ordered = np.sort(away, axis=1)
    clear = (ordered[:, 0] <= radius) & (ordered[:, 0] <= _APART * ordered[:, 1] if len(used) > 1 else True)
    linked = _linked(near[clear], used[nearest[clear]], voxels, colours, int(reach.max()))
    return near[clear][linked], used[nearest[clear]][linked]


def _linked(
    places: np.ndarray, place_colours: np.ndarray, voxels: np.ndarray, colours: np.ndarray, n_steps: int
) -> np.ndarray:
    """Mask of the places that steps over faces, from place to place, reach from seeds of their colour."""
    limits = np.max(np.concatenate([places, voxels]), axis=0, initial=0) + 3

    def keys_of(rows: np.ndarray, of_colours: np.ndarray) -> np.ndarray:
        flat = ((rows[:, 0] + 1) * limits[1] + rows[:, 1] + 1) * limits[2] + rows[:, 2] + 1
        return np.asarray(flat * (int(colours.max()) + 1) + of_colours)

    keys, seeds = keys_of(places, place_colours), keys_of(voxels, colours)
    reached = np.isin(keys, seeds)
    for _ in range(n_steps):
        front = [keys_of(places[reached] + step, place_colours[reached]) for step in _STEPS]
        reached |= np.isin(keys, np.concatenate(front))
    return reached


def _markers(shape: tuple[int, ...], voxels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    markers = np.zeros(shape, np.uint32)
    markers[tuple(voxels.T)] = colours
    return markers


def _flood(mask: np.ndarray, boundary: np.ndarray, markers: np.ndarray, voxel_size_nm: tuple[float, ...]) -> np.ndarray:
    if _is_flat(boundary, mask):  # no boundary: the nearer seed wins
        boundary = distance_transform(markers == 0, sampling=voxel_size_nm)
    return np.asarray(watershed(np.ascontiguousarray(boundary, np.float32), markers, mask=mask))


def _refined(
    mask: np.ndarray, boundary: np.ndarray, found: np.ndarray, stride: Shape, voxels: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """Colours of voxels from those of cells."""
    undecided = _where_colours_meet(found)
    flat = _is_flat(boundary, mask)
    result = _enlarged(found, stride, mask.shape) * mask
    result[tuple(voxels.T)] = colours
    halo = (2 * stride[0], 2 * stride[1], 2 * stride[2])
    for tile in TileGrid(Box.of_shape(mask.shape), _TILE, halo):
        cells = tuple(
            slice(a // s, -(-b // s)) for a, b, s in zip(tile.read.start, tile.read.stop, stride, strict=True)
        )
        if flat or not undecided[cells].any():
            continue
        here = tile.read.slices
        again = _enlarged_part(undecided, stride, tile.read) & mask[here]
        markers = np.where(again, 0, result[here])
        local = ((voxels >= tile.read.start) & (voxels < tile.read.stop)).all(axis=1)
        markers[tuple((voxels[local] - tile.read.start).T)] = colours[local]
        rim = _with_neighbours(again) & mask[here]
        flooded = watershed(np.ascontiguousarray(boundary[here], np.float32), markers.astype(np.uint32), mask=rim)
        inner = tile.inner.slices
        chosen = (again & (flooded > 0))[inner]
        result[tile.write.slices][chosen] = flooded[inner][chosen]
    return result


def _where_colours_meet(found: np.ndarray) -> np.ndarray:
    """Cells with a face to a cell of another colour."""
    meet = np.zeros(found.shape, bool)
    for axis in range(3):
        near, far = _sides(found, axis)
        differ = (near != far) & (near > 0) & (far > 0)
        for side in _sides(meet, axis):
            side |= differ
    return meet


def _with_neighbours(chosen: np.ndarray) -> np.ndarray:
    """The chosen voxels and their face neighbours."""
    grown = chosen.copy()
    for axis in range(3):
        for to, by in zip(_sides(grown, axis), _sides(chosen, axis)[::-1], strict=True):
            to |= by
    return grown


def _sides(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """All but the last along an axis, and all but the first: each with the next one."""
    along = np.moveaxis(values, axis, 0)
    return along[:-1], along[1:]


def _is_flat(boundary: np.ndarray, mask: np.ndarray) -> bool:
    return float(np.ptp(boundary[mask])) < _FLAT


def _stride(n_voxels: int, voxel_size_nm: tuple[float, ...]) -> Shape:
    """Number of voxels along each axis that become one, so that few enough are left; the shorter ones first."""
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
        values = _largest_of_every(step, np.moveaxis(values, axis, 0), axis) if step > 1 else values
    return values


def _largest_of_every(step: int, layers: np.ndarray, axis: int) -> np.ndarray:
    """The largest of each so many layers along the first axis, which becomes the given one."""
    largest = layers[::step].copy(order="K")
    for first in range(1, step):
        others = layers[first::step]
        np.maximum(largest[: len(others)], others, out=largest[: len(others)])
    return np.moveaxis(largest, 0, axis)


def _enlarged(cells: np.ndarray, stride: Shape, shape: tuple[int, ...]) -> np.ndarray:
    for axis in (2, 1, 0):  # whole sections last: they are copied at once
        cells = np.repeat(cells, stride[axis], axis=axis) if stride[axis] > 1 else cells
    return cells[tuple(slice(0, n) for n in shape)]


def _enlarged_part(cells: np.ndarray, stride: Shape, box: Box) -> np.ndarray:
    """The voxels of a box from cells."""
    index = [np.arange(a, b) // s for a, b, s in zip(box.start, box.stop, stride, strict=True)]
    return cells[np.ix_(*index)]
