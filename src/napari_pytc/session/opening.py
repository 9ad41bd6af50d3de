"""Making and reading a project: what may wait for the disk, in any thread; `Session.adopt` does the rest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.session.database import Database
from napari_pytc.session.documents import ProjectDocuments
from napari_pytc.session.image import copy_array, open_image, open_measured_image
from napari_pytc.session.project import Project, ProjectFolder, project_built_aside
from napari_pytc.session.records import ClassSpec, number_classes
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.source import VolumeSource

if TYPE_CHECKING:
    from napari_pytc.proofreading.journal import Journal


@dataclass(frozen=True)
class NewProject:
    """What a new project is made of.

    Parameters
    ----------
    folder : Path
        Where the project appears, complete or not at all.
    image : str or Path, optional
        The volume to segment, ``PATH[:DATASET]``; it stays where it is. None where `array` is given.
    classes : tuple of ClassSpec
        What to tell apart; the first is label 1.
    voxel_size_nm : tuple of float, optional
        Replaces what the file says (z, y, x); needed where it says nothing, and with an array.
    channel : int, optional
        Which channel, where the image has several.
    overwrite : bool
        Replace a project that is there already; nothing but a project is ever replaced.
    array : array-like, optional
        A volume that is in no file; it is copied into the project.
    """

    folder: Path
    image: str | Path | None
    classes: tuple[ClassSpec, ...]
    voxel_size_nm: tuple[float, float, float] | None = None
    channel: int | None = None
    overwrite: bool = False
    array: Any = None


@dataclass
class OpenedProject:
    """A project that was read and perhaps locked, for `Session.adopt`; `release` it if nobody takes it over.

    Parameters
    ----------
    lock : FileLock, optional
        The writer's lock; None if the project may only be read, for the `reason` given.
    image : VolumeSource, optional
        The project's image; None where it was not looked for or cannot be opened, for which `problem` says why.
    """

    folder: Path
    project: Project
    lock: FileLock | None
    reason: str
    image: VolumeSource | None
    problem: PytcError | None
    annotations: AnnotationStore
    database: Database
    documents: ProjectDocuments
    journal: Journal | None = None

    def release(self) -> None:
        """Let go of the project; may be called twice."""
        if self.journal is not None:
            self.journal.close()
        self.database.close()
        if self.lock is not None:
            self.lock.release()


def make_project(request: NewProject) -> None:
    """Make a project; see `NewProject`.

    Raises
    ------
    PytcError
        If the image cannot be opened, nobody says how large its voxels are, the classes are wrong, or the folder is in
        use.
    """
    target, numbered = Path(request.folder).absolute(), number_classes(request.classes)
    if (request.image is None) == (request.array is None):
        raise InvalidInput("A project is made of an image file or of an array, of one of them.", "Choose an image.")
    source: VolumeSource | None = None
    if request.image is not None:  # before anything is made: most mistakes are found here
        source = open_measured_image(request.image, request.voxel_size_nm, request.channel)
    with project_built_aside(target, request.overwrite) as aside:
        if source is None:
            source = copy_array(request.array, aside.own_image, request.voxel_size_nm, request.channel)
        space = source.space
        AnnotationStore.create(aside.annotations(), source.shape, space)
        Database(aside.database, writable=True).close()
        project = Project(
            image=source.spec,
            image_fingerprint=fingerprint(source),
            voxel_size_nm=space.voxel_size_nm,
            origin_nm=space.origin_nm,
            voxel_size_source="user" if request.voxel_size_nm is not None else "file",
            classes=numbered,
        )
        aside.save(project)


def read_project(folder: str | Path, read_only: bool = False, with_image: bool = True) -> OpenedProject:
    """Read a project, and lock it for writing where nobody else has.

    Parameters
    ----------
    with_image : bool
        Open the image too, and count the strokes, so that the window need not wait for either.

    Raises
    ------
    ProjectError
        If the folder is no project, is damaged, or was written by a newer version. An image that moved or changed is
        no error but the `problem` of what is returned.
    """
    place = ProjectFolder(Path(folder).absolute())
    project = place.load()
    lock, reason = (None, "it was opened for reading only") if read_only else place.acquire_lock()
    database: Database | None = None
    journal: Journal | None = None
    try:
        if lock is not None:
            project = place.load()  # once more, now that nobody else writes
            place.sweep()
        database = Database(place.database, writable=lock is not None)
        annotations = AnnotationStore.open(place.annotations(project), writable=lock is not None)
        if lock is not None:
            database.interrupt_runs()
        documents = ProjectDocuments(place, annotations, writable=lock is not None)
        if lock is not None:
            journal = _journal_of(documents)
        image, problem = _image_of(project, place.path) if with_image else (None, None)
        if with_image:
            annotations.counts()
    except BaseException:
        if journal is not None:
            journal.close()
        if database is not None:
            database.close()
        if lock is not None:
            lock.release()
        raise
    opened = (place.path, project, lock, reason, image, problem, annotations, database, documents, journal)
    return OpenedProject(*opened)


def _journal_of(documents: ProjectDocuments) -> Journal | None:
    """The journal where there is one: it may hold a stroke that a kill kept from the strokes."""
    if not documents.journal.exists():
        return None
    from napari_pytc.proofreading.journal import Journal

    with suppress(PytcError):  # damaged: told where it is used, the project opens all the same
        return Journal(documents.journal, documents)
    return None


def _image_of(project: Project, folder: Path) -> tuple[VolumeSource | None, PytcError | None]:
    try:
        return open_image(project, folder), None
    except PytcError as error:
        return None, error
