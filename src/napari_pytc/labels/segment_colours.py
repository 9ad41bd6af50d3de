"""Colours of segments: each id has its own, the same in every session."""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np

N_COLOURS = 255
"""Number of colours that fit a texture of one byte a voxel, which napari fills three times as fast as one of two."""
_GOLDEN = 0.6180339887498949
_SHADES = ((0.85, 1.0), (0.55, 1.0), (0.9, 0.75), (0.4, 0.9), (0.7, 0.9))
"""Saturation and value; on grey images darker ones would not be seen."""


@cache
def segment_colours(last: str | None = None) -> np.ndarray:
    """RGBA of the colours that napari cycles through, float32 (256, 4); the first, of segment 0, is transparent.

    Neighbouring ids, which are often neighbours in the volume too, are far apart in hue.

    Parameters
    ----------
    last : str, optional
        The last colour as #rrggbb, which the highest uint32 and every multiple of `N_COLOURS` have.
    """
    colours = np.zeros((N_COLOURS + 1, 4), np.float32)
    for k in range(N_COLOURS):
        saturation, value = _SHADES[k % len(_SHADES)]
        colours[k + 1] = (*colorsys.hsv_to_rgb((k * _GOLDEN) % 1.0, saturation, value), 1.0)
    if last is not None:
        colours[N_COLOURS, :3] = [int(last[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return colours


def colour_of(segment: int) -> str:
    """A segment's colour on the canvas as #rrggbb; that of 0 is black."""
    if segment == 0:
        return "#000000"
    red, green, blue, _ = segment_colours()[(segment - 1) % N_COLOURS + 1]
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
