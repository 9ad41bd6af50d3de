"""Specs of segmentations: decoding, import, and the comparison of two predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

import napari_pytc.decoding  # noqa: F401  (registers the decoders)
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.decoding.base import AnyDecoder
from napari_pytc.decoding.evidence import EvidenceReader, MaskMode, MaskSettings
from napari_pytc.decoding.imports.boundary_map import BoundaryMap
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.segmentation import IMPORTED
from napari_pytc.volumes.spec import VolumeSpec


class SegmentJob(JobSpec):
    """Decode a prediction into supervoxels, a region graph and segments."""

    runs: ClassVar[str] = "napari_pytc.decoding.blocks.blockwise:segment_blockwise"
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
    notes: tuple[str, ...] = Field((), description="What was assumed when the job was described, as sentences.")
    keep: Path | None = Field(
        None, description="A segmentation whose locked segments stay as they are, voxel by voxel and by id."
    )

    @property
    def stem(self) -> str:
        """What the name of the segmentation says of how it was made."""
        return self.decoder.kind

    def work(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON, without places and the number of workers."""
        content = self.model_dump(mode="json", exclude={"output", "workers", "prediction", "mask_prediction", "notes"})
        names = [self.prediction.name, self.mask_prediction.name if self.mask_prediction else ""]
        return {**content, "predictions": names}

    def reader(self) -> EvidenceReader:
        """The opened prediction, with the mask that restricts it.

        Raises
        ------
        InvalidInput
            If a mask's class or prediction is missing, or the decoder does not suit the prediction.
        """
        reader = EvidenceReader.open(self.prediction, self.boundary_class, self.mask())
        self.decoder.check(reader.kind)
        return reader

    def mask(self) -> MaskSettings | None:
        """Settings of the mask that restricts the objects; None for no mask."""
        if self.mask_class is None:
            if self.mask_prediction is not None:
                raise InvalidInput("What restricts needs the name of a class.", "Choose one of its classes.")
            return None
        prediction = self.mask_prediction or self.prediction
        return MaskSettings(prediction=prediction, name=self.mask_class, mode=self.mask_mode)


class ImportSegmentationJob(JobSpec):
    """Make a segmentation of labels that another program made, to proofread them."""

    runs: ClassVar[str] = "napari_pytc.decoding.imports.import_segmentation:import_segmentation"
    kind: Literal["import_segmentation"] = "import_segmentation"
    labels: VolumeSpec = Field(description="The labels: an id for each object, 0 for none.")
    labels_digest: str | None = Field(None, description="Digest of the labels' fingerprint; other labels are refused.")
    transform: LabelTransform = Field(LabelTransform(), description="Where they lie, and which values are no ids.")
    image: VolumeSpec
    digest: str | None = Field(None, description="Digest of the image's fingerprint; another image is refused.")
    space: VoxelSpace = Field(description="Voxel size and origin of the image.")
    boundaries: BoundaryMap | None = Field(
        None, description="Scores the contacts of segments; by default dark ridges in the image do."
    )
    image_channel: int = Field(
        0, ge=0, description="Which of the image's channels has the ridges, counted among those that it is read with."
    )
    gap_um: float = Field(0.0, ge=0, description="Segments that lie at most so far apart touch; 0: those with faces.")
    output: Path = Field(description="The segmentation's folder; made, or gone on with if it was begun.")
    block_shape: Shape | None = Field(None, description="Voxels of a block; what suits the voxel size by default.")
    workers: int = Field(1, ge=1, description="Blocks that are read at a time.")
    notes: tuple[str, ...] = Field((), description="What was assumed when the job was described, as sentences.")

    @property
    def stem(self) -> str:
        """What the name of the segmentation says of how it was made."""
        return IMPORTED

    def work(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON, without places and the number of workers."""
        return self.model_dump(mode="json", exclude={"output", "workers", "notes"})


AnySegmentJob = Annotated[SegmentJob | ImportSegmentationJob, Field(discriminator="kind")]
"""A job that makes a segmentation."""


class CompareJob(JobSpec):
    """Find where two predictions of one volume differ, tile by tile."""

    runs: ClassVar[str] = "napari_pytc.decoding.blocks.prediction_diff:compare_predictions"
    kind: Literal["compare"] = "compare"
    former: Path = Field(description="The OME-Zarr of the former prediction.")
    prediction: Path = Field(description="That of the present one, with the same channels.")
    output: Path = Field(description="The file for the boxes that differ: a JSON list of Z0:Z1,Y0:Y1,X0:X1.")
    box: Box | None = Field(None, description="Voxels to compare; the whole volume by default.")
    mean: float = Field(0.03, ge=0, le=1, description="A tile differs if probabilities moved by more in the mean.")
    flipped: float = Field(
        0.003, ge=0, le=1, description="It also differs if a larger share of its voxels is on the other side of 0.5."
    )
