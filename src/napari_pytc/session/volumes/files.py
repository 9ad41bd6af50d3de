"""The files of one volume of a project, opened: strokes, object labels, journal, and perhaps the image."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import PytcError
from napari_pytc.session.project.description import Project
from napari_pytc.session.project.folder import ProjectFolder
from napari_pytc.session.project.image import open_project_image
from napari_pytc.session.proofreading.documents import ProjectDocuments
from napari_pytc.volumes.source import ImageSource

if TYPE_CHECKING:
    from napari_pytc.proofreading.journal.journal import Journal


@dataclass
class VolumeFiles:
    """The open files of a volume, which `VolumeParts` takes over; `close` them if nobody does.

    Parameters
    ----------
    image : ImageSource, optional
        The image; None where it was not requested, or cannot be opened for the reason in `problem`.
    """

    id: str
    annotations: PaintStore
    documents: ProjectDocuments
    journal: Journal | None = None
    image: ImageSource | None = None
    problem: PytcError | None = None

    def close(self) -> None:
        """Close the journal; may be called twice."""
        if self.journal is not None:
            self.journal.close()


def open_volume_files(
    folder: ProjectFolder, project: Project, id: str, writable: bool, with_image: bool = True
) -> VolumeFiles:
    """Open the files of a volume; waits for the disk, any thread.

    Parameters
    ----------
    writable : bool
        Whether this process may change the project.
    with_image : bool
        Open the image and count the strokes, too, so that a window need not wait for either.

    Raises
    ------
    PytcError
        If the strokes are damaged. An image that moved or changed is no error but the `problem`.
    """
    record, place = project.volume(id), folder.volume(id, project.is_moving)
    annotations = PaintStore.open(place.annotations(record), writable=writable)
    files = VolumeFiles(id, annotations, ProjectDocuments(place, annotations, writable))
    if writable:
        files.journal = _journal_of(files.documents)
    if with_image:
        open_image_of(files, project, folder)
    return files


def open_image_of(files: VolumeFiles, project: Project, folder: ProjectFolder) -> None:
    """Open the image as well, and count the strokes; what is wrong with the image becomes the `problem`."""
    try:
        files.image, files.problem = open_project_image(project.volume(files.id), project, folder.path), None
    except PytcError as error:
        files.image, files.problem = None, error
    files.annotations.counts()


def _journal_of(documents: ProjectDocuments) -> Journal | None:
    """Open the journal where there is one: it may hold a stroke that a kill kept from the store."""
    if not documents.journal.exists():
        return None
    from napari_pytc.proofreading.journal.journal import Journal

    with suppress(PytcError):  # damaged: reported where it is used; the project opens all the same
        return Journal(documents.journal, documents)
    return None
