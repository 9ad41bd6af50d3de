"""Commands that make and look after a project: new, hold-out, models, relink."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from napari_pytc.cli.options import (
    AsJson,
    Axes,
    Channels,
    MissingSections,
    NewVolumeName,
    ProjectFolder,
    Time,
    VolumeName,
    VoxelSize,
    read_classes,
    read_options,
)
from napari_pytc.cli.output import Reply, channels_text, shape_text, voxel_text
from napari_pytc.cli.sessions import model_documents, models_table, open_project, open_session


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("new", rich_help_panel="Project")(new)
    app.command("hold-out", rich_help_panel="Project")(hold_out)
    app.command("models", rich_help_panel="Project")(models)
    app.command("relink", rich_help_panel="Project")(relink)


def new(
    context: typer.Context,
    project: ProjectFolder,
    image: Annotated[str, typer.Option(metavar="PATH[:DATASET]", help="The volume to segment; it stays where it is.")],
    classes: Annotated[str, typer.Option(metavar="NAME,NAME,...", help="Classes to tell apart, the first is 1.")],
    voxel_size: VoxelSize = None,
    channel: Channels = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    name: NewVolumeName = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a project that is there already.")] = False,
    as_json: AsJson = False,
) -> Reply:
    """Make a project for an image and name its classes; `napari-pytc add` adds other images."""
    names, options = read_classes(classes), read_options(voxel_size, channel, axes, time, missing_sections)
    from napari_pytc.session.session import Session
    from napari_pytc.volumes.image import channel_documents

    session = Session.create(project, image, names, options=options, overwrite=overwrite, name=name)
    with closing(session):
        document: dict[str, Any] = {
            "project": str(session.folder),
            "image": image,
            "volume": session.image.volume.name,
            "shape": list(session.image.source.shape),
            "dtype": session.image.source.dtype.name,
            "channels": channel_documents(session.image.source),
            "voxel_size_nm": list(session.image.space.voxel_size_nm),
            "notes": list(session.image.source.notes),
            "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in session.classes.records()],
        }
    channels = f", {channels_text(document['channels'])}" if len(document["channels"]) > 1 else ""
    lines = [
        f"Made {document['project']} for {image}: {shape_text(document['shape'])} {document['dtype']}{channels}, "
        f"{voxel_text(document['voxel_size_nm'])}.",
        *(f"Note: {note}" for note in document["notes"]),
        "Classes: " + ", ".join(f"{c['id']} = {c['name']}" for c in document["classes"]) + ".",
        f"Next: napari-pytc annotate {project} LABELS   (0 = not annotated, k = k-th class)",
    ]
    return Reply(document, "\n".join(lines))


def hold_out(
    context: typer.Context,
    project: ProjectFolder,
    box: Annotated[str, typer.Argument(metavar="Z0:Z1,Y0:Y1,X0:X1", help="Voxels that training must not see.")],
    volume: VolumeName = None,
    release: Annotated[bool, typer.Option("--release", help="Give the box back to training instead.")] = False,
    as_json: AsJson = False,
) -> Reply:
    """Keep a box out of training; models are scored on what is annotated in it."""
    from napari_pytc.geometry import Box

    region = Box.parse(box)
    with closing(open_session(project, volume)) as session:
        if release:
            session.held_out.release(region)
        else:
            session.held_out.add(region)
        boxes, name = [str(one) for one in session.held_out.boxes], session.image.volume.name
    text = f"Held out: {'  '.join(boxes) or 'nothing'}. Models are scored on what is annotated there."
    return Reply({"project": str(project), "volume": name, "held_out": boxes}, text)


def models(
    context: typer.Context,
    project: ProjectFolder,
    use: Annotated[
        str | None,
        typer.Option("--use", metavar="MODEL", help="Predict with this model from now on, an id or its beginning."),
    ] = None,
    as_json: AsJson = False,
) -> Reply:
    """List the models of a project with their parents, scores and gains, or choose the one to use.

    A model that was found worse than its parent, or than the one in use, is used only when it is chosen.
    """
    with closing(open_project(project, read_only=use is None)) as session:
        if use is not None:
            session.models.activate(session.models.resolve(use).name)
        found = model_documents(session.models.records())
    if not found:
        text: Any = f"{project} has no models yet. Train one: napari-pytc train {project}"
    else:
        text = models_table(found)
    return Reply({"project": str(project), "models": found}, text)


def relink(
    context: typer.Context,
    project: ProjectFolder,
    image: Annotated[str, typer.Option(metavar="PATH[:DATASET]", help="Where the same image lies now.")],
    volume: VolumeName = None,
    as_json: AsJson = False,
) -> Reply:
    """Tell a project where its image has moved to."""
    with closing(open_session(project, volume)) as session:
        session.image.relink(image)
        shape, name = list(session.image.source.shape), session.image.volume.name
    document = {"project": str(project), "volume": name, "image": image, "shape": shape}
    return Reply(document, f"{project} now reads {image}.")
