"""What every part of an open project needs: its description, its lock, and whether it may be changed."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from psygnal import Signal

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import InvalidInput, ProjectError, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.proofreading.changes import Change
from napari_pytc.session.image import find_image, image_stamp, open_image
from napari_pytc.session.opening import OpenedProject
from napari_pytc.session.project import Project, ProjectFolder
from napari_pytc.session.proofreading import Proofreader
from napari_pytc.session.records import ClassInfo
from napari_pytc.volumes.source import VolumeSource


class SessionCore:
    """The open project itself, of which `Session` is made by subject."""

    image_relinked = Signal()
    annotated = Signal(Box)

    def __init__(self, opened: OpenedProject) -> None:
        self._folder = ProjectFolder(opened.folder)
        self._project, self._lock, self._reason = opened.project, opened.lock, opened.reason
        self._annotations, self._database = opened.annotations, opened.database
        self._thread = threading.get_ident()
        self._image = opened.image
        self._image_stamp = None if opened.image is None else image_stamp(opened.project.image)
        self._is_closed = False
        self._documents = opened.documents
        opened.documents.image = lambda: self.image
        self._proofreader = Proofreader(opened.documents, opened.journal, self._check_changeable, self._check_label)
        self._proofreader.changed.connect(self._on_edited)

    def close(self) -> None:
        """Give the project back; may be called twice. Jobs that still run are no longer recorded."""
        self._is_closed = True
        self._proofreader.close()
        self._annotations.wait()  # for a stroke on its way to the disk: afterwards another process may write
        self._database.close()
        if self._lock is not None:
            self._lock.release()
        self._image = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The project folder."""
        return self._folder.path

    @property
    def read_only(self) -> bool:
        """Whether this session may not change the project."""
        return self._lock is None

    @property
    def read_only_reason(self) -> str:
        """Why it is read-only; empty if it is not."""
        return f"{self.folder.name} is open for reading only: {self._reason}." if self.read_only else ""

    @property
    def project(self) -> Project:
        """What project.json says."""
        return self._project

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin of the image."""
        return self._project.space

    @property
    def classes(self) -> list[ClassInfo]:
        """The classes in the order of their labels, from 1."""
        return list(self._project.classes)

    @property
    def held_out(self) -> tuple[Box, ...]:
        """Boxes that training must not see."""
        return self._project.held_out

    @property
    def annotations(self) -> AnnotationStore:
        """The strokes, to read; change them with `paint` and `annotate`."""
        return self._annotations

    @property
    def image(self) -> VolumeSource:
        """The volume to segment.

        Raises
        ------
        VolumeError
            If it moved or changed since the project was made.
        """
        if self._image is None:
            self._image = self._open_image()
        return self._image

    def proofreader(self) -> Proofreader:
        """The journal and the current segmentation; any thread. Their files are opened when they are first used."""
        return self._proofreader

    def check_image(self) -> VolumeSource:
        """The image, after another look at the disk for whether it is still the same; errors as in `image`.

        Voxels are read again only where the file's date or size changed.
        """
        stamp = image_stamp(self._project.image)
        if self._image is not None and stamp is not None and stamp == self._image_stamp:
            return self._image
        fresh = self._open_image()
        self._image = self._image or fresh
        return self._image

    def relink_image(self, where: str | Path) -> None:
        """Tell the project where its image is now; a changed image of the same shape is accepted.

        A volume of another shape is refused with a `ProjectError`: the strokes would not fit.
        """
        self.check_writable()
        source, changes = find_image(self._project, where)
        self._save(**changes)
        self._image, self._image_stamp = source, image_stamp(self._project.image)
        self.image_relinked.emit()

    def check_writable(self) -> None:
        """Raise unless the project may be changed, here and by this thread."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("A session is changed only by the thread that opened it.")
        self._check_changeable()

    def empty_trash(self) -> None:
        """Give the disk back the room of what was deleted; any thread, takes as long as the disk needs."""
        if not self.read_only and not self._is_closed:
            self._folder.empty_trash()

    def _check_changeable(self) -> None:
        if self._is_closed:
            raise ProjectError(f"The project {self.folder} is closed.", "Open it again.")
        if self.read_only:
            raise ProjectError(self.read_only_reason, "Close it in the other program, then open it again.")
        if not self._folder.description.is_file():  # else a half-made project would appear in its place
            raise ProjectError(
                f"The project folder {self.folder} is gone.", "Put it back where it was, or close the project."
            )

    def _check_box(self, box: Box) -> None:
        volume = Box.of_shape(self._annotations.shape)
        if box.is_empty or not volume.contains(box):
            raise InvalidInput(
                f"A box must lie within the volume {volume} and hold a voxel, got {box}.",
                "Boxes are half-open and counted in voxels: Z0:Z1,Y0:Y1,X0:X1.",
            )

    def _on_edited(self, change: Change) -> None:
        if change.target == "annotations":
            self.annotated.emit(change.box)

    def _check_label(self, highest: int) -> None:
        if highest > len(self.classes):
            raise InvalidInput(
                f"A stroke has label {highest}, but there are {len(self.classes)} classes.", "Add the class first."
            )

    def _save(self, **changes: Any) -> None:
        project = self._project.model_copy(update=changes)
        self._folder.save(project)
        self._project = project

    def _open_image(self) -> VolumeSource:
        stamp = image_stamp(self._project.image)  # before: what changes while it is read is seen next time
        try:
            source = open_image(self._project, self.folder)
        except VolumeError:
            self._image, self._image_stamp = None, None
            raise
        self._image_stamp = stamp
        return source
