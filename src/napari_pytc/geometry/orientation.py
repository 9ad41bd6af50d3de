"""Mirrored and turned copies of an image: where their voxels and directions lie in the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from napari_pytc.geometry.box import Box, Shape


class Orientation(NamedTuple):
    """A copy of an image: mirrored along some axes, then, if it is swapped, with y and x exchanged.

    ::

        image     mirrored along y      then y and x exchanged: a quarter turn
        a b       c d                   c a
        c d       a b                   d b

    Every mirrored copy and quarter turn in the plane of a volume is one of sixteen, each written in one way.

    Parameters
    ----------
    mirrored : tuple of int
        Axes of the image, 0 to 2 for z, y and x, in this order.
    swapped : bool
        Whether y and x are exchanged then.
    """

    mirrored: tuple[int, ...] = ()
    swapped: bool = False

    def turned(self, quarter: Orientation) -> Orientation:
        """The copy of an image that is mirrored as this one, and then turned by one of `QUARTER_TURNS`."""
        return Orientation(tuple(sorted(set(self.mirrored) ^ set(quarter.mirrored))), quarter.swapped)

    def box(self, box: Box, shape: Shape) -> Box:
        """The box of the copy that holds the voxels of a box of an image of a shape."""
        start, stop = list(box.start), list(box.stop)
        for axis in self.mirrored:
            start[axis], stop[axis] = shape[axis] - box.stop[axis], shape[axis] - box.start[axis]
        if self.swapped:
            start[1:], stop[1:] = start[:0:-1], stop[:0:-1]
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def step_of_image(self, step: Shape) -> Shape:
        """The step from voxel to voxel in the image that a step (z, y, x) in the copy is."""
        found = [step[0], step[2], step[1]] if self.swapped else list(step)
        z, y, x = (-n if axis in self.mirrored else n for axis, n in enumerate(found))
        return (z, y, x)


QUARTER_TURNS = (Orientation(), Orientation((1,), True), Orientation((1, 2)), Orientation((2,), True))
"""No turn and the turns by one, two and three quarters in the plane of y and x."""


def distinct(orientations: Sequence[Orientation], shape: Sequence[int]) -> tuple[Orientation, ...]:
    """Copies of a block that differ: an axis of a single voxel is not mirrored."""
    lengths = tuple(shape)
    kept = (one._replace(mirrored=tuple(axis for axis in one.mirrored if lengths[axis] > 1)) for one in orientations)
    return tuple(dict.fromkeys(kept))
