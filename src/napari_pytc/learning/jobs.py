"""Training and prediction as jobs; torch is imported when one runs, not when one is described."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.learning.config import PredictPlan, TrainPlan
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.spec import VolumeSpec


class TrainJob(JobSpec):
    """Train a model on a project's annotations."""

    kind: Literal["train"] = "train"
    image: VolumeSpec
    image_digest: str | None = Field(None, description="Digest of the image's fingerprint; another image is refused.")
    voxel_size_nm: tuple[float, float, float]
    annotations: Path = Field(description="Folder of the annotation store.")
    objects: Path | None = Field(None, description="Folder of the objects' labels, for a plan that learns instances.")
    corrections: Path | None = Field(None, description="Folder of stores of corrections to learn from as well.")
    boundary_class: str | None = Field(
        None, description="The class that keeps objects apart, where a plan learns classes from corrections."
    )
    classes: tuple[str, ...] = Field(min_length=1)
    held_out: tuple[Box, ...] = ()
    plan: TrainPlan
    model_folder: Path = Field(description="Where the model appears when training is done.")
    run_folder: Path = Field(description="Where checkpoints to resume from are kept meanwhile.")
    parent: Path | None = Field(None, description="Folder of the model to fine-tune.")
    baseline: Path | None = Field(
        None, description="Folder of the model in use, which the new one is compared with beside its parent."
    )
    resume: bool = Field(True, description="Go on from the run folder's checkpoint, if it has one.")

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Train; returns the new model's id, folder, scores, steps, seconds and why it stopped."""
        ctx.report(0, self.plan.steps, "loading the libraries")
        from napari_pytc.learning.data import TrainingData
        from napari_pytc.learning.training import TrainingFolders, train

        ctx.check()
        data = TrainingData.open(self)
        check_image(data.source, self.image_digest)
        folders = TrainingFolders(
            model=self.model_folder,
            run=self.run_folder,
            parent=self.parent,
            resume=self.resume,
            in_use=self.baseline,
        )
        return train(self.plan, data, folders, ctx).summary()


class PredictJob(JobSpec):
    """Run a model over a volume, or a box of it."""

    kind: Literal["predict"] = "predict"
    image: VolumeSpec
    image_digest: str | None = Field(None, description="Digest of the image's fingerprint; another image is refused.")
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

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Predict; returns the output, the number of tiles, seconds and Mvoxel/s."""
        ctx.report(0, 1, "loading the libraries")
        from napari_pytc.learning.disk_prediction import predict_to_disk

        ctx.check()
        return predict_to_disk(self, ctx).summary()


def check_image(source: VolumeSource, digest: str | None) -> str:
    """The digest of an image; `VolumeError` if another one was expected."""
    found = fingerprint(source).digest
    if digest is not None and found != digest:
        raise VolumeError("The image changed since the job was described.", "Open the project again to see how.")
    return found
