"""The folder of one volume of a project, and the paths in it."""

from __future__ import annotations

from pathlib import Path

from napari_pytc.session.project.description import OWN_IMAGE, VolumeRecord


class VolumeFolder:
    """The paths in the folder of a volume.

    ::

        volumes/<id>/
            annotations.zarr  strokes (`PaintStore`); annotations-2.zarr after a class was removed
            objects.zarr      object labels, where there are some (`PaintStore`)
            journal.sqlite    every edit of segments, strokes and object labels (`Journal`); made with the first
            corrections/      training labels of edits, one `TrainingLabels` a segmentation; made again when gone
            predictions/      one OME-Zarr a prediction
            segments/<id>/    segmentations with their edits; .preview holds previews
            retraining/       state of a retraining that is not over (`Retraining`)
            tuning/           tunings of decoders: a record and an SQLite study each
            live/             Live's prediction and suggestions
            image.zarr        the image, where it came from a layer and not from a file
            volume.json       the volume's record when it was added or removed, by which it can be restored

    Parameters
    ----------
    former : Path, optional
        Where each of these lies as long as it is not in `path`: the top of a schema 1 project.
    """

    def __init__(self, path: Path, former: Path | None = None) -> None:
        self.path, self._former = path, former
        self.own_image = self._place(OWN_IMAGE)
        self.predictions = self._place("predictions")
        self.segments = self._place("segments")
        self.previews = self.segments / ".preview"
        self.objects = self._place("objects.zarr")
        self.journal = self._place("journal.sqlite")
        self.corrections = self._place("corrections")
        self.retraining = self._place("retraining")
        self.tuning = self._place("tuning")
        self.live_prediction = self._place("live/prediction.zarr")
        self.suggestions = self._place("live/suggestions.json")

    def annotations(self, record: VolumeRecord | None = None) -> Path:
        """Folder of the strokes of a volume; without a record, that of a new volume's."""
        return self._place("annotations.zarr" if record is None else record.annotations)

    def _place(self, name: str) -> Path:
        place = self.path / name
        if self._former is None or place.exists() or not (self._former / name).exists():
            return place
        return self._former / name
