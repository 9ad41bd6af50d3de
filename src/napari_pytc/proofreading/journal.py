"""One journal under every edit of segments and strokes: what was done, in order, and the way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from napari_pytc.errors import InvalidEdit, ProjectError, PytcError
from napari_pytc.proofreading.changes import Change, Target
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.base import Edit
from napari_pytc.proofreading.edits.switch import Switch
from napari_pytc.proofreading.entries import Documents, Entry
from napari_pytc.proofreading.journal_file import JournalFile, Row, forget, insert_entry, set_meta
from napari_pytc.proofreading.opened import NO_SEGMENTS, Opened
from napari_pytc.proofreading.walk import Walk

__all__ = ["Documents", "Entry", "Journal"]

FLUSH_BYTES = 128 * 2**20
FLUSH_ROWS = 2000


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
        self._broken, self._can_catch_up = "", False
        self.flush_problem = ""
        try:
            self._at = Opened(self._file, documents)
            if writable:
                self._at.repeat_strokes()
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
        return self._at.segmentation

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation with all its edits; opened when first asked for.

        Raises
        ------
        PytcError
            If it is gone or damaged, or does not agree with the journal.
        """
        with self._lock:
            return self._at.current()

    @property
    def position(self) -> int:
        """Id of the last entry that is done; 0 at the beginning."""
        return self._at.position

    @property
    def can_undo(self) -> bool:
        """Whether there is an entry to take back."""
        return self._at.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is an entry to make again."""
        with self._lock:
            return bool(
                self._file.rows("SELECT 1 FROM entries WHERE dropped = 0 AND id > ? LIMIT 1", self._at.position)
            )

    def plan(self, edit: Edit) -> Change:
        """What an edit would change now; errors as in `apply`."""
        with self._lock:
            if isinstance(edit, Switch):
                return edit.plan(self.document)
            if edit.target != "segments":
                return edit.plan(self._at.painted(edit.target))  # type: ignore[arg-type]
            document = self.document
            if document is None:
                raise InvalidEdit(*NO_SEGMENTS)
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
        with self._lock, self._at.changing(edit.target):
            return self.apply_change(self.plan(edit))

    def apply_change(self, change: Change) -> Change:
        """Record a change that is planned already, and make it; errors as in `apply`."""
        with self._lock, self._at.changing(change.target):
            self._check_usable()
            walk = Walk(self._at, [(None, change, 1)])
            walk.prepare()
            with self._file.changing() as connection:
                connection.execute("UPDATE entries SET dropped = 1 WHERE dropped = 0 AND id > ?", (self._at.position,))
                connection.execute("DELETE FROM checkpoints WHERE entry > ?", (self._at.position,))
                segmentation = self._at.segmentation or ""
                entry = insert_entry(connection, change, self._at.position, segmentation, self._clock())
                walk.record(connection, [entry], entry)
            try:
                walk.make()
            except BaseException as error:  # also what interrupts: a flush must not pass over this edit
                self._broken = "An edit is recorded but was not made."
                self._can_catch_up = change.target != "segments"
                if self._can_catch_up and isinstance(error, (PytcError, OSError)):
                    self._withdraw(entry)
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
                "id = (SELECT MIN(id) FROM entries WHERE dropped = 0 AND id > ?)", self._at.position
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
            if entry < self._at.position:
                rows = self._file.entries("id > ? AND id <= ?", entry, self._at.position)
                steps = [(row, -1) for row in reversed(rows)]
            else:
                steps = [(row, 1) for row in self._file.entries("id > ? AND id <= ?", self._at.position, entry)]
            return self._walk_to(steps)

    def entries(self) -> list[Entry]:
        """The journal, the oldest entry first, those that are taken back included."""
        with self._lock:
            names = {entry: name for entry, name, _ in self.checkpoints()}
            return [row.entry(self._at.position, names.get(row.id, "")) for row in self._file.entries()]

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
                    (self._at.position, name.strip(), self._clock(), checksum),
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
                connection.execute("UPDATE entries SET dropped = 1 WHERE dropped = 0 AND id > ?", (self._at.position,))
                connection.execute("DELETE FROM checkpoints WHERE entry > ?", (self._at.position,))
                connection.execute(
                    "UPDATE entries SET sealed = ? "
                    "WHERE dropped = 0 AND sealed = '' AND target = ? AND kind != 'switch'",
                    (reason, target),
                )
                if target == "annotations":
                    set_meta(connection, "strokes_done", self._at.n_logged)
            if target == "annotations":
                self._at.strokes_done = self._at.n_logged

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
            document = self._at.document
            if document is not None and document.log_index < self._at.n_logged:
                document.flush(self._at.n_logged)
            self._forget()

    def reload(self) -> None:
        """Open the current segmentation anew when it is asked for next: its files were replaced."""
        with self._lock:
            self._at.document = None

    @property
    def n_logged(self) -> int:
        """How many steps were ever made; grows with every edit, undo and redo."""
        return self._at.n_logged

    def stored_checksum(self, segmentation: str) -> str:
        """The checksum that the journal has of a segmentation's present state; empty where it was never edited."""
        with self._lock:
            return self._file.meta(f"checksum:{segmentation}")

    def edits_of(self, segmentation: str) -> Iterable[tuple[Entry, Change]]:
        """All edits of a segmentation that are done, in order, one at a time."""
        with self._lock:
            query = "segmentation = ? AND target = 'segments' AND kind != 'switch' AND id <= ?"
            rows = self._file.entries(query, segmentation, self._at.position)
        for row in rows:
            with self._lock:
                change = self._file.change(row)
            yield row.entry(self._at.position), change

    def document_of(self, segmentation: str) -> LabelDocument:
        """A segmentation with all its edits, also one that is not current; errors as in `document`."""
        with self._lock:
            current = self._at.current() if segmentation == self._at.segmentation else None
            return self._at.open(segmentation) if current is None else current

    def close(self) -> None:
        """Flush and let go of the file; may be called twice."""
        with self._lock:
            try:
                if not self._broken and not self._file.is_closed:
                    self.flush()
            finally:
                self._file.close()

    def _check_usable(self) -> None:
        if self._broken and self._can_catch_up:  # the disk refused strokes, and may take them by now
            self._at.repeat_strokes()
            self._broken = ""
        if self._broken:
            raise ProjectError(self._broken, "Close the project and open it again: the journal has every edit.")

    def _last_done(self) -> Row | None:
        rows = self._file.entries("id = ?", self._at.position) if self._at.position else []
        return rows[0] if rows else None

    def _walk_to(self, steps: list[tuple[Row, int]]) -> list[Change]:
        if not steps:
            return []
        self._check_usable()
        for row, direction in steps:
            if direction < 0 and row.sealed:
                raise InvalidEdit(f"{row.title} cannot be undone: {row.sealed}.", "What came after it can.")
        painted: Target = "segments"
        for row, _ in steps:  # strokes and objects have one lock
            painted = row.target if row.target != "segments" else painted
        with self._at.changing(painted):
            walk = Walk(self._at, [(row, None, direction) for row, direction in steps])
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
            except BaseException:  # also what interrupts: a flush must not pass over these steps
                self._broken = "A step of the journal is recorded but was not made."
                self._can_catch_up = painted != "segments" and len(steps) == 1
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
            self._at.position = parent
            self._broken = ""
        except PytcError as error:
            self._broken = f"An edit is recorded but not made: {error.message}"

    def _tidy(self) -> None:
        document = self._at.document
        if document is not None and (
            document.dirty_bytes > self._flush_bytes or self._at.n_logged - document.log_index > FLUSH_ROWS
        ):
            try:
                self.flush()
                self.flush_problem = ""
            except PytcError as error:  # the edit itself is safe in the journal: told when asked, tried again
                self.flush_problem = str(error)

    def _forget(self) -> None:
        """Delete what no document needs any more."""
        document = self._at.document
        with self._file.changing() as connection:
            flushed = None if document is None else (document.id, document.log_index)
            forget(connection, self._at.strokes_done, flushed)
