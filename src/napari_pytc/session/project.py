"""The project folder: where things lie in it, its description, and the lock that keeps a second writer out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import napari_pytc
from napari_pytc.errors import ProjectError, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.durable import sync_folder, temporary_beside, write_durably
from napari_pytc.session.records import ClassInfo
from napari_pytc.volumes.fingerprint import Fingerprint
from napari_pytc.volumes.spec import VolumeSpec

SCHEMA_VERSION = 1
_DESCRIPTION, _LOCK = "project.json", "project.lock"


class Project(BaseModel):
    """What project.json says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    written_by: str = napari_pytc.__version__
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    image: VolumeSpec
    image_fingerprint: Fingerprint
    voxel_size_nm: tuple[float, float, float]
    origin_nm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voxel_size_source: Literal["file", "user"]
    classes: tuple[ClassInfo, ...] = Field(min_length=1)
    held_out: tuple[Box, ...] = ()

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return VoxelSpace(self.voxel_size_nm, self.origin_nm)


class ProjectFolder:
    """The paths in a project folder.

    ::

        name.pytc/
            project.json      `Project`; written aside and renamed
            project.sqlite    runs, their metrics, predictions (`Database`)
            annotations.zarr  strokes (`AnnotationStore`)
            predictions/      one OME-Zarr a prediction
            models/<id>/      trained models
            runs/<id>/        checkpoints of trainings that are not finished
            project.lock      held by the process that may write
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = path / _DESCRIPTION
        self.database = path / "project.sqlite"
        self.annotations = path / "annotations.zarr"
        self.predictions = path / "predictions"
        self.models = path / "models"
        self.runs = path / "runs"

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
            return Project.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._damaged(f"{where}: {first['msg']}") from error
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def save(self, project: Project) -> None:
        """Replace project.json in one step."""
        with disk_errors(self.path, "project.json"):
            write_durably(self.description, lambda aside: _write(aside, project.model_dump_json(indent=2)))

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
            for inner in (folder.predictions, folder.models, folder.runs):
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
    former = temporary_beside(target)
    if target.exists():
        lock, reason = ProjectFolder(target).acquire_lock()
        if lock is None:
            raise ProjectError(f"The project {target} cannot be replaced: {reason}.", "Close it there first.")
        lock.release()
        os.replace(target, former)
    try:
        os.replace(aside, target)
    except OSError:
        if former.exists():
            os.replace(former, target)
        raise
    sync_folder(target.parent)
    shutil.rmtree(former, ignore_errors=True)


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
    """Tell an error of the disk in one sentence."""
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


def _write(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    path.write_text(text, encoding="utf-8")
