"""A boundary map from an image alone: dark sheets, as membranes are in electron microscopy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from bioimage_cpp.filters import hessian_of_gaussian_eigenvalues

from napari_pytc.geometry import Box, Shape, VoxelSpace

_WIDTH = 1.5
"""Scale of the sheets, in voxels of the finest axis."""
_WINDOW = 4.0
_FLAT_ANISOTROPY = 2.0
"""Sections that are so much thicker than pixels are looked at one by one."""
_STRONG = 0.28
"""Curvature of a clear membrane, in standard deviations of the image (measured on FIB-SEM of fly brain)."""


class RidgeReader:
    """Likeness of a voxel's surroundings to a dark sheet: a `BoundaryReader` where nothing was predicted.

    Sheets differ from bodies that are dark throughout, as mitochondria are, by their curvature: the largest
    eigenvalue of the Hessian. The same for a voxel whatever box it is read in.

    Parameters
    ----------
    read : callable
        Reads a box of the image, any type.
    shape : tuple of int
        Of the image.
    spread : float
        Standard deviation of its intensities.
    """

    def __init__(self, read: Callable[[Box], np.ndarray], shape: Shape, space: VoxelSpace, spread: float) -> None:
        self._read, self._shape = read, shape
        self._strong = max(_STRONG * spread, 1e-6)
        self._flat = space.anisotropy >= _FLAT_ANISOTROPY or shape[0] == 1
        finest = min(space.voxel_size_nm[1:] if self._flat else space.voxel_size_nm)
        self._scales = [_WIDTH * finest / size for size in space.voxel_size_nm]
        self._margin = [int(np.ceil(_WINDOW * scale)) + 1 for scale in self._scales]
        if self._flat:
            self._margin[0] = 0

    def read(self, box: Box) -> np.ndarray:
        """float32 of shape ``box.shape``, 0 to 1; 1 = boundary."""
        around = box.grow(self._margin).intersect(Box.of_shape(self._shape))
        values = np.ascontiguousarray(np.nan_to_num(self._read(around)), np.float32)
        if self._flat:
            found = np.stack([_largest(section, self._scales[1:]) for section in values])
        else:
            found = _largest(values, self._scales)
        inner = found[box.relative_to(around.start).slices]
        return np.clip(inner / self._strong, 0, 1).astype(np.float32)


def _largest(values: np.ndarray, scales: list[float]) -> np.ndarray:
    """Largest eigenvalue of the Hessian; the library sorts them downwards."""
    return np.asarray(hessian_of_gaussian_eigenvalues(values, scales, window_size=_WINDOW)[..., 0])
