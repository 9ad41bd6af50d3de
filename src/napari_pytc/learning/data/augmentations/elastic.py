"""Smooth random deformations of training patches.

Shifts are drawn at the nodes of a coarse grid and interpolated, as Ronneberger et al. 2015 (arXiv:1505.04597) do.
MONAI's `Rand3DElastic` smooths noise of every voxel instead, which takes several times as long for a patch.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_SPACING = 32
"""Pixels between two nodes in the plane; across sections as many nanometres."""
_MOST_OF_SPACING = 0.25
"""Largest shift of a node: bicubic interpolation folds nothing over up to a third of the spacing."""
_LEAST_SHARE = 0.25
"""Least deformation, in the largest one."""


def elastic_deformation(
    image: Tensor, labels: Tensor, rng: np.random.Generator, shift: float, anisotropy: float, is_tilted: bool
) -> tuple[Tensor, Tensor]:
    """A smoothly deformed patch, (c, z, y, x), and its labels, (z, y, x).

    Intensities are interpolated linearly and mirrored at the border; labels are the nearest, and 0 outside.

    Parameters
    ----------
    shift : float
        Standard deviation of the shift of a node, in pixels, at most.
    anisotropy : float
        Section thickness over the in-plane edge of a voxel.
    is_tilted : bool
        Whether voxels move across sections, too.
    """
    std = shift * float(rng.uniform(_LEAST_SHARE, 1))
    n_axes = 3 if is_tilted else 2
    shifts = _smooth_shifts(labels.shape, n_axes, std, anisotropy, rng)
    if not is_tilted:
        planes, classes = image.movedim(1, 0), labels[:, None]
    else:
        shifts[0] /= anisotropy
        planes, classes, shifts = image[None], labels[None, None], shifts[:, None]
    grid = _sampling_grid(shifts, labels.shape[-n_axes:])
    seen = functional.grid_sample(
        planes.contiguous(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    target = functional.grid_sample(classes.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    seen = seen[0] if is_tilted else seen.movedim(0, 1)
    return seen, target.reshape(labels.shape).to(labels.dtype)


def _smooth_shifts(shape: torch.Size, n_axes: int, std: float, anisotropy: float, rng: np.random.Generator) -> Tensor:
    """Shifts (axes, z, y, x) of each voxel in pixels: bicubic between nodes in the plane, linear across sections."""
    spacings = (max(1.0, _SPACING / anisotropy), _SPACING, _SPACING)
    nodes = [max(2, math.ceil(n / spacing) + 1) for n, spacing in zip(shape, spacings, strict=True)]
    drawn = rng.standard_normal((n_axes, *nodes)).astype(np.float32) * std
    pixels = list(zip(shape, nodes, (anisotropy, 1, 1), strict=True))[3 - n_axes :]  # those that move
    most = _MOST_OF_SPACING * min([_SPACING, *((n - 1) / (k - 1) * size for n, k, size in pixels if n > 1)])
    at_nodes = torch.from_numpy(drawn.clip(-most, most)).reshape(1, n_axes * nodes[0], *nodes[1:])
    depth, *plane = shape
    in_plane = functional.interpolate(at_nodes, size=plane, mode="bicubic", align_corners=True)
    stacked = in_plane.reshape(1, n_axes, nodes[0], -1)
    across = functional.interpolate(stacked, size=(depth, stacked.shape[-1]), mode="bilinear", align_corners=True)
    return across.reshape(n_axes, *shape)


def _sampling_grid(shifts: Tensor, lengths: torch.Size) -> Tensor:
    """The grid of `torch.nn.functional.grid_sample`: places from -1 to 1, the last axis first.

    Parameters
    ----------
    shifts : Tensor
        (axes, n, ...), for each of n images the shift along each axis in voxels.
    """
    places = []
    for axis, (length, shift) in enumerate(zip(lengths, shifts, strict=True)):
        own = torch.arange(length, dtype=torch.float32).reshape(-1, *(1,) * (len(lengths) - 1 - axis))
        places.append((2 * (own + shift) + 1) / length - 1)
    return torch.stack(places[::-1], dim=-1)
