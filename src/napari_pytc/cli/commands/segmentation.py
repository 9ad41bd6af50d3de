"""The command for the segmentations of a project, also those of other programs: segmentation."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_pytc.cli.label_options import IgnoreValue, LabelVoxelSize, Map, Offset, Resample, read_transform
from napari_pytc.cli.options import (
    READ_OPTIONS,
    AsJson,
    Axes,
    Channel,
    MissingSections,
    ProjectFolder,
    Time,
    VolumeName,
    output_of,
    read_options,
    refuse_given,
)
from napari_pytc.cli.output import Output, Reply, table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.decoding.jobs import ImportSegmentationJob
    from napari_pytc.session.session import Session

_NEEDS = {"import": "LABELS[:DATASET]", "use": "the id of a segmentation", "delete": "the id of a segmentation"}

_OF_IMPORT = (*READ_OPTIONS, "boundaries", "image_channel", "gap", "offset", "resample", "mapped", "ignored", "workers")


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("segmentation", rich_help_panel="Objects")(segmentation)


def segmentation(
    context: typer.Context,
    project: ProjectFolder,
    action: Annotated[
        Literal["list", "import", "use", "delete"],
        typer.Argument(
            help="list the segmentations; import one of another program; use one, which undo takes back; delete one."
        ),
    ] = "list",
    subject: Annotated[
        str | None,
        typer.Argument(metavar="[LABELS[:DATASET] | ID]", help="Labels to import (an id for each object, 0 for none)."),
    ] = None,
    volume: VolumeName = None,
    boundaries: Annotated[
        str | None,
        typer.Option(
            metavar="PATH[:DATASET]",
            help="Boundary map, or a prediction, that says how probably touching segments are one; by default dark "
            "ridges in the image do.",
        ),
    ] = None,
    image_channel: Annotated[
        int | None,
        typer.Option(
            "--image-channel",
            metavar="N",
            min=0,
            help="Of an image with several channels: whose dark ridges count, by its number in the file.",
        ),
    ] = None,
    gap: Annotated[
        float,
        typer.Option(metavar="UM", min=0, help="Segments with at most so much background between them touch, in µm."),
    ] = 0.0,
    offset: Offset = None,
    resample: Resample = False,
    voxel_size: LabelVoxelSize = None,
    mapped: Map = None,
    ignored: IgnoreValue = None,
    channel: Channel = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Blocks that are imported at a time.")] = 1,
    as_json: AsJson = False,
) -> Reply:
    """List the segmentations of a project, use one, or import one that another program made, to proofread it."""
    from napari_pytc.cli.sessions import open_project, open_session

    _check_words(action, subject)
    if action != "import":
        refuse_given(
            context, _OF_IMPORT, f"for `segmentation PROJECT import LABELS`, not for {action}.", "Leave it out."
        )
    if action == "list":
        with closing(open_project(project, volume, read_only=True)) as session:
            return _list(project, session, volume)
    with closing(open_session(project, volume)) as session:
        assert subject is not None
        if action != "import":
            return _use(project, session, subject) if action == "use" else _delete(project, session, subject)
        job = session.jobs.import_segmentation_job(
            subject,
            read_options(voxel_size, channel, axes, time, missing_sections),
            read_transform(offset, resample, mapped, ignored),
            boundaries,
            gap,
            workers,
            image_channel,
        )
        return _import(output_of(context), project, session, job, subject)


def _use(project: Path, session: Session, subject: str) -> Reply:
    session.segmentations.activate(subject)
    name = session.segmentations.resolve().name
    return Reply({"project": str(project), "current": name}, f"Segmentation {name} is current now.")


def _delete(project: Path, session: Session, subject: str) -> Reply:
    name = session.segmentations.resolve(subject).name
    session.segmentations.delete(name)
    session.project.empty_trash()
    return Reply({"project": str(project), "deleted": name}, f"Deleted the segmentation {name} and its edits.")


def _import(output: Output, project: Path, session: Session, job: ImportSegmentationJob, labels: str) -> Reply:
    """Run an import, and tell what it made."""
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import volume_option

    kept = "The finished blocks are kept; the same command goes on with the rest."
    result = run_in_session(output, session, job, "import", kept)
    name, option = session.image.volume.name, volume_option(session)
    text = (
        f"Segmentation {result['segmentation']}: {result['n_segments']} segments of {result['n_supervoxels']} "
        f"supervoxels with {result['n_contacts']} contacts, in {result['box']}. It is current now.\n"
        f"Next: the Proofread panel, or napari-pytc proofread {project} EDITS.json{option}"
    )
    return Reply({"project": str(project), "volume": name, "labels": labels, **result}, text)


def _check_words(action: str, subject: str | None) -> None:
    if action in _NEEDS and subject is None:
        raise InvalidInput(
            f"`segmentation PROJECT {action}` needs {_NEEDS[action]}, got nothing.",
            "`napari-pytc segmentation PROJECT` lists the segmentations.",
        )
    if action == "list" and subject is not None:
        raise InvalidInput(f"`segmentation PROJECT list` takes nothing else, got {subject!r}.")


def _list(project: Path, session: Session, volume: str | None) -> Reply:
    """The segmentations of a volume, or of all volumes where none is named."""
    names = session.volumes.names if volume is None else [session.image.volume.name]
    records = [(name, info) for name in names for info in session.at(name).segmentations.records()]
    found = [{**info.model_dump(mode="json"), "volume": name} for name, info in records]
    document: dict[str, Any] = {"project": str(project), "segmentations": found}
    if not records:
        return Reply(document, f"{project} has no segmentation yet. Make one: napari-pytc segment {project}.")
    rows = [
        (
            "*" if info.active else "",
            name,
            info.id,
            info.problem or str(info.decoder.get("kind", "")),
            info.n_segments,
            info.n_supervoxels,
            "all" if info.box is None else str(info.box),
        )
        for name, info in records
    ]
    columns = ("", "volume", "id", "made by", "segments", "supervoxels", "box")
    return Reply(document, table("Segmentations", columns, rows))
