"""Single objects to learn from: what to mark them with, how many are marked, and labels of a file."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pytc.annotations.said import BACKGROUND
from napari_pytc.session.objects import MarkedObjects
from napari_pytc.ui.classes import count_text
from napari_pytc.ui.controls import Combo, elastic
from napari_pytc.ui.object_layer import ObjectLayer
from napari_pytc.ui.parts import Fold, allow, row, wrapped
from napari_pytc.ui.workspace import Workspace

_WHAT = (
    "The recipes neurites and organelles learn from these, not from classes. Paint some, each as an object of its own, "
    "best on both sides of a border."
)
_ZEROS = (
    ("not annotated", False, "Some objects of the file are labelled, others perhaps not."),
    ("no object", True, "Every object of the file is labelled: what is 0 is background."),
)


class ObjectMarks(QWidget):
    """Tells the layer of objects what to paint with, and which file to add.

    Parameters
    ----------
    workspace : Workspace
        Whose project it is.
    """

    asked = Signal(str, bool)
    """A file of objects to add, and whether its 0 says that no object is there."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self.new = _button("New object", "newObject")
        self.background = _button("Background", "objectBackground")
        self.eraser = _button("Eraser", "objectEraser")
        self.counts = wrapped(dim=True)
        self.counts.setObjectName("objectCounts")
        self.zeros = elastic(Combo())
        self.zeros.setObjectName("objectZeros")
        self.zeros.setToolTip("What a file to import says where its labels are 0.")
        for number, (text, is_dense, tip) in enumerate(_ZEROS):
            self.zeros.addItem(text, is_dense)
            self.zeros.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.load = QPushButton("Import objects …")
        self.load.setObjectName("importObjects")
        self.load.clicked.connect(self._ask)
        self.new.clicked.connect(lambda: self._do(lambda objects: objects.new_object()))
        self.background.clicked.connect(lambda: self._do(lambda objects: objects.choose_background()))
        self.eraser.clicked.connect(lambda: self._do(lambda objects: objects.choose_eraser()))
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(wrapped(_WHAT, dim=True))
        layout.addLayout(row(self.new, self.background, self.eraser, 1))
        layout.addWidget(self.counts)
        layout.addLayout(row(self.load, QLabel("0 is"), self.zeros))
        self.fold = Fold("Single objects", inside)
        self.fold.button.setObjectName("singleObjects")
        self.fold.button.setToolTip("Mark objects one by one, for the recipes that learn what keeps them apart.")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.fold)

    def refresh(self) -> None:
        """Another project is shown."""
        layers = self._workspace.layers
        self.setVisible(layers is not None)
        if layers is None:
            return
        layers.objects.chosen.connect(self._show)
        self.fold.button.setChecked(layers.objects.is_shown)
        self._show()

    def forbid(self, reason: str) -> None:
        """Say why nothing can be marked now; empty if it can."""
        allow(self.new, reason, "Paint an object that has no voxel yet.\nKey, while the layer Objects is selected: M")
        allow(
            self.background,
            reason,
            "Paint where no object is, as around mitochondria.\nKey, while the layer Objects is selected: B",
        )
        allow(self.eraser, reason, "Take back what is marked.\nKey, while the layer Objects is selected: 0")
        allow(self.load, reason, "Add the objects of a file: each has a number of its own, the same in all sections.")
        self.zeros.setEnabled(not reason)

    def _do(self, act: Callable[[ObjectLayer], object]) -> None:
        layers = self._workspace.layers
        if layers is not None:
            act(layers.objects)
            self._show()

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import objects: a number for each")
        if path:
            self.asked.emit(path, bool(self.zeros.currentData()))

    def _show(self) -> None:
        layers = self._workspace.layers
        if layers is None:
            return
        objects = layers.objects
        if objects.marked.n_voxels:
            self.fold.button.setChecked(True)
        self.counts.setText(marked_text(objects.marked, objects.label if objects.is_chosen else None))


def marked_text(marked: MarkedObjects, brush: int | None) -> str:
    """What is marked and in the brush, in a sentence.

    Parameters
    ----------
    brush : int, optional
        What is in the brush of the layer of objects; None before anything was chosen.
    """
    objects = "1 object" if marked.n_objects == 1 else f"{marked.n_objects:,} objects"
    told = f"Marked: {objects}, {count_text(marked.n_voxels)} voxels" if marked.n_objects else "No object is marked yet"
    if marked.n_background:
        told += f"; background {count_text(marked.n_background)} voxels"
    if brush is not None:
        held = {0: "the eraser", BACKGROUND: "background"}.get(brush, f"object {brush}")
        told += f". In the brush: {held}"
    return f"{told}."


def _button(text: str, name: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    return button
