"""The command that finds settings of a decoder by trials on truth: tune."""

from __future__ import annotations

import shlex
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Group

from napari_pytc.cli.label_options import LabelVoxelSize, Map, Offset, Resample, read_transform
from napari_pytc.cli.options import (
    AsJson,
    Axes,
    BoundaryClass,
    BoxText,
    Channel,
    MaskClass,
    MaskMode,
    MaskPrediction,
    MissingSections,
    ProjectFolder,
    Time,
    VolumeName,
    output_of,
    read_box,
    read_options,
    read_settings,
    refuse_given,
)
from napari_pytc.cli.output import Reply
from napari_pytc.errors import ProjectError

if TYPE_CHECKING:
    from napari_pytc.cli.output import Output
    from napari_pytc.session.session import Session
    from napari_pytc.tuning.jobs import TuneJob
    from napari_pytc.tuning.records import TuningRecord

_OF_TRUTH = ("ignore", "offset", "resample", "voxel_size", "mapped", "channel", "axes", "time", "missing_sections")
_KEPT = "The trials so far are kept; the same command goes on with them."


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("tune", rich_help_panel="Objects")(tune)


def tune(
    context: typer.Context,
    project: ProjectFolder,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE|KEY=LOW:HIGH",
            help="Settings that stay as given, as object_class=mito, and ranges of those that are tried, as "
            "threshold=0.2:0.8.",
        ),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="PATH[:DATASET]", help="Labels that are right; by default the objects in the held-out boxes."
        ),
    ] = None,
    trials: Annotated[int, typer.Option(metavar="N", min=1, help="Trials in all, with those of earlier runs.")] = 40,
    decoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Decoder to tune; may be repeated. By default the one that segment would take."
        ),
    ] = None,
    score: Annotated[
        Literal["auto", "voi", "adapted_rand", "ap50", "ap"],
        typer.Option(help="What is improved; auto: ap50 where objects lie apart in background, else voi."),
    ] = "auto",
    apply: Annotated[
        bool, typer.Option("--apply", help="Segment the volume with the best settings afterwards.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="End after so long, whatever is left.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Decides which settings are tried.")] = 0,
    prediction: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="Tune on this prediction; by default the newest.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Tune on this model's prediction.")] = None,
    boundary_class: BoundaryClass = None,
    mask_class: MaskClass = None,
    mask_prediction: MaskPrediction = None,
    mask_mode: MaskMode = "inside",
    volume: VolumeName = None,
    box: BoxText = None,
    ignore: Annotated[
        int | None, typer.Option(metavar="TRUTH_ID", help="Truth id to leave out, as --ignore of evaluate.")
    ] = None,
    mapped: Map = None,
    offset: Offset = None,
    resample: Resample = False,
    voxel_size: LabelVoxelSize = None,
    channel: Channel = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    as_json: AsJson = False,
) -> Reply:
    """Find the settings of a decoder that score best on truth, by trials; trial 0 is today's default settings.

    The same command goes on with the trials of an earlier run.
    """
    from napari_pytc.cli.sessions import open_session, prediction_choice
    from napari_pytc.tuning.describe import TuneRequest, split_words

    if truth is None:
        refuse_given(context, _OF_TRUTH, "for a file of truth.", "Add --truth PATH, or leave them out.")
    fixed, ranges = split_words(words or ())
    request = TuneRequest(
        tuple(decoder or ()), read_settings(fixed), ranges, score, trials, timeout, seed, read_box(box)
    )
    with closing(open_session(project, volume)) as session:
        job = session.tunings.tune_job(
            request,
            truth,
            read_options(voxel_size, channel, axes, time, missing_sections),
            read_transform(offset, resample, mapped, None if ignore is None else [ignore]),
            prediction_choice(session, model, prediction),
            boundary_class,
            mask_class,
            mask_mode,
            mask_prediction,
        )
        return _run(output_of(context), project, session, job, apply)


def _run(output: Output, project: Path, session: Session, job: TuneJob, is_applied: bool) -> Reply:
    """Do the trials, and tell what was found."""
    from napari_pytc.cli.boundary import Interrupted
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.trial_table import LiveTrials, trials_table
    from napari_pytc.tuning.records import read_record
    from napari_pytc.tuning.study import improvement

    title = f"tune {' and '.join(space.kind for space in job.spaces)}"
    try:
        result = run_in_session(output, session, job, title, _KEPT, job.timeout_s, LiveTrials(job.output))
    except Interrupted as stopped:
        with suppress(ProjectError):
            found = read_record(job.output)
            raise Interrupted(f"Stopped after {len(found.trials)} trials. {improvement(found)}", _KEPT) from stopped
        raise
    record = read_record(job.output)
    command = segment_command(session, record)
    document: dict[str, Any] = {"project": str(project), "volume": session.image.volume.name, **result}
    document["command"] = command
    lines = [improvement(record)]
    if result["stopped"] == "timeout":
        lines.append(f"The time was over after {len(record.trials)} of {job.trials} trials. {_KEPT}")
    if is_applied:
        segmentation = session.jobs.segment_job(**session.tunings.segment_arguments(record))
        kept = f"The finished blocks are kept; this goes on with the rest: {command}"
        document["applied"] = made = run_in_session(
            output, session, segmentation, f"segment {segmentation.decoder.kind}", kept
        )
        lines.append(
            f"Segmentation {made['segmentation']}: {made['n_segments']} segments of {made['n_supervoxels']} "
            "supervoxels. It is current now."
        )
    else:
        lines.append(f"Next: {command}")
    lines.append(f"The trials are in {job.output}.")
    return Reply(document, Group(trials_table(record), *lines))


def segment_command(session: Session, record: TuningRecord) -> str:
    """The command that segments the volume with the best settings of a tuning."""
    from napari_pytc.cli.sessions import volume_option
    from napari_pytc.cli.trial_table import command_words
    from napari_pytc.tuning.describe import settings_to_give

    arguments = session.tunings.segment_arguments(record)
    decoder, prediction = arguments["decoder"], Path(arguments["prediction"])
    known = {one.folder: one for one in session.predictions.records()}
    model = session.project.folder.models / known[prediction].model if prediction in known else None
    changed = settings_to_give(prediction, decoder, model)
    names = [name for name in record.tuned.get(decoder["kind"], ()) if name in changed]
    words = ["napari-pytc", "segment", str(session.folder), "--decoder", decoder["kind"]]
    words += command_words(changed, [*names, *(name for name in changed if name not in names)])
    words += ["--prediction", known[prediction].id if prediction in known else str(prediction)]
    for name in ("boundary_class", "mask_class", "mask_mode", "mask_prediction"):
        if name in arguments:
            words += [f"--{name.replace('_', '-')}", str(arguments[name])]
    return shlex.join(words) + volume_option(session)
