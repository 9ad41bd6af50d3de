"""The tunings of decoders at a volume: on a file of truth, or on the objects in its held-out boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.geometry import Box
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.volumes.open_volumes import VolumeParts

if TYPE_CHECKING:
    from napari_pytc.annotations.label_transform import LabelTransform
    from napari_pytc.annotations.paint_store import PaintStore
    from napari_pytc.labels.store import LabelStore
    from napari_pytc.session.jobs import Jobs
    from napari_pytc.tuning.describe import TuneRequest
    from napari_pytc.tuning.jobs import TuneJob
    from napari_pytc.tuning.records import TunedTrial, TuningRecord
    from napari_pytc.tuning.truth import AnyTruth
    from napari_pytc.volumes.spec import ReadOptions


class Tunings:
    """The tunings of a volume, one JSON file with a study beside it each.

    Parameters
    ----------
    parts : VolumeParts
        The volume.
    jobs : Jobs
        The project's jobs, of which trainings say what a model has seen.
    """

    def __init__(self, parts: VolumeParts, jobs: Jobs) -> None:
        self._volume, self._predictions, self._jobs = parts.state, parts.predictions, jobs
        self._held_out, self._objects, self._strokes = parts.held_out, parts.objects, parts.strokes
        self._corrections = parts.corrections

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._volume.folder.tuning

    @property
    def why_not(self) -> str:
        """Reason why there is no truth in held-out boxes, as the rest of a sentence; empty if there is; any thread."""
        if not self._held_out.boxes:
            return "no box is held out: hold one out in the Data panel and label the objects in it."
        return "" if self.truth_boxes() else "no object is labelled in a held-out box: label some in the Data panel."

    def truth_boxes(self) -> tuple[Box, ...]:
        """The held-out boxes that object labels reach into, chunk by chunk; reads no voxel; any thread."""
        try:
            chunks = [chunk.box for chunk in self._objects.store.chunks()]
        except PytcError:
            return ()
        return tuple(box for box in self._held_out.boxes if any(box.overlaps(chunk) for chunk in chunks))

    def records(self) -> list[TuningRecord]:
        """The tunings of the volume that can be read, the newest first; any thread."""
        from napari_pytc.tuning.records import read_record

        found = []
        for path in self.folder.glob("*.json") if self.folder.is_dir() else ():
            try:
                found.append(read_record(path))
            except ProjectError:  # of another version, or damaged
                continue
        return sorted(found, key=lambda record: (record.created, record.id), reverse=True)

    def tune_job(
        self,
        request: TuneRequest,
        truth: str | Path | None = None,
        options: ReadOptions | None = None,
        transform: LabelTransform | None = None,
        prediction: str | Path | PredictionRecord | None = None,
        boundary_class: str | None = None,
        mask_class: str | None = None,
        mask_mode: str = "inside",
        mask_prediction: str | Path | PredictionRecord | None = None,
    ) -> TuneJob:
        """Describe a tuning; one of the same prediction, truth, score and search goes on with its trials.

        Parameters
        ----------
        request : TuneRequest
            Decoders, settings, score and number of trials.
        truth : str or Path, optional
            ``PATH[:DATASET]`` of labels; by default the objects in held-out boxes.
        options, transform : optional
            How the file is read, and where its labels lie and what they mean.
        prediction, mask_prediction : optional
            By default the newest prediction that is finished, and the same.

        Raises
        ------
        ProjectError
            If there is no prediction, or no truth is held out.
        InvalidInput
            If a decoder, a setting, a range or the truth does not fit.
        """
        from napari_pytc.decoding.evidence import MaskSettings
        from napari_pytc.tuning.describe import describe_tuning

        self._volume.check_writable()
        if request.box is not None:
            self._volume.check_box(request.box)
        folder = self._predictions.resolve(prediction)
        record = next((one for one in self._predictions.records() if one.folder == folder), None)
        found, name = self._held_out_truth() if truth is None else _file_truth(truth, options, transform)
        mask, stamp = None, self._predictions.stamp(folder)
        if mask_class is not None:
            restricting = folder if mask_prediction is None else self._predictions.resolve(mask_prediction)
            mask = MaskSettings.model_validate({"prediction": restricting, "name": mask_class, "mode": mask_mode})
            stamp += f" {self._predictions.stamp(restricting)}" if restricting != folder else ""
        model = None if record is None else self._volume.project.folder.models / record.model
        job = describe_tuning(
            folder,
            self.folder,
            found,
            request,
            model,
            boundary_class,
            mask,
            predicted=None if record is None else record.box,
            stamp=stamp,
            voxel_size_nm=self._volume.record.voxel_size_nm,
            truth_name=name,
        )
        return job.model_copy(update={"notes": (*job.notes, *self._training_notes(found, record))})

    def segment_arguments(self, record: TuningRecord, trial: TunedTrial | None = None) -> dict[str, Any]:
        """The settings of a trial, by default the best, as arguments of `Jobs.segment_job`."""
        settings = (record.best if trial is None else trial).decoder
        return {"decoder": settings, "prediction": record.prediction, **record.options}

    def _held_out_truth(self) -> tuple[AnyTruth, str]:
        from napari_pytc.tuning.truth import HeldOutTruth

        if self.why_not:
            raise ProjectError(
                f"There is no truth to tune on: {self.why_not}",
                "Hold out a box and label its objects, or give a file of labels with --truth.",
            )
        boxes = self.truth_boxes()
        truth = HeldOutTruth(objects=self._objects.store.folder, revision=self._objects.revision, boxes=boxes)
        return truth, f"the objects in {'the held-out box' if len(boxes) == 1 else 'held-out boxes'}"

    def _training_notes(self, truth: AnyTruth, prediction: PredictionRecord | None) -> list[str]:
        """Notes on truth that the model of a prediction may have learnt from."""
        boxes = truth.open(self._volume.shape, self._volume.record.space).boxes
        why = "a model that learnt from it is surer there than elsewhere, and so are the settings that suit it"
        notes = []
        n_seen = self._n_trained_voxels(boxes)
        if n_seen:
            notes.append(
                f"{n_seen} voxels of strokes, objects or corrections where the truth lies are not held out: {why}. "
                "Hold the box out, train and predict again to tune on tissue that the model has not seen."
            )
        before = None if prediction is None else self._held_out_before(prediction.model)
        if before is None:
            unknown = "a prediction from elsewhere" if prediction is None else f"the model {prediction.model}"
            notes.append(f"The project does not know what {unknown} has learnt from. Where it is this truth: {why}.")
            return notes
        late = [held for held in self._held_out.boxes if _is_missing(held, boxes, before)]
        if late:
            notes.append(
                f"The model was trained before {', '.join(map(str, late))} {'was' if len(late) == 1 else 'were'} held "
                f"out: where it learnt from it, {why}."
            )
        return notes

    def _n_trained_voxels(self, boxes: Sequence[Box]) -> int:
        """Number of annotated voxels in some boxes, without those that are held out."""
        n_found = 0
        stores: list[LabelStore | PaintStore] = [self._strokes.store, self._objects.store, *self._corrections.stores()]
        for store in stores:
            for chunk in store.chunks():
                for box in boxes:
                    here = chunk.box.intersect(box)
                    if here.is_empty or any(held.contains(here) for held in self._held_out.boxes):
                        continue
                    labels = np.array(store.read(here))
                    for held in self._held_out.boxes:
                        labels[held.intersect(here).relative_to(here.start).slices] = 0
                    n_found += int(np.count_nonzero(labels))
        return n_found

    def _held_out_before(self, model: str) -> list[Box] | None:
        """The boxes of this volume that were held out when a model was trained; None where that is not known.

        All of a volume that it did not learn from.
        """
        project = self._volume.project
        volumes = ("", *(record.id for record in project.description.volumes))
        found = [
            spec
            for kind in ("train", "live")
            for specs in (self._jobs.specs(kind), project.database.specs(kind, volumes))
            if (spec := specs.get(model))
        ]
        inputs = found[0].get("inputs") if found else None
        if inputs is None:  # imported, or of a version that recorded less
            return None
        for one in inputs:
            if one.get("digest") == self._volume.image_digest:
                return [Box(tuple(box["start"]), tuple(box["stop"])) for box in one.get("held_out", ())]
        return [Box.of_shape(self._volume.shape)]


def _is_missing(held: Box, boxes: Sequence[Box], before: Sequence[Box]) -> bool:
    """Whether a box with truth was not held out before."""
    parts = [part for box in boxes if not (part := held.intersect(box)).is_empty]
    return any(not any(one.contains(part) for one in before) for part in parts)


def _file_truth(
    path: str | Path, options: ReadOptions | None, transform: LabelTransform | None
) -> tuple[AnyTruth, str]:
    from napari_pytc.annotations.label_transform import LabelTransform
    from napari_pytc.tuning.truth import LabelTruth
    from napari_pytc.volumes.fingerprint import fingerprint
    from napari_pytc.volumes.opening import open_labels

    source = open_labels(path, options)
    if source.dtype.kind not in "iubf":
        raise InvalidInput(f"Truth must be ids of objects, got {source.dtype}.", "Give labels of instances.")
    truth = LabelTruth(labels=source.spec, digest=fingerprint(source).digest, transform=transform or LabelTransform())
    return truth, str(path)
