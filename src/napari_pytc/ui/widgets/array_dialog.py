"""Dialog to pick arrays of a file or container."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_pytc.ui.widgets.labels import shape_text, wrapped
from napari_pytc.volumes.inspection import ArrayInfo, VolumeInfo
from napari_pytc.volumes.layout import STORED_DTYPES


def choices_of(info: VolumeInfo) -> list[ArrayInfo]:
    """The arrays that could be volumes: two to five axes of numbers."""
    return [a for a in info.arrays if 2 <= len(a.shape) <= 5 and 0 not in a.shape and a.dtype in STORED_DTYPES]


def array_text(array: ArrayInfo) -> str:
    """An array in a line: name, shape, type."""
    return f"{array.name or '/'}   {shape_text(array.shape)}   {array.dtype}"


class ArrayDialog(QDialog):
    """A list of arrays to pick some from.

    Parameters
    ----------
    title : str
        The file's name.
    arrays : sequence of ArrayInfo
        The file's arrays; the first is picked at first.
    """

    def __init__(self, title: str, arrays: Sequence[ArrayInfo], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Open {title}")
        self._arrays = list(arrays)
        self.list = QTreeWidget()
        self.list.setObjectName("arrayList")
        self.list.setHeaderLabels(["Dataset", "Shape", "Type"])
        self.list.setRootIsDecorated(False)
        for number, array in enumerate(self._arrays):
            item = QTreeWidgetItem([array.name or "/", shape_text(array.shape), array.dtype])
            item.setCheckState(0, Qt.CheckState.Unchecked if number else Qt.CheckState.Checked)
            self.list.addTopLevelItem(item)
        for column in range(3):
            self.list.resizeColumnToContents(column)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.list.itemDoubleClicked.connect(self._open_only)
        self.list.itemChanged.connect(self._on_change)
        layout = QVBoxLayout(self)
        layout.addWidget(wrapped(f"{title} holds several datasets. Tick those to open, or double-click one."))
        layout.addWidget(self.list)
        layout.addWidget(self.buttons)
        self.resize(480, 320)

    @property
    def picked(self) -> list[ArrayInfo]:
        """The arrays that are ticked."""
        return [a for i, a in enumerate(self._arrays) if self._item(i).checkState(0) == Qt.CheckState.Checked]

    def _item(self, number: int) -> QTreeWidgetItem:
        item = self.list.topLevelItem(number)
        assert item is not None
        return item

    def _open_only(self, chosen: QTreeWidgetItem) -> None:
        for number in range(len(self._arrays)):
            item = self._item(number)
            item.setCheckState(0, Qt.CheckState.Checked if item is chosen else Qt.CheckState.Unchecked)
        self.accept()

    def _on_change(self) -> None:
        button = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        assert button is not None
        button.setEnabled(bool(self.picked))


def ask_for_arrays(title: str, arrays: Sequence[ArrayInfo], parent: QWidget | None = None) -> list[ArrayInfo]:
    """Let the user pick arrays; none where the dialog is cancelled."""
    dialog = ArrayDialog(title, arrays, parent)
    try:
        return dialog.picked if dialog.exec() else []
    finally:
        dialog.deleteLater()
