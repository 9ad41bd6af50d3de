"""The classes of a project: names, colours, adding and removing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from psygnal import Signal

from napari_pytc.annotations.paint_store import MOST_CLASSES, PaintStore
from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.files import sync_folder, temporary_beside
from napari_pytc.geometry import Box
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.project.state import ProjectState
from napari_pytc.session.records import ClassInfo, ClassSpec, number_classes
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.volumes.open_volumes import OpenVolumes, VolumeParts

Version = tuple[int, int, int]


class StrokesWithoutClass:
    """A copy of the strokes of a volume without those of a class; later classes move up by one.

    It lies in the trash until it is complete: what a kill leaves is swept away when the project is opened next.
    """

    def __init__(self, volume: VolumeParts, id: int, n_classes: int) -> None:
        self.volume = volume
        folder = volume.state.folder.path
        number = 2
        while (folder / f"annotations-{number}.zarr").exists():
            number += 1
        self.target = folder / f"annotations-{number}.zarr"
        self._is_placed = False
        self._aside = temporary_beside(volume.state.project.folder.trash / self.target.name)
        self._copied: dict[Box, Version] = {}
        self._labels = np.arange(MOST_CLASSES + 1, dtype=np.uint8)
        self._labels[id:] -= 1
        self._labels[id] = 0
        self._labels[n_classes + 1 :] = 0
        self._copy: PaintStore | None = None

    def run(self) -> None:
        """Copy all strokes; any thread. Takes as long as the disk needs, in proportion to what is painted."""
        with disk_errors(self.target, "The strokes"):
            self._aside.parent.mkdir(exist_ok=True)
        source = self.volume.strokes.store
        self._copy = PaintStore.create(self._aside, source.shape, source.space, source.revision + 1)
        self.catch_up()

    def catch_up(self) -> None:
        """Copy what was painted since the last copy; unchanged chunks cost nothing."""
        assert self._copy is not None
        source = self.volume.strokes.store
        present = source.chunks()
        for chunk in sorted(present, key=lambda chunk: chunk.changed):  # training prefers what is new
            if self._copied.get(chunk.box) != chunk.version:
                self._copy.write(chunk.box, self._labels[source.read(chunk.box)])
                self._copied[chunk.box] = chunk.version
        for box in set(self._copied) - {chunk.box for chunk in present}:
            self._copy.write(box, np.zeros(box.shape, np.uint8))
            del self._copied[box]

    def place(self) -> PaintStore:
        """Move the copy to its final place; project.json still names the former one."""
        assert self._copy is not None
        with disk_errors(self.target, "The strokes"):
            self._aside.rename(self.target)
            self._is_placed = True
            sync_folder(self.target.parent)
        return PaintStore.open(self.target)

    def discard(self) -> None:
        """Delete the copy; the volume stays as it is."""
        shutil.rmtree(self._aside, ignore_errors=True)
        if self._is_placed:  # else it may be the copy of another removal
            shutil.rmtree(self.target, ignore_errors=True)


class ClassRemoval:
    """Removal of a class: in each volume, a copy of the strokes without those of the class replaces the strokes.

    ::

        plan_removal        run                              finish_removal
        (at once)                 (any thread; strokes may         (at once: catches up with new strokes,
                                   be painted meanwhile)            then project.json names the new stores)

    Until `Classes.finish_removal` has written project.json the project is as before, whatever happens.
    """

    def __init__(self, volumes: Sequence[VolumeParts], classes: tuple[ClassInfo, ...], id: int) -> None:
        self.removed, self.classes_before = classes[id - 1], classes
        kept = [c for c in classes if c.id != id]
        self.classes_after = tuple(c.model_copy(update={"id": k}) for k, c in enumerate(kept, start=1))
        self.copies = [StrokesWithoutClass(volume, id, len(classes)) for volume in volumes]
        self.is_complete = False

    def run(self) -> None:
        """Copy the strokes of all volumes; any thread."""
        for copy in self.copies:
            copy.run()
        self.is_complete = True

    def discard(self) -> None:
        """Delete the copies; the project stays as it is."""
        for copy in self.copies:
            copy.discard()


class Classes:
    """The classes of a project, and the ways to change them."""

    added = Signal(ClassInfo)
    """This class was added."""
    changed = Signal()
    """A class was added, renamed, recoloured or removed."""

    def __init__(self, state: ProjectState, volumes: OpenVolumes, active: ActiveJobs) -> None:
        self._state, self._volumes, self._active = state, volumes, active

    def records(self) -> list[ClassInfo]:
        """The classes in the order of their labels, from 1; any thread."""
        return list(self._state.description.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their labels; any thread."""
        return self._state.description.class_names

    def add(self, spec: str | ClassSpec) -> ClassInfo:
        """Add a class behind the others."""
        self._state.check_writable()
        (new,) = number_classes([spec], first=len(self._state.description.classes) + 1)
        self._check_name(new.name)
        self._state.save(classes=(*self._state.description.classes, new))
        self.added.emit(new)
        self.changed.emit()
        return new

    def rename(self, id: int, name: str) -> None:
        """Give a class another name; its strokes stay. Models keep the names they were trained with."""
        self._state.check_writable()
        former = self._class(id)
        (new,) = number_classes([name], first=id)
        if new.name != former.name:
            self._check_name(new.name)
            self._replace(former.model_copy(update={"name": new.name}))

    def recolour(self, id: int, colour: str) -> None:
        """Give a class another colour, as ``#rrggbb``."""
        self._state.check_writable()
        former = self._class(id)
        if not (len(colour) == 7 and colour[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in colour[1:])):
            raise InvalidInput(f"A colour is written #rrggbb, got {colour!r}.", "For example #e6194b.")
        if colour != former.colour:
            self._replace(former.model_copy(update={"colour": colour}))

    def remove(self, id: int) -> None:
        """Remove a class and erase its strokes; later classes move up by one.

        A window does the same in three steps: `plan_removal`, `ClassRemoval.run` in a helper thread,
        `finish_removal`.
        """
        plan = self.plan_removal(id)
        try:
            plan.run()
        except BaseException:
            plan.discard()
            raise
        self.finish_removal(plan)

    def plan_removal(self, id: int) -> ClassRemoval:
        """Begin to remove a class.

        Raises
        ------
        InvalidInput
            If there is no such class, or no other.
        ProjectError
            While a training runs: it would learn other classes than the project's.
        """
        self._state.check_writable()
        self._class(id)
        if len(self._state.description.classes) == 1:
            raise InvalidInput("A project has at least one class.", "Add another one first, or rename this one.")
        self._active.check_no_training()
        volumes = [self._volumes.get(record.id) for record in self._state.description.volumes]
        return ClassRemoval(volumes, self._state.description.classes, id)

    def finish_removal(self, plan: ClassRemoval) -> None:
        """Make the change that `plan.run` prepared, in one step; strokes painted meanwhile are kept."""
        self._state.check_writable()
        if not plan.is_complete:
            raise RuntimeError("A removal is run before it is finished.")
        volumes = [copy.volume for copy in plan.copies]
        if plan.classes_before != self._state.description.classes or [v.state.id for v in volumes] != [
            record.id for record in self._state.description.volumes
        ]:
            plan.discard()
            raise ProjectError("The classes or volumes were changed meanwhile.", "Remove the class again.")
        former = [volume.state.folder.annotations(volume.state.record) for volume in volumes]
        try:
            self._active.check_no_training()
            with ExitStack() as unchanged:
                for volume in volumes:
                    unchanged.enter_context(volume.strokes.store.changing())
                self._replace_strokes(plan)
        except BaseException:
            if self._state.description.classes == plan.classes_before:
                plan.discard()
            raise
        for store in former:
            self._state.folder.discard(store)
        self.changed.emit()
        for volume in volumes:
            volume.strokes.changed.emit(Box.of_shape(volume.strokes.store.shape))

    def _replace_strokes(self, plan: ClassRemoval) -> None:
        placed = []
        for copy in plan.copies:
            copy.catch_up()
            placed.append((copy, copy.place()))
        for copy in plan.copies:
            copy.volume.proofreader.seal_strokes(f"the class {plan.removed.name!r} was removed since")
        targets = {copy.volume.state.id: copy.target.name for copy in plan.copies}
        records = self._state.description.volumes
        self._state.save(
            classes=plan.classes_after,
            volumes=tuple(r.model_copy(update={"annotations": targets[r.id]}) for r in records),
        )
        for copy, store in placed:
            copy.volume.strokes.store.become(store)

    def _class(self, id: int) -> ClassInfo:
        if not 1 <= id <= len(self._state.description.classes):
            raise InvalidInput(
                f"There is no class {id}, but 1 to {len(self._state.description.classes)}.",
                "Name a class by its number.",
            )
        return self._state.description.classes[id - 1]

    def _check_name(self, name: str) -> None:
        if name in self.names:
            raise InvalidInput(f"There is a class {name!r} already.", "Choose another name.")

    def _replace(self, new: ClassInfo) -> None:
        self._state.save(classes=tuple(new if c.id == new.id else c for c in self._state.description.classes))
        self.changed.emit()
