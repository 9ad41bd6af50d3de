"""Derivation of constraints from the journal's entries, for training and for the transfer to another segmentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from napari_pytc.errors import InvalidEdit
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.base import parse_edit
from napari_pytc.proofreading.edits.constraints import CannotLink, Constraint, links_and_paint
from napari_pytc.proofreading.journal.journal_file import Entry


def derive_constraints(
    document: LabelDocument, edits: Iterable[tuple[Entry, Change]]
) -> Iterator[tuple[Entry, list[Constraint]]]:
    """Constraints of each edit as of now: states that a later edit took back constrain nothing.

    Parameters
    ----------
    document : LabelDocument
        As all of the edits left it.
    edits : iterable
        Those of the document that are done, the latest first: on the way back it is known what each segment became.

    Yields
    ------
    tuple of Entry and list of Constraint
        Each edit's, the latest first; edits without constraints included.
    """
    now: dict[int, int] = {}
    for entry, change in edits:
        found = []
        for constraint in _constraints(document, change):
            if isinstance(constraint, CannotLink):
                present = {now.get(segment, segment) for segment in constraint.segments}
                constraint = replace(constraint, segments=tuple(sorted(present)))
            found.append(constraint)
        yield entry, found
        if not any(isinstance(constraint, CannotLink) for constraint in found):
            now |= {before: now.get(after, after) for before, after in _renamed(change).items()}


def _constraints(document: LabelDocument, change: Change) -> list[Constraint]:
    try:
        edit = parse_edit(change.edit)
    except InvalidEdit:  # of a kind, or with fields, of another version
        return links_and_paint(change)
    return edit.constraints(document, change)


def _renamed(change: Change) -> dict[int, int]:
    """Segments that were merged into others as a whole."""
    found: dict[int, int] = {}
    for move in change.moves:
        pairs = np.unique(np.column_stack([move.before, move.after]), axis=0).tolist()
        found |= {before: after for before, after in pairs if before and after}
    return found
