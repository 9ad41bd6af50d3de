"""The list of classes: the one to paint with, colours, names and numbers of painted voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.session.records import ClassInfo
from napari_pytc.ui.widgets.buttons import ColourButton, allow
from napari_pytc.ui.widgets.layout import row

_LAST_KEY = 9
_CHOICE, _COLOUR, _NAME, _COUNT, _REMOVE = range(5)


class ClassList(QWidget):
    """Shows classes and emits the user's requests as signals; it changes nothing itself.

    Parameters
    ----------
    can_paint : bool
        Whether there is something to paint on: rows then have a choice of brush and a count, and there is an eraser.
    """

    chosen = Signal(int)
    """The class to paint with, 0 for the eraser."""
    renamed = Signal(int, str)
    recoloured = Signal(int, str)
    removed = Signal(int)
    """A request to remove a class; nothing is removed yet."""
    added = Signal(str)

    def __init__(self, can_paint: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._can_paint = can_paint
        self._classes: tuple[ClassInfo, ...] = ()
        self._reason = ""
        self._counts: Mapping[str, int] = {}
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self.chosen)
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(_NAME, 1)
        self.name = QLineEdit()
        self.name.setObjectName("newClassName")
        self.name.setMinimumWidth(60)
        self.name.setPlaceholderText("Another class")
        self.name.setToolTip("Name of a class to add, for example mitochondrion.")
        self.name.returnPressed.connect(self._add)
        self.name.textChanged.connect(self._allow_add)
        self.add = QPushButton("Add")
        self.add.setObjectName("addClass")
        self.add.clicked.connect(self._add)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._grid)
        layout.addLayout(row(self.name, self.add))
        self._allow_add()

    def show_classes(self, classes: Sequence[ClassInfo], reason: str = "") -> None:
        """Show these classes.

        Parameters
        ----------
        reason : str
            Why they cannot be changed; empty if they can.
        """
        if tuple(classes) == self._classes and reason == self._reason:
            return
        was_chosen = self._group.checkedId()
        self._classes, self._reason = tuple(classes), reason
        self._clear()
        for line, info in enumerate(classes):
            self._add_row(line, info)
        if self._can_paint:
            self._add_eraser(len(classes))
        self.show_chosen(was_chosen)
        self.name.setVisible(not reason)
        self.add.setVisible(not reason)
        self._allow_add()

    def show_counts(self, voxels: Mapping[str, int]) -> None:
        """Show how many voxels are annotated, by name of the class."""
        self._counts = voxels
        for line, info in enumerate(self._classes):
            label = self._at(line, _COUNT)
            if isinstance(label, QLabel):
                label.setText(count_text(voxels.get(info.name, 0)))

    def show_chosen(self, number: int) -> None:
        """Mark the class in the brush, 0 for the eraser."""
        button = self._group.button(number)
        if button is not None:
            button.setChecked(True)

    def count(self, number: int) -> int:
        """Number of annotated voxels of a class, as of the last `show_counts`."""
        return next((self._counts.get(info.name, 0) for info in self._classes if info.id == number), 0)

    def _add_row(self, line: int, info: ClassInfo) -> None:
        key = f" Key: {info.id}." if info.id <= _LAST_KEY else ""
        if self._can_paint:
            brush = QRadioButton(str(info.id) if info.id <= _LAST_KEY else "")
            brush.setObjectName(f"class{info.id}")
            allow(brush, self._reason, f"Paint {info.name}.{key}")
            self._group.addButton(brush, info.id)
            self._grid.addWidget(brush, line, _CHOICE)
            count = QLabel(count_text(self._counts.get(info.name, 0)))
            count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            count.setToolTip(f"Voxels annotated as {info.name}.")
            self._grid.addWidget(count, line, _COUNT)
        colour = ColourButton(info.colour, info.name)
        colour.setObjectName(f"colour{info.id}")
        colour.setEnabled(not self._reason)
        colour.picked.connect(lambda picked, number=info.id: self.recoloured.emit(number, picked))
        self._grid.addWidget(colour, line, _COLOUR)
        name = QLineEdit(info.name)
        name.setObjectName(f"name{info.id}")
        name.setMinimumWidth(40)
        name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        name.setReadOnly(bool(self._reason))
        name.setToolTip(f"{info.name}: name of class {info.id}; change it here.")
        name.setCursorPosition(0)
        name.editingFinished.connect(lambda number=info.id, field=name: self._rename(number, field))
        self._grid.addWidget(name, line, _NAME)
        remove = QToolButton()
        remove.setObjectName(f"remove{info.id}")
        remove.setText("✕")
        remove.setAutoRaise(True)
        last = "a project has at least one class." if len(self._classes) == 1 else ""
        allow(remove, self._reason or last, f"Remove {info.name}" + (" and its strokes …" if self._can_paint else "."))
        remove.clicked.connect(lambda checked=False, number=info.id: self.removed.emit(number))
        self._grid.addWidget(remove, line, _REMOVE)

    def _add_eraser(self, line: int) -> None:
        eraser = QRadioButton("0")
        eraser.setObjectName("eraser")
        allow(eraser, self._reason, "Erase strokes. Key: 0.")
        self._group.addButton(eraser, 0)
        self._grid.addWidget(eraser, line, _CHOICE)
        label = QLabel("Eraser")
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._grid.addWidget(label, line, _COLOUR, 1, _REMOVE - _COLOUR + 1)

    def _rename(self, number: int, field: QLineEdit) -> None:
        old = next((info.name for info in self._classes if info.id == number), None)
        new = field.text().strip()
        if old is None or new == old:
            return
        if new:
            self.renamed.emit(number, new)
        kept = next((info.name for info in self._classes if info.id == number), "")
        if kept == old:  # it was refused
            field.setText(old)

    def _add(self) -> None:
        name = self.name.text().strip()
        if name and self.add.isEnabled():
            self.name.clear()
            self.added.emit(name)

    def _allow_add(self) -> None:
        name = self.name.text().strip()
        taken = "there is a class of that name." if name in [info.name for info in self._classes] else ""
        allow(self.add, self._reason or (taken if name else "it needs a name."), "Add a class.")

    def _at(self, line: int, column: int) -> QWidget | None:
        item = self._grid.itemAtPosition(line, column)
        return None if item is None else item.widget()

    def _clear(self) -> None:
        for button in self._group.buttons():
            self._group.removeButton(button)
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()


def count_text(n_voxels: int) -> str:
    """A number of voxels, short: "0", "9,500", "12.3 k", "4.1 M"."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if n_voxels >= factor:
            return f"{n_voxels / (1e3 if unit == 'k' else factor):.1f} {unit}"
    return f"{n_voxels:,}"
