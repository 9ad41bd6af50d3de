"""Making and reading a project, which waits for the disk and may happen in any thread; `Session` takes over."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from napari_pytc.errors import PytcError
from napari_pytc.files import plain_path
from napari_pytc.session.project.database import Database
from napari_pytc.session.project.description import FIRST_VOLUME, Project
from napari_pytc.session.project.folder import ProjectFolder, project_built_aside
from napari_pytc.session.project.schema_move import finish_move
from napari_pytc.session.project.state import utc_now
from napari_pytc.session.records import ClassSpec, number_classes
from napari_pytc.session.volumes.building import NewVolume, build_volume, open_new_image
from napari_pytc.session.volumes.files import VolumeFiles, open_volume_files
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.spec import ReadOptions


@dataclass(frozen=True)
class NewProject:
    """Description of a new project with one volume; `Volumes.add` adds others.

    Parameters
    ----------
    folder : Path
        Folder in which the project appears, complete or not at all.
    image : str or Path, optional
        The volume to segment, ``PATH[:DATASET]``; it stays where it is. None where `array` is given.
    classes : tuple of ClassSpec
        The classes; the first is label 1.
    options : ReadOptions
        How to read the image; the voxel size is needed where the file has none, and with an array.
    overwrite : bool
        Replace a project that is there already; nothing but a project is ever replaced.
    array, channel_names :
        As of `NewVolume`.
    name : str, optional
        Name of the volume; by default that of the image's file.
    """

    folder: Path
    image: str | Path | None
    classes: tuple[ClassSpec, ...]
    options: ReadOptions = field(default_factory=ReadOptions)
    overwrite: bool = False
    array: Any = None
    channel_names: tuple[str, ...] = ()
    name: str | None = None

    @property
    def volume(self) -> NewVolume:
        """Its volume."""
        return NewVolume(self.image, self.name, self.options, self.array, self.channel_names)


@dataclass
class OpenedProject:
    """A project that was read and perhaps locked, for `Session`; `release` it if nobody takes it over.

    Parameters
    ----------
    lock : FileLock, optional
        The writer's lock; None if the project may only be read, for the `reason` given.
    volume : VolumeFiles
        The volume that the session is at.
    """

    folder: Path
    project: Project
    lock: FileLock | None
    reason: str
    database: Database
    volume: VolumeFiles

    @property
    def image(self) -> ImageSource | None:
        """The volume's image; None where it was not requested, or cannot be opened for the reason in `problem`."""
        return self.volume.image

    @property
    def problem(self) -> PytcError | None:
        """Reason why the image cannot be opened."""
        return self.volume.problem

    def release(self) -> None:
        """Close the project's files and release its lock; may be called twice."""
        self.volume.close()
        self.database.close()
        if self.lock is not None:
            self.lock.release()


def make_project(request: NewProject) -> None:
    """Make a project; see `NewProject`.

    Raises
    ------
    PytcError
        If the image cannot be opened, its voxel size is unknown, the classes are wrong, or the folder is in use.
    """
    target, numbered = plain_path(request.folder), number_classes(request.classes)
    source = open_new_image(request.volume)  # before anything is made: most mistakes are found here
    with project_built_aside(target, request.overwrite) as aside:
        record = build_volume(request.volume, source, FIRST_VOLUME, aside.volumes / FIRST_VOLUME, target, ())
        Database(aside.database, writable=True).close()
        aside.save(Project(volumes=(record,), classes=numbered))


def read_project(
    folder: str | Path, read_only: bool = False, with_image: bool = True, volume: str | None = None
) -> OpenedProject:
    """Read a project, and lock it for writing where nobody else has.

    A project of schema 1 is moved to schema 2 where it may be written; otherwise it is read as it is.

    Parameters
    ----------
    with_image : bool
        Open the image and count the strokes, too, so that the window need not wait for either.
    volume : str, optional
        Name or id of the volume to open; by default the first.

    Raises
    ------
    ProjectError
        If the folder is no project, is damaged, or was written by a newer version. An image that moved or changed is
        no error but the `problem` of what is returned.
    InvalidInput
        If there is no such volume.
    """
    place = ProjectFolder(plain_path(folder))
    project = place.load()
    if volume is not None:
        project.resolve(volume)
    lock, reason = (None, "it was opened for reading only") if read_only else place.acquire_lock()
    database: Database | None = None
    files: VolumeFiles | None = None
    try:
        if lock is not None:
            project = place.load()  # once more, now that nobody else writes
        database = Database(place.database, writable=lock is not None)  # refuses a newer one before anything is moved
        if lock is not None:
            if project.is_moving:
                project = finish_move(place, project)
            place.sweep(project, utc_now())
            database.interrupt_runs()
        record = project.volumes[0] if volume is None else project.resolve(volume)
        files = open_volume_files(place, project, record.id, lock is not None, with_image)
    except BaseException:
        if files is not None:
            files.close()
        if database is not None:
            database.close()
        if lock is not None:
            lock.release()
        raise
    return OpenedProject(place.path, project, lock, reason, database, files)
