"""The models of a project."""

from __future__ import annotations

import os
from pathlib import Path

from psygnal import Signal

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.files import plain_path
from napari_pytc.plans.model_folder import copy_model, read_model_info, rename_model
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.project.ids import natural_key
from napari_pytc.session.project.state import ProjectState
from napari_pytc.session.records import ModelRecord
from napari_pytc.session.runs.active_jobs import ActiveJobs

Stamp = tuple[tuple[str, int, int], ...]


class Models:
    """The models in a project's folder, each read again only when its files change.

    `added` and `refused` are emitted by the thread that delivers a job's events: connect with ``thread="main"``.
    """

    changed = Signal()
    """A model was activated, renamed or deleted."""
    added = Signal(ModelRecord)
    """A job made this model."""
    refused = Signal(ModelRecord)
    """A job made this model, which scored worse than another, so that it is used only if activated."""

    def __init__(self, state: ProjectState, active: ActiveJobs) -> None:
        self._state, self._active = state, active
        self._folder = state.folder.models
        self._known: dict[Path, tuple[Stamp, ModelRecord]] = {}

    def records(self) -> list[ModelRecord]:
        """The models, the oldest first; damaged ones have a `problem`.

        The active model is the chosen one; without a choice, or where that model is damaged, the newest sound one that
        was not found worse than a model that still exists.
        """
        return self._records(self._state.description.active_model)

    @property
    def in_use(self) -> Path | None:
        """The folder of the active model; None without any."""
        return next((record.folder for record in self.records() if record.active), None)

    def resolve(self, model: str | Path | None = None) -> Path:
        """The folder of a model named by its id, the unique beginning of one, or a path; by default the active.

        Raises
        ------
        ModelError
            If there is none, or several.
        """
        records = self.records()
        listed = ", ".join(record.id for record in records) or "none"
        if model is None:
            chosen = [record.folder for record in records if record.active]
            if not chosen:
                raise ModelError("The project has no model yet.", "Train one: napari-pytc train PROJECT.")
            return chosen[0]
        name = str(model)
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
        path = plain_path(model)
        if not path.is_dir():
            raise ModelError(
                f"The project has no model {name!r}, and there is no such folder; its models: {listed}.",
                "Give a model's id, its beginning, or the folder of any model.",
            )
        read_model_info(path)
        return path

    def activate(self, id: str) -> None:
        """Use this model where none is named, until another one is activated, also if it was found worse than another.

        Activating the model that is used by default drops the choice, so that the next trained model replaces it.
        """
        self._state.check_writable()
        record = self._record(id)
        if record.problem:
            raise ModelError(f"The model {id} cannot be used: {record.problem}", "Choose another one.")
        by_default = next(model.id for model in self._records(None) if model.active)
        self._state.save(active_model=None if id == by_default else id)
        self.changed.emit()

    def rename(self, id: str, name: str) -> None:
        """Give a model another name for people; its id stays."""
        self._state.check_writable()
        if not name.strip():
            raise InvalidInput("A model needs a name.", "Write one.")
        folder = self._record(id).folder
        with disk_errors(folder, "The model"):
            rename_model(folder, name.strip())
        self.changed.emit()

    def delete(self, id: str) -> None:
        """Delete a model; its predictions stay. `empty_trash` frees the disk space."""
        self._state.check_writable()
        folder = self._record(id).folder
        self._active.check_unused(folder, "model")
        if self._state.description.active_model == id:
            self._state.save(active_model=None)
        self._state.folder.discard(folder)
        self.changed.emit()

    def export(self, id: str, destination: str | Path) -> Path:
        """Copy a model's folder to another place, where any project may use it; any thread.

        Returns
        -------
        Path
            The copy: `destination`, or a folder in it where that is one already.
        """
        return copy_model(self._folder / id, destination)

    def take_in(self, id: str) -> None:
        """Announce a model that a job made; any thread."""
        for model in self.records():
            if model.id == id:
                self.added.emit(model)
                if model.refusal is not None and not model.active:
                    self.refused.emit(model)

    def _record(self, id: str) -> ModelRecord:
        for record in self.records():
            if record.id == id:
                return record
        raise ModelError(f"The project has no model {id!r}.", "Choose one of those that are listed.")

    def _records(self, active: str | None) -> list[ModelRecord]:
        entries = self._folder.iterdir() if self._folder.is_dir() else ()
        paths = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
        self._known = {path: self._read(path) for path in paths}
        records = [record for _, record in self._known.values()]
        records.sort(key=lambda record: (bool(record.created), record.created, natural_key(record.id)))
        sound = [record.id for record in records if not record.problem]
        refused = {r.id for r in records if r.refusal is not None and r.refusal.baseline in sound}
        standing = [name for name in sound if name not in refused] or sound
        chosen = active if active in sound else standing[-1] if standing else None
        return [r.model_copy(update={"active": True}) if r.id == chosen else r for r in records]

    def _read(self, path: Path) -> tuple[Stamp, ModelRecord]:
        stamp = _stamp(path)
        known = self._known.get(path)
        return known if known is not None and known[0] == stamp else (stamp, _model_record(path))


def _stamp(folder: Path) -> Stamp:
    """Names, dates and sizes of the files in a model folder: it differs when one was rewritten."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat()) for entry in entries]
    return tuple(sorted((name, status.st_mtime_ns, status.st_size) for name, status in found))


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
        tiling=info.tiling,
        prediction={} if info.prediction is None else info.prediction.model_dump(mode="json"),
    )
