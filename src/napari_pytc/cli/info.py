"""The command that tells what a path holds: info."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import AsJson
from napari_pytc.cli.output import Answer, bytes_text, shape_text, table, voxel_text
from napari_pytc.cli.sessions import model_document, models_table, open_session, score_rows
from napari_pytc.errors import PytcError

if TYPE_CHECKING:
    from napari_pytc.session.session import Session


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("info", rich_help_panel="Look around")(info)


def info(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH[:DATASET]", help="A volume, a project or a model's folder.")],
    as_json: AsJson = False,
) -> Answer:
    """Tell what a volume, a project or a model holds."""
    folder = Path(path)
    if (folder / "project.json").is_file():
        return _project(folder)
    if (folder / "provenance.json").is_file():
        return _model(folder)
    return _volume(path)


def _volume(path: str) -> Answer:
    from napari_pytc.volumes.inspection import describe_volume

    found = describe_volume(path)
    document = {"kind": "volume", "format": found.kind, **found.model_dump(mode="json", exclude={"kind"})}
    parts: list[Any] = []
    if found.shape is not None:
        channels = f", {found.n_channels} channels" if (found.n_channels or 1) > 1 else ""
        told = f" (told by {found.voxel_size_source})" if found.voxel_size_nm else ""
        size = f", {bytes_text(found.n_bytes)}" if found.n_bytes is not None else ""
        parts.append(
            f"{path} ({found.kind}): {shape_text(found.shape)} {found.dtype}{channels}{size}; "
            f"voxels {voxel_text(found.voxel_size_nm)}{told}"
        )
    if found.problem:
        parts.append(f"As written it does not open: {found.problem}")
    rows = [
        (a.name or "-", shape_text(a.shape), a.axes or None, a.dtype, voxel_text(a.voxel_size_nm)) for a in found.arrays
    ]
    if rows:
        parts.append(table("Arrays", ("name", "shape", "axes", "type", "voxel size (z, y, x)"), rows))
    return Answer(document, Group(*parts))


def _project(folder: Path) -> Answer:
    with closing(open_session(folder, read_only=True)) as session:
        shape, space = session.annotations.shape, session.space
        document: dict[str, Any] = {
            "kind": "project",
            "project": str(folder),
            "image": session.project.image.model_dump(mode="json"),
            "image_problem": _image_problem(session),
            "shape": list(shape),
            "voxel_size_nm": list(space.voxel_size_nm) if space.known else None,
            "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in session.classes],
            "annotated": session.annotated_voxels(),
            "held_out": [str(box) for box in session.held_out],
            "models": [model_document(record) for record in session.models()],
            "predictions": [record.model_dump(mode="json") for record in session.predictions()],
            "objects": session.n_object_chunks > 0,
            "segmentations": [info.model_dump(mode="json") for info in session.segmentations()],
            "edits": _edits(session),
        }
    return Answer(document, Group(*_project_for_people(document)))


def _image_problem(session: Session) -> str:
    """Why the image cannot be used now; a project tells of itself all the same."""
    try:
        session.check_image()
    except PytcError as error:
        return str(error)
    return ""


def _edits(session: Session) -> dict[str, int]:
    """How many edits the journal holds, and how many of them are done."""
    entries = session.proofreader().entries()
    return {"total": len(entries), "done": sum(not entry.is_undone for entry in entries)}


def _project_for_people(document: dict[str, Any]) -> Iterator[Any]:
    image = document["image"]
    yield f"Project {document['project']} for {image.get('path') or image.get('url')}"
    if document["image_problem"]:
        yield f"Its image cannot be used: {document['image_problem']}"
    yield f"{shape_text(document['shape'])} voxels of {voxel_text(document['voxel_size_nm'])}"
    yield f"Held out: {'  '.join(document['held_out']) or 'nothing'}"
    classes = [(c["id"], c["name"], c["colour"], document["annotated"][c["name"]]) for c in document["classes"]]
    yield table("Classes", ("id", "name", "colour", "annotated voxels"), classes)
    if document["models"]:
        yield models_table(document["models"])
    if document["predictions"]:
        rows = [(p["id"], p["model"], _box_text(p["box"]), p["state"]) for p in document["predictions"]]
        yield table("Predictions", ("id", "model", "box", "state"), rows)
    if document["objects"]:
        yield "Single objects are annotated: train on them with --recipe neurites or organelles."
    if document["segmentations"]:
        yield _segmentations_table(document["segmentations"])
    if document["edits"]["total"]:
        yield f"Edits: {document['edits']['done']} done of {document['edits']['total']} (napari-pytc history)"


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


def _model(folder: Path) -> Answer:
    from napari_pytc.learning.model_folder import read_model_info

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
        ("channels", "; ".join(model.classes)),
        ("trained for", f"{model.steps} steps, {model.seconds:.0f} s"),
        ("voxel size (z, y, x)", voxel_text(model.voxel_size_nm)),
    ]
    parts: list[Any] = [table(f"Model {folder}", ("what", "value"), facts)]
    rows = score_rows(model.scores)
    if rows:
        parts.append(table("On held-out voxels", ("class", "Dice", "IoU"), rows))
    return Answer(document, Group(*parts))
