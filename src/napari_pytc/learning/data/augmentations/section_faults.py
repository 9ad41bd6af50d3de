"""Faults of single sections in training patches: out of focus, missing or misaligned.

Missing and misaligned sections after Lee et al. 2017 (arXiv:1706.00120), which halved the errors of networks on serial
sections.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_MOST_SECTIONS = 3
_LARGEST_SHIFT = 10
_SIGMAS = (0.7, 2.0)


def blurred_sections(image: Tensor, rng: np.random.Generator) -> Tensor:
    """One to three sections out of focus; image (1, z, y, x)."""
    from monai.transforms import GaussianSmooth

    n_sections = image.shape[1]
    chosen = rng.choice(n_sections, size=min(n_sections, int(rng.integers(1, _MOST_SECTIONS + 1))), replace=False)
    sigma = float(rng.uniform(*_SIGMAS))
    margin = math.ceil(4 * sigma)  # where MONAI cuts the Gaussian; it pads with zeros, which would show as a frame
    sections = functional.pad(image[:, chosen], (margin,) * 4, mode="replicate")[0]
    smooth = torch.as_tensor(GaussianSmooth(sigma)(sections))[:, margin:-margin, margin:-margin]
    result = image.clone()
    result[0, chosen] = smooth
    return result


def missing_section(image: Tensor, rng: np.random.Generator) -> Tensor:
    """One section, or one side of a tear through it, blank or with hardly any contrast; image (1, z, y, x).

    The labels stay, so that the network learns to bridge it from its neighbours; where a patch has fewer than three
    sections there are none, and nothing happens.
    """
    _, n_sections, height, width = image.shape
    if n_sections < 3:
        return image
    k = int(rng.integers(n_sections))
    contrast = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.1, 0.4))
    faulty = image[0, k] * contrast + float(rng.uniform(-2.5, 2.5))
    if rng.random() < 0.5:
        angle = float(rng.uniform(0, 2 * math.pi))
        y = torch.arange(height)[:, None] - float(rng.uniform(0.25, 0.75)) * height
        x = torch.arange(width)[None, :] - float(rng.uniform(0.25, 0.75)) * width
        faulty = torch.where(y * math.sin(angle) + x * math.cos(angle) > 0, faulty, image[0, k])
    result = image.clone()
    result[0, k] = faulty
    return result


def misaligned_section(image: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One section, or all from it on, shifted in the plane; image (1, z, y, x) and labels (z, y, x) together.

    ::

        z   |======|            z   |======|
            |======|                |======|
              |======|  one           |======|  and all after
            |======|                  |======|

    The uncovered strip repeats the border in the image and is 0, not annotated, in the labels.
    """
    n_sections, height, width = labels.shape
    if n_sections < 2:
        return image, labels
    k = int(rng.integers(1, n_sections))
    shifted = slice(k, k + 1 if rng.random() < 0.5 else n_sections)
    rows, rows_inside = _shifted_indices(height, rng)
    columns, columns_inside = _shifted_indices(width, rng)
    image, labels = image.clone(), labels.clone()
    image[:, shifted] = image[:, shifted][:, :, rows[:, None], columns[None, :]]
    moved = labels[shifted][:, rows[:, None], columns[None, :]]
    labels[shifted] = moved * (rows_inside[:, None] & columns_inside[None, :])
    return image, labels


def _shifted_indices(length: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Source index of each position on a shifted axis, and whether that lies inside."""
    largest = min(_LARGEST_SHIFT, length // 6)
    wanted = torch.arange(length) - int(rng.integers(-largest, largest + 1))
    found = wanted.clamp(0, length - 1)
    return found, wanted == found
