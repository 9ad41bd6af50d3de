"""Faults in boxes of training patches: blank, coarser or noisy. Labels stay, and all channels have them alike.

Cut-out after DeVries and Taylor 2017 (arXiv:1708.04552), cut-blur after Yoo et al. 2020 (arXiv:2004.00448).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_MOST_BOXES = 3
_SHARES_OUT = (0.1, 0.35)
"""Length of a blank box along each axis, in that of the patch: what is in it can be told from what is around it."""
_SHARES = (0.25, 0.75)
_FILLS = (-2.0, 2.0)
"""Intensities of blank boxes, in standard deviations of the image."""
_COARSER = (2, 3, 4)
_MOST_NOISE = 0.6
"""Standard deviation of the noise, in that of the image."""

Index = tuple[slice, ...]


def cut_out(image: Tensor, rng: np.random.Generator) -> Tensor:
    """One to three boxes of a patch (c, z, y, x) blank: of the mean intensity, or of any."""
    found = image.clone()
    for _ in range(int(rng.integers(1, _MOST_BOXES + 1))):
        fill = 0.0 if rng.random() < 0.5 else float(rng.uniform(*_FILLS))
        found[_box(image.shape, _SHARES_OUT, rng)] = fill
    return found


def cut_blur(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A box of a patch (c, z, y, x) with pixels that are two to four times as coarse in the plane."""
    box = _box(image.shape, _SHARES, rng)
    factor = int(rng.choice(_COARSER))
    sharp = image[box]
    height, width = sharp.shape[-2:]
    size = (math.ceil(height / factor), math.ceil(width / factor))
    coarse = functional.interpolate(sharp, size=size, mode="area")
    mode = "bilinear" if rng.random() < 0.5 else "nearest"
    found = image.clone()
    found[box] = functional.interpolate(
        coarse, size=(height, width), mode=mode, align_corners=False if mode == "bilinear" else None
    )
    return found


def cut_noise(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A box of a patch (c, z, y, x) with Gaussian noise."""
    box = _box(image.shape, _SHARES, rng)
    generator = torch.Generator().manual_seed(int(rng.integers(2**32)))
    found = image.clone()
    found[box] += torch.randn(found[box].shape, generator=generator) * float(rng.uniform(0.1, _MOST_NOISE))
    return found


def _box(shape: torch.Size, shares: tuple[float, float], rng: np.random.Generator) -> Index:
    """A box anywhere in a patch (c, z, y, x), of all its channels."""
    index = [slice(None)]
    for length in shape[1:]:
        n = min(length, max(1, round(length * float(rng.uniform(*shares)))))
        start = int(rng.integers(0, length - n + 1))
        index.append(slice(start, start + n))
    return tuple(index)
