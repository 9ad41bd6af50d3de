"""The project folder: its paths, its description, and the lock that keeps a second writer out."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

import napari_pytc
from napari_pytc.errors import ProjectError, VolumeError
from napari_pytc.files import put_in_place, sync_folder, temporary_beside, write_text_durably
from napari_pytc.session.project.description import (
    FIRST_VOLUME,
    OWN_IMAGE,
    SCHEMA_VERSION,
    Project,
    VolumeRecord,
    upgrade_schema_1,
)
from napari_pytc.session.project.ids import new_id
from napari_pytc.session.project.volume_folder import VolumeFolder
from napari_pytc.volumes.spec import ChunkedSpec

_DESCRIPTION, _LOCK, _REMOVED = "project.json", "project.lock", "removed.json"
KEPT_DAYS = 30
"""Days for which a removed volume is kept in the trash."""


class ProjectFolder:
    """The paths in a project folder that all volumes share; `VolumeFolder` has those of one volume.

    ::

        name.pytc/
            project.json      `Project`; written aside and renamed
            project.sqlite    runs, their metrics, predictions (`Database`)
            volumes/<id>/     one folder a volume (`VolumeFolder`)
            models/<id>/      trained models
            runs/<id>/        checkpoints of trainings, and jobs of segmentations, that are not finished
            live/             state of Live, from which the next session goes on
            trash/            what was deleted and is still on the disk
            trash/removed/    volumes that were removed, kept for a while (`KEPT_DAYS`)
            project.lock      held by the process that may write
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = path / _DESCRIPTION
        self.database = path / "project.sqlite"
        self.volumes = path / "volumes"
        self.models = path / "models"
        self.runs = path / "runs"
        self.live = path / "live"
        self.trash = path / "trash"
        self.removed = self.trash / "removed"

    def volume(self, id: str, is_moving: bool = False) -> VolumeFolder:
        """The folder of a volume; `is_moving` as in `Project`."""
        former = self.path if is_moving and id == FIRST_VOLUME else None
        return VolumeFolder(self.volumes / id, former)

    def load(self) -> Project:
        """Read project.json.

        Raises
        ------
        ProjectError
            If the folder is no project, was written by a newer version, or project.json is damaged.
        """
        if not self.description.is_file():
            what = "is not a project: it has no project.json" if self.path.is_dir() else "does not exist"
            raise ProjectError(
                f"The project folder {self.path} {what}.",
                "Make one: napari-pytc new PROJECT --image PATH --classes A,B.",
            )
        try:
            content = json.loads(self.description.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
                raise ValueError("it has no schema_version")
            self._check_version(content)
            if content["schema_version"] == 1:
                content = upgrade_schema_1(content, self.path)
            return self.placed(Project.model_validate(content))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._damaged(f"{where}: {first['msg']}" if where else first["msg"]) from error
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def save(self, project: Project) -> None:
        """Replace project.json in one step."""
        with disk_errors(self.path, "project.json"):
            write_text_durably(self.description, self.portable(project).model_dump_json(indent=2))

    def acquire_lock(self) -> tuple[FileLock | None, str]:
        """The writer's lock, or None and the reason why there is none; a killed process gives it up by itself."""
        lock = FileLock(self.path / _LOCK, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return None, "another program has it open and may change it"
        except (OSError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return None, f"it cannot be locked for writing ({reason})"
        return lock, ""

    def discard(self, path: Path) -> None:
        """Take something out of the project in one step; `empty_trash` frees the disk space."""
        if path.exists():
            with disk_errors(path, "The change of"):
                self.trash.mkdir(exist_ok=True)
                os.replace(path, temporary_beside(self.trash / path.name))

    def empty_trash(self) -> None:
        """Delete what was discarded, and what a process that was killed left half made; from any thread.

        Volumes that were removed stay: `sweep` deletes them when their time is over.
        """
        for entry in _entries(self.trash):
            if entry != self.removed:
                delete(entry)
        for folder in (self.removed, self.trash):
            with suppress(OSError):  # not empty, or not there
                folder.rmdir()

    def sweep(self, project: Project, now: datetime) -> None:
        """Delete what is of no use when a project is opened anew: the trash, and previews of segmentations.

        A folder of a volume that is none of the project's (a kill came between, or an older project.json was put
        back) goes to the removed volumes, from which it can be restored.
        """
        self.empty_trash()
        known = {record.id for record in project.volumes}
        for id in known:
            shutil.rmtree(self.volume(id, project.is_moving).previews, ignore_errors=True)
        for entry in _entries(self.volumes):
            if entry.name.startswith(".") and entry.name.endswith(".tmp"):
                delete(entry)
            elif re.fullmatch(r"v[1-9]\d*", entry.name) and entry.name not in known:
                with suppress(ProjectError):  # a full disk: it is tried again with the next opening
                    self.put_aside(entry.name, now)
        for entry in _entries(self.removed):
            if (now - removal_time(entry)).days >= KEPT_DAYS:
                delete(entry)

    def put_aside(self, id: str, now: datetime) -> Path:
        """Move the folder of a volume that is none of the project's to the removed ones; returns its new place."""
        source = self.volumes / id
        with disk_errors(source, "The volume"):
            write_text_durably(source / _REMOVED, json.dumps({"removed": now.isoformat(timespec="seconds")}))
            self.removed.mkdir(parents=True, exist_ok=True)
            target = self.removed / new_id(id, lambda name: (self.removed / name).exists())
            os.replace(source, target)
            sync_folder(self.removed)
        return target

    def placed(self, project: Project) -> Project:
        """Give images inside the project folder their present path, wherever the folder was moved to."""
        return self._with_own_images(project, lambda own, url: str(own.absolute()) if url == OWN_IMAGE else url)

    def portable(self, project: Project) -> Project:
        """The content as it is saved: images inside the project folder have no path."""
        return self._with_own_images(project, lambda own, url: OWN_IMAGE if url == str(own.absolute()) else url)

    def portable_record(self, record: VolumeRecord) -> VolumeRecord:
        """The record of a volume as it is saved: an image in the volume's folder has no path."""
        own = self.volume(record.id).own_image
        if isinstance(record.spec, ChunkedSpec) and record.spec.url == str(own.absolute()):
            return record.model_copy(update={"spec": record.spec.model_copy(update={"url": OWN_IMAGE})})
        return record

    def _with_own_images(self, project: Project, url_of: Callable[[Path, str], str]) -> Project:
        records = []
        for record in project.volumes:
            if isinstance(record.spec, ChunkedSpec):
                own = self.volume(record.id, project.is_moving).own_image
                spec = record.spec.model_copy(update={"url": url_of(own, record.spec.url)})
                record = record.model_copy(update={"spec": spec})
            records.append(record)
        return project.model_copy(update={"volumes": tuple(records)})

    def _check_version(self, content: dict[str, Any]) -> None:
        version = content["schema_version"]
        if version > SCHEMA_VERSION:
            raise newer_version(self.path, "project", version, SCHEMA_VERSION, str(content.get("written_by", "")))

    def _damaged(self, why: str) -> ProjectError:
        return ProjectError(
            f"{self.description} is damaged: {why.rstrip('.')}.",
            "Restore project.json from a backup; strokes, models and predictions beside it are untouched.",
        )


@contextmanager
def project_built_aside(target: Path, overwrite: bool) -> Iterator[ProjectFolder]:
    """A folder to fill that becomes the project when the block ends well and vanishes when it does not.

    Raises
    ------
    ProjectError
        If something is at `target` that may not be replaced, or the disk refuses.
    """
    _check_target(target, overwrite)
    aside = temporary_beside(target)
    try:
        with disk_errors(target, "The project"):
            aside.mkdir(parents=True)
            folder = ProjectFolder(aside)
            for inner in (folder.volumes, folder.models, folder.runs):
                inner.mkdir()
            yield folder
            sync_folder(aside)
            _put_in_place(aside, target)
    except VolumeError as error:  # of the annotations, under their temporary name
        message = error.message.replace(str(aside), str(target))
        raise ProjectError(f"The project could not be made. {message}", error.hint) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / _DESCRIPTION).is_file():
        raise ProjectError(f"There is already something at {target} that is not a project.", "Choose another name.")
    if not overwrite:
        raise ProjectError(f"There is already a project at {target}.", "Choose another name, or add --overwrite.")


def _put_in_place(aside: Path, target: Path) -> None:
    if target.exists():
        lock, reason = ProjectFolder(target).acquire_lock()
        if lock is None:
            raise ProjectError(f"The project {target} cannot be replaced: {reason}.", "Close it there first.")
        lock.release()
    put_in_place(aside, target)


def removal_time(folder: Path) -> datetime:
    """When a volume was removed, whose folder is in the trash."""
    try:
        return datetime.fromisoformat(json.loads((folder / _REMOVED).read_text(encoding="utf-8"))["removed"])
    except (OSError, ValueError, KeyError, TypeError):
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC)


def delete(path: Path) -> None:
    """Delete a file or a folder; what cannot be deleted stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def newer_version(path: Path, what: str, found: int, known: int, written_by: str = "") -> ProjectError:
    """The error for something that a newer napari-pytc wrote."""
    needed = f"napari-pytc {written_by}" if written_by else "a newer napari-pytc"
    return ProjectError(
        f"{path} has {what} format {found} and needs {needed}; this is {napari_pytc.__version__}, which reads up to "
        f"format {known}.",
        "Update with: pip install --upgrade napari-pytc. Nothing was changed.",
    )


@contextmanager
def disk_errors(path: Path, what: str) -> Iterator[None]:
    """Turn an `OSError` into a `ProjectError` with one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProjectError(
            f"{what} of {path} could not be saved: {reason}."
            if what[0].islower()
            else f"{what} {path} could not be saved: {reason}.",
            "What was saved before is intact; free space on the disk or check its permissions.",
        ) from error
