"""Seeds of a cut: voxels that a user marked, each of a colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.errors import InvalidEdit, listed
from napari_pytc.geometry import Box, Shape

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_BLOCK = (16, 128, 128)


@dataclass(frozen=True, eq=False)
class Seeds:
    """Marked voxels, none twice.

    Parameters
    ----------
    voxels : ndarray of int, shape (n, 3)
        Places (z, y, x).
    colours : ndarray of int, shape (n,)
        Colour of each, from 1.
    """

    voxels: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, strokes: Mapping[int, Iterable[tuple[int, int, int]]], shape: Shape) -> Seeds:
        """The voxels of strokes or points by colour; those outside of the volume are left out.

        Raises
        ------
        InvalidEdit
            If a voxel has two colours, or a colour is not positive.
        """
        parts = []
        for colour, points in strokes.items():
            voxels = np.array(list(points), np.int64).reshape(-1, 3)
            if colour < 1:
                raise InvalidEdit(f"Colours are counted from 1, got {colour}.")
            parts.append(np.concatenate([voxels, np.full((len(voxels), 1), colour)], axis=1))
        rows = np.unique(np.concatenate([np.zeros((0, 4), np.int64), *parts]), axis=0)
        rows = rows[((rows[:, :3] >= 0) & (rows[:, :3] < np.array(shape))).all(axis=1)]
        twice = (rows[1:, :3] == rows[:-1, :3]).all(axis=1)
        if twice.any():
            place = tuple(rows[1:][twice][0, :3].tolist())
            raise InvalidEdit(f"The voxel {place} is marked with two colours.", "Mark each side with one.")
        return cls(rows[:, :3], rows[:, 3])

    def __len__(self) -> int:
        return len(self.voxels)

    @property
    def used(self) -> list[int]:
        """The colours there are, ascending."""
        return [int(colour) for colour in np.unique(self.colours)]

    @property
    def box(self) -> Box:
        """Around all voxels; there must be one."""
        return Box(tuple(self.voxels.min(axis=0)), tuple(self.voxels.max(axis=0) + 1))

    def chosen(self, which: np.ndarray) -> Seeds:
        """Some of them, by a bool each."""
        return Seeds(self.voxels[which], self.colours[which])

    def inside(self, box: Box) -> Seeds:
        """Seeds in a box."""
        return self.chosen(np.all((self.voxels >= box.start) & (self.voxels < box.stop), axis=1))


def supervoxels_at(document: LabelDocument, voxels: np.ndarray) -> np.ndarray:
    """Supervoxels of voxels of the volume, shape (n, 3), wherever they lie; uint32, shape (n,)."""
    found = np.zeros(len(voxels), np.uint32)
    _, blocks = np.unique(voxels // np.array(_BLOCK), axis=0, return_inverse=True)
    order = np.argsort(blocks.reshape(-1), kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(blocks.reshape(-1)[order])) + 1):
        if len(part):
            places = voxels[part]
            start = places.min(axis=0)
            labels = document.supervoxels(Box(tuple(start), tuple(places.max(axis=0) + 1)))
            found[part] = labels[tuple((places - start).T)]
    return found


def segment_under(document: LabelDocument, seeds: Seeds) -> tuple[int, Seeds, np.ndarray]:
    """The one segment that all colours mark, the seeds that lie in it, and their supervoxels.

    Strokes may run over other segments and the background: what lies there is left out.

    Raises
    ------
    InvalidEdit
        If there are fewer than two colours, or no or several segments that all of them mark.
    """
    if len(seeds.used) < 2:
        raise InvalidEdit(
            f"A cut needs seeds of two colours, got {len(seeds.used)}.", "Mark what belongs apart with another colour."
        )
    supervoxels = supervoxels_at(document, seeds.voxels)
    segments = document.lookup(supervoxels)
    marked = {colour: set(segments[seeds.colours == colour].tolist()) - {0} for colour in seeds.used}
    common = sorted(set.intersection(*marked.values()))
    if len(common) != 1:
        if common:
            raise InvalidEdit(
                f"All colours mark segments {listed(common)}, but one is cut at a time.", "Draw within one segment."
            )
        places = "; ".join(f"colour {c}: {listed(sorted(ids)) or 'no segment'}" for c, ids in marked.items())
        raise InvalidEdit(
            f"To cut a segment all colours have to mark it, got {places}.", "Draw every colour within one segment."
        )
    inside = segments == common[0]
    return common[0], seeds.chosen(inside), supervoxels[inside]
