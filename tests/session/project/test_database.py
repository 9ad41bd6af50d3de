from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from napari_pytc.errors import ProjectError
from napari_pytc.session.project.database import Database


def test_it_is_durable_and_no_write_ahead_log(tmp_path: Path):
    database = Database(tmp_path / "a.sqlite", writable=True)
    database.start_run("r", "train", "m", {}, 1.0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.sqlite"]
    assert database._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert database._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()


def test_threads_may_share_it(tmp_path: Path):
    database = Database(tmp_path / "a.sqlite", writable=True)
    database.start_run("r", "train", "m", {}, 1.0)

    def add(name: str) -> None:
        for step in range(10):
            database.add_metrics("r", [(name, step, 0.5, 0.0)])

    threads = [threading.Thread(target=add, args=(name,)) for name in ("loss", "dice")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(database.metrics("r")) == 20
    database.close()


def test_a_reader_cannot_change_it(tmp_path: Path):
    Database(tmp_path / "a.sqlite", writable=True).close()
    reader = Database(tmp_path / "a.sqlite", writable=False)
    with pytest.raises(ProjectError):
        reader.start_run("r", "train", "m", {}, 1.0)
    assert reader.runs() == []
    reader.close()


def test_a_crash_amid_a_change_is_taken_back(tmp_path: Path):
    database = Database(tmp_path / "a.sqlite", writable=True)
    database.start_run("r", "train", "m", {}, 1.0)
    with pytest.raises(ProjectError):
        database.add_metrics("r", [("loss", 0, 1.0, 0.0), ("loss", None, 1.0, 0.0)])  # type: ignore[list-item]
    assert database.metrics("r") == []
    database.close()


def test_closed_is_closed(tmp_path: Path):
    database = Database(tmp_path / "a.sqlite", writable=True)
    database.close()
    with pytest.raises(ProjectError, match="closed"):
        database.runs()


def test_an_older_database_is_brought_up_to_date(tmp_path: Path):
    sqlite3.connect(tmp_path / "a.sqlite").close()
    database = Database(tmp_path / "a.sqlite", writable=True)
    assert database.runs() == []
    database.close()
