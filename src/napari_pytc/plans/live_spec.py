"""Spec of live learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.specs import ModelOutput, VolumeInputs, split_flat_fields

SUGGESTIONS = "suggestions.json"
"""File beside the live prediction with the suggestions where to paint next."""


class LiveJob(JobSpec):
    """Learn from strokes as they are painted and predict the view, until a stop message comes.

    Its messages are described in `napari_pytc.plans.live_messages`.
    """

    runs: ClassVar[str] = "napari_pytc.learning.live.engine:run"
    kind: Literal["live"] = "live"
    inputs: tuple[VolumeInputs, ...] = Field(
        min_length=1, description="The volume in view, then the others whose strokes are learnt from as well."
    )
    classes: tuple[str, ...] = Field(min_length=1)
    plan: LivePlan = Field(default_factory=LivePlan)
    prediction: Path = Field(
        description="The live prediction, an OME-Zarr (c, z, y, x) of uint8; made if it is missing."
    )
    output: ModelOutput
    notes: tuple[str, ...] = Field((), description="What is told of the job beforehand, as sentences.")

    @model_validator(mode="before")
    @classmethod
    def _accept_flat_fields(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        if "inputs" in content:
            inputs = content["inputs"]
            return content if isinstance(inputs, list | tuple) else {**content, "inputs": (inputs,)}
        content, inputs, output = split_flat_fields(content)
        if "output" in content:
            content["prediction"] = content.pop("output")
        return {**content, "inputs": (inputs,), "output": output}

    @property
    def in_view(self) -> VolumeInputs:
        """The volume in view, which is predicted."""
        return self.inputs[0]
