"""Segmentation as a job; the libraries are imported when one runs, not when one is described."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

import napari_pytc.decoding  # noqa: F401  (registers the decoders)
from napari_pytc.decoding.base import AnyDecoder
from napari_pytc.decoding.evidence import EvidenceReader, MaskMode, MaskSettings
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.spec import JobSpec


class SegmentJob(JobSpec):
    """Decode a prediction into supervoxels, a region graph and segments."""

    kind: Literal["segment"] = "segment"
    prediction: Path = Field(description="The OME-Zarr (c, z, y, x) of uint8 probabilities.")
    boundary_class: str | None = Field(None, description="The class that stands for the boundary, if no channel does.")
    mask_prediction: Path | None = Field(None, description="A prediction of classes that restricts the objects.")
    mask_class: str | None = Field(None, description="The class of it that restricts.")
    mask_mode: MaskMode = Field("inside", description="Objects lie only inside of the class, or never reach through.")
    decoder: AnyDecoder
    output: Path = Field(description="The segmentation's folder; made, or gone on with if it was begun.")
    box: Box | None = Field(None, description="Voxels to decode; the whole volume by default.")
    block_shape: Shape | None = Field(None, description="Voxels of a block; what suits the voxel size by default.")
    workers: int = Field(1, ge=1, description="Blocks that are decoded at a time.")
    voxel_size_nm: tuple[float, float, float] | None = Field(None, description="Instead of the prediction's own.")
    reuse: Path | None = Field(
        None, description="A segmentation of the same volume: where nothing changed, its supervoxels are taken over."
    )
    changed: tuple[Box, ...] = Field(
        (), description="With reuse: where the prediction is another one; blocks that look there are decoded anew."
    )
    keep: Path | None = Field(
        None, description="A segmentation whose locked segments stay as they are, voxel by voxel and by id."
    )

    def reader(self) -> EvidenceReader:
        """The prediction and what restricts it, opened.

        Raises
        ------
        InvalidInput
            If a mask's class or prediction is missing, or the decoder does not suit the prediction.
        """
        reader = EvidenceReader.open(self.prediction, self.boundary_class, self.mask())
        self.decoder.check(reader.kind)
        return reader

    def mask(self) -> MaskSettings | None:
        """What restricts the objects."""
        if self.mask_class is None:
            if self.mask_prediction is not None:
                raise InvalidInput("What restricts needs the name of a class.", "Choose one of its classes.")
            return None
        prediction = self.mask_prediction or self.prediction
        return MaskSettings(prediction=prediction, name=self.mask_class, mode=self.mask_mode)

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Segment; returns segmentation, folder, n_supervoxels, n_segments, seconds and mvoxel_per_s."""
        ctx.report(0, 1, "loading the libraries")
        from napari_pytc.decoding.blockwise import segment_blockwise

        ctx.check()
        return segment_blockwise(self, ctx)


class CompareJob(JobSpec):
    """Find where two predictions of one volume differ, tile by tile."""

    kind: Literal["compare"] = "compare"
    former: Path = Field(description="The OME-Zarr of the former prediction.")
    prediction: Path = Field(description="That of the present one, with the same channels.")
    output: Path = Field(description="The file for the boxes that differ: a JSON list of Z0:Z1,Y0:Y1,X0:X1.")
    box: Box | None = Field(None, description="Voxels to compare; the whole volume by default.")
    mean: float = Field(0.03, ge=0, le=1, description="A tile differs if probabilities moved by more in the mean.")
    flipped: float = Field(
        0.003, ge=0, le=1, description="It also differs if a larger share of its voxels is on the other side of 0.5."
    )

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Compare; returns output, tiles, changed and share (of the voxels)."""
        from napari_pytc.decoding.changes import compare_predictions

        return compare_predictions(self, ctx)
