"""Commands for the volumes of a project: add, volumes, rename-volume, remove, restore."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import (
    AsJson,
    Axes,
    Channels,
    MissingSections,
    NewVolumeName,
    ProjectFolder,
    Time,
    VoxelSize,
    output_of,
    read_options,
)
from napari_pytc.cli.output import Reply, channels_text, shape_text, table, voxel_text
from napari_pytc.cli.sessions import open_project, volume_option
from napari_pytc.errors import InvalidInput, PytcError

if TYPE_CHECKING:
    from napari_pytc.session.session import Session
    from napari_pytc.session.volumes.volumes import RemovedVolume

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the volume.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("add", rich_help_panel="Volumes")(add)
    app.command("volumes", rich_help_panel="Volumes")(volumes)
    app.command("rename-volume", rich_help_panel="Volumes")(rename_volume)
    app.command("remove", rich_help_panel="Volumes")(remove)
    app.command("restore", rich_help_panel="Volumes")(restore)


def add(
    context: typer.Context,
    project: ProjectFolder,
    image: Annotated[str, typer.Option(metavar="PATH[:DATASET]", help="The image to add; it stays where it is.")],
    name: NewVolumeName = None,
    voxel_size: VoxelSize = None,
    channel: Channels = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    anyway: Annotated[bool, typer.Option("--anyway", help="Add an image that the project has already.")] = False,
    as_json: AsJson = False,
) -> Reply:
    """Add a volume to a project: its classes and models are for all, strokes and segments for each."""
    options = read_options(voxel_size, channel, axes, time, missing_sections)
    from napari_pytc.session.volumes.building import NewVolume

    with closing(open_project(project)) as session:
        record = session.volumes.add(NewVolume(image, name, options, anyway=anyway))
        document = volume_document(session.at(record.id))
        names, option = list(session.volumes.names), volume_option(session.at(record.id))
    lines = [
        f"Added {record.name} to {project}: {shape_text(record.shape)} {record.fingerprint.dtype}{_several(document)}, "
        f"{voxel_text(record.voxel_size_nm)}. Volumes: {', '.join(names)}.",
        *(f"Note: {note}" for note in record.notes),
        f"Next: napari-pytc predict {project}{option}, or annotate it with the same option",
    ]
    return Reply({"project": str(project), "volume": document, "volumes": names}, "\n".join(lines))


def volumes(context: typer.Context, project: ProjectFolder, as_json: AsJson = False) -> Reply:
    """List the volumes of a project, what is annotated in each, and those in the trash."""
    from napari_pytc.session.project.description import quoted

    with closing(open_project(project, read_only=True)) as session:
        found = [volume_document(session.at(record.id)) for record in session.volumes.records()]
        removed = [removed_document(one) for one in session.volumes.in_trash()]
    parts: list[Any] = [volumes_table(found)]
    for one in found:
        if one["image_problem"]:
            parts.append(f"{one['name']} cannot be read: {one['image_problem']}")
        parts += [f"Note on {one['name']}: {note}" for note in one["notes"]]
    for one in removed:
        restored = f"napari-pytc restore {project} {quoted(one['name'])}"
        parts.append(f"In the trash until {one['kept_until'][:10]}: {one['name']} ({restored})")
    return Reply({"project": str(project), "volumes": found, "removed": removed}, Group(*parts))


def rename_volume(
    context: typer.Context,
    project: ProjectFolder,
    name: _Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="Its new name, without commas.")],
    as_json: AsJson = False,
) -> Reply:
    """Give a volume another name."""
    with closing(open_project(project)) as session:
        record = session.volumes.rename(name, new_name)
    return Reply(
        {"project": str(project), "id": record.id, "name": record.name}, f"{name} is called {record.name} now."
    )


def remove(
    context: typer.Context,
    project: ProjectFolder,
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> Reply:
    """Remove a volume with its strokes, edits, predictions and segments; they are kept in the trash for 30 days.

    The image's file is not touched, and models that learned from it stay.
    """
    from napari_pytc.session.project.description import quoted

    with closing(open_project(project)) as session:
        record = session.volumes.resolve(name)
        if not yes:
            _ask(
                f"Remove {record.name} from {project}? It is kept in the trash for 30 days.", output_of(context).as_json
            )
        removed = session.volumes.remove(record.id)
    document = removed_document(removed)
    text = (
        f"Removed {record.name}. Its strokes, edits, predictions and segments are in {removed.folder} until "
        f"{removed.kept_until:%Y-%m-%d}; then the next opening of the project deletes them.\n"
        f"To put it back: napari-pytc restore {project} {quoted(record.name)}"
    )
    return Reply({"project": str(project), **document}, text)


def restore(
    context: typer.Context,
    project: ProjectFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or id of a volume in the trash.")],
    as_json: AsJson = False,
) -> Reply:
    """Put a removed volume back, with all that was in it."""
    with closing(open_project(project)) as session:
        record = session.volumes.restore(name)
        document = volume_document(session.at(record.id))
    return Reply({"project": str(project), "volume": document}, f"{record.name} is back in {project}.")


def volume_document(session: Session) -> dict[str, Any]:
    """The volume of a session as JSON."""
    record = session.image.volume
    entries = session.proofreader.entries()
    return {
        "id": record.id,
        "name": record.name,
        "image": record.spec.model_dump(mode="json"),
        "image_problem": _image_problem(session),
        "shape": list(record.shape),
        "dtype": record.fingerprint.dtype,
        "channels": _channels(session),
        "voxel_size_nm": list(record.voxel_size_nm),
        "voxel_size_source": record.voxel_size_source,
        "origin_nm": list(record.origin_nm),
        "notes": list(record.notes),
        "annotated": session.strokes.counts(),
        "objects": session.objects.n_chunks > 0,
        "held_out": [str(box) for box in session.held_out.boxes],
        "predictions": [one.model_dump(mode="json") for one in session.predictions.records()],
        "segmentations": [one.model_dump(mode="json") for one in session.segmentations.records()],
        "edits": {"total": len(entries), "done": sum(not entry.is_undone for entry in entries)},
    }


def removed_document(removed: RemovedVolume) -> dict[str, Any]:
    """A volume in the trash as JSON."""
    return {
        "id": removed.record.id,
        "name": removed.record.name,
        "folder": str(removed.folder),
        "removed": removed.removed.isoformat(timespec="seconds"),
        "kept_until": removed.kept_until.isoformat(timespec="seconds"),
    }


def volumes_table(found: list[dict[str, Any]]) -> Any:
    """The volumes of a project for people."""
    rows = [
        (
            one["name"],
            one["id"],
            f"{shape_text(one['shape'])} {one['dtype']}{_several(one)}",
            voxel_text(one["voxel_size_nm"]),
            sum(one["annotated"].values()),
            "yes" if one["objects"] else None,
            len(one["held_out"]) or None,
            len(one["predictions"]) or None,
            len(one["segmentations"]) or None,
            "not readable" if one["image_problem"] else None,
        )
        for one in found
    ]
    columns = (
        "name", "id", "image", "voxel size (z, y, x)", "annotated voxels", "objects", "held out", "predictions",
        "segmentations", "",
    )  # fmt: skip
    shown = [k for k in range(len(columns)) if k < 5 or any(row[k] for row in rows)]
    return table("Volumes", [columns[k] for k in shown], [[row[k] for k in shown] for row in rows])


def _several(volume: dict[str, Any]) -> str:
    """The channels of a volume with several, for a table."""
    return f", {channels_text(volume['channels'])}" if len(volume["channels"]) > 1 else ""


def _image_problem(session: Session) -> str:
    """Reason why the image cannot be used now, empty where it can; the rest of the volume is described anyway."""
    try:
        session.image.check()
    except PytcError as error:
        return str(error)
    return ""


def _channels(session: Session) -> list[dict[str, Any]]:
    """The channels of the image; of one that cannot be read their numbers alone."""
    from napari_pytc.volumes.image import channel_documents

    try:
        return channel_documents(session.image.source)
    except PytcError:
        chosen = session.image.volume.spec.channel
        return [{"number": number, "name": ""} for number in (chosen if isinstance(chosen, tuple) else (chosen,))]


def _ask(question: str, as_json: bool) -> None:
    """Raise unless the user says yes."""
    if as_json:
        raise InvalidInput("With --json nobody is asked.", "Add --yes.")
    try:
        answer = typer.confirm(question, err=True)
    except typer.Abort:
        raise InvalidInput(
            "Nobody answered, so that nothing was removed.", "Add --yes where nobody is there."
        ) from None
    if not answer:
        raise InvalidInput("Nothing was removed.", "Answer y, or add --yes.")
