"""Commands that make and look after a project: new, annotate, hold-out, models, relink."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from napari_pytc.cli.options import (
    AsJson,
    ProjectFolder,
    VoxelSize,
    output_of,
    read_classes,
    read_triple,
    read_voxel_size,
)
from napari_pytc.cli.output import Answer, shape_text, table, voxel_text
from napari_pytc.cli.sessions import model_document, models_table, open_session
from napari_pytc.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("new", rich_help_panel="Project")(new)
    app.command("annotate", rich_help_panel="Project")(annotate)
    app.command("hold-out", rich_help_panel="Project")(hold_out)
    app.command("models", rich_help_panel="Project")(models)
    app.command("relink", rich_help_panel="Project")(relink)


def new(
    context: typer.Context,
    project: ProjectFolder,
    image: Annotated[str, typer.Option(metavar="PATH[:DATASET]", help="The volume to segment; it stays where it is.")],
    classes: Annotated[str, typer.Option(metavar="NAME,NAME,...", help="Classes to tell apart, the first is 1.")],
    voxel_size: VoxelSize = None,
    channel: Annotated[int | None, typer.Option(help="Which channel, where the image has several.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a project that is there already.")] = False,
    as_json: AsJson = False,
) -> Answer:
    """Make a project for an image and name its classes."""
    names, size = read_classes(classes), read_voxel_size(voxel_size)
    from napari_pytc.session.session import Session

    session = Session.create(project, image, names, voxel_size_nm=size, channel=channel, overwrite=overwrite)
    with closing(session):
        document: dict[str, Any] = {
            "project": str(session.folder),
            "image": image,
            "shape": list(session.image.shape),
            "dtype": session.image.dtype.name,
            "voxel_size_nm": list(session.space.voxel_size_nm),
            "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in session.classes],
        }
    lines = [
        f"Made {document['project']} for {image}: {shape_text(document['shape'])} {document['dtype']}, "
        f"{voxel_text(document['voxel_size_nm'])}.",
        "Classes: " + ", ".join(f"{c['id']} = {c['name']}" for c in document["classes"]) + ".",
        f"Next: napari-pytc annotate {project} LABELS   (0 = not annotated, k = k-th class)",
    ]
    return Answer(document, "\n".join(lines))


def annotate(
    context: typer.Context,
    project: ProjectFolder,
    labels: Annotated[
        str,
        typer.Argument(
            metavar="LABELS[:DATASET]", help="Volume of labels: 0 = not annotated, k = k-th class, or an object's id."
        ),
    ],
    offset: Annotated[
        str, typer.Option(metavar="Z,Y,X", help="Voxel of the image where the labels' first voxel lies.")
    ] = "0,0,0",
    instances: Annotated[
        bool, typer.Option("--instances", help="The labels are ids of objects to learn, not numbers of classes.")
    ] = False,
    dense: Annotated[
        bool, typer.Option("--dense", help="With --instances: 0 means that no object is there, not that nobody looked.")
    ] = False,
    as_json: AsJson = False,
) -> Answer:
    """Add strokes or dense labels from a file to what is annotated, of classes or of single objects."""
    if dense and not instances:
        raise InvalidInput("--dense goes with --instances.", "Give classes a background class of their own instead.")
    where = read_triple(offset, "An offset")
    from napari_pytc.volumes.opening import open_volume

    source = open_volume(labels)
    if instances:
        with closing(open_session(project)) as session, output_of(context).counting("annotate") as report:
            added = session.annotate_objects(source, where, dense, report=report)
        text = (
            f"Added {added['objects']} objects: {added['voxels']} voxels, and {added['background']} of background."
            f"\nNext: napari-pytc train {project} --recipe neurites"
        )
        return Answer({"project": str(project), **added}, text)
    with closing(open_session(project)) as session, output_of(context).counting("annotate") as report:
        counts = session.annotate(source, where, report=report)
    total = sum(counts.values())
    shown = table("", ("class", "annotated voxels"), [(name, n) for name, n in counts.items()])
    return Answer({"project": str(project), "annotated": counts, "total": total}, shown)


def hold_out(
    context: typer.Context,
    project: ProjectFolder,
    box: Annotated[str, typer.Argument(metavar="Z0:Z1,Y0:Y1,X0:X1", help="Voxels that training must not see.")],
    release: Annotated[bool, typer.Option("--release", help="Give the box back to training instead.")] = False,
    as_json: AsJson = False,
) -> Answer:
    """Keep a box out of training; models are scored on what is annotated in it."""
    from napari_pytc.geometry import Box

    region = Box.parse(box)
    with closing(open_session(project)) as session:
        if release:
            session.release(region)
        else:
            session.hold_out(region)
        boxes = [str(held) for held in session.held_out]
    text = f"Held out: {'  '.join(boxes) or 'nothing'}. Models are scored on what is annotated there."
    return Answer({"project": str(project), "held_out": boxes}, text)


def models(
    context: typer.Context,
    project: ProjectFolder,
    use: Annotated[
        str | None,
        typer.Option("--use", metavar="MODEL", help="Predict with this model from now on, an id or its beginning."),
    ] = None,
    as_json: AsJson = False,
) -> Answer:
    """List the models of a project with their parents, scores and gains, or choose the one to use.

    A model that was found worse than its parent, or than the one in use, is used only when it is chosen.
    """
    with closing(open_session(project, read_only=use is None)) as session:
        if use is not None:
            session.activate_model(session.resolve_model(use).name)
        found = [model_document(record) for record in session.models()]
    if not found:
        text: Any = f"{project} has no models yet. Train one: napari-pytc train {project}"
    else:
        text = models_table(found)
    return Answer({"project": str(project), "models": found}, text)


def relink(
    context: typer.Context,
    project: ProjectFolder,
    image: Annotated[str, typer.Option(metavar="PATH[:DATASET]", help="Where the same image lies now.")],
    as_json: AsJson = False,
) -> Answer:
    """Tell a project where its image has moved to."""
    with closing(open_session(project)) as session:
        session.relink_image(image)
        shape = list(session.image.shape)
    return Answer({"project": str(project), "image": image, "shape": shape}, f"{project} now reads {image}.")
