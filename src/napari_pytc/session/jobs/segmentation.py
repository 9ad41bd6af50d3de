"""Descriptions of segmentations, of predictions or of labels from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_pytc.geometry import Box
from napari_pytc.session.jobs.base import VolumeJobs
from napari_pytc.session.records import PredictionRecord

if TYPE_CHECKING:
    from napari_pytc.annotations.label_transform import LabelTransform
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.jobs import ImportSegmentationJob, SegmentJob
    from napari_pytc.volumes.spec import ReadOptions

J = TypeVar("J", "SegmentJob", "ImportSegmentationJob")

SEGMENTING = ("segment", "import_segmentation")
"""Kinds of jobs that make a segmentation."""


class SegmentationJobs(VolumeJobs):
    """Segmentations of a volume."""

    def segment_job(
        self,
        decoder: DecoderSettings | dict[str, Any] | str | None = None,
        prediction: str | Path | PredictionRecord | None = None,
        settings: dict[str, Any] | None = None,
        mask_prediction: str | Path | PredictionRecord | None = None,
        box: Box | None = None,
        **options: Any,
    ) -> SegmentJob:
        """Describe a segmentation of a prediction, by default the newest one that is finished.

        Interrupted work of the same description is resumed: its folder is the job's output.

        Parameters
        ----------
        decoder : DecoderSettings, dict or str, optional
            Settings, or the name of a kind; by default what the prediction's model names, else what fits.
        settings : dict, optional
            Settings of the decoder to change, whichever it is.
        options : dict
            Other fields of `SegmentJob`: boundary_class, mask_class, mask_mode, block_shape, workers.
        """
        self._state.check_writable()
        if box is not None:
            self._volume.check_box(box)
        place = self._segmentations.folders.place("draft")
        draft = self._segmentation(place, decoder, prediction, settings, mask_prediction, box, options)
        return self._with_place(draft, self._predictions.stamp(draft.prediction))

    def preview_job(
        self,
        box: Box,
        decoder: DecoderSettings | dict[str, Any] | str | None = None,
        prediction: str | Path | PredictionRecord | None = None,
        settings: dict[str, Any] | None = None,
        mask_prediction: str | Path | PredictionRecord | None = None,
        **options: Any,
    ) -> SegmentJob:
        """Describe the preview of a segmentation in a small box; parameters as in `segment_job`.

        It has a folder of its own (the job's output, in ``segments/.preview``), which `Segmentations.discard` deletes
        and the next opening of the project sweeps away. `run` records nothing of it, and nothing becomes current.
        """
        self._state.check_writable()
        self._volume.check_box(box)
        place = self._segmentations.folders.new_preview()
        return self._segmentation(place, decoder, prediction, settings, mask_prediction, box, options)

    def import_segmentation_job(
        self,
        labels: str | Path,
        options: ReadOptions | None = None,
        transform: LabelTransform | None = None,
        boundaries: str | Path | None = None,
        gap_um: float = 0.0,
        workers: int = 1,
        image_channel: int | None = None,
    ) -> ImportSegmentationJob:
        """Describe the import of a segmentation of another program; parameters and errors as in `describe_import`.

        Interrupted work of the same description is resumed: its folder is the job's output.
        """
        from napari_pytc.decoding.imports.describe_import import describe_import

        self._state.check_writable()
        image, place = self._image.check(), self._segmentations.folders.place("draft")
        space = self._volume.record.space
        draft = describe_import(
            labels, image, space, place, options, transform, boundaries, gap_um, workers, image_channel
        )
        return self._with_place(draft, "")

    def _with_place(self, draft: J, stamp: str) -> J:
        """The job with the folder of interrupted work of the same description, or with a new one."""
        used = {run.subject for run in self._state.database.runs() if run.kind in SEGMENTING}
        active = self._active.subjects(self._volume.id)
        place = self._segmentations.folders.place_for(draft, stamp, self._state.clock(), active, used)
        return draft.model_copy(update={"output": place})

    def _segmentation(
        self,
        output: Path,
        decoder: DecoderSettings | dict[str, Any] | str | None,
        prediction: str | Path | PredictionRecord | None,
        settings: dict[str, Any] | None,
        mask_prediction: str | Path | PredictionRecord | None,
        box: Box | None,
        options: dict[str, Any],
    ) -> SegmentJob:
        from napari_pytc.decoding.describe import describe_segmentation

        folder = self._predictions.resolve(prediction)
        record = next((record for record in self._predictions.records() if record.folder == folder), None)
        return describe_segmentation(
            folder,
            output,
            decoder,
            settings,
            None if record is None else self._folder.models / record.model,
            mask_prediction=None if mask_prediction is None else self._predictions.resolve(mask_prediction),
            box=None if box == Box.of_shape(self._volume.shape) else box,
            voxel_size_nm=self._volume.record.voxel_size_nm,
            **options,
        )
