"""Live learning as a job; torch is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.learning.live.plan import LivePlan
from napari_pytc.volumes.spec import VolumeSpec

SUGGESTIONS = "suggestions.json"
"""File beside the live prediction with the places to paint next."""


class LiveJob(JobSpec):
    """Learn from strokes as they are painted and predict what is looked at, until told to stop.

    What it is told while it runs, and tells, is in `napari_pytc.learning.live.messages`.
    """

    kind: Literal["live"] = "live"
    image: VolumeSpec
    image_digest: str | None = Field(None, description="Digest of the image's fingerprint; another image is refused.")
    voxel_size_nm: tuple[float, float, float]
    annotations: Path = Field(description="Folder of the annotation store.")
    classes: tuple[str, ...] = Field(min_length=1)
    held_out: tuple[Box, ...] = ()
    plan: LivePlan = Field(default_factory=LivePlan)
    output: Path = Field(description="The live prediction, an OME-Zarr (c, z, y, x) of uint8; made if it is missing.")
    model_folder: Path = Field(description="Where the best model appears when live learning stops.")
    run_folder: Path = Field(description="Where the state to go on from is kept.")
    parent: Path | None = Field(None, description="Folder of the model that the network begins as.")
    baseline: Path | None = Field(None, description="Folder of the model in use, which the new one is compared with.")

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Learn until told to stop.

        Returns
        -------
        dict
            ``model`` and ``folder`` of the best model (None where nothing was learnt), ``shown`` ("instant" or
            "network"), ``scores`` and ``steps`` of the network.
        """
        ctx.report(0, 0, "loading the libraries")
        from napari_pytc.learning.live.engine import learn_live

        ctx.check()
        return learn_live(self, ctx)
