"""The command that adds labels of files to a project: annotate."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.label_options import (
    Components,
    Dense,
    IgnoreValue,
    KeepIds,
    LabelVoxelSize,
    Map,
    Offset,
    Resample,
    read_transform,
)
from napari_pytc.cli.options import (
    AsJson,
    Axes,
    Channel,
    MissingSections,
    ProjectFolder,
    Time,
    VolumeName,
    output_of,
    read_options,
)
from napari_pytc.cli.output import Reply, table
from napari_pytc.cli.sessions import open_session
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.annotations.importing import ImportedClasses, ImportedObjects


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("annotate", rich_help_panel="Project")(annotate)


def annotate(
    context: typer.Context,
    project: ProjectFolder,
    labels: Annotated[
        str,
        typer.Argument(
            metavar="LABELS[:DATASET]", help="Volume of labels: 0 = not annotated, k = k-th class, or an object's id."
        ),
    ],
    volume: VolumeName = None,
    offset: Offset = None,
    resample: Resample = False,
    voxel_size: LabelVoxelSize = None,
    mapped: Map = None,
    ignored: IgnoreValue = None,
    instances: Annotated[
        bool, typer.Option("--instances", help="The labels are ids of objects to learn, not numbers of classes.")
    ] = False,
    dense: Dense = False,
    components: Components = False,
    keep_ids: KeepIds = False,
    channel: Channel = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    as_json: AsJson = False,
) -> Reply:
    """Add strokes or dense labels from a file to what is annotated, of classes or of single objects.

    Labels lie where their file says: (origin of the labels - origin of the image) / voxel size. Classes that the file
    names go to the classes of these names.
    """
    if (components or keep_ids) and not instances:
        raise InvalidInput("--components and --keep-ids go with --instances.", "Classes have no ids: leave them out.")
    if components and keep_ids:
        raise InvalidInput("Give --components or --keep-ids, not both: connected parts get ids of their own.")
    transform = read_transform(offset, resample, mapped, ignored, dense, components, keep_ids)
    options = read_options(voxel_size, channel, axes, time, missing_sections)
    from napari_pytc.volumes.opening import open_labels

    source = open_labels(labels, options)
    with closing(open_session(project, volume)) as session, output_of(context).counting("annotate") as report:
        if instances:
            return _objects_reply(str(project), session.objects.add(source, transform=transform, report=report))
        return _classes_reply(str(project), session.strokes.add(source, transform=transform, report=report))


def _objects_reply(project: str, added: ImportedObjects) -> Reply:
    document: dict[str, Any] = {
        "project": project,
        "objects": added.n_objects,
        "voxels": added.n_voxels,
        "background": added.n_background,
        "box": str(added.box),
        "notes": list(added.notes),
        "original_ids": added.original_ids,
    }
    objects = "1 object" if added.n_objects == 1 else f"{added.n_objects} objects"
    lines = [
        f"Added {objects} in {added.box}: {added.n_voxels} voxels, and {added.n_background} of background.",
        *(f"Note: {note}" for note in added.notes),
        f"Next: napari-pytc train {project} --recipe neurites",
    ]
    return Reply(document, "\n".join(lines))


def _classes_reply(project: str, added: ImportedClasses) -> Reply:
    document = {
        "project": project,
        "annotated": added.counts,
        "total": added.total,
        "box": str(added.box),
        "notes": list(added.notes),
    }
    shown = table(f"In {added.box}", ("class", "annotated voxels"), list(added.counts.items()))
    return Reply(document, Group(shown, *(f"Note: {note}" for note in added.notes)))
