"""Constraints of the edits of a segmentation with the boxes in which they are training data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_pytc.annotations.object_relations import ObjectRelations
from napari_pytc.geometry import Box
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.constraints.derivation import derive_constraints
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.constraints import (
    CannotLink,
    Constraint,
    DenseTruth,
    MustLink,
    NoObject,
    Painted,
)
from napari_pytc.proofreading.journal.journal_file import Entry


@dataclass(frozen=True, eq=False)
class PlacedConstraint:
    """A constraint, its time in seconds since the epoch, and boxes around its voxels."""

    constraint: Constraint
    time: float
    boxes: list[Box]


def place_constraints(document: LabelDocument, edits: Iterable[tuple[Entry, Change]]) -> list[PlacedConstraint]:
    """Constraints that people stated and that still hold, those of one segment each, the oldest first.

    Parameters
    ----------
    document : LabelDocument
        As all of the edits left it.
    edits : iterable
        Those that are done, the latest first.
    """
    found: list[PlacedConstraint] = []
    noted: set[int] = set()
    for entry, constraints in derive_constraints(document, edits):
        for constraint in constraints:
            if isinstance(constraint, DenseTruth | NoObject):  # as of the last edit that locked or deleted it
                for segment in set(constraint.segments) - noted:
                    one = replace(constraint, segments=(segment,))
                    found.append(PlacedConstraint(one, entry.time, boxes_of(document, document.members(segment))))
                noted.update(constraint.segments)
            else:
                found += _placed(document, constraint, entry.time)
    return [*reversed(found), *_without_entry(document, noted)]


def object_relations(document: LabelDocument, placed: Sequence[PlacedConstraint]) -> ObjectRelations:
    """Segments that are different objects by the constraints."""
    pairs: set[tuple[int, int]] = set()
    painted: set[int] = set()
    complete: set[int] = set()
    for constraint in (one.constraint for one in placed):
        match constraint:
            case CannotLink():
                pairs |= {(a, b) for a in constraint.segments for b in constraint.segments if a < b}
            case Painted():
                for box, mask in constraint.patches:
                    painted.update(np.unique(document.segments(box)[mask]).tolist())
            case DenseTruth():
                complete.update(constraint.segments)
    return ObjectRelations(frozenset(complete), frozenset(painted - {0}), frozenset(pairs))


def boxes_of(document: LabelDocument, supervoxels: np.ndarray) -> list[Box]:
    """The boxes of supervoxels that have a voxel."""
    rows = document.boxes(supervoxels)
    rows = rows[(rows[:, 3:] > rows[:, :3]).all(axis=1)].tolist()
    return [Box((z0, y0, x0), (z1, y1, x1)) for z0, y0, x0, z1, y1, x1 in rows]


def _placed(document: LabelDocument, constraint: Constraint, time: float) -> Iterator[PlacedConstraint]:
    match constraint:
        case MustLink() if constraint.is_chosen:
            boxes = boxes_of(document, _at_contacts(document, constraint))
            if boxes:
                yield PlacedConstraint(constraint, time, boxes)
        case CannotLink():
            segments = tuple(segment for segment in constraint.segments if document.exists(segment))
            boxes = [*constraint.boxes, *boxes_of(document, constraint.supervoxels)]
            if len(segments) > 1 and boxes:
                yield PlacedConstraint(replace(constraint, segments=segments), time, boxes)
        case Painted() if constraint.is_chosen:
            yield PlacedConstraint(constraint, time, [box for box, _ in constraint.patches])


def _without_entry(document: LabelDocument, noted: set[int]) -> Iterator[PlacedConstraint]:
    """Segments whose lock or deletion is in no entry: the journal was moved away."""
    for segment in document.noted_segments():
        state = document.state(segment)
        if segment not in noted and (state.deleted or state.locked):
            constraint = (NoObject if state.deleted else DenseTruth)((segment,))
            yield PlacedConstraint(constraint, 0.0, boxes_of(document, document.members(segment)))


def _at_contacts(document: LabelDocument, link: MustLink) -> np.ndarray:
    """Moved supervoxels that may touch what they were joined with; the others need not be examined."""
    supervoxels, came_from = link.supervoxels, link.came_from
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
