"""The journal's SQLite file; docs/design/journal.md describes it for others."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box
from napari_pytc.proofreading.changes import Change, Target

VERSION = 1
_SCHEMA = """
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        parent INTEGER NOT NULL,             -- the entry before it, 0 for the first
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        edit TEXT NOT NULL,                  -- JSON
        box TEXT NOT NULL,                   -- Z0:Z1,Y0:Y1,X0:X1
        segments TEXT NOT NULL,              -- JSON list
        target TEXT NOT NULL,                -- segments | annotations | objects
        segmentation TEXT NOT NULL,          -- which one was current; '' for none
        n_voxels INTEGER NOT NULL,
        time REAL NOT NULL,                  -- seconds since the epoch
        change BLOB NOT NULL,
        dropped INTEGER NOT NULL DEFAULT 0,  -- 1: undone and then left behind by another edit
        sealed TEXT NOT NULL DEFAULT ''      -- why it cannot be undone any more
    );
    CREATE TABLE log (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        entry INTEGER NOT NULL REFERENCES entries(id),
        direction INTEGER NOT NULL           -- 1: done, -1: undone
    );
    CREATE TABLE checkpoints (
        entry INTEGER PRIMARY KEY, name TEXT NOT NULL, time REAL NOT NULL, checksum TEXT NOT NULL
    );
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "id, kind, title, edit, box, segments, target, segmentation, n_voxels, time, sealed"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal.

    Parameters
    ----------
    id : int
        Grows with every entry; the argument of `Journal.jump`.
    box : Box
        Box of the change, to which a click on the entry moves the view.
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


@dataclass(frozen=True, slots=True)
class JournalRow:
    """An entry as stored, without its change."""

    id: int
    kind: str
    title: str
    edit: dict[str, Any]
    box: Box
    segments: tuple[int, ...]
    target: Target
    segmentation: str
    n_voxels: int
    time: float
    sealed: str

    def entry(self, position: int, checkpoint: str = "") -> Entry:
        """The entry of this row, where `position` is the last entry that is done."""
        return Entry(
            self.id, self.title, self.kind, self.time, self.box, self.segments, self.n_voxels, self.id > position,
            checkpoint, self.target, self.segmentation, self.sealed,
        )  # fmt: skip


class JournalFile:
    """One connection to the journal's file, for one thread at a time; a change is on the disk when its block ends.

    A rollback journal instead of a write-ahead log, because projects lie on network folders too; its file is kept and
    used again, which spares a quarter of the time of a commit.
    """

    def __init__(self, path: Path, writable: bool, timeout_s: float) -> None:
        self.path, self.writable = path, writable
        self._connection: sqlite3.Connection | None = None
        with _sentence_errors(path):
            self._connection = self._connect(timeout_s)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._connection is None

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block or nothing of it, durably.

        Raises
        ------
        ProjectError
            If the disk is full, the file is in use by another program, or damaged; nothing was changed.
        """
        if not self.writable:
            raise ProjectError(f"The journal {self.path} is open for reading only.", "Open the project for writing.")
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def meta(self, key: str, default: str = "") -> str:
        """A value by key."""
        rows = self.rows("SELECT value FROM meta WHERE key = ?", key)
        return str(rows[0][0]) if rows else default

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._connected() as connection:
            return connection.execute(query, values).fetchall()

    def entries(self, where: str = "1", *values: Any) -> list[JournalRow]:
        """Entries that were not left behind, the oldest first."""
        found = self.rows(f"SELECT {_COLUMNS} FROM entries WHERE dropped = 0 AND {where} ORDER BY id", *values)
        return [self._row(row) for row in found]

    def logged(self, after: int, where: str, *values: Any) -> list[tuple[int, int, JournalRow]]:
        """Rows of the log behind one: their number, direction and entry, in order; entries left behind included."""
        columns = ", ".join(f"e.{name}" for name in _COLUMNS.split(", "))
        query = (
            f"SELECT n, direction, {columns} FROM log JOIN entries e ON e.id = entry WHERE n > ? AND {where} ORDER BY n"
        )
        return [(n, direction, self._row(row)) for n, direction, *row in self.rows(query, after, *values)]

    def last_logged(self) -> int:
        """Number of the last row that was ever in the log."""
        rows = self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'log'")
        return int(rows[0][0]) if rows else 0

    def change(self, row: JournalRow) -> Change:
        """The change of an entry.

        Raises
        ------
        ProjectError
            If it is damaged.
        """
        blobs = self.rows("SELECT change FROM entries WHERE id = ?", row.id)
        try:
            return Change.from_bytes(bytes(blobs[0][0]), row.edit, row.title, row.box, row.segments, row.target)
        except (ProjectError, IndexError) as error:
            raise ProjectError(
                f"Entry {row.id} of the journal ({row.title}) is damaged: it can be neither done nor undone.",
                f"Everything after it is intact. Restore {self.path.name} from a backup to go back further.",
            ) from error

    def _row(self, row: Sequence[Any]) -> JournalRow:
        id, kind, title, edit, box, segments, target, segmentation, n_voxels, time, sealed = row
        try:
            return JournalRow(
                id, kind, title, json.loads(edit), Box.parse(box), tuple(json.loads(segments)), target, segmentation,
                n_voxels, time, sealed,
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise ProjectError(
                f"Entry {id} of the journal {self.path} is damaged: {error}.", "Restore the file from a backup."
            ) from error

    def _connect(self, timeout_s: float) -> sqlite3.Connection:
        modes = ("rwc",) if self.writable else ("rw", "ro")  # "rw" where it can be: it takes a crashed change back
        for mode in modes:
            try:
                connection = sqlite3.connect(
                    f"{self.path.absolute().as_uri()}?mode={mode}",
                    uri=True,
                    timeout=timeout_s,
                    isolation_level=None,
                    check_same_thread=False,
                )
            except sqlite3.OperationalError:
                if mode == modes[-1]:
                    raise
                continue
            try:
                connection.execute("PRAGMA user_version").fetchone()
                if self.writable:
                    connection.execute("PRAGMA journal_mode = PERSIST")
                    connection.execute("PRAGMA journal_size_limit = 1048576")
                    connection.execute("PRAGMA synchronous = FULL")
                    connection.execute("PRAGMA secure_delete = OFF")  # what is forgotten is no secret
                else:
                    connection.execute("PRAGMA query_only = ON")
            except BaseException as error:
                connection.close()
                if not isinstance(error, sqlite3.OperationalError) or mode == modes[-1]:
                    raise
                continue
            return connection
        raise AssertionError("one of the modes returns or raises")

    def _prepare(self) -> None:
        version = int(self.rows("PRAGMA user_version")[0][0])
        if version > VERSION:
            raise ProjectError(
                f"The journal {self.path} has format {version}, but this napari-pytc reads up to {VERSION}.",
                "Update with: pip install --upgrade napari-pytc. Nothing was changed.",
            )
        if version < VERSION and self.writable:
            with self._connected() as connection:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version < VERSION:
            raise ProjectError(f"There is no journal at {self.path} yet.", "Open the project for writing once.")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        if self._connection is None:
            raise ProjectError("The journal is closed.", "Open the project again.")
        with _sentence_errors(self.path):
            yield self._connection


def insert_entry(connection: sqlite3.Connection, change: Change, parent: int, segmentation: str, time: float) -> int:
    """Add a change behind its parent; returns the entry's id."""
    cursor = connection.execute(
        "INSERT INTO entries (parent, kind, title, edit, box, segments, target, segmentation, n_voxels, time, change) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            parent,
            str(change.edit.get("kind", "")),
            change.title,
            json.dumps(change.edit, separators=(",", ":")),
            str(change.box),
            json.dumps(change.segments, separators=(",", ":")),
            change.target,
            segmentation,
            change.n_voxels,
            time,
            change.to_bytes(),
        ),
    )
    return int(cursor.lastrowid or 0)


def set_meta(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Set a value by key."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, str(value)))


def drop_undone(connection: sqlite3.Connection, position: int) -> None:
    """Leave behind the entries after a position, which can no longer be redone, and their names."""
    connection.execute("UPDATE entries SET dropped = 1 WHERE dropped = 0 AND id > ?", (position,))
    connection.execute("DELETE FROM checkpoints WHERE entry > ?", (position,))


def forget(connection: sqlite3.Connection, strokes_done: int, flushed: tuple[str, int] | None) -> None:
    """Delete rows of the log that are flushed, and entries that were left behind and are no longer in the log.

    Parameters
    ----------
    strokes_done : int
        The row of the log up to which all strokes and objects are on the disk.
    flushed : tuple of str and int, optional
        A segmentation and the row of the log up to which it was flushed.
    """
    set_meta(connection, "strokes_done", strokes_done)
    connection.execute(
        "DELETE FROM log WHERE n <= ? AND entry IN (SELECT id FROM entries WHERE target != 'segments')",
        (strokes_done,),
    )
    if flushed is not None:
        segmentation, log_index = flushed
        connection.execute(
            "DELETE FROM log WHERE n <= ? AND entry IN "
            "(SELECT id FROM entries WHERE segmentation = ? AND target = 'segments')",
            (log_index, segmentation),
        )
    connection.execute("DELETE FROM log WHERE entry IN (SELECT id FROM entries WHERE kind = 'switch')")
    connection.execute("DELETE FROM entries WHERE dropped = 1 AND id NOT IN (SELECT entry FROM log)")


@contextmanager
def _sentence_errors(path: Path) -> Iterator[None]:
    """Raise an error of SQLite as a sentence for people."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise ProjectError(*_explain(path, str(error))) from error
    except sqlite3.DatabaseError as error:
        raise ProjectError(
            f"The journal {path} is damaged: {error}.",
            "Restore it from a backup, or move it away: segments stay as last saved, their history is lost.",
        ) from error


def _explain(path: Path, reason: str) -> tuple[str, str]:
    if "locked" in reason or "busy" in reason:
        return (
            f"The journal {path} is in use by another program: the change was not made.",
            "Close the other program, then repeat it.",
        )
    if "full" in reason or "disk I/O" in reason:
        return (
            f"The disk is full or refuses to write the journal {path}: the change was not made.",
            "Free space on the disk, then repeat it; everything before is saved.",
        )
    if "readonly" in reason or "unable to open" in reason:
        return f"The journal {path} cannot be written or opened.", "Check the permissions of the project's folder."
    return f"The journal {path} cannot be used: {reason}.", "Check the disk and the permissions."
