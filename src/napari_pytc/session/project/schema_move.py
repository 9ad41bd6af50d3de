"""The move of a schema 1 project, with one volume at its top, to schema 2, with a folder a volume.

::

    announce      project.json becomes schema 2 with `is_moving`: older versions refuse the project from here on
    make          volumes/v1/ and volumes/v1/live/
    settle        the journal takes back a change that a crash cut short, so that it needs no file beside it
    move NAME     one rename for each of the names below, from the top into volumes/v1/
    end           project.json loses `is_moving`

After a kill the next writable opening goes through the same steps again. Each does nothing where it was done before,
and until `end` everything lies at exactly one of its two places, where `VolumeFolder` finds it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from napari_pytc.errors import ProjectError
from napari_pytc.files import sync_folder
from napari_pytc.session.project.description import FIRST_VOLUME, OWN_IMAGE, Project
from napari_pytc.session.project.folder import ProjectFolder, disk_errors

_JOURNAL = "journal.sqlite"
_NAMES = (
    "objects.zarr", f"{_JOURNAL}-journal", f"{_JOURNAL}-wal", f"{_JOURNAL}-shm", _JOURNAL, "corrections",
    "predictions", "segments", "retraining", "live/prediction.zarr", "live/suggestions.json", OWN_IMAGE,
)  # fmt: skip


def finish_move(
    folder: ProjectFolder, project: Project, before_step: Callable[[str], None] = lambda step: None
) -> Project:
    """Go through the steps that are left of the move; the caller holds the writer's lock.

    Parameters
    ----------
    before_step : callable
        Called with the name of each step before it is made; tests raise in it.

    Raises
    ------
    ProjectError
        If the disk refuses, or something lies at both places.
    """
    target = folder.volumes / FIRST_VOLUME
    project = folder.portable(project)  # the project's own image is about to be moved
    before_step("announce")
    folder.save(project)
    with disk_errors(folder.path, "The project"):
        before_step("make")
        (target / "live").mkdir(parents=True, exist_ok=True)
        sync_folder(folder.path)
        sync_folder(folder.volumes)
        before_step("settle")
        _settle(folder.path / _JOURNAL)
        for name in (project.volume(FIRST_VOLUME).annotations, *_NAMES):
            before_step(f"move {name}")
            _move(folder.path / name, target / name)
        sync_folder(folder.path)
        sync_folder(target)
    before_step("end")
    project = project.model_copy(update={"is_moving": False})
    folder.save(project)
    before_step("ended")
    return folder.placed(project)


def _settle(journal: Path) -> None:
    """Let SQLite take back what a crash left half done; it looks for it beside the database, under its name."""
    if not journal.is_file():
        return
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(journal, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _move(source: Path, target: Path) -> None:
    if not source.exists():
        return
    if target.exists():
        raise ProjectError(
            f"The project was moved to folders for each volume, but there is {source} as well as {target}.",
            "Something else wrote into the project meanwhile: keep the newer of the two, move the other one away.",
        )
    os.rename(source, target)
