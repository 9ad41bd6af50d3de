"""The command that applies a model to many files: apply."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_pytc.cli.options import (
    AsJson,
    Axes,
    Channels,
    MissingSections,
    Time,
    VoxelSize,
    output_of,
    read_options,
    read_settings,
)
from napari_pytc.cli.output import Reply, shape_text, table, voxel_text

if TYPE_CHECKING:
    from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("apply", rich_help_panel="Learning")(apply)


def apply(
    context: typer.Context,
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a model, or a project: then the model that it uses.")
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders or patterns, each with :DATASET behind it where needed, as 'data/*.h5:raw'.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Folder for the outputs; made if it is not there.")
    ],
    what: Annotated[
        Literal["classes", "probabilities", "segments"],
        typer.Option(help="The most probable class, every channel's probability, or single objects."),
    ] = "classes",
    format: Annotated[Literal["tif", "h5", "zarr"], typer.Option("--format", help="Kind of file to write.")] = "tif",
    decoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Decoder of segments; by default what the model's recipe names.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Setting of the prediction or the decoder to change; may be repeated."
        ),
    ] = None,
    sections: Annotated[
        bool,
        typer.Option("--sections", help="A folder of images is one volume of numbered sections, not many volumes."),
    ] = False,
    voxel_size: VoxelSize = None,
    channel: Channels = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of other work that have the names of the outputs.")
    ] = False,
    include_results: Annotated[
        bool, typer.Option("--include-results", help="Apply it also to files that apply wrote; else they are left out.")
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Blocks that are decoded at a time.")] = 1,
    as_json: AsJson = False,
) -> Reply:
    """Apply a model to many files, without a project; a later run goes on with what is left.

    A file that fails does not end the others: the table says why, and the exit code is not 0.
    """
    from napari_pytc.batch.describe import describe_apply
    from napari_pytc.cli.running import run_alone

    job = describe_apply(
        _model_folder(model),
        inputs,
        out,
        what,
        format,
        decoder,
        read_settings(settings or ()),
        sections,
        read_options(voxel_size, channel, axes, time, missing_sections),
        overwrite,
        workers,
        include_results,
    )
    kept = f"Finished files in {out} are kept; the same command goes on with the rest."
    result = run_alone(output_of(context), job, "apply", kept)
    return Reply({"model": str(job.model), **result}, _shown(result), exit_code=1 if result["n_failed"] else 0)


def _model_folder(model: Path) -> Path:
    """The folder of a model; of a project the model that it uses."""
    if not (model / "project.json").is_file():
        return model
    from napari_pytc.cli.sessions import open_project

    with closing(open_project(model, read_only=True)) as session:
        return Path(session.models.resolve())


def _shown(result: dict[str, Any]) -> Table:
    rows = [
        (
            Path(row["output"]).name,
            row["state"],
            shape_text(row["shape"]) if row["shape"] else None,
            voxel_text(row["voxel_size_nm"]) if row["voxel_size_nm"] else None,
            row["n_segments"],
            f"{row['seconds']:.1f}",
            " ".join([f"{row['error']} {row['hint']}".strip(), *row["notes"]]).strip() or None,
        )
        for row in result["rows"]
    ]
    columns = ("output", "state", "voxels", "voxel size", "segments", "s", "notes")
    shown = [k for k in range(len(columns)) if k in (0, 1) or any(row[k] is not None for row in rows)]
    n_before = f", {result['n_done_before']} were done before" if result["n_done_before"] else ""
    failed = f", {result['n_failed']} failed" if result["n_failed"] else ""
    title = f"{result['n_done']} of {len(rows)} done{n_before}{failed}: {result['folder']}"
    return table(title, [columns[k] for k in shown], [[row[k] for k in shown] for row in rows])
