"""Unfinished trainings: notes in run folders, by which they are found again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pytc.files import write_text_durably
from napari_pytc.session.project.description import FIRST_VOLUME

if TYPE_CHECKING:
    from napari_pytc.plans.specs import TrainJob

_WORK = "work.json"
_CHECKPOINTS = "*.safetensors"


@dataclass(frozen=True)
class Revisions:
    """The state of what a training reads of a volume: digest of its image, revisions of its annotations."""

    image: str
    annotations: int
    objects: int = 0
    corrections: str = ""


def work_of(job: TrainJob, revisions: Sequence[Revisions]) -> str:
    """Digest of everything that decides the outcome of a training: data, plan and parent, not places or devices.

    Parameters
    ----------
    revisions : sequence of Revisions
        Of each of the job's inputs.
    """
    spec = job.model_dump(mode="json")
    # The names of version 0.1, whose unfinished trainings can be resumed.
    content = {name: spec[name] for name in ("kind", "classes", "boundary_class")}
    content["plan"] = job.plan.identity(len(job.inputs), exclude=("device", "precision", "checkpoint_every"))
    content["parent"] = spec["output"]["parent"]
    first, *others = [
        ({"voxel_size_nm": inputs["space"]["voxel_size_nm"], "held_out": inputs["held_out"]}, list(astuple(revision)))
        for inputs, revision in zip(spec["inputs"], revisions, strict=True)
    ]
    work = [content | first[0], *first[1], *others]
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()


def note_work(run_folder: Path, work: str, job: TrainJob, volumes: Sequence[str]) -> None:
    """Write into a run's folder which work it is, and the ids of its volumes, so that it can be found again."""
    run_folder.mkdir(parents=True, exist_ok=True)
    note = {"work": work, "volumes": list(volumes), "job": job.model_dump(mode="json")}
    write_text_durably(run_folder / _WORK, json.dumps(note))


def discard_unbegun(run_folder: Path) -> None:
    """Remove the folder of a run that ended before it wrote anything: refused settings leave nothing behind."""
    try:
        if [path.name for path in run_folder.iterdir()] == [_WORK]:
            shutil.rmtree(run_folder, ignore_errors=True)
    except OSError:  # the folder itself is gone, or cannot be read
        return


def noted_volumes(note: dict[str, Any]) -> list[str]:
    """Ids of the volumes of a training, from its note; version 0.1 had one volume and noted none."""
    return [str(id) for id in note.get("volumes", [FIRST_VOLUME])]


def unfinished_runs(runs: Path, models: Path, busy: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """Ids and notes of the runs that left a checkpoint and no model, and that nobody works on; the latest first."""
    found = []
    for folder in runs.iterdir() if runs.is_dir() else ():
        checkpoints = [p for p in folder.glob(_CHECKPOINTS) if p.is_file()]
        if not checkpoints or folder.name in busy or (models / folder.name).exists():
            continue
        try:
            note = json.loads((folder / _WORK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(note, dict):
            found.append((max(p.stat().st_mtime for p in checkpoints), folder.name, note))
    return [(name, note) for _, name, note in sorted(found, key=lambda run: run[:2], reverse=True)]
