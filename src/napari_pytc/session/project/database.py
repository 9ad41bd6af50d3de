"""The project's SQLite database: runs, their metrics, predictions."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box
from napari_pytc.session.project.description import FIRST_VOLUME
from napari_pytc.session.project.folder import newer_version
from napari_pytc.session.records import MetricPoint, PredictionRecord, RunRecord, RunState

_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL, started REAL NOT NULL,
        ended REAL, spec TEXT NOT NULL, result TEXT NOT NULL DEFAULT '{}', message TEXT NOT NULL DEFAULT '',
        hint TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE metrics (
        run TEXT NOT NULL REFERENCES runs(id), name TEXT NOT NULL, step INTEGER NOT NULL, value REAL, time REAL NOT NULL
    );
    CREATE INDEX metrics_of_run ON metrics (run, name, step);
    CREATE TABLE predictions (
        id TEXT PRIMARY KEY, model TEXT NOT NULL, box TEXT, flips INTEGER NOT NULL, image TEXT NOT NULL,
        created TEXT NOT NULL, state TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE runs ADD COLUMN volume TEXT NOT NULL DEFAULT 'v1';
    UPDATE runs SET volume = '' WHERE kind = 'train';
    ALTER TABLE predictions RENAME TO predictions_1;
    CREATE TABLE predictions (
        volume TEXT NOT NULL, id TEXT NOT NULL, model TEXT NOT NULL, box TEXT, flips INTEGER NOT NULL,
        image TEXT NOT NULL, created TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (volume, id)
    );
    INSERT INTO predictions SELECT 'v1', id, model, box, flips, image, created, state FROM predictions_1
        ORDER BY rowid;
    DROP TABLE predictions_1;
    """,
    """
    ALTER TABLE predictions ADD COLUMN tta TEXT NOT NULL DEFAULT '';
    """,
)
"""The n-th script leads from version n - 1 to version n (`PRAGMA user_version`); each is applied in one transaction.

Version 1 is of schema 1 projects, with the one volume that is `FIRST_VOLUME` now; readers leave it as it is.
"""


class Database:
    """One connection, shared by threads under a lock; every change is on the disk when the method returns.

    A rollback journal instead of a write-ahead log, because projects lie on network folders too.
    """

    def __init__(self, path: Path, writable: bool) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        mode = "rwc" if writable else "rw"
        with self._explain_errors():
            try:
                self._connection = self._connect(mode)
            except sqlite3.OperationalError:
                if writable:
                    raise
                self._connection = self._connect("ro")  # a read-only disk
        try:
            self._prepare(writable)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def start_run(
        self, run: str, kind: str, subject: str, spec: dict[str, Any], started: float, volume: str = ""
    ) -> None:
        """Note that a job runs; `volume` is the id of the one it works on, empty for several."""
        with self._changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO runs (id, kind, subject, state, started, spec, volume) "
                "VALUES (?, ?, ?, 'running', ?, ?, ?)",
                (run, kind, subject, started, json.dumps(spec), volume),
            )

    def end_run(
        self,
        run: str,
        state: RunState,
        ended: float,
        result: dict[str, Any] | None = None,
        message: str = "",
        hint: str = "",
    ) -> None:
        """Note how a job ended."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, ended = ?, result = ?, message = ?, hint = ? WHERE id = ?",
                (state, ended, json.dumps(result or {}), message, hint, run),
            )

    def interrupt_runs(self) -> None:
        """Mark what a process that is gone left running."""
        with self._changing() as connection:
            connection.execute("UPDATE runs SET state = 'interrupted' WHERE state = 'running'")
            connection.execute("UPDATE predictions SET state = 'interrupted' WHERE state = 'running'")

    def runs(self) -> list[RunRecord]:
        """All runs, the oldest first."""
        names = ("id", "kind", "subject", "state", "started", "ended", "result", "message", "hint", "volume")
        rows = self._rows(f"SELECT {', '.join(names[:-1])}, {self._volume} FROM runs ORDER BY started, id")
        records = [dict(zip(names, row, strict=True)) for row in rows]
        return [RunRecord(**{**record, "result": json.loads(record["result"])}) for record in records]

    def specs(self, kind: str, volumes: Collection[str]) -> dict[str, dict[str, Any]]:
        """The jobs of a kind at some volumes, as JSON, by the id of what they made; the latest of each.

        Parameters
        ----------
        volumes : collection of str
            Ids; empty for jobs that learn from several.
        """
        rows = self._rows(f"SELECT subject, spec, {self._volume} FROM runs WHERE kind = ? ORDER BY started, id", kind)
        return {subject: json.loads(spec) for subject, spec, volume in rows if volume in volumes}

    def add_metrics(self, run: str, points: Sequence[tuple[str, int, float, float]]) -> None:
        """Add points (name, step, value, time) to a run's curves."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT INTO metrics (run, name, step, value, time) VALUES (?, ?, ?, ?, ?)",
                [(run, *point) for point in points],
            )

    def metrics(self, run: str) -> list[MetricPoint]:
        """The curves of a run, in the order they were measured."""
        rows = self._rows("SELECT name, step, value FROM metrics WHERE run = ? ORDER BY rowid", run)
        # SQLite stores no NaN: it comes back as None.
        return [MetricPoint(name=n, step=s, value=float("nan") if v is None else v) for n, s, v in rows]

    def put_prediction(self, record: PredictionRecord, image: str) -> None:
        """Add a prediction, or note its new state; `image` is the digest of the image it is of."""
        box = None if record.box is None else str(record.box)
        with self._changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO predictions (volume, id, model, box, flips, tta, image, created, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    record.volume,
                    record.id,
                    record.model,
                    box,
                    int(record.flips),
                    record.tta,
                    image,
                    record.created,
                    record.state,
                ),
            )

    def forget_prediction(self, volume: str, id: str) -> None:
        """Take a prediction out of the list."""
        with self._changing() as connection:
            connection.execute("DELETE FROM predictions WHERE volume = ? AND id = ?", (volume, id))

    def predictions(self, volume: str, folder: Path) -> list[tuple[PredictionRecord, str]]:
        """All predictions of a volume and the digests of their images, the oldest first.

        Parameters
        ----------
        folder : Path
            The folder that they lie in.
        """
        rows = self._rows(
            f"SELECT id, model, box, flips, {self._tta}, image, created, state FROM predictions "
            f"WHERE {self._volume} = ? ORDER BY created, rowid",
            volume,
        )
        found = []
        for name, model, box, flips, tta, image, created, state in rows:
            record = PredictionRecord(
                id=name,
                volume=volume,
                model=model,
                folder=folder / f"{name}.zarr",
                box=None if box is None else Box.parse(box),
                flips=bool(flips),
                tta=tta,
                created=created,
                state=state,
            )
            found.append((record, image))
        return found

    @property
    def _volume(self) -> str:
        """The column of the volume, or its value where there is no column yet."""
        return "volume" if self._version > 1 else f"'{FIRST_VOLUME}'"

    @property
    def _tta(self) -> str:
        """The column of test-time augmentation, or its value where there is no column yet."""
        return "tta" if self._version > 2 else "''"

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}", uri=True, timeout=10, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA user_version")
            if mode == "rwc":
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
            else:
                # Opened for writing all the same where it can be: only so can the change that a crash cut short be
                # taken back before reading.
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, writable: bool) -> None:
        with self._explain_errors():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_MIGRATIONS):
            raise newer_version(self._path, "database", version, len(_MIGRATIONS))
        self._version = int(version) if not writable else len(_MIGRATIONS)
        if not writable:
            if version < 1:
                raise ProjectError(f"{self._path} has no runs yet.", "Open the project for writing once.")
            return
        for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
            with self._explain_errors():
                self._connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock, self._explain_errors():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explain_errors(), self._connection:
            yield self._connection

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        if self._closed:
            raise ProjectError("The project is closed.", "Open it again.")
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ProjectError(
                f"The project's database {self._path} cannot be used: {error}.",
                "Strokes and models are not in it and are intact; free space on the disk or check its permissions.",
            ) from error
        except sqlite3.DatabaseError as error:
            raise ProjectError(
                f"The project's database {self._path} is damaged: {error}.",
                "Move that file away: the list of runs is lost, strokes and models are intact.",
            ) from error
