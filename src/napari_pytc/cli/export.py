"""Commands that write results and measure them: export, evaluate."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from napari_pytc.cli.options import AsJson, BoxText, ProjectFolder, output_of, read_box
from napari_pytc.cli.output import Answer, bytes_text, shape_text, table, voxel_text
from napari_pytc.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("export", rich_help_panel="Results")(export)
    app.command("evaluate", rich_help_panel="Results")(evaluate)


def export(
    context: typer.Context,
    project: ProjectFolder,
    out: Annotated[
        Path, typer.Argument(metavar="OUT.{tif,ome.tif,h5,zarr,csv}", help="File to write; its suffix says the format.")
    ],
    what: Annotated[
        Literal["classes", "probabilities", "segments", "table"],
        typer.Option(
            help="The most probable class of every voxel; every channel's probability (0 to 255); the current "
            "segments with all edits; or a table of them (CSV)."
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
    box: BoxText = None,
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Dataset in an HDF5 file.")] = "main",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")] = False,
    as_json: AsJson = False,
) -> Answer:
    """Write the newest prediction or the current segments as TIFF, OME-TIFF, HDF5 or OME-Zarr, or a table as CSV."""
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import open_session, prediction_choice

    of_segments = what in ("segments", "table")
    if of_segments and (model is not None or prediction is not None):
        raise InvalidInput(f"--what {what} takes --segmentation, not --model or --prediction.")
    if segmentation is not None and not of_segments:
        raise InvalidInput(f"--segmentation goes with --what segments or table, not {what}.")
    region = read_box(box)
    with closing(open_session(project)) as session:
        job = session.export_job(
            what,
            out,
            prediction=prediction_choice(session, model, prediction),
            segmentation=segmentation,
            box=region,
            dataset=dataset,
            overwrite=overwrite,
        )
        kept = "Nothing was written; run the command again to export."
        result = run_in_session(output_of(context), session, job, f"export {what}", kept)
    content = f"{result['rows']} rows" if what == "table" else f"{shape_text(result['shape'])} {result['dtype']}"
    text = f"Wrote {result['output']}: {content}, {voxel_text(result['voxel_size_nm'])}, {bytes_text(result['bytes'])}."
    return Answer({"project": str(project), "what": what, **result}, text)


def evaluate(
    context: typer.Context,
    predicted: Annotated[str, typer.Argument(metavar="PREDICTED[:DATASET]", help="Labels to judge.")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH[:DATASET]", help="Labels that are right.")],
    classes: Annotated[bool, typer.Option("--classes", help="Dice and IoU of each class (the default).")] = False,
    instances: Annotated[
        bool,
        typer.Option("--instances", help="Variation of information (bits), adapted Rand error and average precision."),
    ] = False,
    ignore: Annotated[
        int | None,
        typer.Option(metavar="TRUTH_ID", help="Truth id to leave out; for classes 0 unless said; -1: none."),
    ] = None,
    box: BoxText = None,
    as_json: AsJson = False,
) -> Answer:
    """Compare labels with the truth."""
    if classes and instances:
        raise InvalidInput("Give --classes or --instances, not both.")
    region = read_box(box)
    from napari_pytc.metrics import evaluate_classes, evaluate_instances
    from napari_pytc.volumes.opening import open_volume

    ours, theirs = open_volume(predicted), open_volume(truth)
    with output_of(context).counting("evaluate") as report:
        if instances:
            left_out = None if ignore == -1 else ignore
            figures: dict[str, Any] = evaluate_instances(ours, theirs, ignore=left_out, box=region, report=report)
            rows: list[tuple[Any, ...]] = [("split (bits)", figures["voi_split"])]
            rows.append(("merge (bits)", figures["voi_merge"]))
            rows.append(("adapted Rand error", figures["arand"]))
            rows.append(("average precision, IoU 0.5", figures["average_precision_50"]))
            rows.append(("average precision, IoU 0.5 to 0.95", figures["average_precision"]))
            return Answer(figures, table("Instances", ("figure", "value"), rows))
        left_out = {None: 0, -1: None}.get(ignore, ignore)
        figures = evaluate_classes(ours, theirs, ignore=left_out, box=region, report=report)
    rows = [(key, figures["dice"][key], figures["iou"][key]) for key in figures["dice"]]
    return Answer(figures, table("Classes", ("class", "Dice", "IoU"), rows))
