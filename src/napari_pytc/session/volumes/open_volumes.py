"""The volumes of an open project that are open, each with its components."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.session.corrections import Corrections
from napari_pytc.session.held_out import HeldOutBoxes
from napari_pytc.session.models import Models
from napari_pytc.session.objects import Objects
from napari_pytc.session.predictions import Predictions
from napari_pytc.session.project.image import ProjectImage
from napari_pytc.session.project.state import ProjectState
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.proofreading.proofreader import Proofreader
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.runs.segmentation_runs import SegmentationFolders
from napari_pytc.session.segmentations import Segmentations
from napari_pytc.session.strokes import Strokes
from napari_pytc.session.volumes.files import VolumeFiles, open_image_of, open_volume_files


class VolumeParts:
    """The components of a volume: image, annotations, predictions, segmentations, edits.

    Parameters
    ----------
    files : VolumeFiles
        Its open files, which are closed with it.
    """

    def __init__(self, project: ProjectState, files: VolumeFiles, active: ActiveJobs, models: Models) -> None:
        self.state = state = VolumeState(project, files.id)
        self.image = image = ProjectImage(state, files.image)
        files.documents.image = lambda: image.source
        self.proofreader = Proofreader(files.documents, files.journal, state.check_changeable, project.check_label)
        self.held_out = HeldOutBoxes(state)
        self.strokes = Strokes(state, files.annotations, self.proofreader, self.held_out)
        self.objects = Objects(state, files.documents.objects, self.proofreader)
        self.predictions = Predictions(state, active)
        folders = SegmentationFolders(state, active.reserved)
        self.segmentations = Segmentations(state, folders, self.proofreader, active)
        self.corrections = Corrections(state, self.proofreader, models, folders)

    def close(self) -> None:
        """Flush and close the files of edits and strokes; may be called twice."""
        try:
            self.proofreader.close()
        finally:
            self.strokes.store.wait()  # for a stroke on its way to the disk: afterwards another process may write


class OpenVolumes:
    """Opens the volumes of a project when they are needed, each once, and closes them.

    Parameters
    ----------
    project : ProjectState
        The state that the volumes share.
    """

    def __init__(self, project: ProjectState, active: ActiveJobs, models: Models) -> None:
        self._project, self._active, self._models = project, active, models
        self._files: dict[str, VolumeFiles] = {}
        self._parts: dict[str, VolumeParts] = {}
        self._opening = threading.RLock()

    def take(self, files: VolumeFiles) -> None:
        """Take over files that were opened elsewhere."""
        with self._opening:
            self._files[files.id] = files

    def prepare(self, id: str) -> None:
        """Open a volume's files and image and count its strokes, so that `get` need not wait; any thread.

        Raises
        ------
        PytcError
            If the strokes are damaged, or the volume was removed.
        """
        parts = self._parts.get(id)
        if parts is None:
            with self._opening:
                if id not in self._files:
                    self._files[id] = self._open(id)
                files = self._files[id]
            if files.image is None:  # outside of the lock: nobody waits for another volume's disk
                open_image_of(files, self._project.description, self._project.folder)
            return
        with suppress(PytcError):  # reported where the image is used
            parts.image.source  # noqa: B018
        parts.strokes.counts()

    def get(self, id: str) -> VolumeParts:
        """The components of a volume; errors as in `prepare`, but the image is opened when it is first needed."""
        parts = self._parts.get(id)
        if parts is not None:
            return parts
        with self._opening:
            if id not in self._parts:
                if id not in self._files:
                    self._files[id] = self._open(id)
                self._parts[id] = VolumeParts(self._project, self._files[id], self._active, self._models)
            return self._parts[id]

    def close(self, id: str | None = None) -> None:
        """Close a volume, or all, also where one of them raises because it cannot be saved; may be called twice."""
        with self._opening, ExitStack() as closing:
            for name in [id] if id is not None else list(self._files):
                files, parts = self._files.pop(name, None), self._parts.get(name)
                if parts is not None:
                    closing.callback(parts.close)
                elif files is not None:
                    closing.callback(files.close)

    def close_images(self) -> None:
        """Close the images of all volumes."""
        for parts in list(self._parts.values()):
            parts.image.close()
        self._parts.clear()

    def forget(self, id: str) -> None:
        """Close a volume that was removed."""
        with self._opening:
            self.close(id)
            self._parts.pop(id, None)

    def _open(self, id: str) -> VolumeFiles:
        if self._project.is_closed:
            raise ProjectError("The project is closed.", "Open it again.")
        folder, description = self._project.folder, self._project.description
        return open_volume_files(folder, description, id, not self._project.read_only, with_image=False)
