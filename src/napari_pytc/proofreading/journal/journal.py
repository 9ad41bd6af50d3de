"""The journal: every edit of segments, strokes and object labels in order, with undo and redo."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from napari_pytc.errors import InvalidEdit, ProjectError, PytcError
from napari_pytc.proofreading.changes import Change, Target
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.base import Edit
from napari_pytc.proofreading.edits.switch_segmentation import SwitchSegmentation
from napari_pytc.proofreading.journal.journal_file import (
    Entry,
    JournalFile,
    JournalRow,
    drop_undone,
    forget,
    insert_entry,
    set_meta,
)
from napari_pytc.proofreading.journal.journal_state import NO_SEGMENTS, Documents, JournalState
from napari_pytc.proofreading.journal.journal_steps import JournalSteps

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

    Methods may be called from any thread; they wait for one another. `flush_problem` is the reason why voxels could not
    be written back lately; the edits are safe all the same, and the next edit tries again.

    Parameters
    ----------
    path : Path
        The SQLite file, made where it is missing.
    documents : Documents
        Opens what the edits change.
    flush_bytes : int
        Memory of changed voxels at which they are flushed.
    timeout_s : float
        Longest wait for another program that uses the file.

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
            self._state = JournalState(self._file, documents)
            if writable:
                self._state.repeat_strokes()
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
        return self._state.segmentation

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation with all its edits; opened at the first access.

        Raises
        ------
        PytcError
            If it is gone or damaged, or does not agree with the journal.
        """
        with self._lock:
            return self._state.current()

    @property
    def position(self) -> int:
        """Id of the last entry that is done; 0 at the beginning."""
        return self._state.position

    @property
    def can_undo(self) -> bool:
        """Whether there is an entry to take back."""
        return self._state.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is an entry to make again."""
        with self._lock:
            return bool(
                self._file.rows("SELECT 1 FROM entries WHERE dropped = 0 AND id > ? LIMIT 1", self._state.position)
            )

    def plan(self, edit: Edit) -> Change:
        """The change that an edit would make now; errors as in `apply`."""
        with self._lock:
            if isinstance(edit, SwitchSegmentation):
                return edit.plan(self.document)
            if edit.target != "segments":
                return edit.plan(self._state.paint_document(edit.target))  # type: ignore[arg-type]
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
        with self._lock, self._state.changing(edit.target):
            return self.apply_change(self.plan(edit))

    def apply_change(self, change: Change) -> Change:
        """Record a change that is planned already, and make it; errors as in `apply`."""
        with self._lock, self._state.changing(change.target):
            self._check_usable()
            step = JournalSteps(self._state, [(None, change, 1)])
            step.prepare()
            with self._file.changing() as connection:
                drop_undone(connection, self._state.position)
                segmentation = self._state.segmentation or ""
                entry = insert_entry(connection, change, self._state.position, segmentation, self._clock())
                step.record(connection, [entry], entry)
            try:
                step.make()
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
            The change as it was made, in its own direction; None where there is nothing to take back.

        Raises
        ------
        InvalidEdit
            If the entry cannot be undone any more: why.
        """
        with self._lock:
            done = self._last_done()
            return self._step_to([(done, -1)])[0] if done is not None else None

    def redo(self) -> Change | None:
        """Make the entry again that was taken back last; None where there is none."""
        with self._lock:
            undone = self._file.entries(
                "id = (SELECT MIN(id) FROM entries WHERE dropped = 0 AND id > ?)", self._state.position
            )
            return self._step_to([(undone[0], 1)])[0] if undone else None

    def jump(self, entry: int) -> list[Change]:
        """Undo or redo until this entry is the last one that is done; 0 is the beginning.

        Returns
        -------
        list of Change
            The changes that were made, in order; where there is more than one, without their voxels.

        Raises
        ------
        InvalidEdit
            If there is no such entry, or one on the way cannot be undone any more; nothing was changed.
        """
        with self._lock:
            if entry and not self._file.entries("id = ?", entry):
                raise InvalidEdit(f"There is no entry {entry} in the journal.", "Choose one of the list.")
            if entry < self._state.position:
                rows = self._file.entries("id > ? AND id <= ?", entry, self._state.position)
                steps = [(row, -1) for row in reversed(rows)]
            else:
                steps = [(row, 1) for row in self._file.entries("id > ? AND id <= ?", self._state.position, entry)]
            return self._step_to(steps)

    def entries(self) -> list[Entry]:
        """The journal, the oldest entry first, those that are taken back included."""
        with self._lock:
            names = {entry: name for entry, name, _ in self.checkpoints()}
            return [row.entry(self._state.position, names.get(row.id, "")) for row in self._file.entries()]

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
                    (self._state.position, name.strip(), self._clock(), checksum),
                )

    def checkpoints(self) -> list[tuple[int, str, str]]:
        """Entries that have a name, the name and the checksum of the segments there; entry 0 is the beginning."""
        with self._lock:
            rows = self._file.rows("SELECT entry, name, checksum FROM checkpoints ORDER BY entry")
            return [(int(entry), str(name), str(checksum)) for entry, name, checksum in rows]

    def seal(self, target: Target, reason: str) -> None:
        """Let undo stop before all entries so far that changed this target, as what they refer to no longer exists.

        Entries that are taken back are left behind. Call it before what they refer to goes.

        Parameters
        ----------
        reason : str
            The end of a sentence: "the class 'axon' was removed since".
        """
        with self._lock:
            self._check_usable()
            with self._file.changing() as connection:
                drop_undone(connection, self._state.position)
                connection.execute(
                    "UPDATE entries SET sealed = ? "
                    "WHERE dropped = 0 AND sealed = '' AND target = ? AND kind != 'switch'",
                    (reason, target),
                )
                if target == "annotations":
                    set_meta(connection, "strokes_done", self._state.n_logged)
            if target == "annotations":
                self._state.strokes_done = self._state.n_logged

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
            document = self._state.document
            if document is not None and document.log_index < self._state.n_logged:
                document.flush(self._state.n_logged)
            self._forget()

    def reload(self) -> None:
        """Open the current segmentation anew with the next use of it: its files were replaced."""
        with self._lock:
            self._state.document = None

    @property
    def n_logged(self) -> int:
        """Number of steps ever made; grows with every edit, undo and redo."""
        return self._state.n_logged

    def stored_checksum(self, segmentation: str) -> str:
        """The checksum that the journal has of a segmentation's present state; empty where it was never edited."""
        with self._lock:
            return self._file.meta(f"checksum:{segmentation}")

    def edits_of(self, segmentation: str, latest_first: bool = False) -> Iterator[tuple[Entry, Change]]:
        """All edits of a segmentation that are done, one at a time, the oldest first by default."""
        with self._lock:
            query = "segmentation = ? AND target = 'segments' AND kind != 'switch' AND id <= ?"
            rows = self._file.entries(query, segmentation, self._state.position)
        for row in reversed(rows) if latest_first else rows:
            with self._lock:
                change = self._file.change(row)
            yield row.entry(self._state.position), change

    def document_of(self, segmentation: str) -> LabelDocument:
        """A segmentation with all its edits, also one that is not current; errors as in `document`."""
        with self._lock:
            current = self._state.current() if segmentation == self._state.segmentation else None
            return self._state.open(segmentation) if current is None else current

    def close(self) -> None:
        """Flush and let go of the file; may be called twice."""
        with self._lock:
            try:
                if not self._broken and not self._file.is_closed:
                    self.flush()
            finally:
                self._file.close()

    def _check_usable(self) -> None:
        if self._broken and self._can_catch_up:  # the strokes could not be written, and perhaps can be by now
            self._state.repeat_strokes()
            self._broken = ""
        if self._broken:
            raise ProjectError(self._broken, "Close the project and open it again: the journal has every edit.")

    def _last_done(self) -> JournalRow | None:
        rows = self._file.entries("id = ?", self._state.position) if self._state.position else []
        return rows[0] if rows else None

    def _step_to(self, steps: list[tuple[JournalRow, int]]) -> list[Change]:
        if not steps:
            return []
        self._check_usable()
        for row, direction in steps:
            if direction < 0 and row.sealed:
                raise InvalidEdit(f"{row.title} cannot be undone: {row.sealed}.", "What came after it can.")
        painted: Target = "segments"
        for row, _ in steps:  # strokes and objects have one lock
            painted = row.target if row.target != "segments" else painted
        with self._state.changing(painted):
            journal_steps = JournalSteps(self._state, [(row, None, direction) for row, direction in steps])
            journal_steps.prepare()
            last, direction = steps[-1]
            position = last.id
            if direction < 0:
                rows = self._file.rows("SELECT parent FROM entries WHERE id = ?", last.id)
                position = int(rows[0][0])
            with self._file.changing() as connection:
                journal_steps.record(connection, [row.id for row, _ in steps], position)
            try:
                changes = journal_steps.make()
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
            self._state.position = parent
            self._broken = ""
        except PytcError as error:
            self._broken = f"An edit is recorded but not made: {error.message}"

    def _tidy(self) -> None:
        document = self._state.document
        if document is not None and (
            document.dirty_bytes > self._flush_bytes or self._state.n_logged - document.log_index > FLUSH_ROWS
        ):
            try:
                self.flush()
                self.flush_problem = ""
            except PytcError as error:  # the edit is safe in the journal, and the next one tries again
                self.flush_problem = str(error)

    def _forget(self) -> None:
        """Delete what no document needs any more."""
        document = self._state.document
        with self._file.changing() as connection:
            flushed = None if document is None else (document.id, document.log_index)
            forget(connection, self._state.strokes_done, flushed)
