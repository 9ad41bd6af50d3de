"""Scores of faces from the affinity across each and from longer affinities that straddle it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_pytc.geometry import Shape


def reach_of(offsets: Sequence[Shape]) -> Shape:
    """Voxels along z, y, x around a face that `with_long_range` uses."""
    z, y, x = (found[1] if (found := _shortest(offsets, axis)) else 1 for axis in range(3))
    return (z, y, x)


def with_long_range(near: np.ndarray, affinities: np.ndarray, offsets: Sequence[Shape]) -> np.ndarray:
    """The mean of the affinity across each face and of those one size longer that straddle it.

    ::

        voxels  a   b   c | d   e   f      offset 3: the links a-d, b-e and c-f cross the face between c and d;
                |___________|              their mean counts as much as the link c-d itself
                    |___________|
                        |___________|

    A membrane that the network misses in one place is often seen from a little farther off. Longer links than the
    shortest ones are less informative in thin processes, because both their ends have left them; so they are not used.

    Parameters
    ----------
    near : ndarray of float32, shape (3, z, y, x)
        At ``[axis, voxel]`` between a voxel and the next.
    affinities : ndarray of float32, shape (c, z, y, x)
    offsets : sequence of tuple of int
        One (z, y, x) a channel of the affinities.

    Returns
    -------
    ndarray of float32
        As `near`, which stays where no link straddles a face.
    """
    joined = near.copy()
    for axis in range(3):
        found = _shortest(offsets, axis)
        if found is None or near.shape[axis + 1] <= found[1]:
            continue
        channel, length = found
        values = np.moveaxis(affinities[channel], axis, 0)
        links = values[:-length] if offsets[channel][axis] > 0 else values[length:]
        total, count = np.zeros_like(values), np.zeros((len(values), 1, 1), np.float32)
        for step in range(length):
            total[step : step + len(links)] += links
            count[step : step + len(links)] += 1
        faces = np.moveaxis(joined[axis], axis, 0)
        crossed = slice(0, len(values) - 1)  # the last face has no other side
        faces[crossed] = (faces[crossed] + total[crossed] / count[crossed]) / 2
    return joined


def _shortest(offsets: Sequence[Shape], axis: int) -> tuple[int, int] | None:
    """Channel and length of the shortest offset along an axis that is longer than a voxel; None where there is none."""
    lengths = [
        (abs(offset[axis]), channel)
        for channel, offset in enumerate(offsets)
        if abs(offset[axis]) > 1 and sum(map(abs, offset)) == abs(offset[axis])
    ]
    return (min(lengths)[1], min(lengths)[0]) if lengths else None
