"""The command that makes objects of a prediction: segment."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from napari_pytc.cli.options import (
    AllVolumes,
    AsJson,
    BoundaryClass,
    BoxText,
    MaskClass,
    MaskMode,
    MaskPrediction,
    ProjectFolder,
    Settings,
    VolumeName,
    output_of,
    read_box,
    read_settings,
)
from napari_pytc.cli.output import Reply
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.session.session import Session


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("segment", cls=SegmentCommand, rich_help_panel="Objects")(segment)


class SegmentCommand(TyperCommand):
    """The command, whose help lists the decoders that are installed; nothing else imports them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        from napari_pytc.decoding import DecoderSettings

        option = next(one for one in self.params if one.name == "decoder")
        *first, last = sorted(DecoderSettings.variants())
        option.help = (  # type: ignore[attr-defined]
            f"{', '.join(first)} or {last}; by default what the model's recipe names, else what fits the prediction."
        )
        super().format_help(ctx, formatter)


def segment(
    context: typer.Context,
    project: ProjectFolder,
    settings: Settings = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Kind of decoder; by default what the model's recipe names, else what fits the prediction.",
        ),
    ] = None,
    prediction: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="Segment this prediction; by default the newest.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Segment this model's prediction.")] = None,
    boundary_class: BoundaryClass = None,
    mask_class: MaskClass = None,
    mask_prediction: MaskPrediction = None,
    mask_mode: MaskMode = "inside",
    volume: VolumeName = None,
    every: AllVolumes = False,
    regroup: Annotated[
        bool,
        typer.Option(
            "--regroup", help="Group the supervoxels of the current segmentation anew, for example with threshold=0.4."
        ),
    ] = False,
    box: BoxText = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Blocks that are decoded at a time.")] = 1,
    as_json: AsJson = False,
) -> Reply:
    """Make objects of the prediction of a volume, or of all, block by block.

    A later run of the same command resumes a stopped one.
    """
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import open_session, prediction_choice, volume_option

    region, values = read_box(box), read_settings(settings or ())
    if every and (volume is not None or region is not None or regroup):
        raise InvalidInput("--all takes no --volume, --box or --regroup.", "Segment one volume to choose these.")
    if regroup:
        return _regroup(project, volume, decoder, values)

    def run(session: Session) -> dict[str, Any]:
        job = session.jobs.segment_job(
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
        return {"decoder": job.decoder.model_dump(mode="json"), **result}

    if every:
        from napari_pytc.cli.all_volumes import at_all_volumes

        columns = (("segmentation", "segmentation"), ("segments", "n_segments"), ("supervoxels", "n_supervoxels"))
        return at_all_volumes(output_of(context), project, "Segmentations", run, columns)
    with closing(open_session(project, volume)) as session:
        result = run(session)
        name, option = session.image.volume.name, volume_option(session)
    return Reply({"project": str(project), "volume": name, **result}, _made(project, result, option))


def _made(project: Path, result: dict[str, Any], option: str) -> str:
    """What was made, and the command that exports it."""
    return (
        f"Segmentation {result['segmentation']}: {result['n_segments']} segments of {result['n_supervoxels']} "
        f"supervoxels in {result['seconds']:.1f} s, {result['mvoxel_per_s']:.2f} Mvoxel/s. It is current now.\n"
        f"Next: napari-pytc export {project}{option} --what segments segments.tif"
    )


def _regroup(project: Path, volume: str | None, decoder: str | None, settings: dict[str, Any]) -> Reply:
    from napari_pytc.cli.sessions import open_session

    with closing(open_session(project, volume)) as session:
        place = session.segmentations.resolve()
        info = session.segmentations.regroup(place.name, settings | ({} if decoder is None else {"kind": decoder}))
    document = {
        "project": str(project),
        "decoder": info.decoder,
        "segmentation": info.id,
        "n_supervoxels": info.n_supervoxels,
        "n_segments": info.n_segments,
        "notes": list(info.notes),
    }
    text = f"Segmentation {info.id} has {info.n_segments} segments now, of the same {info.n_supervoxels} supervoxels."
    text = "\n".join([text, *(f"Note: {note}" for note in info.notes)])
    return Reply(document, text)
