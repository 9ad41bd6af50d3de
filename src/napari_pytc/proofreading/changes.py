"""What an edit comes to: a frozen value with its way back, independent of the edit that planned it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch

Target = Literal["segments", "annotations", "objects"]
"""What voxels a patch changes: the supervoxels of a segmentation, the strokes, or the objects to learn from."""


@dataclass(frozen=True, slots=True)
class SegmentState:
    """What is known of a segment besides its voxels.

    Parameters
    ----------
    locked : bool
        Done: edits that would change it are refused.
    deleted : bool
        Its voxels are shown and exported as background; they are all still there.
    class_id : int
        Semantic class, 0 for none.
    """

    locked: bool = False
    deleted: bool = False
    class_id: int = 0


@dataclass(frozen=True, eq=False)
class Move:
    """Supervoxels that change their segment; three uint32 arrays of one length. Segment 0 holds no supervoxel."""

    supervoxels: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def inverse(self) -> Move:
        """The way back."""
        return Move(self.supervoxels, self.after, self.before)


@dataclass(frozen=True, slots=True)
class Note:
    """A segment whose state changes; None where it is a segment that nothing was noted of."""

    segment: int
    before: SegmentState | None
    after: SegmentState | None

    def inverse(self) -> Note:
        """The way back."""
        return Note(self.segment, self.after, self.before)


@dataclass(frozen=True, eq=False)
class Change:
    """All that an edit changes, in absolute terms, so that doing it twice is the same as once.

    Parameters
    ----------
    edit : dict
        The edit as JSON, with its ``kind``.
    title : str
        One line for people, as "Merge 12 into 7".
    box : Box
        Where: what has to be drawn anew, and where a click on the journal's entry flies.
    segments : tuple of int
        The segments it touches, those that appear included.
    next_id : tuple of int
        The first id that is free, before and after; supervoxels and segments share one count, and no id is used twice.
    """

    edit: dict[str, Any]
    title: str
    box: Box
    segments: tuple[int, ...] = ()
    patches: tuple[LabelPatch, ...] = ()
    moves: tuple[Move, ...] = ()
    notes: tuple[Note, ...] = ()
    next_id: tuple[int, int] = (0, 0)
    target: Target = "segments"

    def inverse(self) -> Change:
        """The way back: what was last comes first."""
        return replace(
            self,
            patches=tuple(patch.inverse() for patch in reversed(self.patches)),
            moves=tuple(move.inverse() for move in reversed(self.moves)),
            notes=tuple(note.inverse() for note in reversed(self.notes)),
            next_id=(self.next_id[1], self.next_id[0]),
        )

    @property
    def n_voxels(self) -> int:
        """How many voxels are rewritten; a merge rewrites none."""
        return sum(patch.n_voxels for patch in self.patches)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.patches or self.moves or self.notes)
