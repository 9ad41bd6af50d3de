"""The project folder: where things lie in it, its description, and the lock that keeps a second writer out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import napari_pytc
from napari_pytc.durable import put_folder_in_place, sync_folder, temporary_beside, write_text_durably
from napari_pytc.errors import ProjectError, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.session.records import ClassInfo
from napari_pytc.volumes.fingerprint import Fingerprint
from napari_pytc.volumes.spec import ChunkedSpec, VolumeSpec

SCHEMA_VERSION = 1
_DESCRIPTION, _LOCK, _OWN_IMAGE = "project.json", "project.lock", "image.zarr"


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
    annotations: str = Field("annotations.zarr", pattern=r"^annotations(-\d+)?\.zarr$")
    active_model: str | None = None

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
            image.zarr        the image, where it came from a layer and not from a file
            annotations.zarr  strokes (`AnnotationStore`); annotations-2.zarr after a class was removed
            objects.zarr      objects to learn from, where there are some (`add_objects`)
            predictions/      one OME-Zarr a prediction
            segments/<id>/    segmentations with their edits; .preview holds those that were a look
            models/<id>/      trained models
            runs/<id>/        checkpoints of trainings, and jobs of segmentations, that are not finished
            journal.sqlite    every edit of segments and strokes (`Journal`); made with the first
            corrections/      what edits teach, one store a segmentation (`Corrections`); made again when it is gone
            retraining/       where a retraining stands that is not over (`Retraining`)
            trash/            what was deleted and is still on the disk
            project.lock      held by the process that may write
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = path / _DESCRIPTION
        self.database = path / "project.sqlite"
        self.own_image = path / _OWN_IMAGE
        self.predictions = path / "predictions"
        self.models = path / "models"
        self.runs = path / "runs"
        self.trash = path / "trash"
        self.segments = path / "segments"
        self.previews = self.segments / ".preview"
        self.objects = path / "objects.zarr"
        self.journal = path / "journal.sqlite"
        self.corrections = path / "corrections"

    def annotations(self, project: Project | None = None) -> Path:
        """Where the strokes of a project lie; without one, those of a new project."""
        return self.path / ("annotations.zarr" if project is None else project.annotations)

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
            return self._placed(Project.model_validate(content))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._damaged(f"{where}: {first['msg']}") from error
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def save(self, project: Project) -> None:
        """Replace project.json in one step."""
        with disk_errors(self.path, "project.json"):
            write_text_durably(self.description, self._portable(project).model_dump_json(indent=2))

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
        """Take something out of the project in one step; the disk gets its room back with `empty_trash`."""
        if path.exists():
            with disk_errors(path, "The change of"):
                self.trash.mkdir(exist_ok=True)
                os.replace(path, temporary_beside(self.trash / path.name))

    def empty_trash(self) -> None:
        """Delete what was discarded, and what a process that was killed left half made; from any thread."""
        shutil.rmtree(self.trash, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what is of no use when a project is opened anew: the trash, and previews of segmentations."""
        self.empty_trash()
        shutil.rmtree(self.previews, ignore_errors=True)

    def _placed(self, project: Project) -> Project:
        """The image that is in the project's folder is found there, wherever the folder was moved to."""
        if isinstance(project.image, ChunkedSpec) and project.image.url == _OWN_IMAGE:
            return project.model_copy(
                update={"image": project.image.model_copy(update={"url": str(self.own_image.absolute())})}
            )
        return project

    def _portable(self, project: Project) -> Project:
        if isinstance(project.image, ChunkedSpec) and project.image.url == str(self.own_image.absolute()):
            return project.model_copy(update={"image": project.image.model_copy(update={"url": _OWN_IMAGE})})
        return project

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
    if target.exists():
        lock, reason = ProjectFolder(target).acquire_lock()
        if lock is None:
            raise ProjectError(f"The project {target} cannot be replaced: {reason}.", "Close it there first.")
        lock.release()
    put_folder_in_place(aside, target)


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
