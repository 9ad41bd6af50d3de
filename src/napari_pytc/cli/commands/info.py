"""The command that describes a volume, a project or a model: info."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.commands.volumes import removed_document, volume_document, volumes_table
from napari_pytc.cli.options import (
    READ_OPTIONS,
    AsJson,
    Axes,
    Channels,
    MissingSections,
    Time,
    VoxelSize,
    read_options,
    refuse_given,
)
from napari_pytc.cli.output import Reply, bytes_text, channels_text, shape_text, table, voxel_text
from napari_pytc.cli.sessions import model_documents, models_table, open_project, score_rows

if TYPE_CHECKING:
    from napari_pytc.plans.model_folder import ModelInfo
    from napari_pytc.volumes.inspection import VolumeInfo
    from napari_pytc.volumes.spec import ReadOptions

_MOST_NAMES = 12
_OF_FILES = ("for a volume's file, not for a project or a model.", "Leave it out, or give the file of the image.")
_OF_PROJECTS = ("for a project, to choose one of its volumes.", "Leave it out, or give the project's folder.")


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("info", rich_help_panel="Look around")(info)


def info(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH[:DATASET]", help="A volume, a project or a model's folder.")],
    volume: Annotated[
        str | None, typer.Option("--volume", metavar="NAME", help="Of a project: this volume; by default all.")
    ] = None,
    voxel_size: VoxelSize = None,
    channel: Channels = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    as_json: AsJson = False,
) -> Reply:
    """Tell what a volume, a project or a model holds."""
    folder = Path(path)
    if (folder / "project.json").is_file():
        refuse_given(context, READ_OPTIONS, *_OF_FILES)
        return _project(folder, volume)
    if (folder / "provenance.json").is_file():
        refuse_given(context, READ_OPTIONS, *_OF_FILES)
        refuse_given(context, ["volume"], *_OF_PROJECTS)
        return _model(folder)
    refuse_given(context, ["volume"], *_OF_PROJECTS)
    return _volume(path, read_options(voxel_size, channel, axes, time, missing_sections))


def _volume(path: str, options: ReadOptions) -> Reply:
    from napari_pytc.volumes.inspection import describe_volume

    found = describe_volume(path, options)
    document = {"kind": "volume", "format": found.kind, **found.model_dump(mode="json", exclude={"kind"})}
    parts: list[Any] = []
    if found.shape is not None:
        channels = f", {_channels_text(found)}" if (found.n_channels or 1) > 1 else ""
        source = f" (told by {found.voxel_size_source})" if found.voxel_size_nm else ""
        size = f", {bytes_text(found.n_bytes)}" if found.n_bytes is not None else ""
        parts.append(
            f"{path} ({found.kind}): {shape_text(found.shape)} {found.dtype}{channels}{size}; "
            f"voxels {voxel_text(found.voxel_size_nm)}{source}{_place(found.origin_nm)}"
        )
    if found.problem:
        parts.append(f"As written it does not open: {found.problem}")
    parts += [f"Note: {note}" for note in found.notes]
    rows = [
        (a.name or "-", shape_text(a.shape), a.axes or None, a.dtype, voxel_text(a.voxel_size_nm)) for a in found.arrays
    ]
    if rows:
        parts.append(table("Arrays", ("name", "shape", "axes", "type", "voxel size (z, y, x)"), rows))
    return Reply(document, Group(*parts))


def _channels_text(found: VolumeInfo) -> str:
    """How many channels a file has, and what they are called where it says so."""
    names = [f"{k} {name}" for k, name in enumerate(found.channel_names) if name]
    return f"{found.n_channels} channels" + (f" ({', '.join(names[:_MOST_NAMES])})" if names else "")


def _place(origin_nm: tuple[float, ...] | None) -> str:
    """Where the first voxel lies, unless at the origin."""
    if origin_nm is None or not any(origin_nm):
        return ""
    return f"; the first at {', '.join(f'{v:g}' for v in origin_nm)} nm (z, y, x)"


def _project(folder: Path, volume: str | None) -> Reply:
    with closing(open_project(folder, volume, read_only=True)) as session:
        names = session.volumes.names if volume is None else [volume]
        found = [volume_document(session.at(name)) for name in names]
        document: dict[str, Any] = {
            "kind": "project",
            "project": str(folder),
            "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in session.classes.records()],
            "models": model_documents(session.models.records()),
            "volumes": found,
            "removed": [removed_document(one) for one in session.volumes.in_trash()],
        }
    if len(found) == 1:  # as in version 0.1
        document |= {key: value for key, value in found[0].items() if key not in ("id", "name")}
    return Reply(document, Group(*_project_lines(document)))


def _project_lines(document: dict[str, Any]) -> Iterator[Any]:
    found = document["volumes"]
    if len(found) == 1:
        yield f"Project {document['project']} for {_image_of(found[0])}"
        yield from _volume_lines(found[0])
    else:
        yield f"Project {document['project']}"
        yield volumes_table(found)
    rows = [
        (c["id"], c["name"], c["colour"], sum(one["annotated"][c["name"]] for one in found))
        for c in document["classes"]
    ]
    yield table("Classes", ("id", "name", "colour", "annotated voxels"), rows)
    if document["models"]:
        yield models_table(document["models"])
    for one in found:
        if len(found) > 1:
            yield f"\n{one['name']}: {_image_of(one)}"
            yield from _volume_lines(one)
        yield from _result_lines(one)
    for one in document["removed"]:
        yield f"In the trash until {one['kept_until'][:10]}: {one['name']}"


def _image_of(volume: dict[str, Any]) -> str:
    return str(volume["image"].get("path") or volume["image"].get("url"))


def _volume_lines(volume: dict[str, Any]) -> Iterator[Any]:
    if volume["image_problem"]:
        yield f"Its image cannot be used: {volume['image_problem']}"
    channels = f", {channels_text(volume['channels'])}" if len(volume["channels"]) > 1 else ""
    yield f"{shape_text(volume['shape'])} voxels of {voxel_text(volume['voxel_size_nm'])}{channels}"
    yield from (f"Note: {note}" for note in volume["notes"])
    yield f"Held out: {'  '.join(volume['held_out']) or 'nothing'}"


def _result_lines(volume: dict[str, Any]) -> Iterator[Any]:
    if volume["predictions"]:
        rows = [(p["id"], p["model"], _box_text(p["box"]), p["state"]) for p in volume["predictions"]]
        yield table("Predictions", ("id", "model", "box", "state"), rows)
    if volume["objects"]:
        yield "Single objects are annotated: train on them with --recipe neurites or organelles."
    if volume["segmentations"]:
        yield _segmentations_table(volume["segmentations"])
    if volume["edits"]["total"]:
        yield f"Edits: {volume['edits']['done']} done of {volume['edits']['total']} (napari-pytc history)"


def _segmentations_table(segmentations: list[dict[str, Any]]) -> Any:
    rows = [
        (
            "*" if s["active"] else "",
            s["id"],
            s["problem"] or s["decoder"].get("kind", "-"),
            s["prediction"],
            _box_text(s["box"]),
            s["n_segments"],
            s["n_supervoxels"],
        )
        for s in segmentations
    ]
    return table("Segmentations", ("", "id", "decoder", "prediction", "box", "segments", "supervoxels"), rows)


def _box_text(box: dict[str, Any] | None) -> str:
    from napari_pytc.geometry import Box

    return "all" if box is None else str(Box(tuple(box["start"]), tuple(box["stop"])))


def _inputs_text(model: ModelInfo) -> str:
    """How many channels a model's images have, and what they were called."""
    return f"{model.n_inputs}" + (f" ({', '.join(model.input_names)})" if any(model.input_names) else "")


def _model(folder: Path) -> Reply:
    from napari_pytc.plans.model_folder import read_model_info
    from napari_pytc.plans.model_scores import figures_of, measured_on, values_of

    model = read_model_info(folder)
    document = {"kind": "model", "folder": str(folder), **model.model_dump(mode="json")}
    facts = [
        ("id", model.id),
        ("name", model.name),
        ("date", model.created),
        ("recipe", model.recipe),
        ("network", model.plan.network.kind),
        ("learns", model.plan.target.kind),
        ("decoder", model.plan.decoder.get("kind")),
        ("parent", model.parent),
        ("image channels", _inputs_text(model)),
        ("output channels", "; ".join(model.classes)),
        ("trained for", f"{model.steps} steps, {model.seconds:.0f} s"),
        ("voxel size (z, y, x)", voxel_text(model.known_voxel_size_nm)),
    ]
    parts: list[Any] = [table(f"Model {folder}", ("what", "value"), facts)]
    rows = score_rows(model.scores)
    if rows:
        parts.append(table("On held-out voxels", ("class", "Dice", "IoU"), rows))
    figures = [(figure.title, figure.text, figure.tip) for figure in figures_of(model.scores)]
    if figures:
        parts.append(table("Held-out scores", ("score", "value", "what it is"), figures))
    parts.append(measured_on(model.scores))
    document |= {"figures": values_of(model.scores), "measured": measured_on(model.scores)}
    return Reply(document, Group(*parts))
