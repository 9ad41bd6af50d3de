"""Volumes are opened when they are needed, each once, and closed together."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from napari_pytc.errors import ProjectError, PytcError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.session.project.folder import ProjectFolder
from napari_pytc.session.session import Session
from napari_pytc.session.volumes import open_volumes
from napari_pytc.session.volumes.files import open_volume_files
from napari_pytc.session.volumes.open_volumes import OpenVolumes

STROKE = Box((0, 0, 0), (1, 2, 2))


def opened_of(session: Session) -> OpenVolumes:
    return session._shared.opened


@pytest.fixture
def reopened(pair: Session) -> Session:
    """The project, opened at its first volume alone."""
    pair.close()
    return Session.open(pair.folder)


def test_a_volume_is_opened_once_whoever_asks(reopened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    opening = open_volumes.open_volume_files

    def open_files(folder: ProjectFolder, project: object, id: str, *args: object, **kwargs: object) -> object:
        asked.append(id)
        return opening(folder, project, id, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(open_volumes, "open_volume_files", open_files)
    opened = opened_of(reopened)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(opened.get, ["v2"] * 8))
    assert asked == ["v2"]
    assert all(one is found[0] for one in found)
    opened.prepare("v2")
    assert asked == ["v2"]
    reopened.close()


def test_preparing_a_volume_opens_its_image_in_the_background(reopened: Session) -> None:
    opened = opened_of(reopened)
    thread = threading.Thread(target=opened.prepare, args=("v2",))
    thread.start()
    thread.join()
    image = opened._files["v2"].image
    assert image is not None
    assert opened.get("v2").image.source is image
    reopened.close()


def test_an_image_that_is_gone_is_told_where_it_is_used_and_not_before(reopened: Session, tmp_path: Path) -> None:
    shutil.move(tmp_path / "other.h5", tmp_path / "moved.h5")
    opened = opened_of(reopened)
    opened.prepare("v2")
    opened.prepare("v2")
    parts = opened.get("v2")
    assert not any(parts.strokes.counts().values())
    with pytest.raises(VolumeError):
        parts.image.check()
    reopened.close()


def test_nothing_is_opened_once_the_project_is_closed(reopened: Session) -> None:
    opened = opened_of(reopened)
    reopened.close()
    with pytest.raises(ProjectError, match="closed"):
        opened.get("v2")
    opened.close()


def test_a_volume_that_cannot_be_closed_keeps_no_other_open(reopened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, closed = opened_of(reopened), []
    first, second = opened.get("v1"), opened.get("v2")

    def fail() -> None:
        closed.append("v2")
        raise ProjectError("The disk is full.")

    monkeypatch.setattr(second, "close", fail)
    monkeypatch.setattr(first, "close", lambda: closed.append("v1"))
    with pytest.raises(ProjectError, match="disk is full"):
        opened.close()
    assert sorted(closed) == ["v1", "v2"]
    opened.close()
    assert len(closed) == 2, "both are closed already"
    monkeypatch.undo()
    second.close()
    first.close()
    reopened.close()


def test_files_are_read_without_an_image_and_the_journal_only_where_one_may_write(pair: Session) -> None:
    pair.at("other").strokes.paint(STROKE, 1)
    pair.proofreader.flush()
    folder, project = pair.project.folder, pair.project.description
    pair.close()
    alone = open_volume_files(folder, project, "v2", writable=False, with_image=False)
    assert (alone.image, alone.problem, alone.journal) == (None, None, None)
    assert alone.annotations.counts() == {1: 4}
    both = open_volume_files(folder, project, "v2", writable=True)
    assert both.image is not None
    assert both.image.shape == (6, 24, 20)
    both.close()
    both.close()


def test_damaged_strokes_are_an_error_and_a_moved_image_is_a_problem(pair: Session, tmp_path: Path) -> None:
    folder, project = pair.project.folder, pair.project.description
    pair.close()
    (tmp_path / "other.h5").unlink()
    files = open_volume_files(folder, project, "v2", writable=False)
    assert files.image is None
    assert isinstance(files.problem, PytcError)
    (folder.path / "volumes" / "v2" / "annotations.zarr" / "zarr.json").write_text("{")
    with pytest.raises(PytcError):
        open_volume_files(folder, project, "v2", writable=False)
