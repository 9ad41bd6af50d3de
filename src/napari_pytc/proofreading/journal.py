"""One journal under every edit of segments and strokes: what was done, in order, and the way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import InvalidEdit, ProjectError, PytcError
from napari_pytc.geometry import Box
from napari_pytc.proofreading.changes import Change, Target
from napari_pytc.proofreading.digests import Digests, digests_after
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.base import Edit
from napari_pytc.proofreading.edits.switch import Switch
from napari_pytc.proofreading.journal_file import JournalFile, Row, insert_entry, set_meta
from napari_pytc.proofreading.stroke_document import StrokeDocument

FLUSH_BYTES = 128 * 2**20
FLUSH_ROWS = 2000
_NO_SEGMENTS = ("There is no segmentation to edit yet.", "Make one under Segment, or activate one.")


class Documents(Protocol):
    """What a journal's edits change."""

    @property
    def annotations(self) -> AnnotationStore | None:
        """The strokes; None where there are none to edit."""

    def open(self, segmentation: str) -> LabelDocument:
        """A segmentation by id, as last flushed; raises a `PytcError` where it is gone or damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal.

    Parameters
    ----------
    id : int
        Grows with every entry; what `Journal.jump` takes.
    box : Box
        Where: what a click on it flies to.
    segments : tuple of int
        The segments it touched.
    is_undone : bool
        Whether it is taken back at the moment.
    checkpoint : str
        The name given to the state behind it; empty for none.
    segmentation : str
        Id of the segmentation that was current; empty for none.
    sealed : str
        Why it cannot be undone any more; empty if it can.
    """

    id: int
    title: str
    kind: str
    time: float
    box: Box
    segments: tuple[int, ...]
    n_voxels: int
    is_undone: bool
    checkpoint: str
    target: str
    segmentation: str
    sealed: str


class Journal:
    """All edits of a project in one file, each durable before it is made.

    ::

        entries   1 -- 2 -- 3 -- 4        position: the last entry that is done (here 3; 4 can be redone)
        log       1+ 2+ 3+ 4+ 4-          every step ever made; what a document has not flushed is made again on opening

    An edit is planned, written to the file with a full sync, and only then made, so that a kill loses at most the edit
    on its way. Voxels of segments are written back later (`flush`); strokes are written at once.

    Methods may be called from any thread; they wait for one another. `flush_problem` says why voxels could not be
    written back lately; the edits are safe all the same, and the next edit tries again.

    Parameters
    ----------
    path : Path
        The SQLite file, made where it is missing.
    documents : Documents
        Opens what the edits change.
    flush_bytes : int
        Memory of changed voxels at which they are flushed.
    timeout_s : float
        How long to wait for another program that uses the file.

    Raises
    ------
    ProjectError
        If the file is damaged, locked, of a newer version, or missing and not to be made.
    """

    def __init__(
        self,
        path: str | Path,
        documents: Documents,
        writable: bool = True,
        flush_bytes: int = FLUSH_BYTES,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._documents, self._flush_bytes, self._clock = documents, flush_bytes, clock
        self._lock = threading.RLock()
        self._file = JournalFile(Path(path), writable, timeout_s)
        self._document: LabelDocument | None = None
        self._broken = ""
        self.flush_problem = ""
        try:
            self._position = int(self._file.meta("position", "0"))
            self._segmentation = self._file.meta("segmentation") or None
            self._n_logged = self._file.last_logged()
            self._strokes_done = int(self._file.meta("strokes_done", "0"))
            if writable:
                self._repeat_strokes()
        except BaseException:
            self._file.close()
            raise

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._file.path

    @property
    def writable(self) -> bool:
        """Whether edits may be made."""
        return self._file.writable

    @property
    def segmentation(self) -> str | None:
        """Id of the current segmentation; None where there is none."""
        return self._segmentation

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation with all its edits; opened when first asked for.

        Raises
        ------
        PytcError
            If it is gone or damaged, or does not agree with the journal.
        """
        with self._lock:
            if self._document is None and self._segmentation is not None:
                self._document = self._open(self._segmentation)
            return self._document

    @property
    def position(self) -> int:
        """Id of the last entry that is done; 0 at the beginning."""
        return self._position

    @property
    def can_undo(self) -> bool:
        """Whether there is an entry to take back."""
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is an entry to make again."""
        with self._lock:
            return bool(self._file.rows("SELECT 1 FROM entries WHERE dropped = 0 AND id > ? LIMIT 1", self._position))

    def plan(self, edit: Edit) -> Change:
        """What an edit would change now; errors as in `apply`."""
        with self._lock:
            if isinstance(edit, Switch):
                return edit.plan(self.document)
            if edit.target == "annotations":
                return edit.plan(StrokeDocument(self._strokes()))  # type: ignore[arg-type]
            document = self.document
            if document is None:
                raise InvalidEdit(*_NO_SEGMENTS)
            return edit.plan(document)

    def apply(self, edit: Edit) -> Change:
        """Plan an edit, record it durably, then make it; what was undone before it can no longer be redone.

        Raises
        ------
        InvalidEdit
            If it is refused; nothing was changed.
        ProjectError, VolumeError
            If the disk refuses; nothing was changed.
        """
        with self._lock, self._changing(edit.target):
            return self.apply_change(self.plan(edit))

    def apply_change(self, change: Change) -> Change:
        """Record a change that is planned already, and make it; errors as in `apply`."""
        with self._lock, self._changing(change.target):
            self._check_usable()
            walk = _Walk(self, [(None, change, 1)])
            walk.prepare()
            with self._file.changing() as connection:
                connection.execute("UPDATE entries SET dropped = 1 WHERE dropped = 0 AND id > ?", (self._position,))
                connection.execute("DELETE FROM checkpoints WHERE entry > ?", (self._position,))
                segmentation = self._segmentation or ""
                entry = insert_entry(connection, change, self._position, segmentation, self._clock())
                walk.record(connection, [entry], entry)
            try:
                walk.make()
            except PytcError as error:
                if change.target == "annotations":
                    self._withdraw(entry)
                else:
                    self._broken = f"An edit is recorded but not made: {error.message}"
                raise
            self._tidy()
            return change

    def undo(self) -> Change | None:
        """Take the last entry back.

        Returns
        -------
        Change or None
            What was done, in the direction in which it was done; None where there is nothing to take back.

        Raises
        ------
        InvalidEdit
            If the entry cannot be undone any more: why.
        """
        with self._lock:
            done = self._last_done()
            return self._walk_to([(done, -1)])[0] if done is not None else None

    def redo(self) -> Change | None:
        """Make the entry again that was taken back last; None where there is none."""
        with self._lock:
            undone = self._file.entries(
                "id = (SELECT MIN(id) FROM entries WHERE dropped = 0 AND id > ?)", self._position
            )
            return self._walk_to([(undone[0], 1)])[0] if undone else None

    def jump(self, entry: int) -> list[Change]:
        """Undo or redo until this entry is the last one that is done; 0 is the beginning.

        Returns
        -------
        list of Change
            What was done, in order; where there is more than one, without their voxels.

        Raises
        ------
        InvalidEdit
            If there is no such entry, or one on the way cannot be undone any more; nothing was changed.
        """
        with self._lock:
            if entry and not self._file.entries("id = ?", entry):
                raise InvalidEdit(f"There is no entry {entry} in the journal.", "Choose one of the list.")
            if entry < self._position:
                rows = self._file.entries("id > ? AND id <= ?", entry, self._position)
                steps = [(row, -1) for row in reversed(rows)]
            else:
                steps = [(row, 1) for row in self._file.entries("id > ? AND id <= ?", self._position, entry)]
            return self._walk_to(steps)

    def entries(self) -> list[Entry]:
        """The journal, the oldest entry first, those that are taken back included."""
        with self._lock:
            names = {entry: name for entry, name, _ in self.checkpoints()}
            return [self._entry(row, names.get(row.id, "")) for row in self._file.entries()]

    def checkpoint(self, name: str) -> None:
        """Give the present state a name."""
        if not name.strip():
            raise InvalidEdit("A checkpoint needs a name, got an empty one.")
        with self._lock:
            self._check_usable()
            document = self.document
            checksum = "" if document is None else document.present_checksum()
            with self._file.changing() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO checkpoints (entry, name, time, checksum) VALUES (?, ?, ?, ?)",
                    (self._position, name.strip(), self._clock(), checksum),
                )

    def checkpoints(self) -> list[tuple[int, str, str]]:
        """Entries that have a name, the name and the checksum of the segments there; entry 0 is the beginning."""
        with self._lock:
            rows = self._file.rows("SELECT entry, name, checksum FROM checkpoints ORDER BY entry")
            return [(int(entry), str(name), str(checksum)) for entry, name, checksum in rows]

    def seal(self, target: Target, reason: str) -> None:
        """Let undo stop before all entries so far that changed this: what they refer to is no more.

        Entries that are taken back are left behind. Call it before what they refer to goes.

        Parameters
        ----------
        reason : str
            The end of a sentence: "the class 'axon' was removed since".
        """
        with self._lock:
            self._check_usable()
            with self._file.changing() as connection:
                connection.execute("UPDATE entries SET dropped = 1 WHERE dropped = 0 AND id > ?", (self._position,))
                connection.execute("DELETE FROM checkpoints WHERE entry > ?", (self._position,))
                connection.execute(
                    "UPDATE entries SET sealed = ? "
                    "WHERE dropped = 0 AND sealed = '' AND target = ? AND kind != 'switch'",
                    (reason, target),
                )
                if target == "annotations":
                    set_meta(connection, "strokes_done", self._n_logged)
            if target == "annotations":
                self._strokes_done = self._n_logged

    def flush(self) -> None:
        """Save all edits beside the segmentation, for other processes; they were in the journal before.

        Raises
        ------
        VolumeError, ProjectError
            If the disk refuses; nothing is lost, and flushing again goes on.
        """
        with self._lock:
            if not self.writable:
                return
            document = self._document
            if document is not None and document.log_index < self._n_logged:
                document.flush(self._n_logged)
            self._forget()

    def reload(self) -> None:
        """Open the current segmentation anew when it is asked for next: its files were replaced."""
        with self._lock:
            self._document = None

    @property
    def n_logged(self) -> int:
        """How many steps were ever made; grows with every edit, undo and redo."""
        return self._n_logged

    def stored_checksum(self, segmentation: str) -> str:
        """The checksum that the journal has of a segmentation's present state; empty where it was never edited."""
        with self._lock:
            return self._file.meta(f"checksum:{segmentation}")

    def changes_of(self, segmentation: str) -> Iterable[Change]:
        """All changes of a segmentation that are done, in order, one at a time."""
        with self._lock:
            query = "segmentation = ? AND target = 'segments' AND kind != 'switch' AND id <= ?"
            rows = self._file.entries(query, segmentation, self._position)
        for row in rows:
            with self._lock:
                change = self._file.change(row)
            yield change

    def close(self) -> None:
        """Flush and let go of the file; may be called twice."""
        with self._lock:
            try:
                if not self._broken and not self._file.is_closed:
                    self.flush()
            finally:
                self._file.close()

    def _check_usable(self) -> None:
        if self._broken:
            raise ProjectError(self._broken, "Close the project and open it again: the journal has every edit.")

    def _strokes(self) -> AnnotationStore:
        store = self._documents.annotations
        if store is None:
            raise InvalidEdit("There are no strokes to edit here.", "Open the project they belong to.")
        return store

    def _changing(self, target: Target) -> Any:
        """Keep others from changing strokes between reading and writing them."""
        store = self._documents.annotations
        return store.changing() if target == "annotations" and store is not None else nullcontext()

    def _open(self, segmentation: str) -> LabelDocument:
        """A segmentation as of the journal: what it has not flushed is made again."""
        document = self._documents.open(segmentation)
        if document.log_index > self._n_logged and self.writable:
            # The journal was moved away: rows it gets from now on must come after what the segmentation has.
            with self._file.changing() as connection:
                connection.execute("DELETE FROM sqlite_sequence WHERE name = 'log'")
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('log', ?)", (document.log_index,))
            self._n_logged = document.log_index
        query = "segmentation = ? AND target = 'segments' AND kind != 'switch'"
        for _, direction, row in self._file.logged(document.log_index, query, segmentation):
            change = self._file.change(row)
            document.apply(change if direction > 0 else change.inverse())
        stored = self.stored_checksum(segmentation)
        if stored and stored != document.present_checksum():
            raise ProjectError(
                f"The segmentation {segmentation} does not agree with the journal.",
                "One of them was replaced by an older copy. Rebuild it: napari-pytc replay.",
            )
        return document

    def _repeat_strokes(self) -> None:
        """Make the strokes again that may not have reached the disk before the last kill."""
        store = self._documents.annotations
        if store is None or not store.writable:
            return
        for n, direction, row in self._file.logged(self._strokes_done, "target = 'annotations'"):
            change = self._file.change(row)
            StrokeDocument(store).apply(change if direction > 0 else change.inverse())
            self._strokes_done = n

    def _last_done(self) -> Row | None:
        rows = self._file.entries("id = ?", self._position) if self._position else []
        return rows[0] if rows else None

    def _entry(self, row: Row, checkpoint: str) -> Entry:
        return Entry(
            row.id, row.title, row.kind, row.time, row.box, row.segments, row.n_voxels, row.id > self._position,
            checkpoint, row.target, row.segmentation, row.sealed,
        )  # fmt: skip

    def _walk_to(self, steps: list[tuple[Row, int]]) -> list[Change]:
        if not steps:
            return []
        self._check_usable()
        for row, direction in steps:
            if direction < 0 and row.sealed:
                raise InvalidEdit(f"{row.title} cannot be undone: {row.sealed}.", "What came after it can.")
        has_strokes = any(row.target == "annotations" for row, _ in steps)
        with self._changing("annotations" if has_strokes else "segments"):
            walk = _Walk(self, [(row, None, direction) for row, direction in steps])
            walk.prepare()
            last, direction = steps[-1]
            position = last.id
            if direction < 0:
                rows = self._file.rows("SELECT parent FROM entries WHERE id = ?", last.id)
                position = int(rows[0][0])
            with self._file.changing() as connection:
                walk.record(connection, [row.id for row, _ in steps], position)
            try:
                changes = walk.make()
            except PytcError as error:
                self._broken = f"Not every voxel could be changed: {error.message}"
                raise
            self._tidy()
            return changes

    def _withdraw(self, entry: int) -> None:
        """Take back the record of an edit that could not be made."""
        try:
            with self._file.changing() as connection:
                (parent,) = connection.execute("SELECT parent FROM entries WHERE id = ?", (entry,)).fetchone()
                connection.execute("DELETE FROM log WHERE entry = ?", (entry,))
                connection.execute("DELETE FROM entries WHERE id = ?", (entry,))
                set_meta(connection, "position", parent)
            self._position = parent
        except PytcError as error:
            self._broken = f"An edit is recorded but not made: {error.message}"

    def _tidy(self) -> None:
        document = self._document
        if document is not None and (
            document.dirty_bytes > self._flush_bytes or self._n_logged - document.log_index > FLUSH_ROWS
        ):
            try:
                self.flush()
                self.flush_problem = ""
            except PytcError as error:  # the edit itself is safe in the journal: told when asked, tried again
                self.flush_problem = str(error)

    def _forget(self) -> None:
        """Delete what no document needs any more: rows of the log that are flushed, entries that were left behind."""
        document = self._document
        with self._file.changing() as connection:
            set_meta(connection, "strokes_done", self._strokes_done)
            connection.execute(
                "DELETE FROM log WHERE n <= ? AND entry IN (SELECT id FROM entries WHERE target = 'annotations')",
                (self._strokes_done,),
            )
            if document is not None:
                connection.execute(
                    "DELETE FROM log WHERE n <= ? AND entry IN (SELECT id FROM entries WHERE segmentation = ? "
                    "AND target = 'segments')",
                    (document.log_index, document.id),
                )
            connection.execute("DELETE FROM log WHERE entry IN (SELECT id FROM entries WHERE kind = 'switch')")
            connection.execute("DELETE FROM entries WHERE dropped = 1 AND id NOT IN (SELECT entry FROM log)")


class _Walk:
    """Some steps through the journal: first everything that can fail, then the record, then the steps themselves."""

    def __init__(self, journal: Journal, steps: list[tuple[Row | None, Change | None, int]]) -> None:
        self._journal, self._steps = journal, steps
        self._opened: dict[str, LabelDocument] = {}
        self._digests: dict[str, Digests] = {}
        self._single: Change | None = None
        self._numbers: list[int] = []
        self._segmentation = journal._segmentation

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
                    raise InvalidEdit(*_NO_SEGMENTS)
                if len(self._steps) == 1:
                    document.prepare(change)
                digests = self._digests.get(document.id, document.digests)
                self._digests[document.id] = digests_after(digests, change, document.shape)
            else:
                self._journal._strokes()
            if len(self._steps) == 1:
                self._single = change

    def record(self, connection: Any, entries: list[int], position: int) -> None:
        """Write the steps into the log, and what is so once they are made."""
        journal = self._journal
        for entry, (_, _, direction) in zip(entries, self._steps, strict=True):
            cursor = connection.execute("INSERT INTO log (entry, direction) VALUES (?, ?)", (entry, direction))
            self._numbers.append(int(cursor.lastrowid))
        self._position = position
        set_meta(connection, "position", position)
        set_meta(connection, "segmentation", self._segmentation or "")
        set_meta(connection, "strokes_done", journal._strokes_done)
        for segmentation, digests in self._digests.items():
            set_meta(connection, f"checksum:{segmentation}", self._opened[segmentation].checksum_of(digests))

    def make(self) -> list[Change]:
        """Make the steps, in order."""
        journal, made = self._journal, []
        journal._position = self._position
        for (row, given, direction), number in zip(self._steps, self._numbers, strict=True):
            journal._n_logged = number
            change = self._single or self._change(row, given, direction)
            if change.edit.get("kind") == "switch":
                self._switch(_switched(change, direction))
            elif change.target == "annotations":
                StrokeDocument(journal._strokes()).apply(change)
            else:
                document = journal.document
                assert document is not None
                document.apply(change)
            made.append(change if self._single else replace(change, patches=()))
            journal._strokes_done = number
        return made

    def _change(self, row: Row | None, given: Change | None, direction: int) -> Change:
        if given is None:
            assert row is not None
            given = self._journal._file.change(row)
        return given if direction > 0 else given.inverse()

    def _document(self) -> LabelDocument | None:
        """The document that is current at this point of the walk."""
        name, journal = self._segmentation, self._journal
        if name is None:
            return None
        if name not in self._opened:
            current = journal.document if name == journal._segmentation else None
            self._opened[name] = current if current is not None else journal._open(name)
        return self._opened[name]

    def _switch(self, segmentation: str | None) -> None:
        journal = self._journal
        former = journal._document
        if former is not None:
            with suppress(PytcError):  # its edits stay in the log, and are made again when it is opened next
                former.flush(journal._n_logged)
        journal._segmentation = segmentation
        journal._document = None if segmentation is None else self._opened[segmentation]


def _switched(change: Change, direction: int) -> str | None:
    return change.edit.get("after" if direction > 0 else "before")
