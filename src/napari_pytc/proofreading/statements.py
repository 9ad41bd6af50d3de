"""What the edits of a segmentation say of its objects, as of now: undone edits say nothing, nor do overruled ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from napari_pytc.annotations.said import Said
from napari_pytc.geometry import Box
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.entries import Entry

CUTS = ("split", "split_line")
PAINTED = ("paint", "new_segment", "fill_holes", "import_labels")
"""Kinds of edit whose voxels a person chose. What smoothing and removing islands came to is nobody's statement."""


@dataclass(frozen=True, eq=False)
class Joined:
    """A merge: supervoxels that came from elsewhere are one object with what they touch of their segment.

    Parameters
    ----------
    supervoxels : ndarray of uint32
        Those that were moved, sorted.
    came_from : ndarray of uint32
        The segment of each before.
    """

    time: float
    supervoxels: np.ndarray
    came_from: np.ndarray
    places: list[Box]

    def groups(self, supervoxels: np.ndarray) -> np.ndarray:
        """Where supervoxels came from: 0 for those that were not moved."""
        if not len(self.supervoxels):
            return np.zeros(supervoxels.shape, np.uint32)
        at = np.minimum(np.searchsorted(self.supervoxels, supervoxels), len(self.supervoxels) - 1)
        return np.where(self.supervoxels[at] == supervoxels, self.came_from[at], np.uint32(0))


@dataclass(frozen=True, eq=False)
class Cut:
    """A split: these segments are different objects."""

    time: float
    segments: tuple[int, ...]
    places: list[Box]


@dataclass(frozen=True, eq=False)
class Painted:
    """Voxels that a person gave to a segment: boxes, and which of their voxels."""

    time: float
    patches: list[tuple[Box, np.ndarray]]
    places: list[Box]


@dataclass(frozen=True, eq=False)
class Whole:
    """A locked segment: known to its last voxel."""

    time: float
    segment: int
    places: list[Box]


@dataclass(frozen=True, eq=False)
class Nothing:
    """A deleted segment: no object is there."""

    time: float
    segment: int
    places: list[Box]


Statement = Joined | Cut | Painted | Whole | Nothing


@dataclass(frozen=True)
class Statements:
    """All that is said of a segmentation, and which of its segments are said to be different objects."""

    joined: list[Joined] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    painted: list[Painted] = field(default_factory=list)
    whole: list[Whole] = field(default_factory=list)
    nothing: list[Nothing] = field(default_factory=list)

    @property
    def all(self) -> list[Statement]:
        """One after the other."""
        return [*self.joined, *self.cut, *self.painted, *self.whole, *self.nothing]

    @classmethod
    def of(cls, document: LabelDocument, edits: Iterable[tuple[Entry, Change]]) -> Statements:
        """What edits say.

        Parameters
        ----------
        document : LabelDocument
            As all of the edits left it.
        edits : iterable
            Those of the document that are done, in order.
        """
        found, notes, seen = cls(), _Notes(), []
        for entry, change in edits:
            notes.hear(entry)
            if entry.kind == "merge" and change.moves:
                joined = _joined(document, entry, change)
                if joined.places:
                    found.joined.append(joined)
            if entry.kind in PAINTED and change.patches:
                patches = [(patch.box, patch.mask) for patch in change.patches]
                found.painted.append(Painted(entry.time, patches, [box for box, _ in patches]))
            seen.append((entry, _renaming(entry, change), _places_of_cut(document, entry, change)))
        now: dict[int, int] = {}
        for entry, renamed, places in reversed(seen):
            if entry.kind in CUTS:
                segments = sorted({now.get(k, k) for k in entry.segments if document.exists(now.get(k, k))})
                if len(segments) > 1 and places:
                    found.cut.insert(0, Cut(entry.time, tuple(segments), places))
            now |= {before: now.get(after, after) for before, after in renamed.items()}
        for segment in document.noted_segments():
            state = document.state(segment)
            if state.deleted or state.locked:
                places = boxes_of(document, document.members(segment))
                if state.deleted:
                    found.nothing.append(Nothing(notes.deleted.get(segment, 0.0), segment, places))
                else:
                    found.whole.append(Whole(notes.locked.get(segment, 0.0), segment, places))
        return found

    def said(self, document: LabelDocument) -> Said:
        """Which segments are said to be different objects."""
        pairs = {(a, b) for cut in self.cut for a in cut.segments for b in cut.segments if a < b}
        painted: set[int] = set()
        for statement in self.painted:
            for box, mask in statement.patches:
                painted.update(np.unique(document.segments(box)[mask]).tolist())
        whole = frozenset(statement.segment for statement in self.whole)
        return Said(whole, frozenset(painted - {0}), frozenset(pairs))


def boxes_of(document: LabelDocument, supervoxels: np.ndarray) -> list[Box]:
    """The boxes of supervoxels that have a voxel."""
    rows = document.boxes(supervoxels)
    rows = rows[(rows[:, 3:] > rows[:, :3]).all(axis=1)].tolist()
    return [Box((z0, y0, x0), (z1, y1, x1)) for z0, y0, x0, z1, y1, x1 in rows]


class _Notes:
    """When segments were last locked or deleted."""

    def __init__(self) -> None:
        self.locked: dict[int, float] = {}
        self.deleted: dict[int, float] = {}

    def hear(self, entry: Entry) -> None:
        noted = {"lock": self.locked, "delete": self.deleted}.get(entry.kind)
        if noted is not None:
            noted.update(dict.fromkeys(entry.segments, entry.time))


def _joined(document: LabelDocument, entry: Entry, change: Change) -> Joined:
    supervoxels = np.concatenate([move.supervoxels for move in change.moves])
    came_from = np.concatenate([move.before for move in change.moves])
    order = np.argsort(supervoxels, kind="stable")
    supervoxels, came_from = supervoxels[order], came_from[order]
    places = boxes_of(document, _at_contacts(document, supervoxels, came_from))
    return Joined(entry.time, supervoxels, came_from, places)


def _at_contacts(document: LabelDocument, supervoxels: np.ndarray, came_from: np.ndarray) -> np.ndarray:
    """Those of the moved supervoxels that may touch what they were joined with: the others need not be looked at."""
    if not len(supervoxels):
        return supervoxels
    graph, touched = document.graph, document.touched
    contacts = [graph.neighbours(supervoxel) for supervoxel in supervoxels.tolist()]
    mine = np.repeat(np.arange(len(supervoxels)), [len(found) for found in contacts])
    ends = np.asarray(graph.edges[np.concatenate(contacts)])
    beside = np.where(ends[:, 0] == supervoxels[mine], ends[:, 1], ends[:, 0])
    at = np.minimum(np.searchsorted(supervoxels, beside), len(supervoxels) - 1)
    alike = (supervoxels[at] == beside) & (came_from[at] == came_from[mine])
    joined = ~alike & (document.owners(beside) == document.owners(supervoxels)[mine])
    # Contacts of what later edits cut or painted are in no graph.
    chosen = np.isin(supervoxels, touched)
    chosen[mine[joined | np.isin(beside, touched)]] = True
    found: np.ndarray = supervoxels[chosen]
    return found


def _renaming(entry: Entry, change: Change) -> dict[int, int]:
    """Segments that went over into others as a whole."""
    if entry.kind in CUTS:
        return {}
    found: dict[int, int] = {}
    for move in change.moves:
        pairs = np.unique(np.column_stack([move.before, move.after]), axis=0).tolist()
        found |= {before: after for before, after in pairs if before and after}
    return found


def _places_of_cut(document: LabelDocument, entry: Entry, change: Change) -> list[Box]:
    if entry.kind not in CUTS:
        return []
    places = [patch.box for patch in change.patches]
    for move in change.moves:
        places += boxes_of(document, move.supervoxels)
    return places
