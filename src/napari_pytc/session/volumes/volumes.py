"""The volumes of a project: add, remove, restore, rename."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from psygnal import Signal
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput, ProjectError, VolumeError
from napari_pytc.files import sync_folder, temporary_beside, write_text_durably
from napari_pytc.session.project.description import VolumeRecord, volume_name
from napari_pytc.session.project.folder import KEPT_DAYS, disk_errors, removal_time
from napari_pytc.session.project.ids import new_id
from napari_pytc.session.project.state import ProjectState
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.volumes.building import RECORD, NewVolume, build_volume, open_new_image
from napari_pytc.session.volumes.open_volumes import OpenVolumes

_CLASSES = "classes.json"
"""Names of the classes when a volume was removed, by the numbers in its strokes."""


@dataclass(frozen=True)
class RemovedVolume:
    """A volume in the trash.

    Parameters
    ----------
    folder : Path
        Where its strokes, edits, predictions and segmentations are.
    removed, kept_until : datetime
        When it was removed, and until when it is kept at least.
    """

    record: VolumeRecord
    folder: Path
    removed: datetime
    kept_until: datetime


@dataclass(frozen=True)
class BuiltVolume:
    """A volume that was built beside its final place; `Volumes.take_in` makes it part of the project."""

    record: VolumeRecord
    folder: Path

    def discard(self) -> None:
        """Delete it."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Volumes:
    """The volumes of a project, and the ways to change which there are."""

    changed = Signal()
    """A volume was added, renamed, removed or restored."""
    removed = Signal(str)
    """The volume with this id was removed; a session at it cannot be changed any more."""

    def __init__(self, state: ProjectState, opened: OpenVolumes, active: ActiveJobs) -> None:
        self._state, self._opened, self._active = state, opened, active

    def records(self) -> list[VolumeRecord]:
        """The volumes in the order in which they were added; any thread."""
        return list(self._state.description.volumes)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names; any thread."""
        return tuple(record.name for record in self._state.description.volumes)

    def resolve(self, name: str | None = None) -> VolumeRecord:
        """The record of a volume by its name or id; without one, of the only volume.

        Raises
        ------
        InvalidInput
            If there is none of that name, or several and none was named; the message lists all.
        """
        if name is not None:
            return self._state.description.resolve(name)
        (first, *others) = self._state.description.volumes
        if others:
            raise InvalidInput(
                f"The project has {1 + len(others)} volumes: {', '.join(self.names)}.",
                f"Say which:{self._state.description.option(first)}.",
            )
        return first

    def prepare(self, name: str) -> None:
        """Read a volume from the disk, so that a session at it is there at once; any thread."""
        self._opened.prepare(self.resolve(name).id)

    def counts(self, name: str) -> dict[str, int]:
        """Number of annotated voxels of a volume, by name of the class; any thread."""
        return self._opened.get(self.resolve(name).id).strokes.counts()

    def n_objects(self, name: str) -> int:
        """Number of objects that are marked in a volume, 0 where they are damaged; any thread."""
        try:
            return self._opened.get(self.resolve(name).id).objects.counts().n_objects
        except VolumeError:  # reported where they are used
            return 0

    def add(self, request: NewVolume) -> VolumeRecord:
        """Add a volume; errors as in `build`."""
        return self.take_in(self.build(request))

    def build(self, request: NewVolume) -> BuiltVolume:
        """Make the folder of a new volume beside its final place; any thread, `take_in` adds it.

        Raises
        ------
        PytcError
            If the image cannot be opened, its voxel size is unknown, the project has it already, the name is taken, or
            the disk refuses. The project is as before.
        """
        self._state.check_changeable()
        if request.name is not None:
            volume_name(request.name, self.names)
        source = open_new_image(request)
        project, folder = self._state.description, self._state.folder
        id = f"v{project.next_volume}"
        aside = temporary_beside(folder.volumes / id)
        try:
            with disk_errors(folder.volumes / id, "The volume"):
                record = build_volume(request, source, id, aside, folder.path, self.names)
            self._check_new(record, request.anyway)
        except VolumeError as error:  # of the strokes, under their temporary name
            shutil.rmtree(aside, ignore_errors=True)
            message = error.message.replace(str(aside), str(folder.volumes / id))
            raise ProjectError(f"The volume could not be added. {message}", error.hint) from error
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return BuiltVolume(record, aside)

    def take_in(self, built: BuiltVolume) -> VolumeRecord:
        """Add a volume that `build` made: its folder is put in place, then project.json names it."""
        project, folder = self._state.description, self._state.folder
        id = f"v{project.next_volume}"
        try:
            self._state.check_writable()
            name = new_id(built.record.name, lambda name: name in self.names)  # one of that name was added meanwhile
            record = built.record.model_copy(update={"id": id, "name": name})
            target = folder.volumes / id
            with disk_errors(target, "The volume"):
                os.replace(built.folder, target)
                sync_folder(folder.volumes)
        except BaseException:
            built.discard()
            raise
        try:
            self._state.save(volumes=(*project.volumes, record), next_volume=project.next_volume + 1)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        self.changed.emit()
        return self._state.description.volume(id)

    def rename(self, name: str, new_name: str) -> VolumeRecord:
        """Give a volume another name; its id and folder stay."""
        self._state.check_writable()
        record = self.resolve(name)
        new_name = volume_name(new_name, [other for other in self.names if other != record.name])
        if new_name != record.name:
            self._state.save_volume(record.id, name=new_name)
            self.changed.emit()
        return self._state.description.volume(record.id)

    def check_removable(self, name: str) -> None:
        """Raise where a volume cannot be removed now; errors as in `remove`."""
        self._state.check_writable()
        record = self.resolve(name)
        if len(self._state.description.volumes) < 2:
            raise ProjectError(
                f"{record.name} is the only volume of the project.", "Add another one first, or delete the folder."
            )
        self._active.check_unused(self._state.folder.volumes / record.id, f"volume, {record.name}")

    def remove(self, name: str) -> RemovedVolume:
        """Remove a volume; its folder goes to the trash, where it is kept for 30 days and can be restored from.

        Models that learned from it stay. Its image is not touched, unless it lies in the project.

        Raises
        ------
        ProjectError
            While a job reads it, or if it is the only volume.
        """
        self.check_removable(name)
        record, folder = self.resolve(name), self._state.folder
        others = tuple(other for other in self._state.description.volumes if other.id != record.id)
        place = folder.volumes / record.id
        with suppress(ProjectError, VolumeError):  # damaged: it can be removed all the same
            self._opened.get(record.id).proofreader.flush()
        with disk_errors(place, "The volume"):
            write_text_durably(place / RECORD, folder.portable_record(record).model_dump_json(indent=2))
        classes = self._state.description.class_names
        with disk_errors(place, "The volume"):
            write_text_durably(place / _CLASSES, json.dumps(classes))
        self._state.save(volumes=others)  # a kill from here on: the next opening puts the folder aside
        try:
            self._opened.forget(record.id)
            target = folder.put_aside(record.id, self._state.clock())
        finally:  # it is none of the project's any more, wherever its folder is
            self.removed.emit(record.id)
            self.changed.emit()
        return self._removed(target, record)

    def in_trash(self) -> list[RemovedVolume]:
        """The removed volumes that are still kept, the oldest first."""
        found = []
        for folder in sorted(self._state.folder.removed.glob("v*")):
            with suppress(OSError, ValidationError):
                record = VolumeRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
                found.append(self._removed(folder, record))
        return sorted(found, key=lambda one: one.removed)

    def restore(self, name: str) -> VolumeRecord:
        """Put a removed volume back, with all that was in it.

        Raises
        ------
        InvalidInput
            If none of that name is in the trash.
        """
        self._state.check_writable()
        kept = self.in_trash()
        found = [one for one in kept if name in (one.record.name, one.record.id)]
        if not found:
            listed = ", ".join(one.record.name for one in kept) or "none"
            raise InvalidInput(f"The trash has no volume {name!r}; in it: {listed}.", "Give the name of one of them.")
        one, folder, project = found[-1], self._state.folder, self._state.description
        self._check_classes(one)
        # The id is in use where an older project.json was put back before another volume was added.
        is_free = all(record.id != one.record.id for record in project.volumes)
        id = one.record.id if is_free else f"v{project.next_volume}"
        name = new_id(one.record.name, lambda name: name in self.names)
        record = one.record.model_copy(update={"id": id, "name": name})
        with disk_errors(one.folder, "The volume"):
            os.replace(one.folder, folder.volumes / record.id)
            sync_folder(folder.volumes)
        number = max(project.next_volume, int(record.id[1:]) + 1)
        self._state.save(volumes=(*project.volumes, record), next_volume=number)
        self.changed.emit()
        return self._state.description.volume(record.id)

    def _check_classes(self, removed: RemovedVolume) -> None:
        """Refuse a volume whose strokes have numbers that mean other classes now."""
        try:
            then = json.loads((removed.folder / _CLASSES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        now = list(self._state.description.class_names)
        if now[: len(then)] != then:
            raise InvalidInput(
                f"The classes were {', '.join(then)} when {removed.record.name} was removed and are {', '.join(now)} "
                "now, so its strokes could be of other classes.",
                "Nothing was changed. Give the classes these names again, in this order, then restore it.",
            )

    def _check_new(self, record: VolumeRecord, anyway: bool) -> None:
        for other in self.records():
            if other.fingerprint == record.fingerprint and not anyway:
                raise InvalidInput(
                    f"The project has this image already, as the volume {other.name}: shape, type and the voxels that "
                    f"were compared are the same.",
                    "To have it twice all the same: --anyway.",
                )

    def _removed(self, folder: Path, record: VolumeRecord) -> RemovedVolume:
        removed = removal_time(folder)
        return RemovedVolume(record, folder, removed, removed + timedelta(days=KEPT_DAYS))
