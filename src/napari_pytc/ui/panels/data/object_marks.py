"""Controls for object labels: the id in the brush, the number of marked objects, and labels of a file."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.session.objects import MarkedObjects
from napari_pytc.ui.canvas.paint.object_layer import ObjectLayer
from napari_pytc.ui.panels.data.classes import count_text
from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row

_WHAT = (
    "The recipes neurites and organelles learn from these, not from classes. Paint some, each as an object of its own, "
    "best on both sides of a border."
)
_ZEROS = (
    ("not annotated", False, "Some objects of the file are labelled, others perhaps not."),
    ("no object", True, "Every object of the file is labelled: what is 0 is background."),
)


class ObjectMarks(QWidget):
    """Controls for object labels: the id to paint with, and files of objects to add.

    Parameters
    ----------
    controller : DataController
        Its layers, and why nothing can be marked.
    """

    import_requested = Signal(str, bool)
    """A file of objects to add, and whether its 0 means that no object is there."""

    def __init__(self, controller: DataController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._layer: ObjectLayer | None = None
        self.new = _button("New object", "newObject")
        self.background = _button("Background", "objectBackground")
        self.eraser = _button("Eraser", "objectEraser")
        self.counts = wrapped(dim=True)
        self.counts.setObjectName("objectCounts")
        self.zeros = Combo()
        self.zeros.setObjectName("objectZeros")
        self.zeros.setToolTip("What a file to import says where its labels are 0.")
        for number, (text, is_dense, tip) in enumerate(_ZEROS):
            self.zeros.addItem(text, is_dense)
            self.zeros.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.load = QPushButton("Import objects …")
        self.load.setObjectName("importObjects")
        self.load.clicked.connect(self._ask_for_file)
        self.new.clicked.connect(lambda: self._do(ObjectLayer.new_object))
        self.background.clicked.connect(lambda: self._do(ObjectLayer.choose_background))
        self.eraser.clicked.connect(lambda: self._do(ObjectLayer.choose_eraser))
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(wrapped(_WHAT, dim=True))
        layout.addLayout(row(self.new, self.background, self.eraser, 1))
        layout.addWidget(self.counts)
        layout.addLayout(row(self.load, QLabel("0 is"), self.zeros))
        self.fold = Fold("Single objects", inside)
        self.fold.toggleButton().setObjectName("singleObjects")
        self.fold.toggleButton().setToolTip(
            "Mark objects one by one, for the recipes that learn what keeps them apart."
        )
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.fold)

    def refresh(self) -> None:
        """Another project is shown."""
        layers = self._controller.workspace.layers
        self.setVisible(layers is not None)
        self._layer = None if layers is None else layers.objects
        if self._layer is not None:
            self._layer.chosen.connect(self._show)
            self.fold.toggleButton().setChecked(self._layer.is_shown)
            self._show()

    def update_buttons(self) -> None:
        """Enable the buttons that can be pressed now."""
        reason = self._controller.reason
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
        if self._layer is not None:
            act(self._layer)
            self._show()

    def _ask_for_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import objects: a number for each")
        if path:
            self.import_requested.emit(path, bool(self.zeros.currentData()))

    def _show(self) -> None:
        objects = self._layer
        if objects is None:
            return
        if objects.marked.n_voxels:
            self.fold.toggleButton().setChecked(True)
        self.counts.setText(marked_text(objects.marked, objects.label if objects.is_chosen else None))


def marked_text(marked: MarkedObjects, brush: int | None) -> str:
    """Marked objects and the id in the brush, in a sentence.

    Parameters
    ----------
    brush : int, optional
        The id in the brush of the layer of objects; None before one was chosen.
    """
    objects = "1 object" if marked.n_objects == 1 else f"{marked.n_objects:,} objects"
    text = f"Marked: {objects}, {count_text(marked.n_voxels)} voxels" if marked.n_objects else "No object is marked yet"
    if marked.n_background:
        text += f"; background {count_text(marked.n_background)} voxels"
    if brush is not None:
        in_brush = {0: "the eraser", BACKGROUND: "background"}.get(brush, f"object {brush}")
        text += f". In the brush: {in_brush}"
    return f"{text}."


def _button(text: str, name: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    return button
