"""Commands that write results: export, report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_pytc.cli.export_options import (
    Exported,
    ExportPath,
    FileCompression,
    FileFormat,
    HdfDataset,
    HdfLayout,
    IdsOfSegments,
    ModelOfPrediction,
    OmeZarrVersion,
    OverwriteFile,
    PredictionChoice,
    Pyramid,
    SegmentationChoice,
    SomeSegments,
    TypeOfVoxels,
    UnitOfSkeletons,
    WithSkeletons,
)
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
from napari_pytc.exporting.options import OF_SEGMENTS


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("export", rich_help_panel="Results")(export)
    app.command("report", rich_help_panel="Project")(report)


def export(
    context: typer.Context,
    project: ProjectFolder,
    out: ExportPath,
    what: Exported = "classes",
    model: ModelOfPrediction = None,
    prediction: PredictionChoice = None,
    segmentation: SegmentationChoice = None,
    volume: VolumeName = None,
    box: BoxText = None,
    channel: Channels = None,
    file_format: FileFormat = None,
    dtype: TypeOfVoxels = None,
    pyramid: Pyramid = None,
    ome: OmeZarrVersion = None,
    layout: HdfLayout = None,
    dataset: HdfDataset = None,
    compression: FileCompression = "auto",
    ids: IdsOfSegments = "original",
    skeletons: WithSkeletons = False,
    segments: SomeSegments = None,
    unit: UnitOfSkeletons = None,
    teasar_scale: TeasarScale = None,
    teasar_constant: TeasarConstant = None,
    overwrite: OverwriteFile = False,
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
