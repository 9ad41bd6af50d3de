"""Descriptions of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.geometry import Box
from napari_pytc.plans.input_channels import check_n_inputs
from napari_pytc.plans.model_folder import ModelInfo, read_model_info
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.prediction_defaults import plan_with_defaults
from napari_pytc.session.jobs.base import VolumeJobs
from napari_pytc.session.records import PredictionRecord
from napari_pytc.volumes.channels import other_classes_note

if TYPE_CHECKING:
    from napari_pytc.plans.specs import PredictJob


class PredictionJobs(VolumeJobs):
    """Predictions of a volume."""

    def predict_job(
        self,
        plan: PredictPlan | None = None,
        model: str | Path | None = None,
        box: Box | None = None,
        focus: Sequence[float] | None = None,
        view: Box | None = None,
    ) -> PredictJob:
        """Describe a prediction; the finished tiles of one of the same model and box are kept.

        Settings that the plan was not given are those that the model brings along, if any, which is noted.

        Parameters
        ----------
        focus : sequence of float, optional
            Tiles nearest to this voxel come first.
        view : Box, optional
            The box in view, which is predicted before everything else.
        """
        info = read_model_info(self._models.resolve(model))
        own, notes = plan_with_defaults(plan or PredictPlan(), info.prediction)
        job = self._predict_job(own, model, box, focus, view)
        return job.model_copy(update={"notes": (*job.notes, *notes)}) if notes else job

    def _predict_job(
        self,
        plan: PredictPlan,
        model: str | Path | None,
        box: Box | None,
        focus: Sequence[float] | None,
        view: Box | None,
    ) -> PredictJob:
        """As `predict_job`, with the settings of a plan as they are."""
        from napari_pytc.plans.specs import PredictJob

        self._state.check_writable()
        if box is not None:
            self._volume.check_box(box)
        image, volume = self._image.check(), self._volume.record
        model_folder = self._models.resolve(model)
        if box == Box.of_shape(image.shape):
            box = None
        info = read_model_info(model_folder)
        check_n_inputs(info, image.n_channels, f"the image of {volume.name}")
        record = self._predictions.find_or_make(info.id, box, plan)
        z, y, x = focus if focus is not None else (0.0, 0.0, 0.0)
        job = PredictJob(
            image=volume.spec,
            digest=volume.fingerprint.digest,
            voxel_size_nm=volume.voxel_size_nm,
            model=model_folder,
            output=record.folder,
            plan=plan,
            box=box,
            focus=None if focus is None else (float(z), float(y), float(x)),
            notes=_class_notes(info, self._state.description.class_names),
        )
        return job if view is None else job.model_copy(update={"view": view})

    def resume_prediction_job(
        self, prediction: PredictionRecord, focus: Sequence[float] | None = None, view: Box | None = None
    ) -> PredictJob:
        """Describe the rest of a prediction, with the settings that it was begun with; see `predict_job`.

        Another device is taken where theirs is not there: the project may have moved to another machine.
        """
        plan, notes = self._predictions.plan_of(prediction)
        job = self._predict_job(plan, prediction.model, prediction.box, focus, view)
        return job.model_copy(update={"output": prediction.folder, "notes": (*job.notes, *notes), "any_device": True})

    def view_job(self, box: Box, model: str | Path | None = None, plan: PredictPlan | None = None) -> PredictJob:
        """Describe a prediction of what is in view, into the model's prediction of everything.

        No tile counts as finished by it: a prediction of everything goes over the box again.
        """
        self._state.check_writable()
        self._volume.check_box(box)
        whole = self.predict_job(plan, model)
        focus = tuple((a + b) / 2 for a, b in zip(box.start, box.stop, strict=True))
        inside = box.intersect(Box.of_shape(self._volume.shape))
        return whole.model_copy(update={"box": inside, "within": True, "focus": focus})


def _class_notes(model: ModelInfo, classes: Sequence[str]) -> tuple[str, ...]:
    """What is told of a model's classes in a project; nothing of a model that predicts single objects."""
    note = None
    target = model.plan.target
    names = model.classes if target.kind == "classes" else target.class_names
    if names:
        note = other_classes_note(f"The model {model.id}", names, classes)
    return () if note is None else (note,)
