"""The documents that a volume's journal edits: segmentations, strokes and object labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import ProjectError, VolumeError
from napari_pytc.session.project.volume_folder import VolumeFolder
from napari_pytc.session.proofreading.boundaries import ProjectBoundary
from napari_pytc.session.runs.segmentation_runs import noted_job
from napari_pytc.volumes.source import ImageSource

if TYPE_CHECKING:
    from napari_pytc.labels.segmentation import SegmentationRecord
    from napari_pytc.proofreading.document import LabelDocument


class ProjectDocuments:
    """The `Documents` that a volume's `Journal` edits.

    Parameters
    ----------
    writable : bool
        Whether edits may be written into the folders of segmentations.
    """

    def __init__(self, folder: VolumeFolder, annotations: PaintStore, writable: bool) -> None:
        self._folder, self._annotations, self.writable = folder, annotations, writable
        self._objects = PaintStore(
            folder.objects, annotations.shape, annotations.space, np.uint32, writable, annotations.lock
        )
        self.image: Callable[[], ImageSource] = _no_image
        """Opens the image, where no prediction has boundaries; set by the session."""

    @property
    def journal(self) -> Path:
        """Path of the journal."""
        return self._folder.journal

    @property
    def annotations(self) -> PaintStore:
        """The strokes."""
        return self._annotations

    @property
    def objects(self) -> PaintStore:
        """The object labels."""
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
        boundary = self._boundary(segmentation, found.record)
        return LabelDocument(found, boundary, self.writable, boundary_note=lambda: boundary.note)

    def place(self, segmentation: str) -> Path:
        """The folder of a segmentation."""
        return self._folder.segments / segmentation

    def _boundary(self, id: str, record: SegmentationRecord) -> ProjectBoundary:
        prediction = Path(record.prediction) if record.prediction else None
        if prediction is not None and not prediction.is_dir():  # an id, or the project was moved
            prediction = self._folder.predictions / f"{prediction.name.removesuffix('.zarr')}.zarr"
        chosen = noted_job(self.place(id)).get("boundary_class")
        channel = int(record.decoder.get("image_channel", 0))  # of an imported segmentation
        return ProjectBoundary(prediction, chosen, lambda: self.image(), record.boundaries, channel)


def _no_image() -> ImageSource:
    raise VolumeError("The image is not open.", "Open the project it belongs to.")
