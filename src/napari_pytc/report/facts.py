"""The facts of a report: a project as JSON values."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from napari_pytc.decoding.jobs import ImportSegmentationJob
from napari_pytc.errors import PytcError
from napari_pytc.labels.segmentation import read_record
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.report.effort import edits_by_kind, effort_of
from napari_pytc.session.records import ModelRecord
from napari_pytc.session.runs.segmentation_runs import noted_job
from napari_pytc.session.session import Session
from napari_pytc.volumes.image import channel_titles
from napari_pytc.volumes.spec import ReadOptions, argument_of

_SCORES = (
    "dice", "iou", "mean", "mean_iou", "accuracy", "mean_accuracy", "confusion", "n_voxels", "boxes", "truth", "objects"
)  # fmt: skip
_LIBRARIES = ("napari-pytc", "torch", "monai", "lightning", "numpy", "scipy", "scikit-image", "bioimage-cpp", "napari")


def gather(session: Session) -> dict[str, Any]:
    """Collect the facts of a project, without changing it; from any thread.

    Returns
    -------
    dict
        JSON values: project, volume, volumes, image, classes, held_out, objects, effort, edits, models, predictions,
        segmentations, runs and versions. Lengths are in voxels, sizes in nm, dates ISO 8601 in UTC.
    """
    entries = session.proofreader.entries()
    marked = session.objects.counts()
    trained, predicted = _trainings(session), session.jobs.specs("predict")
    return {
        "project": session.folder.name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "created": session.project.description.created,
        "volume": session.image.volume.name,
        "volumes": list(session.volumes.names),
        "image": _image(session),
        "classes": _classes(session),
        "held_out": [str(box) for box in session.held_out.boxes],
        "objects": {"n": marked.n_objects, "n_voxels": marked.n_voxels, "n_background": marked.n_background},
        "effort": effort_of(entries),
        "edits": edits_by_kind(entries),
        "models": [_model(record, trained.get(record.id)) for record in session.models.records()],
        "predictions": [
            {**record.model_dump(mode="json", exclude={"folder"}), "job": predicted.get(record.id)}
            for record in session.predictions.records()
        ],
        "segmentations": _segmentations(session),
        "runs": _runs(session),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Installed versions of the libraries that decide the results."""
    found = {"Python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _image(session: Session) -> dict[str, Any]:
    volume, shape = session.image.volume, session.strokes.store.shape
    spec = volume.spec.model_dump(mode="json")
    argument = argument_of(volume.spec)
    return {
        "where": argument,
        "argument": argument,
        "options": {name: spec[name] for name in ReadOptions.model_fields},
        "shape": list(shape),
        "dtype": volume.fingerprint.dtype,
        "channels": list(_channels(session)),
        "voxel_size_nm": list(volume.voxel_size_nm),
        "size_um": [n * size / 1000 for n, size in zip(shape, volume.voxel_size_nm, strict=True)],
        "digest": volume.fingerprint.digest,
    }


def _channels(session: Session) -> tuple[str, ...]:
    """What the channels of the image are called; their numbers where it cannot be read."""
    try:
        return channel_titles(session.image.source)
    except PytcError:
        chosen = session.image.volume.spec.channel
        return tuple(f"channel {n}" for n in (chosen if isinstance(chosen, tuple) else (chosen or 0,)))


def _classes(session: Session) -> list[dict[str, Any]]:
    """Voxels of each class that trainings see and that score."""
    trained, scored = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for entry in session.strokes.store.chunks():
        labels = session.strokes.store.read(entry.box)
        hidden = np.zeros(labels.shape, bool)
        for box in session.held_out.boxes:
            hidden[box.intersect(entry.box).relative_to(entry.box.start).slices] = True
        trained += np.bincount(labels[~hidden], minlength=256)
        scored += np.bincount(labels[hidden], minlength=256)
    return [
        {"name": one.name, "colour": one.colour, "n_taught": int(trained[one.id]), "n_scored": int(scored[one.id])}
        for one in session.classes.records()
    ]


def _model(record: ModelRecord, job: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": record.id,
        "name": record.name,
        "created": record.created,
        "recipe": record.recipe,
        "parent": record.parent,
        "is_in_use": record.active,
        "problem": record.problem,
        "scores": {name: record.scores.get(name) for name in _SCORES},
        "interval": record.interval,
        "comparisons": [comparison.model_dump(mode="json") for comparison in record.comparisons],
        "prediction": record.prediction,
        "job": job,
    }
    if record.problem:
        return found
    try:
        info = read_model_info(record.folder)
    except PytcError as error:  # damaged since the list was read
        return {**found, "problem": str(error)}
    known = info.model_dump(mode="json", include={"steps", "seconds", "n_annotated", "precision", "plan", "versions"})
    return found | known | {"history": record.scores.get("history") or []}


def _trainings(session: Session) -> dict[str, dict[str, Any]]:
    """The trainings by the ids of their models, with the volumes as they are called now."""
    names = {record.id: record.name for record in session.volumes.records()}
    found = session.jobs.specs("train")
    for job in found.values():
        for one in job.get("inputs") or ():
            one["name"] = names.get(Path(one["annotations"]).parent.name, one.get("name", ""))
    return found


def _segmentations(session: Session) -> list[dict[str, Any]]:
    found = []
    for info in session.segmentations.records():
        one = info.model_dump(mode="json", exclude={"folder"})
        if not info.problem:
            one["checksum"] = read_record(info.folder).checksum
            one["job"] = _with_arguments(noted_job(info.folder))
        found.append(one)
    return found


def _with_arguments(job: dict[str, Any]) -> dict[str, Any]:
    """The job of a segmentation, with the files of an import as the command line names them."""
    if job.get("kind") != "import_segmentation":
        return job
    try:
        known = ImportSegmentationJob.model_validate(job)
    except (ValidationError, PytcError):  # of another version
        return {}
    map_of = known.boundaries
    where = None if map_of is None else map_of.prediction or (map_of.volume and argument_of(map_of.volume))
    return {**job, "argument": argument_of(known.labels), "boundaries_argument": None if where is None else str(where)}


def _runs(session: Session) -> list[dict[str, Any]]:
    """Jobs at the volume or at several, with their seconds and curves; of long curves every so many points."""
    found = []
    for run in session.jobs.runs():
        if run.volume not in ("", session.image.volume.id):
            continue
        curves: dict[str, list[tuple[int, float]]] = {}
        for point in session.jobs.metrics(run.id):
            if np.isfinite(point.value):
                curves.setdefault(point.name, []).append((point.step, point.value))
        seconds = None if run.ended is None else round(run.ended - run.started, 1)
        one = {"kind": run.kind, "subject": run.subject, "state": run.state, "seconds": seconds}
        found.append({**one, "curves": {name: points[:: 1 + len(points) // 200] for name, points in curves.items()}})
    return json.loads(json.dumps(found))
