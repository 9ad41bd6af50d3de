"""Steps through the journal: an edit, an undo, or a jump over many."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import replace

from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.digests import Digests, digests_after
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.journal_file import Row, set_meta
from napari_pytc.proofreading.opened import NO_SEGMENTS, Opened


class Walk:
    """Some steps through the journal: first everything that can fail, then the record, then the steps themselves."""

    def __init__(self, opened: Opened, steps: list[tuple[Row | None, Change | None, int]]) -> None:
        self._at, self._steps = opened, steps
        self._opened: dict[str, LabelDocument] = {}
        self._digests: dict[str, Digests] = {}
        self._single: Change | None = None
        self._numbers: list[int] = []
        self._segmentation = opened.segmentation

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
                self._at.painted(change.target)
            if len(self._steps) == 1:
                self._single = change

    def record(self, connection: sqlite3.Connection, entries: list[int], position: int) -> None:
        """Write the steps into the log, and what is so once they are made."""
        at = self._at
        for entry, (_, _, direction) in zip(entries, self._steps, strict=True):
            cursor = connection.execute("INSERT INTO log (entry, direction) VALUES (?, ?)", (entry, direction))
            self._numbers.append(int(cursor.lastrowid or 0))
        self._position = position
        set_meta(connection, "position", position)
        set_meta(connection, "segmentation", self._segmentation or "")
        set_meta(connection, "strokes_done", at.strokes_done)
        for segmentation, digests in self._digests.items():
            set_meta(connection, f"checksum:{segmentation}", self._opened[segmentation].checksum_of(digests))

    def make(self) -> list[Change]:
        """Make the steps, in order."""
        at = self._at
        made: list[Change] = []
        at.position = self._position
        for (row, given, direction), number in zip(self._steps, self._numbers, strict=True):
            at.n_logged = number
            change = self._single or self._change(row, given, direction)
            if change.edit.get("kind") == "switch":
                self._switch(_switched(change, direction))
            elif change.target != "segments":
                at.painted(change.target).apply(change)
            else:
                document = at.current()
                assert document is not None
                document.apply(change)
            made.append(change if self._single else replace(change, patches=()))
            at.strokes_done = number
        return made

    def _change(self, row: Row | None, given: Change | None, direction: int) -> Change:
        if given is None:
            assert row is not None
            given = self._at.file.change(row)
        return given if direction > 0 else given.inverse()

    def _document(self) -> LabelDocument | None:
        """The document that is current at this point of the walk."""
        name, at = self._segmentation, self._at
        if name is None:
            return None
        if name not in self._opened:
            current = at.current() if name == at.segmentation else None
            self._opened[name] = current if current is not None else at.open(name)
        return self._opened[name]

    def _switch(self, segmentation: str | None) -> None:
        at = self._at
        former = at.document
        if former is not None:
            with suppress(PytcError):  # its edits stay in the log, and are made again when it is opened next
                former.flush(at.n_logged)
        at.segmentation = segmentation
        at.document = None if segmentation is None else self._opened[segmentation]


def _switched(change: Change, direction: int) -> str | None:
    found: str | None = change.edit.get("after" if direction > 0 else "before")
    return found
