"""The command that makes objects of a prediction: segment."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from napari_pytc.cli.options import AsJson, BoxText, ProjectFolder, Settings, output_of, read_box, read_settings
from napari_pytc.cli.output import Answer


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("segment", rich_help_panel="Objects")(segment)


def segment(
    context: typer.Context,
    project: ProjectFolder,
    settings: Settings = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="components, watershed, mutex_watershed, agglomeration or multicut; by default what the model's "
            "recipe names, else what fits the prediction.",
        ),
    ] = None,
    prediction: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="Segment this prediction; by default the newest.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Segment this model's prediction.")] = None,
    boundary_class: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Class that stands for the boundary, where no channel of its own does."),
    ] = None,
    mask_class: Annotated[
        str | None, typer.Option(metavar="NAME", help="Class that restricts the objects, for example cytoplasm.")
    ] = None,
    mask_prediction: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="The prediction with that class; by default the same.")
    ] = None,
    mask_mode: Annotated[
        Literal["inside", "not_through"],
        typer.Option(help="Objects lie only inside of the class, or never reach through it."),
    ] = "inside",
    regroup: Annotated[
        bool,
        typer.Option(
            "--regroup", help="Group the supervoxels of the current segmentation anew, for example with threshold=0.4."
        ),
    ] = False,
    box: BoxText = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Blocks that are decoded at a time.")] = 1,
    as_json: AsJson = False,
) -> Answer:
    """Make objects of a prediction, block by block; a later run of the same resumes a stopped one."""
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import open_session, prediction_choice

    region, values = read_box(box), read_settings(settings or ())
    if regroup:
        return _regroup(project, decoder, values)
    with closing(open_session(project)) as session:
        job = session.segment_job(
            decoder,
            prediction=prediction_choice(session, model, prediction),
            settings=values,
            boundary_class=boundary_class,
            mask_class=mask_class,
            mask_prediction=mask_prediction,
            mask_mode=mask_mode,
            box=region,
            workers=workers,
        )
        kept = "The finished blocks are kept; the same command goes on with the rest."
        result = run_in_session(output_of(context), session, job, f"segment {job.decoder.kind}", kept)
    decoder_used = job.decoder.model_dump(mode="json")
    document: dict[str, Any] = {"project": str(project), "decoder": decoder_used, **result}
    text = (
        f"Segmentation {result['segmentation']}: {result['n_segments']} segments of {result['n_supervoxels']} "
        f"supervoxels in {result['seconds']:.1f} s, {result['mvoxel_per_s']:.2f} Mvoxel/s. It is current now.\n"
        f"Next: napari-pytc export {project} --what segments segments.tif"
    )
    return Answer(document, text)


def _regroup(project: Path, decoder: str | None, settings: dict[str, Any]) -> Answer:
    from napari_pytc.cli.sessions import open_session

    with closing(open_session(project)) as session:
        place = session.segmentation_folder()
        info = session.regroup_segmentation(place.name, settings | ({} if decoder is None else {"kind": decoder}))
    document = {
        "project": str(project),
        "decoder": info.decoder,
        "segmentation": info.id,
        "n_supervoxels": info.n_supervoxels,
        "n_segments": info.n_segments,
    }
    text = f"Segmentation {info.id} has {info.n_segments} segments now, of the same {info.n_supervoxels} supervoxels."
    return Answer(document, text)
