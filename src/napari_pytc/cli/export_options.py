"""Options of the command that exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_pytc.exporting.options import Compression, Layout, OmeVersion, SegmentIds, VoxelType, What
from napari_pytc.skeletons.units import SkeletonUnit

ExportPath = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="File or folder to write; its suffix says the format: .tif, .ome.tif, .h5, .zarr, .precomputed, "
        ".nii.gz, .mrc, .csv of a table, or .swc of skeletons.",
    ),
]
Exported = Annotated[
    What,
    typer.Option(
        help="The most probable class of every voxel; every channel's probability (0 to 255); the current "
        "segments with all edits; a table of them (CSV); their skeletons (SWC, a file each "
        "where OUT has no suffix); or the image itself."
    ),
]
ModelOfPrediction = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Export this model's prediction; by default the newest.")
]
PredictionChoice = Annotated[
    str | None, typer.Option(metavar="ID|FOLDER", help="Export this prediction; by default the newest.")
]
SegmentationChoice = Annotated[
    str | None, typer.Option(metavar="ID", help="Export this segmentation; by default the current one.")
]
FileFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="tif, ome-tif, h5, zarr, precomputed, nifti, mrc, or png-series and tif-series: a folder of numbered "
        "sections; swc or swc-series; by default what the suffix says.",
    ),
]
TypeOfVoxels = Annotated[
    VoxelType | None,
    typer.Option(
        help="Type of the voxels; by default that of the data. Values that do not fit are an error; float32 makes "
        "probabilities of 0 to 1."
    ),
]
Pyramid = Annotated[
    bool | None,
    typer.Option(
        "--pyramid/--no-pyramid",
        help="Whether OME-Zarr and precomputed have smaller copies to zoom out; by default they have.",
    ),
]
OmeZarrVersion = Annotated[OmeVersion | None, typer.Option(help="Version of OME-Zarr; 0.4 is Zarr 2. By default 0.5.")]
HdfLayout = Annotated[
    Layout | None,
    typer.Option(help="Of an HDF5 file; cremi: dataset names, uint64 ids and attributes of the CREMI challenge."),
]
HdfDataset = Annotated[str | None, typer.Option(metavar="NAME", help="Dataset in an HDF5 file; by default main.")]
FileCompression = Annotated[
    Compression,
    typer.Option(help="auto is what most programs read; TIFF has zlib, zstd, none too, HDF5 zlib, none."),
]
IdsOfSegments = Annotated[
    SegmentIds,
    typer.Option(help="Of an imported segmentation: the ids of its file (uint64), or those that the window shows."),
]
WithSkeletons = Annotated[
    bool,
    typer.Option("--skeletons", help="With a table: path length, branch and end points of skeletons, too."),
]
SomeSegments = Annotated[
    str | None, typer.Option(metavar="ID,ID,...", help="Of skeletons: only those of these segments.")
]
UnitOfSkeletons = Annotated[
    SkeletonUnit | None,
    typer.Option(help="Of skeletons; by default nm, voxels where the voxel size is not known."),
]
OverwriteFile = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace a file, or a folder that an export wrote."),
]
