"""The segmentations and strokes of a project as its journal changes them, opened when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.annotations.objects import ObjectStore
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import ProjectError, VolumeError
from napari_pytc.session.boundaries import ProjectBoundary
from napari_pytc.session.project import ProjectFolder
from napari_pytc.session.segment_jobs import SegmentationFolders
from napari_pytc.volumes.source import VolumeSource

if TYPE_CHECKING:
    from napari_pytc.labels.segmentation import SegmentationRecord
    from napari_pytc.proofreading.document import LabelDocument


class ProjectDocuments:
    """What a project's journal works on: the `Documents` of `Journal`.

    Parameters
    ----------
    writable : bool
        Whether edits may be written into the folders of segmentations.
    """

    def __init__(self, folder: ProjectFolder, annotations: AnnotationStore, writable: bool) -> None:
        self._folder, self._annotations, self.writable = folder, annotations, writable
        self._objects = ObjectStore(
            folder.objects, annotations.shape, annotations.space, annotations.changing, writable
        )
        self.image: Callable[[], VolumeSource] = _no_image
        """Opens the image, where no prediction tells of boundaries; given by the session."""

    @property
    def journal(self) -> Path:
        """Where the journal lies."""
        return self._folder.journal

    @property
    def annotations(self) -> AnnotationStore:
        """The strokes."""
        return self._annotations

    @property
    def objects(self) -> ObjectStore:
        """The objects to learn from."""
        return self._objects

    def open(self, segmentation: str) -> LabelDocument:
        """A segmentation by id, as last flushed.

        Raises
        ------
        ProjectError
            If it was deleted.
        VolumeError
            If it is damaged.
        """
        from napari_pytc.labels.segmentation import Segmentation
        from napari_pytc.proofreading.document import LabelDocument

        place = self.place(segmentation)
        if not place.is_dir():
            raise ProjectError(
                f"The segmentation {segmentation} was deleted.",
                "The journal cannot go back to it; activate another one, or segment again.",
            )
        found = Segmentation.open(place)
        return LabelDocument(found, self._boundary(segmentation, found.record), self._annotations, self.writable)

    def place(self, segmentation: str) -> Path:
        """The folder of a segmentation."""
        return self._folder.segments / segmentation

    def _boundary(self, id: str, record: SegmentationRecord) -> ProjectBoundary:
        prediction = Path(record.prediction) if record.prediction else None
        if prediction is not None and not prediction.is_dir():  # an id, or the project was moved
            prediction = self._folder.predictions / f"{prediction.name.removesuffix('.zarr')}.zarr"
        chosen = SegmentationFolders(self._folder).job_of(id).get("boundary_class")
        return ProjectBoundary(prediction, chosen, lambda: self.image())


def _no_image() -> VolumeSource:
    raise VolumeError("The image is not open.", "Open the project it belongs to.")
