"""Commands that edit segments without a window: proofread, history, replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import AsJson, ProjectFolder, VolumeName, output_of
from napari_pytc.cli.output import Reply, table
from napari_pytc.cli.sessions import open_session
from napari_pytc.errors import InvalidEdit, InvalidInput

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.journal.journal import Entry
    from napari_pytc.session.proofreading.proofreader import Proofreader

_EXAMPLE = 'For example: [{"kind": "merge", "segments": [3, 7]}, {"kind": "lock", "segments": [3]}].'


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("proofread", rich_help_panel="Objects")(proofread)
    app.command("history", rich_help_panel="Objects")(history)
    app.command("replay", rich_help_panel="Objects")(replay)


def proofread(
    context: typer.Context,
    project: ProjectFolder,
    edits: Annotated[
        Path, typer.Argument(metavar="EDITS.json", help='A list of edits, as [{"kind": "merge", "segments": [3, 7]}].')
    ],
    volume: VolumeName = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what each edit would change, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> Reply:
    """Apply edits to the current segmentation: all of them, or those before the first that is refused."""
    values = _read_edits(edits)
    with closing(open_session(project, volume, read_only=dry_run)) as session:
        proofreader = session.proofreader
        with output_of(context).counting("proofread") as report:
            if dry_run:
                changes, refusal = proofreader.rehearse(values, report)
            else:
                changes, refusal = _apply(proofreader, values, report)
    done = [change_document(change) for change in changes]
    document: dict[str, Any] = {"project": str(project), "dry_run": dry_run, "n_edits": len(values), "done": done}
    rows = [(n, entry["title"], entry["n_voxels"], entry["box"]) for n, entry in enumerate(done, start=1)]
    listing = table("Would be done" if dry_run else "Done", ("edit", "what", "voxels", "where"), rows)
    shown = Group(listing, *(f"Note: {note}" for entry in done for note in entry["notes"]))
    if refusal is None:
        return Reply(document, shown)
    number, output = len(done) + 1, output_of(context)
    sentence = f"Edit {number} of {len(values)} is refused: {refusal.message}"
    if output.as_json:
        document |= {"refused": number, "error": sentence, "hint": refusal.hint}
        return Reply(document, exit_code=1)
    if done:
        output.print(shown)
    kept = "Nothing was changed." if dry_run or not done else f"Those before it are done: {len(done)}."
    raise InvalidEdit(sentence, f"{refusal.hint} {kept}".strip())


def history(
    context: typer.Context,
    project: ProjectFolder,
    volume: VolumeName = None,
    undo: Annotated[int | None, typer.Option(metavar="N", min=1, help="Take the last N entries back.")] = None,
    redo: Annotated[int | None, typer.Option(metavar="N", min=1, help="Make N entries again.")] = None,
    jump: Annotated[
        int | None, typer.Option(metavar="ID", min=0, help="Go to the state after this entry; 0 is the beginning.")
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="Give the present state a name, after any move.")
    ] = None,
    as_json: AsJson = False,
) -> Reply:
    """List every edit of segments and strokes, those taken back included, and move among them."""
    if sum(choice is not None for choice in (undo, redo, jump)) > 1:
        raise InvalidInput("Give one of --undo, --redo and --jump.", "Each moves from where the last one arrived.")
    changing = any(choice is not None for choice in (undo, redo, jump, checkpoint))
    with closing(open_session(project, volume, read_only=not changing)) as session:
        proofreader = session.proofreader
        moved = 0
        if jump is not None:
            moved = len(proofreader.jump(jump))
        for step, times in ((proofreader.undo, undo), (proofreader.redo, redo)):
            for _ in range(times or 0):
                if step() is None:
                    break
                moved += 1
        if checkpoint is not None:
            proofreader.checkpoint(checkpoint)
        entries, current = proofreader.entries(), proofreader.segmentation
    document: dict[str, Any] = {
        "project": str(project),
        "segmentation": current,
        "moved": moved,
        "entries": [entry_document(entry) for entry in entries],
    }
    if not entries:
        return Reply(document, f"{project} has no edits yet.")
    rows = [
        (
            e["id"],
            "undone" if e["undone"] else "",
            e["time"],
            e["title"],
            e["n_voxels"],
            e["box"],
            e["checkpoint"] or None,
        )
        for e in document["entries"]
    ]
    columns = ("id", "", "time", "what", "voxels", "where", "checkpoint")
    return Reply(document, table(f"Edits ({current or 'no segmentation'})", columns, rows))


def replay(
    context: typer.Context,
    project: ProjectFolder,
    volume: VolumeName = None,
    segmentation: Annotated[
        str | None, typer.Option(metavar="ID", help="Replay this segmentation; by default the current one.")
    ] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Put the segments made again in the place of the stored ones.")
    ] = False,
    as_json: AsJson = False,
) -> Reply:
    """Make the segments again from the decoding and the journal, and compare their checksum with the stored one."""
    with closing(open_session(project, volume, read_only=not mend)) as session:
        place = session.segmentations.resolve(segmentation)
        with output_of(context).counting("replay") as report:
            found = session.proofreader.replay(place.name, mend, report)
    document: dict[str, Any] = {
        "project": str(project),
        "segmentation": found.segmentation,
        "n_edits": found.n_edits,
        "checksum": found.checksum,
        "stored": found.stored,
        "present": found.present,
        "agrees": found.agrees,
    }
    rows = [
        ("edits", found.n_edits),
        ("made again", found.checksum),
        ("in the journal", found.stored or None),
        ("in the folder", found.present),
    ]
    if found.agrees:
        verdict = "They agree." if found.stored else "It was never edited."
        return Reply(document, Group(table(f"Segmentation {found.segmentation}", ("", "checksum"), rows), verdict))
    output = output_of(context)
    if output.as_json:
        return Reply(document, exit_code=1)
    output.print(table(f"Segmentation {found.segmentation}", ("", "checksum"), rows))
    raise InvalidEdit(
        f"The segments of {found.segmentation} made again have the checksum {found.checksum}, the journal has "
        f"{found.stored or 'none'} and the folder {found.present}.",
        "If it is the folder alone that differs: napari-pytc replay --mend. Else restore both from one backup.",
    )


def _apply(
    proofreader: Proofreader, edits: list[Any], report: Callable[[int, int], None]
) -> tuple[list[Change], InvalidEdit | None]:
    """Make edits up to the first that is refused; those made, and the refusal."""
    made: list[Change] = []
    for number, edit in enumerate(edits, start=1):
        try:
            made.append(proofreader.apply(edit))
        except InvalidEdit as error:
            return made, error
        report(number, len(edits))
    return made, None


def _read_edits(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no UTF-8, or no JSON
        raise InvalidInput(f"{path} is no JSON: {error}.", _EXAMPLE) from error
    if isinstance(found, dict):
        found = found.get("edits", [found])
    if not isinstance(found, list) or not all(isinstance(edit, dict) for edit in found):
        raise InvalidInput(f"{path} must hold a list of edits, each an object with its kind.", _EXAMPLE)
    return found


def change_document(change: Change) -> dict[str, Any]:
    """The change that an edit made, as JSON."""
    return {
        "kind": change.edit.get("kind"),
        "title": change.title,
        "target": change.target,
        "box": str(change.box),
        "segments": list(change.segments),
        "n_voxels": change.n_voxels,
        "notes": list(change.remarks),
    }


def entry_document(entry: Entry) -> dict[str, Any]:
    """A line of the journal as JSON."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "title": entry.title,
        "time": datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="seconds"),
        "target": entry.target,
        "segmentation": entry.segmentation or None,
        "box": str(entry.box),
        "segments": list(entry.segments),
        "n_voxels": entry.n_voxels,
        "undone": entry.is_undone,
        "checkpoint": entry.checkpoint,
        "sealed": entry.sealed,
    }
