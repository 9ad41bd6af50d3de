"""Spec of an export."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from napari_pytc.exporting.options import Compression, Layout, OmeVersion, SegmentIds, VoxelType, What
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.skeletons.units import SkeletonUnit
from napari_pytc.volumes.spec import VolumeSpec


class ExportJob(JobSpec):
    """Write an image, a prediction, or the segments made of one to a file that other programs read."""

    runs: ClassVar[str] = "napari_pytc.exporting.export:export"
    kind: Literal["export"] = "export"
    prediction: Path | None = Field(None, description="The OME-Zarr (c, z, y, x) of uint8 probabilities.")
    segmentation: Path | None = Field(None, description="Folder of the segmentation, for segments and their table.")
    image: VolumeSpec | None = Field(None, description="The image, to export it as it is.")
    space: VoxelSpace | None = Field(None, description="Voxel size of the image in the project.")
    what: What = Field(
        "classes",
        description="The most probable class of each voxel (0 = not predicted), every class's probability, the "
        "segments (0 = none) with all edits that were flushed, a table or the skeletons of them, or the image.",
    )
    output: Path = Field(description="The file or folder to write; its suffix says the format.")
    format: str | None = Field(None, description="Key of the format, where the suffix does not say it.")
    box: Box | None = Field(None, description="Voxels to export; the whole volume by default.")
    dataset: str | None = Field(None, description="Name of the dataset in an HDF5 file; main by default.")
    layout: Layout | None = Field(None, description="cremi: names, types and attributes of the CREMI challenge.")
    compression: Compression = "auto"
    pyramid: bool | None = Field(None, description="Whether to write smaller copies; by default where there can be.")
    ome: OmeVersion | None = Field(None, description="Version of OME-Zarr; 0.5 by default.")
    dtype: VoxelType | None = Field(None, description="Type of the voxels in the file; by default that of the data.")
    ids: SegmentIds = Field(
        "original",
        description="original: of an imported segmentation the ids of its file; shown: those that the window shows.",
    )
    class_names: tuple[str, ...] = Field(
        (), description="Names of classes 1, 2, ... of a project; numbers follow names. By default the prediction's."
    )
    class_colours: dict[str, str] = Field(default_factory=dict, description="Colours of classes by name, as #rrggbb.")
    skeletons: bool = Field(
        False, description="Whether a table of segments has the path lengths, branch and end points of their skeletons."
    )
    segments: tuple[int, ...] | None = Field(None, description="Ids of the segments to skeletonise; all by default.")
    unit: SkeletonUnit | None = Field(
        None, description="Unit of skeletons; nm by default, voxels where the voxel size is not known."
    )
    teasar_scale: float | None = Field(None, ge=0, description="The scale of TEASAR, by default 1.5; see `Teasar`.")
    teasar_constant_nm: float | None = Field(None, ge=0, description="The constant of TEASAR; by default 300 nm.")
    overwrite: bool = Field(False, description="Replace a file that is there already.")
