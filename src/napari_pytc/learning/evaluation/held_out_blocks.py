"""The annotated held-out voxels in blocks: one half decides in a training, the other half scores the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace

Part = Literal["all", "watched", "scored"]

_SIDES = (64, 32, 16, 8)
_WANTED, _FEWEST = 24, 4


class HeldOutBlocks:
    """The volume as a chess board of blocks, of which those with annotations in held-out boxes count.

    ::

        s w s w      s: scored, nothing is decided by them
        w s w s      w: watched: they decide which weights are the best and when a training stops

    The blocks are the larger the more is annotated: 8 to 64 voxels in the plane, as much in nm along z. They lie at
    multiples of their sides, so that a block stays on its side when more is painted. Where so little is annotated
    that there are fewer than four of the smallest, all are scored and none is watched. A class that would only be
    watched has the block with most of it scored.

    Parameters
    ----------
    boxes : sequence of Box
        Disjoint, inside the held-out boxes.
    read : callable
        Labels of a box, 0 for what is not annotated; at most `n_labels`.
    """

    def __init__(
        self, boxes: Sequence[Box], read: Callable[[Box], np.ndarray], n_labels: int, space: VoxelSpace
    ) -> None:
        thickness, _, width = space.voxel_size_nm
        self._finest = (max(1, round(_SIDES[-1] * width / thickness)), _SIDES[-1], _SIDES[-1])
        counts: dict[Shape, np.ndarray] = {}
        for box in boxes:
            for cell, n in self._count(read(box), box, n_labels).items():
                counts[cell] = counts.get(cell, 0) + n
        for side in _SIDES:
            self._factor = side // _SIDES[-1]
            found: dict[Shape, np.ndarray] = {}
            for cell, n in counts.items():
                coarse = self._coarse(cell)
                found[coarse] = found.get(coarse, 0) + n
            if len(found) >= _WANTED:
                break
        self._cells = {cell: number for number, cell in enumerate(sorted(found))}
        self._is_watched = _divided(found) if len(found) >= _FEWEST else np.zeros(len(found), bool)

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def shape(self) -> Shape:
        """Lengths of a block along z, y, x in voxels."""
        z, y, x = (n * self._factor for n in self._finest)
        return (z, y, x)

    def of_part(self, part: Part) -> np.ndarray:
        """Mask of the blocks that belong to a part, bool."""
        if part == "all":
            return np.ones(len(self), bool)
        return self._is_watched if part == "watched" else ~self._is_watched

    def numbers(self, box: Box) -> np.ndarray:
        """The number of its block for each voxel of a box, int32; -1 in blocks that hold no annotation."""
        axes = [np.arange(a, b) // n for a, b, n in zip(box.start, box.stop, self.shape, strict=True)]
        (z, y, x), firsts = axes, [int(axis[0]) for axis in axes]
        known = np.full([int(axis[-1]) - first + 1 for axis, first in zip(axes, firsts, strict=True)], -1, np.int32)
        for cell in np.ndindex(known.shape):
            known[cell] = self._cells.get((cell[0] + firsts[0], cell[1] + firsts[1], cell[2] + firsts[2]), -1)
        return known[np.ix_(z - firsts[0], y - firsts[1], x - firsts[2])]

    def _coarse(self, cell: Shape) -> Shape:
        z, y, x = (n // self._factor for n in cell)
        return (z, y, x)

    def _count(self, labels: np.ndarray, box: Box, n_labels: int) -> dict[Shape, np.ndarray]:
        """Voxels of each label in the smallest blocks."""
        z, y, x = (np.arange(a, b) // n - a // n for a, b, n in zip(box.start, box.stop, self._finest, strict=True))
        shape = (int(z[-1]) + 1, int(y[-1]) + 1, int(x[-1]) + 1)
        of_voxel = (z[:, None, None] * shape[1] + y[None, :, None]) * shape[2] + x[None, None, :]
        is_labelled = (labels > 0) & (labels <= n_labels)
        keys = of_voxel[is_labelled] * n_labels + labels[is_labelled].astype(np.int64) - 1
        counts = np.bincount(keys, minlength=int(np.prod(shape)) * n_labels).reshape(*shape, n_labels)
        first = [a // n for a, n in zip(box.start, self._finest, strict=True)]
        found = {}
        for at in np.argwhere(counts.any(axis=-1)):
            found[(int(at[0]) + first[0], int(at[1]) + first[1], int(at[2]) + first[2])] = counts[tuple(at)]
        return found


def _divided(counts: dict[Shape, np.ndarray]) -> np.ndarray:
    """Mask of the watched blocks, in the order of their positions."""
    cells = sorted(counts)
    watched = np.array([sum(cell) % 2 == 1 for cell in cells])
    if watched.all() or not watched.any():  # strokes that happen to lie on one colour of the board
        watched = np.arange(len(cells)) % 2 == 1
    of_label = np.array([counts[cell] for cell in cells])
    for label in range(of_label.shape[1]):
        there = of_label[:, label]
        if there.any() and not there[~watched].any():
            watched[int(there.argmax())] = False
    return watched
