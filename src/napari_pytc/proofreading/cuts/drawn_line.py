"""The two sides of a line that is drawn through a segment in a slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.cuts.seeds import Seeds

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_NEAREST, _FARTHEST = 1.0, 3.5
"""Least and largest distance of a side's voxels from the line, in voxels; the cut runs through closer ones."""


def sides_of_line(document: LabelDocument, segment: int, line: Sequence[tuple[int, int, int]], axis: int) -> Seeds:
    """Voxels of a segment to the left (1) and to the right (2) of a line in a slice.

    ::

        . 1 1 1 .
        - - - - -   the line
        . 2 2 2 .

    Parameters
    ----------
    line : sequence of voxels
        One after the other, all with the same coordinate along the axis.
    axis : int
        The axis across the slice.

    Raises
    ------
    InvalidEdit
        If the line is no line, leaves the slice, or has the segment on one side only.
    """
    points = np.array(line, np.int64).reshape(-1, 3)
    seeds = beside_line(points, axis, Box.of_shape(document.shape), lambda box: document.segments(box) == segment)
    if len(seeds.used) < 2:
        raise InvalidEdit(
            f"Segment {segment} does not lie on both sides of the line.", "Draw the line from edge to edge across it."
        )
    return seeds


def beside_line(points: np.ndarray, axis: int, volume: Box, among: Callable[[Box], np.ndarray]) -> Seeds:
    """Voxels of a volume to the left (1) and to the right (2) of a line in a slice.

    Parameters
    ----------
    points : ndarray of int, shape (n, 3)
        Voxels (z, y, x), one after the other.
    among : callable
        Mask of the voxels of a box that count: bool, ``box.shape``.

    Raises
    ------
    InvalidEdit
        If the line is no line, leaves the slice, or lies outside of the volume.
    """
    points = points[np.r_[True, (points[1:] != points[:-1]).any(axis=1)]] if len(points) else points
    if len(points) < 2:
        raise InvalidEdit(f"A line has two different points at least, got {len(points)}.", "Draw it across a segment.")
    if (points[:, axis] != points[0, axis]).any():
        raise InvalidEdit(
            f"A line lies in one slice across axis {axis}, got {len(np.unique(points[:, axis]))} slices.",
            "Draw it without changing the slice.",
        )
    plane = [other for other in range(3) if other != axis]
    margin = np.array([int(np.ceil(_FARTHEST))] * 3)
    margin[axis] = 0
    around = Box(tuple(points.min(axis=0)), tuple(points.max(axis=0) + 1)).grow(margin.tolist())
    box = around.intersect(volume)
    if box.is_empty:
        raise InvalidEdit(f"The line lies outside of the volume {volume}.")
    voxels = np.argwhere(among(box)) + box.start
    offset, distance = _signed(voxels[:, plane].astype(float), points[:, plane].astype(float))
    close = (distance >= _NEAREST) & (distance <= _FARTHEST) & (offset != 0)
    return Seeds(voxels[close], np.where(offset[close] > 0, 1, 2))


def _signed(places: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sides of a line of many pieces that places lie on (sign; 0 beyond its ends), and distances from it."""
    side, nearest = np.zeros(len(places)), np.full(len(places), np.inf)
    last = len(line) - 2
    for k, (start, stop) in enumerate(pairwise(line)):
        way = stop - start
        along = (places - start) @ way / (way @ way)
        off = places - start - np.clip(along, 0, 1)[:, None] * way
        distance = np.sqrt((off**2).sum(axis=1))
        turned = way[0] * (places - start)[:, 1] - way[1] * (places - start)[:, 0]
        beyond = ((along < 0) & (k == 0)) | ((along > 1) & (k == last))
        closer = distance < nearest
        side[closer] = np.where(beyond, 0.0, np.sign(turned))[closer]
        nearest[closer] = distance[closer]
    return side, nearest
