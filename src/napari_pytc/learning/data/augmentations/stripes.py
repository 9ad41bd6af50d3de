"""Stripes of scanning and milling in training patches."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_MOST_STRIPES = 8
_MOST_WIDTH = 3.0
_HEIGHTS = (0.3, 2.0)
"""How much brighter or darker a stripe is, in standard deviations of the image."""
_MOST_SECTIONS = 3


def stripes(image: Tensor, rng: np.random.Generator) -> Tensor:
    """One to eight parallel stripes in a channel (1, z, y, x), brighter or darker than the rest.

    They are in one to three sections, along or across as lines of a scan or at any angle as scratches; or in all
    sections at the same place, as an ion beam leaves them (curtaining).
    """
    _, depth, height, width = image.shape
    angle = float(rng.choice((0.0, math.pi / 2))) if rng.random() < 0.5 else float(rng.uniform(0, math.pi))
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    across = rows * math.cos(angle) + columns * math.sin(angle)
    low, high = float(across.min()), float(across.max())
    pattern = torch.zeros(height, width)
    for _ in range(int(rng.integers(1, _MOST_STRIPES + 1))):
        middle, half_width = float(rng.uniform(low, high)), float(rng.uniform(0.5, _MOST_WIDTH)) / 2
        sign = 1.0 if rng.random() < 0.5 else -1.0
        pattern += sign * float(rng.uniform(*_HEIGHTS)) * ((across - middle).abs() <= half_width)
    found = image.clone()
    if rng.random() < 0.5:
        n = min(depth, int(rng.integers(1, _MOST_SECTIONS + 1)))
        chosen = rng.choice(depth, size=n, replace=False)
        found[0, torch.from_numpy(chosen)] += pattern
    else:
        found += pattern
    return found
