"""Boxes as the plane that is shown cuts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plane:
    """The displayed ones of the axes z, y, x, and the positions of the others in voxels."""

    displayed: tuple[int, ...]
    point: tuple[float, ...]


def cut_box(corners: np.ndarray, plane: Plane) -> list[np.ndarray]:
    """Outlines (n, 3) of a plane's cut through a box, none where it misses it; all edges if three axes are shown.

    ::

            +------+          z shown        +------+
           /|     /|   plane ------------->  |      |
          +------+ |                         +------+
          | +----|-+
          +------+

    Parameters
    ----------
    corners : ndarray
        (2, 3): two opposite corners in voxels.
    """
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    if len(plane.displayed) == 3:
        return _edges(low, high)
    across = [axis for axis in range(3) if axis not in plane.displayed]
    if len(across) != 1 or not low[across[0]] <= plane.point[across[0]] < high[across[0]]:
        return []
    a, b = sorted(plane.displayed)
    line = np.tile(np.asarray(plane.point, float), (5, 1))
    line[:, a] = low[a], high[a], high[a], low[a], low[a]
    line[:, b] = low[b], low[b], high[b], high[b], low[b]
    return [line]


def _edges(low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    lines = []
    for z in (low[0], high[0]):
        plane = Plane((1, 2), (float(z), 0.0, 0.0))
        lines += cut_box(np.array([[z - 1, *low[1:]], [z + 1, *high[1:]]]), plane)
    for y in (low[1], high[1]):
        for x in (low[2], high[2]):
            lines.append(np.array([[low[0], y, x], [high[0], y, x]]))
    return lines
