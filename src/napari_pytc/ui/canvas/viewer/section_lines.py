"""Lines as a section shows them: the parts in it and near it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_pytc.ui.canvas.viewer.planes import Plane

FAINTEST = 0.15
"""Opacity of what is as far from the section as can be seen."""


@dataclass(frozen=True, eq=False)
class SectionLines:
    """Lines drawn in the plane that is shown.

    Parameters
    ----------
    lines : ndarray of float, shape (m, 2, 3)
        Both ends of each part, z, y, x in voxels.
    numbers : ndarray of int, shape (m,)
        The line that each is a part of.
    opacity : ndarray of float, shape (m,)
        1 in the section, less before and behind it.
    """

    lines: np.ndarray
    numbers: np.ndarray
    opacity: np.ndarray


def lines_near(lines: np.ndarray, plane: Plane, reach: float, shortest: float) -> SectionLines:
    r"""The parts of lines that lie in a section or near it, moved into it; all of them where three axes are shown.

    ::

        - - - \ - - - - -   reach
        _______\_________   the section       what is drawn in it:  --====--
                \                             (near, in it, near)
        - - - - -\ - - - -  reach

    Parameters
    ----------
    lines : ndarray of float, shape (n, 2, 3)
        Both ends of each line, z, y, x in voxels.
    reach : float
        Voxels before and behind the middle of the section that are seen; at least half of one.
    shortest : float
        Lines across the section would be points: they are drawn so long, in voxels.
    """
    across = [axis for axis in range(3) if axis not in plane.displayed]
    if len(across) != 1:
        return SectionLines(lines, np.arange(len(lines)), np.ones(len(lines)))
    axis, reach = across[0], max(reach, 0.5)
    inside, numbers = _within(lines, axis, plane.point[axis], reach)
    distance = np.abs(inside[:, :, axis].mean(axis=1) - plane.point[axis])
    fade = np.clip((distance - 0.5) / max(reach - 0.5, 1e-9), 0, 1)
    inside[:, :, axis] = plane.point[axis]
    _lengthen(inside, plane.displayed[-1], shortest)
    order = np.argsort(-distance, kind="stable")  # what lies in the section is drawn over what lies near it
    return SectionLines(inside[order], numbers[order], (1 - (1 - FAINTEST) * fade)[order])


def _within(lines: np.ndarray, axis: int, middle: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The parts of lines at most so far from a plane, and the numbers of the lines."""
    first, last = lines[:, 0, axis] - middle, lines[:, 1, axis] - middle
    step = last - first
    with np.errstate(divide="ignore", invalid="ignore"):  # of lines along the plane
        ends = np.stack([(-reach - first) / step, (reach - first) / step])
    is_level = step == 0
    low = np.where(is_level, 0, np.clip(ends.min(axis=0), 0, 1))
    high = np.where(is_level, 1, np.clip(ends.max(axis=0), 0, 1))
    seen = np.where(is_level, np.abs(first) <= reach, high > low)
    numbers = np.flatnonzero(seen)
    start, direction = lines[seen, 0], lines[seen, 1] - lines[seen, 0]
    return np.stack([start + low[seen, None] * direction, start + high[seen, None] * direction], axis=1), numbers


def _lengthen(lines: np.ndarray, axis: int, shortest: float) -> None:
    """Make lines that are hardly more than points longer, along an axis."""
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1)
    short = length < shortest
    middle = lines[short].mean(axis=1, keepdims=True)
    lines[short] = middle
    lines[short, :, axis] += np.array([-shortest / 2, shortest / 2])
