"""The command that trains on corrections and segments again: retrain."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import AsJson, ProjectFolder, Track, TrackFolder, VolumeName, output_of, read_trackers
from napari_pytc.cli.output import Output, Reply, table

if TYPE_CHECKING:
    from napari_pytc.session.retraining import Retraining
    from napari_pytc.session.session import Session


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("retrain", rich_help_panel="Objects")(retrain)


def retrain(
    context: typer.Context,
    project: ProjectFolder,
    volume: VolumeName = None,
    minutes: Annotated[float, typer.Option(metavar="M", min=0.01, help="Train for so long at most.")] = 5.0,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Use the new model also where it is found worse than the present one.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Give up a retraining that was begun, with all that it made so far.")
    ] = False,
    track: Track = None,
    track_folder: TrackFolder = None,
    as_json: AsJson = False,
) -> Reply:
    """Learn from the edits of the current segmentation, segment again what changed, and carry the edits over.

    A later run goes on with one that was stopped. Until the end the current segmentation stays as it is; afterwards
    `napari-pytc history PROJECT` leads back to it.
    """
    from napari_pytc.cli.sessions import open_session, volume_option
    from napari_pytc.session.proofreading.edit_transfer import MARK

    tracking = read_trackers(track, track_folder)
    with closing(open_session(project, volume)) as session:
        unfinished = session.retraining.find()
        if discard:
            if unfinished is not None:
                unfinished.discard()
                session.project.empty_trash()
            text = "Discarded: everything is as it was before." if unfinished else "No retraining was begun."
            return Reply({"project": str(project), "discarded": unfinished is not None}, text)
        retraining = unfinished or session.retraining.begin(minutes, tracking)
        if unfinished is not None and tracking is not None:
            unfinished.track(tracking)
        while not retraining.is_over:
            if anyway and retraining.is_refused:
                retraining.insist()
            _run(output_of(context), session, retraining)
        session.project.empty_trash()
        outcome = retraining.outcome()
        marks = [entry.id for entry in session.proofreader.entries() if entry.checkpoint == MARK]
        option, name = volume_option(session), session.image.volume.name
        outcome["before"] = marks[-1] if marks and not outcome["unchanged"] else None
    return Reply({"project": str(project), "volume": name, **outcome}, _outcome_text(outcome, f"{project}{option}"))


def _run(output: Output, session: Session, retraining: Retraining) -> None:
    from napari_pytc.cli.running import run_in_session

    task = retraining.task()
    title = f"{task.number}/7 {task.title.lower()}"
    if task.describe is not None:
        kept = "What is done is kept: the same command goes on, --discard gives it up. The segments are as they were."
        retraining.done(run_in_session(output, session, task.describe(), title, kept))
    elif task.work is not None:
        with output.counting(title) as report:
            result = task.work(report, lambda: None)
        retraining.done(result)


def _outcome_text(outcome: dict[str, Any], project: str) -> Group | str:
    if outcome["unchanged"]:
        return f"Model {outcome['model']} predicts the same as {outcome['parent']}: the segments stay as they are."
    edits = outcome["edits"]
    parts: list[Any] = [
        f"Segmentation {outcome['segmentation']} is current now, made with model {outcome['model']}.",
        f"Edits: {edits['carried']} carried over, {edits['holds']} hold already, {edits['lost']} no longer apply.",
    ]
    if outcome["verdict"]:
        parts.insert(1, outcome["verdict"])
    if outcome["lost"]:
        rows = [(edit["title"], ",".join(map(str, edit["place"])), edit["reason"]) for edit in outcome["lost"]]
        parts.append(table("No longer apply", ("edit", "where", "why"), rows))
    parts.append(f"Back to {outcome['former']}: napari-pytc history {project} --jump {outcome['before']}")
    return Group(*parts)
