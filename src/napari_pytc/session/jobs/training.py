"""Descriptions of trainings, and of models that are imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.files import plain_path
from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.session.jobs.base import VolumeJobs
from napari_pytc.session.project.description import VolumeRecord
from napari_pytc.session.runs import training_runs

if TYPE_CHECKING:
    from napari_pytc.plans.specs import ImportModelJob, TrainJob, VolumeInputs
    from napari_pytc.plans.tracking import Tracking
    from napari_pytc.pytc.translate import ImportedConfig


class TrainingJobs(VolumeJobs):
    """Trainings on what is annotated in a project."""

    def train_job(
        self,
        plan: TrainPlan,
        parent: str | Path | None = None,
        resume: bool = True,
        corrections: bool = False,
        volumes: Sequence[str] | None = None,
        edited: Sequence[str] | None = None,
        tracking: Tracking | None = None,
    ) -> TrainJob:
        """Describe a training on what is annotated now.

        With `resume`, an interrupted training of the same plan, parent and data is resumed.

        Parameters
        ----------
        corrections : bool
            Learn from what `Corrections.collect` collected last at the volumes, too.
        volumes : sequence of str, optional
            Names of the volumes to learn from; by default all with the annotations that the plan learns from, classes
            or objects, and with `corrections` those that have some.
        edited : sequence of str, optional
            Names of the volumes whose corrections are learnt from; by default those of all volumes to learn from.
        tracking : Tracking, optional
            Trackers that record the training; none by default.

        Raises
        ------
        ProjectError
            If it is to learn from corrections and there are none.
        InvalidInput
            If the plan cannot learn from corrections, or there is no such volume.
        VolumeError
            If the image of a volume moved or changed.
        """
        from napari_pytc.plans.specs import ModelOutput, TrainJob

        self._state.check_writable()
        _check_decoder(plan.decoder)
        corrected = self._corrected(edited if edited is not None else volumes) if corrections else []
        boundary_class = self._boundary_class(plan, corrected)
        records = self._inputs.to_learn_from(plan.target, volumes)
        records += [record for record in corrected if record not in records]
        inputs = self._volume_inputs(records, corrected)
        parent_folder = None if parent is None else self._models.resolve(parent)
        self._inputs.check_channels(records or [self._volume.record], parent_folder)
        if plan.voxel_size_nm is not None or len(inputs) == 1:  # else the training says which voxels it learns
            space = inputs[0].space if plan.voxel_size_nm is None else VoxelSpace(plan.voxel_size_nm)
            plan.check_channels(plan.target.roles(self._state.description.class_names, space))
        output = ModelOutput(
            model_folder=self._folder.models,
            run_folder=self._folder.runs,
            parent=parent_folder,
            baseline=self._models.in_use,
        )
        draft = TrainJob(
            inputs=tuple(inputs),
            classes=self._state.description.class_names,
            boundary_class=boundary_class,
            plan=plan,
            output=output,
            resume=resume,
            tracking=tracking,
        )
        name = (self._begun(draft) if resume else None) or self._new_model(plan.recipe)
        return draft.model_copy(update={"output": output.model_copy(update=self._places(name))})

    def import_model_job(self, config: ImportedConfig, checkpoint: str | Path) -> ImportModelJob:
        """Describe the import of a checkpoint of PyTorch Connectomics as a model of the project."""
        self._state.check_writable()
        return config.job(plain_path(checkpoint), self._folder.models / self._new_model(config.name))

    def unfinished_trainings(self) -> list[TrainJob]:
        """Trainings that were paused, cancelled or cut short, at any volume, the latest first.

        Run one again to resume it, also with more strokes. Those of other classes, held-out boxes or volumes than the
        project has now are left out.
        """
        folder, found = self._folder, []
        for name, note in training_runs.unfinished_runs(folder.runs, folder.models, self._active.subjects()):
            try:
                job = _noted_job(note)
            except (ValidationError, PytcError):  # of another version, or damaged
                continue
            parent = job.output.parent
            if parent is not None and not parent.is_dir():  # the project was moved, or the parent deleted
                parent = folder.models / parent.name
                if not parent.is_dir():
                    continue
            inputs = self._inputs.present_inputs(training_runs.noted_volumes(note), job.inputs)
            # A checkpoint fits only its own classes and held-out boxes: with others training would begin anew.
            if job.classes != self._state.description.class_names or inputs is None:
                continue
            folders = {**self._places(name), "parent": parent, "baseline": self._models.in_use}
            update = {"inputs": inputs, "output": job.output.model_copy(update=folders), "resume": True}
            found.append(job.model_copy(update=update))
        return found

    def discard_training(self, job: TrainJob) -> None:
        """Give up an unfinished training with its checkpoints. `empty_trash` frees the disk space."""
        self._state.check_writable()
        self._active.check_unused(job.output.run_folder, "training")
        self._folder.discard(self._folder.runs / job.output.run_folder.name)

    def _volume_inputs(self, records: Sequence[VolumeRecord], corrected: Sequence[VolumeRecord]) -> list[VolumeInputs]:
        """What a training reads of volumes, with the corrections of some; of that in view where there are none."""
        found = []
        for record in records or [self._volume.record]:
            inputs = self._inputs.of(record.id)
            if record in corrected:
                edits = self._inputs.corrections(record.id).folder
                inputs = inputs.model_copy(update={"corrections": edits})
            found.append(inputs)
        return found

    def _begun(self, draft: TrainJob) -> str | None:
        """Name of an interrupted training of the same work."""
        work = self._work_of(draft)
        begun = training_runs.unfinished_runs(self._folder.runs, self._folder.models, self._active.subjects())
        return next((name for name, note in begun if note.get("work") == work), None)

    def _places(self, name: str) -> dict[str, Path]:
        """Folders of a model that is trained, and of its run."""
        return {"model_folder": self._folder.models / name, "run_folder": self._folder.runs / name}

    def _corrected(self, names: Sequence[str] | None) -> list[VolumeRecord]:
        found = self._inputs.corrected(names)
        if not found:
            raise ProjectError(
                "There are no corrections to learn from.",
                "Merge, split, lock or paint segments in the panel Proofread first.",
            )
        return found

    def _boundary_class(self, plan: TrainPlan, corrected: Sequence[VolumeRecord]) -> str | None:
        """The class that keeps objects apart in the segmentations of these volumes, where a plan learns classes."""
        found = {record.name: self._inputs.corrections(record.id).boundary_class(plan) for record in corrected}
        (name, chosen), *others = found.items() or [("", None)]
        for other, different in others:
            if different != chosen:
                raise InvalidInput(
                    f"The segments of {name} are kept apart by the class {chosen!r}, those of {other} by "
                    f"{different!r}: one training learns corrections of one class.",
                    f"Learn from the corrections of one of them: --volume {name}.",
                )
        return chosen


def _noted_job(note: dict[str, Any]) -> TrainJob:
    """The training of a run's note; without trackers that are not installed here any more."""
    from napari_pytc.plans.specs import TrainJob

    content = note.get("job")
    try:
        return TrainJob.model_validate(content)
    except PytcError:
        if not isinstance(content, dict) or not content.get("tracking"):
            raise
        return TrainJob.model_validate({**content, "tracking": None})


def _check_decoder(settings: dict[str, Any]) -> None:
    """Refuse a recipe whose decoder there is not, before hours of training rather than after."""
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.plans.recipe_checks import explain

    if "kind" not in settings:
        return
    try:
        DecoderSettings.parse(settings)
    except ValidationError as error:
        raise InvalidInput(*explain(error, "the decoder of the recipe")) from error
