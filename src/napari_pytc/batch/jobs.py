"""Spec of a model applied to many files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.settings import Settings
from napari_pytc.volumes.spec import ReadOptions

What = Literal["classes", "probabilities", "segments"]
"""What a batch writes of each input."""
Format = Literal["tif", "h5", "zarr"]
"""Kind of file that it writes."""


class BatchInput(Settings):
    """One volume of a batch, and the file that is made of it."""

    path: str = Field(description="PATH[:DATASET] or a URL; opened when its turn comes.")
    output: str = Field(description="Name of the file in the folder of the outputs.")


class ApplyJob(JobSpec):
    """Apply a model to many files, and write a file for each: classes, probabilities or segments."""

    runs: ClassVar[str] = "napari_pytc.batch.apply:apply"
    kind: Literal["apply"] = "apply"
    model: Path = Field(description="Folder of the model.")
    inputs: tuple[BatchInput, ...] = Field(min_length=1)
    folder: Path = Field(description="Folder of the outputs; made if it is not there.")
    what: What = "classes"
    plan: PredictPlan = PredictPlan()
    options: ReadOptions = Field(ReadOptions(), description="How to read all of the inputs.")
    decoder: str | None = Field(None, description="Kind of decoder; by default what the model's recipe names.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings of the decoder to change.")
    overwrite: bool = Field(False, description="Replace files of other work that have the names of the outputs.")
    workers: int = Field(1, ge=1, description="Blocks that are decoded at a time.")
    notes: tuple[str, ...] = Field((), description="What was assumed when the job was described, as sentences.")
