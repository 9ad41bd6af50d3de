"""The models and unfinished trainings of a project, as found in its folders."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import ModelError
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.session.records import ModelRecord

if TYPE_CHECKING:
    from napari_pytc.learning.jobs import TrainJob

Stamp = tuple[tuple[str, int, int], ...]

_WORK = "work.json"
_CHECKPOINTS = "*.safetensors"


class ModelLibrary:
    """The models in a project's folder; what was read once is read again only when its files change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[Stamp, ModelRecord]] = {}

    def records(self, active: str | None = None) -> list[ModelRecord]:
        """The models, the oldest first; damaged ones have a `problem`.

        Parameters
        ----------
        active : str, optional
            Id of the model to use if none is named; without it, or where it is not sound, the newest that is and was
            not found worse than a model that is still there.
        """
        entries = self._folder.iterdir() if self._folder.is_dir() else ()
        paths = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
        self._known = {path: self._read(path) for path in paths}
        records = [record for _, record in self._known.values()]
        records.sort(key=lambda record: (bool(record.created), record.created, _natural(record.id)))
        sound = [record.id for record in records if not record.problem]
        refused = {r.id for r in records if r.refusal is not None and r.refusal.baseline in sound}
        standing = [name for name in sound if name not in refused] or sound
        chosen = active if active in sound else standing[-1] if standing else None
        return [r.model_copy(update={"active": True}) if r.id == chosen else r for r in records]

    def resolve(self, text: str | Path | None, active: str | None = None) -> Path:
        """The folder of a model named by its id, the unique beginning of one, or a path; by default the active.

        Raises
        ------
        ModelError
            If there is none, or several.
        """
        records = self.records(active)
        listed = ", ".join(record.id for record in records) or "none"
        if text is None:
            chosen = [record.folder for record in records if record.active]
            if not chosen:
                raise ModelError("The project has no model yet.", "Train one: napari-pytc train PROJECT.")
            return chosen[0]
        name = str(text)
        found = [r.folder for r in records if r.id == name] or [
            r.folder for r in records if name and r.id.startswith(name)
        ]
        if len(found) == 1:
            read_model_info(found[0])
            return found[0]
        if len(found) > 1:
            raise ModelError(
                f"Several models begin with {name!r}: {', '.join(path.name for path in found)}.", "Give more of the id."
            )
        path = Path(text).absolute()
        if not path.is_dir():
            raise ModelError(
                f"The project has no model {name!r}, and there is no such folder; its models: {listed}.",
                "Give a model's id, its beginning, or the folder of any model.",
            )
        read_model_info(path)
        return path

    def _read(self, path: Path) -> tuple[Stamp, ModelRecord]:
        stamp = _stamp(path)
        known = self._known.get(path)
        return known if known is not None and known[0] == stamp else (stamp, _model_record(path))


def _stamp(folder: Path) -> Stamp:
    """What differs when a file of a model was written again."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat()) for entry in entries]
    return tuple(sorted((name, status.st_mtime_ns, status.st_size) for name, status in found))


def new_id(stem: str, taken: Callable[[str], bool]) -> str:
    """The stem, or with the first of -2, -3, ... that is not taken."""
    name, number = stem, 1
    while taken(name):
        number += 1
        name = f"{stem}-{number}"
    return name


def model_stem(recipe: str, now: datetime) -> str:
    """Date, time and recipe as the beginning of an id: sorts by age."""
    return f"{now:%Y%m%d-%H%M}-{plain(recipe)}"


def plain(text: str) -> str:
    """Text as part of a folder's name on any system."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "custom"


def work_of(
    job: TrainJob, image: str, annotations_revision: int, objects_revision: int = 0, corrections_revision: str = ""
) -> str:
    """A digest of all that decides a training's outcome: data, plan and parent, not where it is kept or computed."""
    where = {"image", "image_digest", "annotations", "objects", "model_folder", "run_folder", "baseline", "resume"}
    content = job.model_dump(mode="json", exclude=where)
    content.pop("corrections")  # their revision is told apart
    for name in ("device", "precision", "checkpoint_every"):
        content["plan"].pop(name)
    text = json.dumps([content, image, annotations_revision, objects_revision, corrections_revision], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def note_work(run_folder: Path, work: str, job: TrainJob) -> None:
    """Write into a run's folder which work it is, so that it can be found again."""
    run_folder.mkdir(parents=True, exist_ok=True)
    write_text_durably(run_folder / _WORK, json.dumps({"work": work, "job": job.model_dump(mode="json")}))


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


def _model_record(path: Path) -> ModelRecord:
    try:
        info = read_model_info(path)
    except ModelError as error:
        return ModelRecord(
            id=path.name, name=path.name, created="", recipe="", parent=None, scores={}, folder=path, problem=str(error)
        )
    # The folder's name is what the project finds it by, also where a copied folder was renamed.
    return ModelRecord(
        id=path.name,
        name=info.name,
        created=info.created,
        recipe=info.recipe,
        parent=info.parent,
        scores=info.scores,
        folder=path,
        classes=info.classes,
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts -10 after -9."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
