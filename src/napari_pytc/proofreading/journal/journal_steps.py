"""Steps through the journal: an edit, an undo, or a jump over many."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import replace

from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.digests import Digests, digests_after
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.journal.journal_file import JournalRow, set_meta
from napari_pytc.proofreading.journal.journal_state import NO_SEGMENTS, JournalState


class JournalSteps:
    """Some steps through the journal: first everything that can fail, then the record, then the steps themselves."""

    def __init__(self, state: JournalState, steps: list[tuple[JournalRow | None, Change | None, int]]) -> None:
        self._state, self._steps = state, steps
        self._opened: dict[str, LabelDocument] = {}
        self._digests: dict[str, Digests] = {}
        self._single: Change | None = None
        self._numbers: list[int] = []
        self._segmentation = state.segmentation

    def prepare(self) -> None:
        """Read and check all changes, open what they need; raises where one cannot be made."""
        for row, given, direction in self._steps:
            change = self._change(row, given, direction)
            if change.edit.get("kind") == "switch":
                self._segmentation = _switched(change, direction)
                self._document()
            elif change.target == "segments":
                document = self._document()
                if document is None or (row is not None and row.segmentation != document.id):
                    raise InvalidEdit(*NO_SEGMENTS)
                if len(self._steps) == 1:
                    document.prepare(change)
                digests = self._digests.get(document.id, document.digests)
                self._digests[document.id] = digests_after(digests, change, document.shape)
            else:
                self._state.paint_document(change.target)
            if len(self._steps) == 1:
                self._single = change

    def record(self, connection: sqlite3.Connection, entries: list[int], position: int) -> None:
        """Write the steps into the log, and the state once they are made."""
        state = self._state
        for entry, (_, _, direction) in zip(entries, self._steps, strict=True):
            cursor = connection.execute("INSERT INTO log (entry, direction) VALUES (?, ?)", (entry, direction))
            self._numbers.append(int(cursor.lastrowid or 0))
        self._position = position
        set_meta(connection, "position", position)
        set_meta(connection, "segmentation", self._segmentation or "")
        set_meta(connection, "strokes_done", state.strokes_done)
        for segmentation, digests in self._digests.items():
            set_meta(connection, f"checksum:{segmentation}", self._opened[segmentation].checksum_of(digests))

    def make(self) -> list[Change]:
        """Make the steps, in order."""
        state = self._state
        made: list[Change] = []
        state.position = self._position
        for (row, given, direction), number in zip(self._steps, self._numbers, strict=True):
            state.n_logged = number
            change = self._single or self._change(row, given, direction)
            if change.edit.get("kind") == "switch":
                self._switch(_switched(change, direction))
            elif change.target != "segments":
                state.paint_document(change.target).apply(change)
            else:
                document = state.current()
                assert document is not None
                document.apply(change)
            made.append(change if self._single else replace(change, patches=()))
            state.strokes_done = number
        return made

    def _change(self, row: JournalRow | None, given: Change | None, direction: int) -> Change:
        if given is None:
            assert row is not None
            given = self._state.file.change(row)
        return given if direction > 0 else given.inverse()

    def _document(self) -> LabelDocument | None:
        """The document that is current at this step."""
        name, state = self._segmentation, self._state
        if name is None:
            return None
        if name not in self._opened:
            current = state.current() if name == state.segmentation else None
            self._opened[name] = current if current is not None else state.open(name)
        return self._opened[name]

    def _switch(self, segmentation: str | None) -> None:
        state = self._state
        former = state.document
        if former is not None:
            with suppress(PytcError):  # its edits stay in the log, and are made again when it is opened next
                former.flush(state.n_logged)
        state.segmentation = segmentation
        state.document = None if segmentation is None else self._opened[segmentation]


def _switched(change: Change, direction: int) -> str | None:
    found: str | None = change.edit.get("after" if direction > 0 else "before")
    return found
