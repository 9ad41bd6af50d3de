"""Constraints: what an edit means for training and for another segmentation of the same volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.geometry import Box, Voxel
from napari_pytc.proofreading.changes import Change

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


@dataclass(frozen=True, eq=False)
class MustLink:
    """Supervoxels that came from other segments are one object with the segment that they came to.

    Parameters
    ----------
    supervoxels : ndarray of uint32
        Those that were moved, sorted.
    came_from : ndarray of uint32
        The segment of each before.
    is_chosen : bool
        Whether a person joined them; False where the edit found them, as the segments that a filled hole holds.
    """

    supervoxels: np.ndarray
    came_from: np.ndarray
    is_chosen: bool

    def groups(self, supervoxels: np.ndarray) -> np.ndarray:
        """Segments that supervoxels came from; 0 for those that were not moved."""
        at = np.minimum(np.searchsorted(self.supervoxels, supervoxels), len(self.supervoxels) - 1)
        return np.where(self.supervoxels[at] == supervoxels, self.came_from[at], np.uint32(0))


@dataclass(frozen=True, eq=False)
class CannotLink:
    """The sides of a cut are different objects.

    Parameters
    ----------
    segments : tuple of int
        The segments of the sides, by the ids that they have now.
    supervoxels : ndarray of uint32
        Supervoxels that the cut moved to another segment.
    boxes : tuple of Box
        Boxes around the places where the cut went through voxels.
    seeds : callable
        Gives the voxels that mark each side, of a document and the segments (uint32) that count.
    """

    segments: tuple[int, ...]
    supervoxels: np.ndarray
    boxes: tuple[Box, ...]
    seeds: Callable[[LabelDocument, np.ndarray], list[list[Voxel]]]


@dataclass(frozen=True, eq=False)
class Painted:
    """Voxels that an edit gave to a segment or to the background.

    Parameters
    ----------
    patches : tuple of (Box, ndarray of bool)
        Boxes, and which of their voxels.
    is_chosen : bool
        Whether a person chose the voxels; False where they were worked out, as by smoothing.
    """

    patches: tuple[tuple[Box, np.ndarray], ...]
    is_chosen: bool


@dataclass(frozen=True)
class DenseTruth:
    """Locked segments are known to the last voxel."""

    segments: tuple[int, ...]


@dataclass(frozen=True)
class NoObject:
    """No object: the voxels of deleted segments are background."""

    segments: tuple[int, ...]


@dataclass(frozen=True)
class HasClass:
    """Segments are of a semantic class."""

    segments: tuple[int, ...]
    class_id: int


Constraint = MustLink | CannotLink | Painted | DenseTruth | NoObject | HasClass
"""Any constraint that an edit gives."""


def links_and_paint(change: Change, links_chosen: bool = False, voxels_chosen: bool = False) -> list[Constraint]:
    """Constraints of a change of supervoxels and voxels that cuts nothing.

    Parameters
    ----------
    links_chosen, voxels_chosen : bool
        Whether a person chose what was joined, and which voxels were changed.
    """
    found: list[Constraint] = []
    moves = [move for move in change.moves if move.before.all() and move.after.all()]
    if moves:
        supervoxels = np.concatenate([move.supervoxels for move in moves])
        order = np.argsort(supervoxels, kind="stable")
        came_from = np.concatenate([move.before for move in moves])[order]
        found.append(MustLink(supervoxels[order], came_from, links_chosen))
    if change.patches:
        found.append(Painted(tuple((patch.box, patch.mask) for patch in change.patches), voxels_chosen))
    return found
