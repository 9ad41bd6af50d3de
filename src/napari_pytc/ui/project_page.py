"""The project that is open: its image, its classes, what is held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_pytc.annotations.importing import Report
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
from napari_pytc.ui.classes import ClassList
from napari_pytc.ui.controls import order_tabs
from napari_pytc.ui.datasets import ask_for_arrays, choices_of, shape_text
from napari_pytc.ui.elided import ElidedLabel
from napari_pytc.ui.held_out import HeldOutList
from napari_pytc.ui.importing import GivenUp, ImportProgress, object_importer, stroke_importer
from napari_pytc.ui.object_marks import ObjectMarks
from napari_pytc.ui.parts import Notice, allow, row, section, size, wrapped
from napari_pytc.ui.workspace import Workspace
from napari_pytc.volumes.inspection import VolumeInfo, describe_volume

_READ_ONLY = "the project is open for reading only."
_NO_IMAGE = "the image is missing; find it first."


class ProjectPage(QWidget):
    """What a project is made of, and the classes to paint with."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._changing = ""
        self._n_counts = 0
        self.title, self.path = ElidedLabel(), ElidedLabel()
        self.title.setObjectName("projectName")
        self.title.setStyleSheet("QLabel { font-weight: bold; }")
        self.close_button = QPushButton("Close project")
        self.close_button.setObjectName("closeProject")
        self.close_button.setToolTip("Put the project away. All of it is saved already.")
        self.close_button.clicked.connect(workspace.close_project)
        self.facts, self.read_only = wrapped(), wrapped()
        self.facts.setObjectName("projectFacts")
        self.read_only.setObjectName("readOnly")
        self.open_for_editing = QPushButton("Open for editing")
        self.open_for_editing.setObjectName("openForEditing")
        self.open_for_editing.setToolTip("Try to open it again, once nothing else has it open.")
        self.open_for_editing.clicked.connect(self._open_again)
        self.missing = wrapped()
        self.find_image = QPushButton("Find the image …")
        self.find_image.setObjectName("findImage")
        self.find_image.setToolTip(
            "Tell the project where its image is now: a file, or a file inside a Zarr or N5 folder."
        )
        self.find_image.clicked.connect(self._find_image)
        self.notice = Notice()
        self.classes = ClassList()
        self.classes.setObjectName("classList")
        self.held_out = HeldOutList(workspace)
        self.load = QPushButton("Import labels …")
        self.load.setObjectName("importLabels")
        self.load.clicked.connect(self._import)
        self.objects = ObjectMarks(workspace)
        self.progress = ImportProgress()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        top = row(self.title, self.close_button)
        top.setStretch(0, 1)
        layout.addLayout(top)
        for widget in (self.path, self.facts, self.read_only, self.open_for_editing, self.missing, self.find_image):
            layout.addWidget(widget)
        layout.addWidget(self.notice)
        box, inside = section("Classes: choose one and paint")
        inside.addWidget(self.classes)
        inside.addWidget(self.load)
        inside.addWidget(self.objects)
        inside.addWidget(self.progress)
        layout.addWidget(box)
        box, inside = section("Held out")
        inside.addWidget(self.held_out)
        layout.addWidget(box)

    def _connect(self) -> None:
        workspace = self._workspace
        workspace.classes_changed.connect(self._show_classes)
        workspace.strokes_changed.connect(self._count)
        workspace.held_out_changed.connect(self._show_held_out)
        self.classes.chosen.connect(self._choose)
        self.classes.added.connect(self._add_class)
        self.classes.renamed.connect(self._rename_class)
        self.classes.recoloured.connect(self._recolour_class)
        self.classes.removed.connect(self._ask_to_remove)
        self.objects.asked.connect(self.import_objects)

    # ---- what is shown

    def refresh(self) -> None:
        """Show the session that is open now."""
        session = self._workspace.session
        self._changing = ""
        self.progress.end()
        self.notice.clear()
        if session is None:
            return
        self.title.show_text(session.folder.stem)
        self.path.show_text(str(session.folder))
        self.facts.setText(facts_of(session))
        self.read_only.setText(f"⚠ {session.read_only_reason} You can look and export.")
        self.read_only.setVisible(session.read_only)
        self.open_for_editing.setVisible(session.read_only)
        layers = self._workspace.layers
        self.missing.setText(
            "⚠ The image of this project is not where it was, or is another one. Strokes and models are safe."
        )
        self.missing.setVisible(layers is None)
        self.find_image.setVisible(layers is None)
        allow(self.find_image, _READ_ONLY if session.read_only else "", "Tell the project where its image is now.")
        if layers is not None:
            layers.class_chosen.connect(self.classes.show_chosen)
        self._show_classes()
        self._show_held_out()
        if layers is not None:
            self.classes.show_chosen(layers.chosen_class)
        self.objects.refresh()
        self._count()

    def _open_again(self) -> None:
        session = self._workspace.session
        if session is not None:
            self._workspace.open_project(session.folder)

    @property
    def _reason(self) -> str:
        """Why nothing can be changed now; empty if it can."""
        session = self._workspace.session
        if session is None:
            return "no project is open."
        if session.read_only:
            return _READ_ONLY
        return self._changing or (_NO_IMAGE if self._workspace.layers is None else "")

    def _show_classes(self) -> None:
        session = self._workspace.session
        if session is not None:
            self.classes.show_classes(session.classes, self._reason)
            order_tabs(self)
            allow(self.load, self._reason, "Add the labels of a file to the strokes: 0 = nothing, k = the k-th class.")
            self.objects.forbid(self._reason)
            self._count()

    def _show_held_out(self) -> None:
        self.held_out.refresh(self._reason)
        order_tabs(self)

    def _count(self) -> None:
        session = self._workspace.session
        if session is None:
            return
        self._n_counts += 1
        number = self._n_counts

        def show(counts: dict[str, int]) -> None:
            if number == self._n_counts and self._workspace.session is session:
                self.classes.show_counts(counts)

        self._workspace.background.run(session.annotated_voxels, show, lambda error: None, receiver=self)

    # ---- classes

    def _choose(self, number: int) -> None:
        if self._workspace.layers is not None:
            self._workspace.layers.choose_class(number)

    def _add_class(self, name: str) -> None:
        session = self._workspace.session
        if session is not None:
            self._workspace.attempt(lambda: session.add_class(name))

    def _rename_class(self, number: int, name: str) -> None:
        session = self._workspace.session
        if session is not None:
            self._workspace.attempt(lambda: session.rename_class(number, name))

    def _recolour_class(self, number: int, colour: str) -> None:
        session = self._workspace.session
        if session is not None:
            self._workspace.attempt(lambda: session.recolour_class(number, colour))

    def _ask_to_remove(self, number: int) -> None:
        session = self._workspace.session
        if session is None:
            return
        name = next(info.name for info in session.classes if info.id == number)
        n_voxels = self.classes.count(number)
        what = f"its {n_voxels:,} annotated voxels are erased" if n_voxels else "nothing is annotated as it"
        question = QMessageBox(self)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setText(f"Remove the class {name}?")
        question.setInformativeText(
            f"If you do, {what}, and this cannot be undone. Models trained with it still predict it."
        )
        remove = question.addButton("Remove", QMessageBox.ButtonRole.DestructiveRole)
        cancel = question.addButton("Keep", QMessageBox.ButtonRole.RejectRole)
        question.setDefaultButton(cancel)
        question.exec()
        is_sure = question.clickedButton() is remove
        question.deleteLater()
        if is_sure:
            self._remove(session, number)

    def _remove(self, session: Session, number: int) -> None:
        """Erase a class's strokes in the helper thread while nobody paints."""
        layers = self._workspace.layers
        if layers is None or self._workspace.session is not session:
            return

        def end() -> None:
            self._set_changing("")
            if self._workspace.layers is layers:
                layers.allow_painting(True)

        def fail(error: PytcError) -> None:
            end()
            self._workspace.failed.emit(error)

        def start() -> None:
            plan = self._workspace.attempt(lambda: session.plan_class_removal(number))
            if plan is None:
                end()
                return

            def finish(result: object) -> None:
                if self._workspace.session is session:
                    self._workspace.attempt(lambda: session.finish_class_removal(plan))
                end()

            self._workspace.background.run(plan.run, finish, fail)

        self._set_changing("a class is being removed.")
        layers.allow_painting(False)
        layers.flush(start, fail)

    def _set_changing(self, why: str) -> None:
        self._changing = why
        self._show_classes()
        self._show_held_out()

    # ---- labels and image from files

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import labels (0 = nothing, k = the k-th class)")
        if path:
            self.import_labels(path)

    def import_labels(self, path: str) -> None:
        """Add the labels of a file to the strokes; of several datasets the user picks one."""

        def add(where: str) -> None:
            self._add(
                "Importing labels",
                lambda session, report: stroke_importer(session, where, report),
                lambda session, box: session.annotated.emit(box),
            )

        self._with_dataset(path, add)

    def import_objects(self, path: str, is_dense: bool) -> None:
        """Add the objects of a file to those that are marked; with `is_dense` there are no others in its box."""

        def add(where: str) -> None:
            self._add(
                "Importing objects",
                lambda session, report: object_importer(session, where, is_dense, report),
                lambda session, box: session.objects_changed.emit(box),
            )

        self._with_dataset(path, add)

    def _add(
        self,
        what: str,
        prepare: Callable[[Session, Report], Callable[[], tuple[Box, str]]],
        tell: Callable[[Session, Box], object],
    ) -> None:
        """Import in the helper thread, while nothing else is changed."""
        session, layers = self._workspace.session, self._workspace.layers
        if session is None or layers is None:
            return
        whole = Box.of_shape(session.annotations.shape)

        def end() -> None:
            if self._workspace.session is session:
                self.progress.end()
                self._set_changing("")

        def fail(error: PytcError) -> None:
            end()
            if self._workspace.session is session:
                tell(session, whole)  # some of it may be there
            if isinstance(error, GivenUp):
                self.notice.show_remark(error.message, error.hint)
            else:
                self._workspace.failed.emit(error)

        def succeed(result: tuple[Box, str]) -> None:
            end()
            if self._workspace.session is session:
                tell(session, result[0])
                self.notice.show_remark(result[1])

        def start() -> None:
            work = self._workspace.attempt(lambda: prepare(session, report))
            if work is None:
                end()
            else:
                self._workspace.background.run(work, succeed, fail)

        self._set_changing("labels are being imported.")
        report = self.progress.begin(what)
        layers.flush(start, fail)

    def _with_dataset(self, path: str, then: Callable[[str], None]) -> None:
        """Call with ``PATH[:DATASET]``, after asking which dataset where there are several."""

        def choose(info: VolumeInfo) -> None:
            arrays = choices_of(info) if info.kind == "hdf5" else []
            if len(arrays) < 2:
                then(path)
                return
            picked = ask_for_arrays(Path(path).name, arrays, self)
            if picked:
                then(f"{path}:{picked[0].name}")

        self._workspace.background.run(
            lambda: describe_volume(path), choose, self._workspace.failed.emit, receiver=self
        )

    def _find_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Where the image is now")
        if path:
            self.relink(path)

    def relink(self, path: str) -> None:
        """Tell the project where its image is now, then open it anew."""
        self._with_dataset(path, self._relink)

    def _relink(self, where: str) -> None:
        session = self._workspace.session
        if session is None:
            return
        folder = session.folder
        self._workspace.close_project()

        def work() -> None:
            with Session.open(folder) as opened:  # in the helper thread: it looks at voxels
                opened.relink_image(where)

        def fail(error: PytcError) -> None:
            self._workspace.open_project(folder)
            self._workspace.failed.emit(error)

        self._workspace.background.run(work, lambda result: self._workspace.open_project(folder), fail)


def facts_of(session: Session) -> str:
    """Shape, type, size and voxel size of a project's image."""
    project = session.project
    kept = project.image_fingerprint
    z, y, x = (f"{v:g}" for v in project.voxel_size_nm)
    source = "typed by you" if project.voxel_size_source == "user" else "from the file"
    return (
        f"{shape_text(kept.shape)} voxels (z, y, x), {kept.dtype}, {size(kept.n_bytes)}\n"
        f"Voxel {z} × {y} × {x} nm, {source}"
    )
