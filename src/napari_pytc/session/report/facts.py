"""All that a report tells of a project, as plain values."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.labels.segmentation import read_record
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.session.records import ModelRecord
from napari_pytc.session.report.effort import edits_by_kind, effort_of

if TYPE_CHECKING:
    from napari_pytc.session.session import Session

_LIBRARIES = ("napari-pytc", "torch", "monai", "lightning", "numpy", "scipy", "scikit-image", "bioimage-cpp", "napari")


def gather(session: Session) -> dict[str, Any]:
    """What is known of a project; any thread. Nothing of it is changed.

    Returns
    -------
    dict
        JSON values: project, image, classes, held_out, objects, effort, edits, models, predictions, segmentations,
        runs and versions. Lengths are in voxels, sizes in nm, dates ISO 8601 in UTC.
    """
    entries = session.proofreader().entries()
    marked = session.marked_objects()
    return {
        "project": session.folder.name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "created": session.project.created,
        "image": _image(session),
        "classes": _classes(session),
        "held_out": [str(box) for box in session.held_out],
        "objects": {"n": marked.n_objects, "n_voxels": marked.n_voxels, "n_background": marked.n_background},
        "effort": effort_of(entries),
        "edits": edits_by_kind(entries),
        "models": [_model(record) for record in session.models()],
        "predictions": [record.model_dump(mode="json", exclude={"folder"}) for record in session.predictions()],
        "segmentations": _segmentations(session),
        "runs": _runs(session),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of the libraries that decide the outcome, as they are installed now."""
    found = {"Python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _image(session: Session) -> dict[str, Any]:
    project, shape = session.project, session.annotations.shape
    spec = project.image.model_dump(mode="json")
    return {
        "where": " ".join(str(spec[key]) for key in ("path", "dataset", "url") if spec.get(key)) or spec["kind"],
        "shape": list(shape),
        "dtype": project.image_fingerprint.dtype,
        "voxel_size_nm": list(project.voxel_size_nm),
        "size_um": [n * size / 1000 for n, size in zip(shape, project.voxel_size_nm, strict=True)],
        "digest": project.image_fingerprint.digest,
    }


def _classes(session: Session) -> list[dict[str, Any]]:
    """Voxels of each class that teach and that score."""
    taught, scored = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for entry in session.annotations.boxes():
        labels = session.annotations.read(entry.box)
        held = np.zeros(labels.shape, bool)
        for box in session.held_out:
            held[box.intersect(entry.box).relative_to(entry.box.start).slices] = True
        taught += np.bincount(labels[~held], minlength=256)
        scored += np.bincount(labels[held], minlength=256)
    return [
        {"name": one.name, "colour": one.colour, "n_taught": int(taught[one.id]), "n_scored": int(scored[one.id])}
        for one in session.classes
    ]


def _model(record: ModelRecord) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": record.id,
        "name": record.name,
        "created": record.created,
        "recipe": record.recipe,
        "parent": record.parent,
        "is_in_use": record.active,
        "problem": record.problem,
        "scores": {name: record.scores.get(name) for name in ("dice", "iou", "mean", "n_voxels")},
        "interval": record.interval,
        "comparisons": [comparison.model_dump(mode="json") for comparison in record.comparisons],
    }
    if record.problem:
        return found
    try:
        info = read_model_info(record.folder)
    except PytcError as error:  # damaged since the list was read
        return {**found, "problem": str(error)}
    known = info.model_dump(mode="json", include={"steps", "seconds", "n_annotated", "precision", "plan", "versions"})
    return found | known | {"history": record.scores.get("history") or []}


def _segmentations(session: Session) -> list[dict[str, Any]]:
    found = []
    for info in session.segmentations():
        one = info.model_dump(mode="json", exclude={"folder"})
        if not info.problem:
            one["checksum"] = read_record(info.folder).checksum
        found.append(one)
    return found


def _runs(session: Session) -> list[dict[str, Any]]:
    """Jobs with their seconds and curves; of long curves every so many points."""
    found = []
    for run in session.runs():
        curves: dict[str, list[tuple[int, float]]] = {}
        for point in session.metrics(run.id):
            if np.isfinite(point.value):
                curves.setdefault(point.name, []).append((point.step, point.value))
        seconds = None if run.ended is None else round(run.ended - run.started, 1)
        one = {"kind": run.kind, "subject": run.subject, "state": run.state, "seconds": seconds}
        found.append({**one, "curves": {name: points[:: 1 + len(points) // 200] for name, points in curves.items()}})
    return json.loads(json.dumps(found))
