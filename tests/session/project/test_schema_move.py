"""A schema 1 project, with one volume at its top, is moved to folders a volume; a kill at any step loses nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box
from napari_pytc.session.project.folder import ProjectFolder
from napari_pytc.session.project.schema_move import finish_move
from napari_pytc.session.session import Session

FIXTURES = Path(__file__).parents[2] / "fixtures"
AT_THE_TOP = {
    "annotations-2.zarr", "objects.zarr", "journal.sqlite", "corrections", "predictions", "segments", "retraining",
}  # fmt: skip
STEPS = [
    "announce", "make", "settle", "move annotations-2.zarr", "move objects.zarr", "move journal.sqlite-journal",
    "move journal.sqlite-wal", "move journal.sqlite-shm", "move journal.sqlite", "move corrections", "move predictions",
    "move segments", "move retraining", "move live/prediction.zarr", "move live/suggestions.json", "move image.zarr",
    "end", "ended",
]  # fmt: skip


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the image and the projects of version 0.1."""
    root = tmp_path_factory.mktemp("before")
    with tarfile.open(FIXTURES / "project-0.1.tar.gz") as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.fixture
def project(unpacked: Path, tmp_path: Path) -> Path:
    """A copy of the project."""
    return Path(shutil.copytree(unpacked / "cells.pytc", tmp_path / "cells.pytc"))


def content(folder: Path) -> dict[str, bytes]:
    """All files but the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "project.lock"
    }


def all_that_is_in_it(session: Session) -> dict[str, object]:
    """What a user would miss."""
    retraining, document = session.retraining.find(), session.proofreader.document
    assert document is not None
    whole = Box.of_shape(session.strokes.store.shape)
    return {
        "strokes": session.strokes.counts(),
        "objects": session.objects.counts(),
        "held_out": session.held_out.boxes,
        "models": [record.id for record in session.models.records()],
        "predictions": [(record.id, record.folder.is_dir()) for record in session.predictions.records()],
        "segmentations": [(info.id, info.active) for info in session.segmentations.records()],
        "segments": document.segments(whole).sum(),
        "history": len(session.proofreader.entries()),
        "corrections": session.corrections.info(),
        "retraining": None if retraining is None else retraining.state,
        "suggestions": session.live.suggestions(),
        "live": session.live.prediction.is_dir(),
        "runs": [(run.id, run.subject) for run in session.jobs.runs()],
    }


def kill_before(step: str, folder: Path) -> None:
    def raise_at(name: str) -> None:
        if name == step:
            raise KilledError

    place = ProjectFolder(folder)
    with pytest.raises(KilledError):
        finish_move(place, place.load(), raise_at)


def test_the_steps_are_these(project: Path) -> None:
    steps: list[str] = []
    place = ProjectFolder(project)
    finish_move(place, place.load(), steps.append)
    assert steps == STEPS
    assert sorted(p.name for p in (project / "volumes").iterdir()) == ["v1"]
    assert {p.name for p in (project / "volumes" / "v1").iterdir()} >= AT_THE_TOP | {"live"}
    assert not AT_THE_TOP & {p.name for p in project.iterdir()}


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_before_any_step_loses_nothing(project: Path, step: str) -> None:
    with Session.open(project, read_only=True) as before:
        expected = all_that_is_in_it(before)
    kill_before(step, project)
    left = content(project)

    with Session.open(project, read_only=True) as reader:
        assert all_that_is_in_it(reader) == expected
    assert content(project) == left
    with Session.open(project) as after:
        assert all_that_is_in_it(after) == expected
        assert not after.project.description.is_moving
    assert not AT_THE_TOP & {path.name for path in project.iterdir()}


def test_two_kills_lose_nothing_either(project: Path) -> None:
    with Session.open(project, read_only=True) as before:
        expected = all_that_is_in_it(before)
    for step in STEPS[4::3]:
        kill_before(step, project)
    with Session.open(project) as after:
        assert all_that_is_in_it(after) == expected


def test_a_reader_leaves_it_as_it_is(project: Path) -> None:
    before = content(project)
    with Session.open(project, read_only=True) as session:
        assert session.volumes.names == ("image",)
        assert session.predictions.records()
        assert session.jobs.runs()[0].volume in ("", "v1")
        with pytest.raises(ProjectError, match="reading only"):
            session.volumes.rename("image", "other")
    assert content(project) == before
    assert json.loads((project / "project.json").read_text())["schema_version"] == 1


def test_older_versions_refuse_it_from_the_first_step_on(project: Path) -> None:
    kill_before("make", project)
    content = json.loads((project / "project.json").read_text())
    assert (content["schema_version"], content["is_moving"]) == (2, True)
    assert (project / "annotations-2.zarr").is_dir()


def test_strokes_painted_afterwards_can_be_undone_beyond_the_move(project: Path) -> None:
    with Session.open(project) as session:
        whole = Box.of_shape(session.strokes.store.shape)
        before = session.strokes.store.read(whole)
        session.strokes.paint(Box((0, 0, 0), (1, 3, 3)), 1)
        session.proofreader.undo()
        assert np.array_equal(session.strokes.store.read(whole), before)
        assert all(session.proofreader.undo() is not None for _ in range(5))


def test_an_image_in_the_project_moves_along(unpacked: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(unpacked / "layer.pytc", tmp_path / "layer.pytc"))
    expected = np.arange(256, dtype=np.uint8)
    with Session.open(project, read_only=True) as session:
        assert np.array_equal(session.image.check().read(Box.of_shape((4, 8, 8))).ravel(), expected)
    kill_before("end", project)
    with Session.open(project, read_only=True) as session:
        assert np.array_equal(session.image.check().read(Box.of_shape((4, 8, 8))).ravel(), expected)
        assert session.volumes.names == ("layer",)
    for place in (project, project.with_name("moved.pytc")):
        project.rename(place)
        project = place
        with Session.open(place) as session:
            assert np.array_equal(session.image.check().read(Box.of_shape((4, 8, 8))).ravel(), expected)
    assert json.loads((project / "project.json").read_text())["volumes"][0]["spec"]["url"] == "image.zarr"


def test_something_at_both_places_is_reported_and_kept(project: Path) -> None:
    kill_before("move segments", project)
    (project / "predictions").mkdir()
    (project / "predictions" / "theirs").write_text("new")
    with pytest.raises(ProjectError, match="as well as"):
        Session.open(project)
    assert (project / "predictions" / "theirs").read_text() == "new"
    shutil.rmtree(project / "predictions")
    Session.open(project).close()


def test_a_full_disk_stops_it_and_the_next_opening_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("napari_pytc.session.project.schema_move.os.rename", fail)
        with pytest.raises(ProjectError, match="No space left"):
            Session.open(project)
    with Session.open(project) as session:
        assert not session.project.read_only
        assert session.predictions.records()


def test_a_change_of_the_journal_that_a_crash_cut_short_is_taken_back(project: Path, tmp_path: Path) -> None:
    journal = project / "journal.sqlite"
    connection = sqlite3.connect(journal, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    (n_before,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE half (data BLOB)")
    connection.executemany("INSERT INTO half VALUES (?)", [(b"x" * 4000,)] * 200)  # more than the cache: on the disk
    crashed = Path(shutil.copytree(project, tmp_path / "crashed.pytc"))
    connection.rollback()
    connection.close()
    assert (crashed / "journal.sqlite-journal").stat().st_size > 512

    with Session.open(crashed) as session:
        assert len(session.proofreader.entries()) == n_before
    after = sqlite3.connect(crashed / "volumes" / "v1" / "journal.sqlite")
    assert after.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    assert after.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    after.close()


KILLED = """
import os, sys
from pathlib import Path
from napari_pytc.session.project.folder import ProjectFolder
from napari_pytc.session.project.schema_move import finish_move
place = ProjectFolder(Path(sys.argv[1]))
lock, _ = place.acquire_lock()
finish_move(place, place.load(), lambda step: os._exit(9) if step == sys.argv[2] else None)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_project_that_opens(project: Path) -> None:
    with Session.open(project, read_only=True) as before:
        expected = all_that_is_in_it(before)
    for step in ("move journal.sqlite", "move segments", "end"):
        done = subprocess.run([sys.executable, "-c", KILLED, str(project), step], check=False)
        assert done.returncode == 9
    with Session.open(project) as after:
        assert all_that_is_in_it(after) == expected
