"""Specs of trainings, predictions and imports of models, and the parts that trainings and live learning share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults
from napari_pytc.plans.tracking import Tracking
from napari_pytc.settings import Settings
from napari_pytc.volumes.spec import VolumeSpec

_DIGEST = "Digest of the image's fingerprint; another image is refused."


class VolumeInputs(Settings):
    """One volume of a project as a job sees it: the image and its annotations."""

    name: str = Field("", description="Name of the volume, for scores and messages.")
    volume: VolumeSpec
    digest: str | None = Field(None, description=_DIGEST)
    space: VoxelSpace
    annotations: Path = Field(description="Folder of the annotation store.")
    objects: Path | None = Field(None, description="Folder of the objects' labels, for a plan that learns instances.")
    corrections: Path | None = Field(None, description="Folder of stores of corrections to learn from as well.")
    held_out: tuple[Box, ...] = ()


class ModelOutput(Settings):
    """Folders of the model that a job makes, of its parent and of the model that it is compared with."""

    model_folder: Path = Field(description="Where the model appears when the job is done.")
    run_folder: Path = Field(description="Where the state to resume from is kept meanwhile.")
    parent: Path | None = Field(None, description="Folder of the model to start from.")
    baseline: Path | None = Field(
        None, description="Folder of the model in use, which the new one is compared with beside its parent."
    )


class TrainJob(JobSpec):
    """Train a model on a project's annotations."""

    runs: ClassVar[str] = "napari_pytc.learning.training.train:run"
    kind: Literal["train"] = "train"
    inputs: tuple[VolumeInputs, ...] = Field(min_length=1, description="The volumes to learn from.")
    classes: tuple[str, ...] = Field(min_length=1)
    boundary_class: str | None = Field(
        None, description="The class that keeps objects apart, where a plan learns classes from corrections."
    )
    plan: TrainPlan
    output: ModelOutput
    resume: bool = Field(True, description="Go on from the run folder's checkpoint, if it has one.")
    tracking: Tracking | None = Field(None, description="Trackers that record the training; the model is the same.")
    profile: bool = Field(False, description="Write a table and a trace of a few steps into the run's folder.")

    @model_validator(mode="before")
    @classmethod
    def _accept_flat_fields(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "inputs" in content:
            return content
        content, inputs, output = split_flat_fields(content)
        return {**content, "inputs": (inputs,), "output": output}


class StepMemoryJob(JobSpec):
    """Count the memory of a step of a training before it begins; nothing is written.

    The result has ``needed_bytes``, ``free_bytes``, ``device``, ``device_name``, and the ``step`` that is counted as
    text. ``begins_with`` is the step with which the training would begin, where the wanted one does not fit;
    ``problem`` and ``hint`` are those with which it would be refused.
    """

    runs: ClassVar[str] = "napari_pytc.learning.training.memory.step_check:run"
    kind: Literal["step_memory"] = "step_memory"
    plan: TrainPlan
    classes: tuple[str, ...] = Field(description="Names of the project's classes.")
    space: VoxelSpace = Field(description="Voxel size of the volume, where neither plan nor parent says another.")
    n_inputs: int = Field(1, ge=1, description="Channels of the image.")
    parent: Path | None = Field(None, description="Folder of the model to start from.")


class PredictJob(JobSpec):
    """Run a model over a volume, or a box of it."""

    runs: ClassVar[str] = "napari_pytc.learning.prediction.disk_prediction:run"
    kind: Literal["predict"] = "predict"
    image: VolumeSpec
    digest: str | None = Field(None, description=_DIGEST)
    voxel_size_nm: tuple[float, float, float] | None = None
    model: Path = Field(description="Folder of the model.")
    output: Path = Field(description="The OME-Zarr (c, z, y, x) of uint8 probabilities; made if it does not exist.")
    plan: PredictPlan = PredictPlan()
    box: Box | None = Field(None, description="Voxels to predict; the whole volume by default.")
    within: bool = Field(
        False,
        description="The box is a part, wanted soon, of a prediction of everything: it is written into that one, and "
        "no tile counts as finished.",
    )
    focus: tuple[float, float, float] | None = Field(None, description="Tiles nearest to this voxel come first.")
    view: Box | None = Field(None, description="What is looked at: predicted before all tiles, in small ones.")
    notes: tuple[str, ...] = Field((), description="What is told of the job beforehand, as sentences.")
    any_device: bool = Field(
        False, description="Where the plan's device is not there, another one is taken, with a note."
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_former_name(cls, content: Any) -> Any:
        if isinstance(content, dict) and "image_digest" in content:
            content = dict(content)
            content["digest"] = content.pop("image_digest")
        return content


class ImportModelJob(JobSpec):
    """Make a model of a checkpoint of PyTorch Connectomics, without running what is in it.

    The result has ``model``, ``folder``, ``weights`` (``"moving average"`` or ``"last"``), ``parameters``, ``steps``,
    ``sha256``, ``tiling`` and ``notes``.
    """

    runs: ClassVar[str] = "napari_pytc.learning.imports.import_model:run"
    kind: Literal["import_model"] = "import_model"
    checkpoint: Path = Field(description="The file, .ckpt or .pth.tar.")
    config: str = Field(description="Name of the configuration that the plan was made from.")
    plan: TrainPlan
    folder: Path = Field(description="Where the model appears.")
    classes: tuple[str, ...] = Field((), description="Names of semantic classes, where the plan learns some.")
    n_inputs: int = Field(1, ge=1, description="Channels of the image.")
    window_shape: Shape | None = Field(None, description="Window of predictions; by default the plan's patch.")
    prediction: PredictionDefaults | None = Field(None, description="How the model predicts unless told otherwise.")


def split_flat_fields(content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Split a spec that version 0.1 wrote, with all fields side by side.

    Returns
    -------
    content, inputs, output : dict
        The other fields of the spec, those of its `VolumeInputs` and those of its `ModelOutput`.
    """
    rest = dict(content)
    former = {"image": "volume", "image_digest": "digest"}
    names = (*former, "annotations", "objects", "corrections", "held_out")
    inputs = {former.get(name, name): rest.pop(name) for name in names if name in rest}
    if "voxel_size_nm" in rest:
        inputs["space"] = {"voxel_size_nm": rest.pop("voxel_size_nm")}
    output = {name: rest.pop(name) for name in ModelOutput.model_fields if name in rest}
    return rest, inputs, output
