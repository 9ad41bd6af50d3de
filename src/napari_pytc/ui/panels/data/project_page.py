"""The project that is open: its image, its classes, its held-out boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_pytc.ui.panels.data.classes import ClassList
from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.panels.data.held_out import HeldOutList
from napari_pytc.ui.panels.data.inspect_labels import LabelFile, LabelImport
from napari_pytc.ui.panels.data.label_dialog import ask_how_to_import
from napari_pytc.ui.panels.data.object_marks import ObjectMarks
from napari_pytc.ui.panels.data.volume_list import VolumeList
from napari_pytc.ui.widgets.array_dialog import ask_for_arrays, choices_of
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.flags import in_window
from napari_pytc.ui.widgets.labels import ElidedLabel, shape_text, size, wrapped
from napari_pytc.ui.widgets.layout import order_tabs, row, section
from napari_pytc.ui.widgets.notes import NoteList
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.progress import ImportProgress

if TYPE_CHECKING:
    from napari_pytc.session.session import Session
    from napari_pytc.volumes.inspection import VolumeInfo
    from napari_pytc.volumes.spec import ReadOptions


class ProjectPage(QWidget):
    """Contents of the open project, and the classes to paint with.

    Parameters
    ----------
    controller : DataController
        The controller of the panel.
    """

    def __init__(self, controller: DataController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.title, self.path = ElidedLabel(), ElidedLabel()
        self.title.setObjectName("projectName")
        self.title.setStyleSheet("QLabel { font-weight: bold; }")
        self.close_button = _button("Close project", "closeProject", controller.workspace.close_project)
        self.close_button.setToolTip("Put the project away. All of it is saved already.")
        self.facts, self.read_only = wrapped(), wrapped()
        self.facts.setObjectName("projectFacts")
        self.read_only.setObjectName("readOnly")
        self.open_for_editing = _button("Open for editing", "openForEditing", controller.open_again)
        self.open_for_editing.setToolTip("Try to open it again, once nothing else has it open.")
        self.notes = NoteList("imageNotes")
        self.missing = wrapped(
            "⚠ The image of this project is not where it was, or is another one. Strokes and models are safe."
        )
        self.find_image = _button("Find the image …", "findImage", self._find_image)
        self.notice = Notice()
        self.volumes = VolumeList(controller.workspace)
        self.classes = ClassList()
        self.classes.setObjectName("classList")
        self.held_out = HeldOutList(controller)
        self.load = _button("Import labels …", "importLabels", self._ask_for_labels)
        self.objects = ObjectMarks(controller)
        self.progress = ImportProgress()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        top = row(self.title, self.close_button)
        top.setStretch(0, 1)
        layout.addLayout(top)
        box, inside = section("Volumes")
        inside.addWidget(self.volumes)
        layout.addWidget(self.path)
        layout.addWidget(box)
        for widget in (
            self.facts,
            self.notes,
            self.read_only,
            self.open_for_editing,
            self.missing,
            self.find_image,
        ):
            layout.addWidget(widget)
        layout.addWidget(self.notice)
        box, inside = section("Classes: choose one and paint")
        for part in (self.classes, self.load, self.objects, self.progress):
            inside.addWidget(part)
        layout.addWidget(box)
        box, inside = section("Held out")
        inside.addWidget(self.held_out)
        layout.addWidget(box)

    def _connect(self) -> None:
        controller, workspace = self._controller, self._controller.workspace
        workspace.classes_changed.connect(self._show_classes)
        workspace.held_out_changed.connect(self._show_held_out)
        controller.reason_changed.connect(self._show_classes)
        controller.reason_changed.connect(self._show_held_out)
        controller.counted.connect(self.classes.show_counts)
        controller.import_ended.connect(self.progress.end)
        controller.remarked.connect(self.notice.show_remark)
        self.classes.chosen.connect(controller.choose_class)
        self.classes.added.connect(controller.add_class)
        self.classes.renamed.connect(controller.rename_class)
        self.classes.recoloured.connect(controller.recolour_class)
        self.classes.removed.connect(self._ask_to_remove)
        self.objects.import_requested.connect(self.import_objects)

    # ---- display

    def refresh(self) -> None:
        """Show the project that is open now."""
        self.progress.end()
        self.notice.clear()
        session, layers = self._controller.workspace.session, self._controller.workspace.layers
        if session is None:
            return
        self.title.setText(session.folder.stem)
        self.path.setText(str(session.folder))
        self.facts.setText(facts_of(session))
        self.volumes.refresh()
        notes = session.image.volume.notes if layers is None else session.image.source.notes
        self.notes.show_notes([in_window(note) for note in notes])
        self.read_only.setText(f"⚠ {session.project.read_only_reason} You can look and export.")
        self.read_only.setVisible(session.project.read_only)
        self.open_for_editing.setVisible(session.project.read_only)
        self.missing.setVisible(layers is None)
        self.find_image.setVisible(layers is None)
        tip = "Tell the project where its image is now: a file, or a file inside a Zarr or N5 folder."
        allow(self.find_image, self._controller.relink_reason, tip)
        if layers is not None:
            layers.class_chosen.connect(self.classes.show_chosen)
        self._show_classes()
        self._show_held_out()
        if layers is not None:
            self.classes.show_chosen(layers.chosen_class)
        self.objects.refresh()
        self._controller.count()

    def _show_classes(self) -> None:
        session, reason = self._controller.workspace.session, self._controller.reason
        if session is not None:
            self.classes.show_classes(session.classes.records(), reason)
            order_tabs(self)
            allow(self.load, reason, "Add the labels of a file to the strokes: 0 = nothing, k = the k-th class.")
            self.objects.update_buttons()

    def _show_held_out(self) -> None:
        self.held_out.refresh()
        order_tabs(self)

    # ---- dialogs

    def _ask_to_remove(self, number: int) -> None:
        session = self._controller.workspace.session
        if session is None:
            return
        name = next(info.name for info in session.classes.records() if info.id == number)
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
        if is_sure and self._controller.workspace.session is session:
            self._controller.remove_class(number)

    def _ask_for_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import labels (0 = nothing, k = the k-th class)")
        if path:
            self.import_labels(path)

    def import_labels(self, path: str) -> None:
        """Add the labels of a file to the strokes; of several datasets the user picks one, and says how."""
        session = self._controller.workspace.session
        if session is not None:
            classes = [info.name for info in session.classes.records()]
            self._with_labels(
                path,
                classes,
                False,
                lambda where, how: self._controller.import_strokes(where, how, self.progress.begin("Importing labels")),
            )

    def import_objects(self, path: str, is_dense: bool) -> None:
        """Add the objects of a file to those that are marked; with `is_dense` there are no others in its box."""
        self._with_labels(
            path,
            None,
            is_dense,
            lambda where, how: self._controller.import_objects(where, how, self.progress.begin("Importing objects")),
        )

    def _with_labels(
        self,
        path: str,
        classes: list[str] | None,
        is_dense: bool,
        then: Callable[[str, LabelImport], None],
    ) -> None:
        """Call `then` with ``PATH[:DATASET]`` and how the user wants its labels; `classes` is None for objects."""
        workspace = self._controller.workspace
        session = workspace.session

        def ask(file: LabelFile) -> None:
            if session is None or workspace.session is not session:
                return
            store = session.strokes.store

            def inspect(options: ReadOptions, take: Callable[[LabelFile], object]) -> None:
                self._controller.inspect_labels(file.where, take, self, options)

            how = ask_how_to_import(file, store.shape, store.space, classes, is_dense, self, inspect)
            if how is not None and workspace.session is session:
                then(file.where, how)

        self._with_dataset(path, lambda where: self._controller.inspect_labels(where, ask, self))

    def _find_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Where the image is now")
        if path:
            self.relink(path)

    def relink(self, path: str) -> None:
        """Set the path of the project's image, then open the project anew."""
        self._with_dataset(path, self._controller.relink)

    def _with_dataset(self, path: str, then: Callable[[str], None]) -> None:
        """Call `then` with ``PATH[:DATASET]``; where there are several datasets, the user picks one first."""

        def choose(info: VolumeInfo) -> None:
            arrays = choices_of(info) if info.kind == "hdf5" else []
            if len(arrays) < 2:
                then(path)
                return
            picked = ask_for_arrays(Path(path).name, arrays, self)
            if picked:
                then(f"{path}:{picked[0].name}")

        self._controller.describe_file(path, choose, self)


def facts_of(session: Session) -> str:
    """Shape, type, size and voxel size of the image of a session's volume."""
    volume = session.image.volume
    kept = volume.fingerprint
    z, y, x = (f"{v:g}" for v in volume.voxel_size_nm)
    source = "typed by you" if volume.voxel_size_source == "user" else "from the file"
    n = len(volume.spec.channel) if isinstance(volume.spec.channel, tuple) else 1
    channels = f"{n} channels of " if n > 1 else ""
    return (
        f"{channels}{shape_text(kept.shape)} voxels (z, y, x), {kept.dtype}, {size(kept.n_bytes)}\n"
        f"Voxel {z} × {y} × {x} nm, {source}"
    )


def _button(text: str, name: str, on_click: Callable[[], object]) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.clicked.connect(lambda: on_click())
    return button
