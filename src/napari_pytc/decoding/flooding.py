"""Watershed from the deepest voxels inside objects; over volumes, or section by section where these are thick."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_pytc.decoding.base import size_nm
from napari_pytc.geometry import Shape, VoxelSpace

THICK_SECTIONS = 2.5
"""Anisotropy from which on neighbouring sections differ too much for distances across them."""
_HEIGHT_OF_BOUNDARY = 0.8
_HALF_DEPTH_NM = 100.0
_LEVELS = (0.3, 0.8)
"""Distances are measured to voxels above these parts of the boundary threshold and averaged: one level alone loses
every faint boundary of a cautious network, or every thin process between two of its wide ones."""
_REACH_NM = 100.0


@dataclass(frozen=True)
class Depth:
    """Depth of voxels inside objects, and the seeds that are found from it.

    Parameters
    ----------
    smoothing_nm : float
        Standard deviation of the Gaussian that takes the noise off boundaries.
    boundary_threshold : float
        Voxels below this probability of a boundary lie inside.
    seed_distance_nm : float
        Seeds are at least so far apart.
    per_section : bool
        Whether each section is flooded on its own.
    """

    smoothing_nm: float
    boundary_threshold: float
    seed_distance_nm: float
    per_section: bool

    def halo(self, space: VoxelSpace) -> Shape:
        """Voxels around a block that change its result, in all but rare cases."""
        reach = _REACH_NM + 2 * self.seed_distance_nm
        z, y, x = (math.ceil(reach / edge) for edge in size_nm(space))
        return (0 if self.per_section else z, y, x)


def is_thick(space: VoxelSpace) -> bool:
    """Whether sections are so thick that each is best flooded on its own."""
    return space.anisotropy >= THICK_SECTIONS


def flood(
    boundary: np.ndarray, region: np.ndarray, space: VoxelSpace, depth: Depth, seeds: np.ndarray | None = None
) -> np.ndarray:
    """Basins of a boundary map, uint32 (z, y, x) from 1; 0 outside of the region.

    Parameters
    ----------
    boundary : ndarray of float32, shape (z, y, x)
        Probability of a boundary.
    region : ndarray of bool, shape (z, y, x)
        The voxels to flood.
    seeds : ndarray of bool, shape (z, y, x), optional
        Each connected piece starts a basin; by default where voxels lie deepest.
    """
    import bioimage_cpp

    labels = np.zeros(boundary.shape, np.uint32)
    n_before = 0
    for part, sampling in _flooded_pieces(boundary.shape, space, depth.per_section):
        inside_region = np.ascontiguousarray(region[part])
        if not inside_region.any():
            continue
        smooth = smoothed(boundary[part], depth.smoothing_nm, sampling)
        levels = [level * depth.boundary_threshold for level in _LEVELS]
        distance = np.mean([distances((smooth < level) & inside_region, sampling) for level in levels], axis=0)
        marks = deepest(distance, depth, sampling) if seeds is None else seeds[part] & inside_region
        markers = connected(marks)
        if not markers.any():  # boundary everywhere: what is connected is one basin
            markers = connected(inside_region)
        height = _HEIGHT_OF_BOUNDARY * smooth
        height += (1 - _HEIGHT_OF_BOUNDARY) * _HALF_DEPTH_NM / (_HALF_DEPTH_NM + distance)
        found = bioimage_cpp.segmentation.watershed(height.astype(np.float32, copy=False), markers, mask=inside_region)
        found = _with_unreached(found, inside_region)
        labels[part] = np.where(found > 0, found + np.uint32(n_before), 0)
        n_before += int(found.max())
    return labels


def smoothed(values: np.ndarray, sigma_nm: float, sampling: tuple[float, ...]) -> np.ndarray:
    """Gaussian smoothing over a physical length; axes along which it is less than a third of a voxel are left out."""
    from scipy import ndimage

    sigma = [s if (s := sigma_nm / edge) > 1 / 3 else 0.0 for edge in sampling]
    if not any(sigma):
        return np.array(values, np.float32)
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest", output=np.float32))


def distances(inside: np.ndarray, sampling: tuple[float, ...]) -> np.ndarray:
    """Distance of each inside voxel from the nearest outside one, in nm, float32; the array's end is no boundary."""
    import bioimage_cpp

    if inside.all():
        return np.full(inside.shape, max(n * edge for n, edge in zip(inside.shape, sampling, strict=True)), np.float32)
    return np.asarray(bioimage_cpp.distance.distance_transform(inside, sampling=sampling))


def deepest(distance: np.ndarray, depth: Depth, sampling: tuple[float, ...]) -> np.ndarray:
    """Voxels than which none within the seed distance lies deeper; bool."""
    from scipy import ndimage

    # Smoothed a little, or a bumpy boundary has a maximum behind each bump.
    distance = smoothed(distance, depth.smoothing_nm, sampling)
    size = [2 * round(depth.seed_distance_nm / edge) + 1 for edge in sampling]
    return np.asarray((distance > 0) & (distance >= ndimage.maximum_filter(distance, size=size, mode="nearest")))


def connected(mask: np.ndarray, connectivity: int | None = None) -> np.ndarray:
    """Connected components of a section or a volume, uint32; diagonal neighbours are connected by default."""
    import cc3d

    return np.asarray(
        cc3d.connected_components(
            np.ascontiguousarray(mask), connectivity=connectivity or (8 if mask.ndim == 2 else 26), out_dtype=np.uint32
        )
    )


def _with_unreached(found: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Basins, and each piece of the region that holds no seed as one more."""
    rest = region & (found == 0)
    if not rest.any():
        return found
    pieces = connected(rest, 4 if rest.ndim == 2 else 6)
    return np.where(rest, pieces + found.max(), found)


def _flooded_pieces(
    shape: tuple[int, ...], space: VoxelSpace, per_section: bool
) -> Iterator[tuple[int | slice, tuple[float, ...]]]:
    """Index and voxel size of each section or volume that is flooded at a time."""
    sampling = size_nm(space)
    if per_section or shape[0] == 1:
        yield from ((z, sampling[1:]) for z in range(shape[0]))
    else:
        yield slice(None), sampling
