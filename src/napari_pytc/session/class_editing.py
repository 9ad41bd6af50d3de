"""Classes: their names, colours and number."""

from __future__ import annotations

import shutil

import numpy as np
from psygnal import Signal

from napari_pytc.annotations.store import MOST_CLASSES, AnnotationStore
from napari_pytc.durable import sync_folder, temporary_beside
from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.session.core import SessionCore
from napari_pytc.session.project import ProjectFolder, disk_errors
from napari_pytc.session.records import ClassInfo, ClassSpec, number_classes

Version = tuple[int, int, int]


class ClassRemoval:
    """The strokes without a class, on their way to a store of their own beside the present one.

    ::

        plan_class_removal        run                              finish_class_removal
        (at once)                 (any thread; strokes may         (at once: catches up with new strokes,
                                   be painted meanwhile)            then project.json names the new store)

    Until `Session.finish_class_removal` has written project.json the project is as before, whatever happens.
    """

    def __init__(self, folder: ProjectFolder, source: AnnotationStore, classes: tuple[ClassInfo, ...], id: int) -> None:
        self.removed, self.classes_before = classes[id - 1], classes
        kept = [c for c in classes if c.id != id]
        self.classes_after = tuple(c.model_copy(update={"id": k}) for k, c in enumerate(kept, start=1))
        number = 2
        while (folder.path / f"annotations-{number}.zarr").exists():
            number += 1
        self.target = folder.path / f"annotations-{number}.zarr"
        # In the trash until it is complete: what a kill leaves is swept away when the project is opened next.
        self.aside = temporary_beside(folder.trash / self.target.name)
        self._source = source
        self._copied: dict[Box, Version] = {}
        self._labels = np.zeros(MOST_CLASSES + 1, np.uint8)
        for c in kept:
            self._labels[c.id] = c.id - (c.id > id)
        self.store: AnnotationStore | None = None

    def run(self) -> None:
        """Copy all strokes; any thread. Takes as long as the disk needs, in proportion to what is painted."""
        with disk_errors(self.target, "The strokes"):
            self.aside.parent.mkdir(exist_ok=True)
        source = self._source
        self.store = AnnotationStore.create(self.aside, source.shape, source.space, source.revision + 1)
        self.catch_up()

    def catch_up(self) -> None:
        """Copy what was painted since; chunks that are as they were cost nothing."""
        assert self.store is not None
        present = self._source.chunks()
        for chunk in sorted(present, key=lambda chunk: chunk.changed):  # training prefers what is new
            if self._copied.get(chunk.box) != chunk.version:
                self.store.write(chunk.box, self._labels[self._source.read(chunk.box)])
                self._copied[chunk.box] = chunk.version
        for box in set(self._copied) - {chunk.box for chunk in present}:
            self.store.write(box, np.zeros(box.shape, np.uint8))
            del self._copied[box]

    def place(self) -> AnnotationStore:
        """Give the copy its name; the project does not look there yet."""
        assert self.store is not None
        with disk_errors(self.target, "The strokes"):
            self.aside.rename(self.target)
            sync_folder(self.target.parent)
        return AnnotationStore.open(self.target)

    def discard(self) -> None:
        """Give up; the project stays as it is."""
        shutil.rmtree(self.aside, ignore_errors=True)
        shutil.rmtree(self.target, ignore_errors=True)


class ClassEditing(SessionCore):
    """The part of a session that changes classes."""

    class_added = Signal(ClassInfo)
    classes_changed = Signal()

    def add_class(self, spec: str | ClassSpec) -> ClassInfo:
        """Add a class behind the others."""
        self.check_writable()
        (new,) = number_classes([spec], first=len(self.classes) + 1)
        self._check_name(new.name)
        self._save(classes=(*self._project.classes, new))
        self.class_added.emit(new)
        self.classes_changed.emit()
        return new

    def rename_class(self, id: int, name: str) -> None:
        """Give a class another name; its strokes stay. Models keep the names they were trained with."""
        self.check_writable()
        former = self._class(id)
        (new,) = number_classes([name], first=id)
        if new.name != former.name:
            self._check_name(new.name)
            self._replace(former.model_copy(update={"name": new.name}))

    def recolour_class(self, id: int, colour: str) -> None:
        """Give a class another colour, as ``#rrggbb``."""
        self.check_writable()
        former = self._class(id)
        if not (len(colour) == 7 and colour[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in colour[1:])):
            raise InvalidInput(f"A colour is written #rrggbb, got {colour!r}.", "For example #e6194b.")
        if colour != former.colour:
            self._replace(former.model_copy(update={"colour": colour}))

    def remove_class(self, id: int) -> None:
        """Remove a class and erase its strokes; later classes move up by one.

        A window does the same in three steps: `plan_class_removal`, `ClassRemoval.run` in a helper thread,
        `finish_class_removal`.
        """
        plan = self.plan_class_removal(id)
        try:
            plan.run()
            self.finish_class_removal(plan)
        except BaseException:
            if self._project.annotations != plan.target.name:
                plan.discard()
            raise

    def plan_class_removal(self, id: int) -> ClassRemoval:
        """Begin to remove a class.

        Raises
        ------
        InvalidInput
            If there is no such class, or no other.
        ProjectError
            While a training runs: it would learn other classes than the project's.
        """
        self.check_writable()
        self._class(id)
        if len(self.classes) == 1:
            raise InvalidInput("A project has at least one class.", "Add another one first, or rename this one.")
        self._check_no_training()
        return ClassRemoval(self._folder, self._annotations, self._project.classes, id)

    def finish_class_removal(self, plan: ClassRemoval) -> None:
        """Make the change that `plan.run` prepared, in one step; strokes painted meanwhile are kept."""
        self.check_writable()
        if plan.store is None:
            raise RuntimeError("A removal is run before it is finished.")
        former = self._folder.annotations(self._project)
        if plan.classes_before != self._project.classes:
            plan.discard()
            raise ProjectError("The classes were changed meanwhile.", "Remove the class again.")
        try:
            self._check_no_training()
            with self._annotations.changing():
                plan.catch_up()
                store = plan.place()
                self._proofreader.seal_strokes(f"the class {plan.removed.name!r} was removed since")
                self._save(classes=plan.classes_after, annotations=plan.target.name)
                self._annotations.become(store)
        except BaseException:
            if self._project.annotations != plan.target.name:
                plan.discard()
            raise
        self._folder.discard(former)
        self.classes_changed.emit()
        self.annotated.emit(Box.of_shape(self._annotations.shape))

    def _check_no_training(self) -> None:
        """Raise while a training runs."""
        raise NotImplementedError

    def _class(self, id: int) -> ClassInfo:
        if not 1 <= id <= len(self.classes):
            raise InvalidInput(f"There is no class {id}, but 1 to {len(self.classes)}.", "Name a class by its number.")
        return self._project.classes[id - 1]

    def _check_name(self, name: str) -> None:
        if name in [c.name for c in self.classes]:
            raise InvalidInput(f"There is a class {name!r} already.", "Choose another name.")

    def _replace(self, new: ClassInfo) -> None:
        self._save(classes=tuple(new if c.id == new.id else c for c in self._project.classes))
        self.classes_changed.emit()
