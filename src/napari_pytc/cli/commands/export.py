"""Commands that write results: export, report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_pytc.cli.options import (
    AsJson,
    BoxText,
    Channels,
    ProjectFolder,
    TeasarConstant,
    TeasarScale,
    VolumeName,
    output_of,
    read_box,
    read_channels,
    read_ids,
)
from napari_pytc.cli.output import Reply, bytes_text, shape_text, voxel_text
from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.options import OF_SEGMENTS, Compression, Layout, OmeVersion, SegmentIds, VoxelType, What
from napari_pytc.skeletons.units import SkeletonUnit


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("export", rich_help_panel="Results")(export)
    app.command("report", rich_help_panel="Project")(report)


def export(
    context: typer.Context,
    project: ProjectFolder,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File or folder to write; its suffix says the format: .tif, .ome.tif, .h5, .zarr, .precomputed, "
            ".nii.gz, .mrc, .csv of a table, or .swc of skeletons.",
        ),
    ],
    what: Annotated[
        What,
        typer.Option(
            help="The most probable class of every voxel; every channel's probability (0 to 255); the current "
            "segments with all edits; a table of them (CSV); their skeletons (SWC, a file each "
            "where OUT has no suffix); or the image itself."
        ),
    ] = "classes",
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Export this model's prediction; by default the newest.")
    ] = None,
    prediction: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="Export this prediction; by default the newest.")
    ] = None,
    segmentation: Annotated[
        str | None, typer.Option(metavar="ID", help="Export this segmentation; by default the current one.")
    ] = None,
    volume: VolumeName = None,
    box: BoxText = None,
    channel: Channels = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="tif, ome-tif, h5, zarr, precomputed, nifti, mrc, or png-series and tif-series: a folder of numbered "
            "sections; swc or swc-series; by default what the suffix says.",
        ),
    ] = None,
    dtype: Annotated[
        VoxelType | None,
        typer.Option(
            help="Type of the voxels; by default that of the data. Values that do not fit are an error; float32 makes "
            "probabilities of 0 to 1."
        ),
    ] = None,
    pyramid: Annotated[
        bool | None,
        typer.Option(
            "--pyramid/--no-pyramid",
            help="Whether OME-Zarr and precomputed have smaller copies to zoom out; by default they have.",
        ),
    ] = None,
    ome: Annotated[OmeVersion | None, typer.Option(help="Version of OME-Zarr; 0.4 is Zarr 2. By default 0.5.")] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(help="Of an HDF5 file; cremi: dataset names, uint64 ids and attributes of the CREMI challenge."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Dataset in an HDF5 file; by default main.")
    ] = None,
    compression: Annotated[
        Compression,
        typer.Option(help="auto is what most programs read; TIFF has zlib, zstd, none too, HDF5 zlib, none."),
    ] = "auto",
    ids: Annotated[
        SegmentIds,
        typer.Option(help="Of an imported segmentation: the ids of its file (uint64), or those that the window shows."),
    ] = "original",
    skeletons: Annotated[
        bool,
        typer.Option("--skeletons", help="With a table: path length, branch and end points of skeletons, too."),
    ] = False,
    segments: Annotated[
        str | None, typer.Option(metavar="ID,ID,...", help="Of skeletons: only those of these segments.")
    ] = None,
    unit: Annotated[
        SkeletonUnit | None,
        typer.Option(help="Of skeletons; by default nm, voxels where the voxel size is not known."),
    ] = None,
    teasar_scale: TeasarScale = None,
    teasar_constant: TeasarConstant = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a file, or a folder that an export wrote."),
    ] = False,
    as_json: AsJson = False,
) -> Reply:
    """Write the newest prediction, the current segments or the image to a file that other programs read."""
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import open_session, prediction_choice

    _check_source(what, model is not None or prediction is not None, segmentation is not None, channel is not None)
    region, channels = read_box(box), None if channel is None else read_channels(channel)
    with closing(open_session(project, volume)) as session:
        job = session.jobs.export_job(
            what,
            out,
            prediction=prediction_choice(session, model, prediction),
            segmentation=segmentation,
            channel=channels,
            box=region,
            format=file_format,
            dtype=dtype,
            pyramid=pyramid,
            ome=ome,
            layout=layout,
            dataset=dataset,
            compression=compression,
            ids=ids,
            skeletons=skeletons,
            segments=None if segments is None else read_ids(segments, "--segments"),
            unit=unit,
            teasar_scale=teasar_scale,
            teasar_constant_nm=teasar_constant,
            overwrite=overwrite,
        )
        kept = "Nothing was written; run the command again to export."
        output = output_of(context)
        result = run_in_session(output, session, job, f"export {what}", kept)
    if not output.as_json:
        for note in result["notes"]:
            output.warn(note)
    return Reply({"project": str(project), "what": what, **result}, _written(what, result))


def _check_source(what: str, has_prediction: bool, has_segmentation: bool, has_channel: bool) -> None:
    """Refuse options that choose the source of another kind of export."""
    of_segments, of_prediction = what in OF_SEGMENTS, what in ("classes", "probabilities")
    if has_prediction and not of_prediction:
        instead = "--segmentation, not" if of_segments else "no"
        raise InvalidInput(f"--what {what} takes {instead} --model or --prediction.")
    if has_segmentation and not of_segments:
        raise InvalidInput(f"--segmentation goes with --what {' or '.join(OF_SEGMENTS)}, not {what}.")
    if has_channel and what != "image":
        raise InvalidInput(f"--channel goes with --what image, not {what}.", "Leave it out.")


def _written(what: str, result: dict[str, Any]) -> str:
    """What was written, in a sentence."""
    if what == "table":
        content = f"{result['rows']} rows"
    elif what == "skeletons":
        length = result["path_length_nm"]
        content = f"{result['skeletons']} skeletons of {result['nodes']} nodes"
        content += "" if length is None else f", {length / 1000:.6g} µm of path"
    else:
        content = f"{shape_text(result['shape'])} {result['dtype']}"
    if len(result.get("levels", ())) > 1:
        content += f" in {len(result['levels'])} levels"
    return f"Wrote {result['output']}: {content}, {voxel_text(result['voxel_size_nm'])}, {bytes_text(result['bytes'])}."


def report(
    context: typer.Context,
    project: ProjectFolder,
    page: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page to write.")],
    volume: VolumeName = None,
    truth: Annotated[
        str | None,
        typer.Option(
            "--truth",
            metavar="PATH[:DATASET]",
            help="Labels of true objects, an SWC file or a folder of them, to score the current segmentation with.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there already.")] = False,
    as_json: AsJson = False,
) -> Reply:
    """Write a page that stands alone: data, effort, models with scores, edits, pictures, methods, versions."""
    from napari_pytc.cli.sessions import open_session
    from napari_pytc.report import write_report

    with (
        closing(open_session(project, volume, read_only=True)) as session,
        output_of(context).counting("report") as counted,
    ):
        facts = write_report(session, page, overwrite, counted, truth)
    text = f"Wrote {page}, {bytes_text(page.stat().st_size)}: open it in any browser, it needs no other file."
    return Reply({**facts, "page": str(page), "bytes": page.stat().st_size}, text)
