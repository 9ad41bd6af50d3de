"""The predictions of a project as a list, and the classes as a legend that switches their probabilities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QHeaderView, QPushButton, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_pytc.geometry import Box
from napari_pytc.session.records import ClassInfo, PredictionRecord
from napari_pytc.ui.elided import ElidedButton
from napari_pytc.ui.models import short_date
from napari_pytc.ui.parts import allow, row, wrapped

_MOST_ROWS = 8
_ICON = QSize(18, 12)
_DATED = re.compile(r"^\d{8}-\d{4}-")
"""How models begin whose name nobody chose."""
_STATES = {"interrupted": "cut short", "cancelled": "in part", "failed": "failed", "running": "running"}


class PredictionList(QWidget):
    """Predictions, the newest first, with buttons for the one that is selected."""

    show_asked = Signal(object)
    """A `PredictionRecord`, or None to show none."""
    resume_asked = Signal(object)
    """A `PredictionRecord`."""
    delete_asked = Signal(object)
    """A `PredictionRecord`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tree = QTreeWidget()
        self.tree.setObjectName("predictionList")
        self.tree.setColumnCount(3)
        self.tree.setHeaderLabels(["Model", "Where", "State"])
        self.tree.setRootIsDecorated(False)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tree.setToolTip("The predictions of this project, the newest first; the one on the canvas is bold.")
        header = self.tree.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.none = wrapped("None yet.", dim=True)
        self.show_button = QPushButton("Show")
        self.show_button.setObjectName("showPredictionButton")
        self.resume_button = QPushButton("Resume")
        self.resume_button.setObjectName("resumePredictionButton")
        self.delete_button = QPushButton("Delete …")
        self.delete_button.setObjectName("deletePredictionButton")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.none)
        layout.addWidget(self.tree)
        layout.addLayout(row(self.show_button, self.resume_button, self.delete_button))
        self.tree.itemSelectionChanged.connect(self._allow)
        self.tree.itemDoubleClicked.connect(lambda item, column: self._show())
        self.show_button.clicked.connect(self._show)
        self.resume_button.clicked.connect(lambda: self.resume_asked.emit(self.selected))
        self.delete_button.clicked.connect(lambda: self.delete_asked.emit(self.selected))
        self._shown: Path | None = None
        self._running: set[Path | None] = set()
        self._locked = ""
        self._allow()

    @property
    def selected(self) -> PredictionRecord | None:
        """The one that the buttons are for."""
        items = self.tree.selectedItems()
        return items[0].data(0, Qt.ItemDataRole.UserRole) if items else None

    def put(
        self,
        predictions: Sequence[PredictionRecord],
        shown: Path | None,
        running: set[Path | None],
        locked: str,
    ) -> None:
        """Show these.

        Parameters
        ----------
        shown : Path, optional
            Folder of the one on the canvas.
        running : set of Path
            Folders of those that jobs write just now.
        locked : str
            Why none may be changed; empty if they may.
        """
        before = self.selected
        chosen = None if before is None else before.id
        self._shown, self._running, self._locked = shown, running, locked
        self.tree.clear()
        for record in reversed(predictions):
            is_shown = record.folder == shown
            state = "running" if record.folder in running else record.state
            item = QTreeWidgetItem([record.model, where(record.box), _STATES.get(state, state)])
            item.setData(0, Qt.ItemDataRole.UserRole, record)
            font = item.font(0)
            font.setBold(is_shown)
            item.setFont(0, font)
            for column in range(3):
                item.setToolTip(column, _about(record, is_shown))
            self.tree.addTopLevelItem(item)
            if record.id == chosen or (before is None and is_shown):
                item.setSelected(True)
        if not self.tree.selectedItems() and self.tree.topLevelItemCount():
            first = self.tree.topLevelItem(0)
            assert first is not None
            first.setSelected(True)
        self.none.setVisible(not predictions)
        self.tree.setVisible(bool(predictions))
        n_rows = min(max(len(predictions), 2), _MOST_ROWS)
        self.tree.setFixedHeight((n_rows + 1) * (self.tree.fontMetrics().height() + 5) + 6)
        for button in (self.show_button, self.resume_button, self.delete_button):
            button.setVisible(bool(predictions))
        self._allow()

    def _show(self) -> None:
        record = self.selected
        self.show_asked.emit(None if record is None or record.folder == self._shown else record)

    def _allow(self) -> None:
        record = self.selected
        nothing = "" if record is not None else "no prediction is selected."
        is_shown = record is not None and record.folder == self._shown
        is_running = record is not None and record.folder in self._running
        busy = "it is being predicted." if is_running else ""
        self.show_button.setText("Hide" if is_shown else "Show")
        tip = "Take it off the canvas; it stays on the disk." if is_shown else "Show it on the canvas."
        allow(self.show_button, nothing, tip)
        done = "it is complete." if record is not None and record.state == "finished" else ""
        allow(
            self.resume_button,
            nothing or self._locked or busy or done,
            "Predict what is missing, with the same model; finished tiles are kept.",
        )
        allow(self.delete_button, nothing or self._locked or busy, "Delete it from the disk, after a question.")


class ClassButtons(QWidget):
    """A legend of the classes; a button shows or hides the probability of its class."""

    toggled = Signal(int, bool)
    """Number of the channel, from 0, and whether it is to be seen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = wrapped("Show on the canvas how probable a class is:", dim=True)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self._label)
        self.buttons: list[ElidedButton] = []
        self.hide()

    def put(self, classes: Sequence[ClassInfo], visible: Sequence[bool]) -> None:
        """Show a button for each channel, pressed where its layer is visible."""
        while len(self.buttons) > len(visible):
            gone = self.buttons.pop()
            self._layout.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        while len(self.buttons) < len(visible):
            self._add()
        for number, (button, is_visible) in enumerate(zip(self.buttons, visible, strict=True)):
            known = number < len(classes)
            name = classes[number].name if known else f"class {number + 1}"
            button.setIcon(_square(classes[number].colour if known else "#808080"))
            button.show_text(name)
            button.setToolTip(f"Show how probable {name} is: black 0, full colour 1.")
            button.blockSignals(True)
            button.setChecked(is_visible)
            button.blockSignals(False)
        self.setVisible(bool(visible))

    def _add(self) -> None:
        number, button = len(self.buttons), ElidedButton()
        button.setCheckable(True)
        button.setIconSize(_ICON)
        button.setObjectName(f"probability-{number + 1}")
        button.toggled.connect(lambda visible: self.toggled.emit(number, visible))
        self.buttons.append(button)
        self._layout.addWidget(button)


def short_text(record: PredictionRecord) -> str:
    """By what, when and of what, for where there is no room: "fast, 18:42, everything"."""
    return ", ".join(filter(None, (_DATED.sub("", record.model), short_date(record.created), where(record.box))))


def meant(records: Sequence[PredictionRecord], picked: str) -> int:
    """Which of them, the newest first, is to be worked with: the one picked by hand, or the newest that is finished."""
    ids = [record.id for record in records]
    finished = (number for number, record in enumerate(records) if record.state == "finished")
    return ids.index(picked) if picked in ids else next(finished, 0 if records else -1)


def where(box: Box | None) -> str:
    """What was predicted, in a word."""
    return "everything" if box is None else "box " + "×".join(str(n) for n in box.shape)


def when(created: str) -> str:
    """An ISO date and time as a local one."""
    return datetime.fromisoformat(created).astimezone().strftime("%d %b %Y %H:%M")


def _about(record: PredictionRecord, is_shown: bool) -> str:
    lines = [f"Model {record.model}", when(record.created)]
    lines.append("The whole volume" if record.box is None else f"Voxels {record.box}")
    if record.flips:
        lines.append("Averaged over flips")
    if is_shown:
        lines.append("On the canvas now")
    return "\n".join(lines)


def _square(colour: str) -> QIcon:
    """With some room between it and the text."""
    picture = QPixmap(_ICON)
    picture.fill(Qt.GlobalColor.transparent)
    with QPainter(picture) as painter:
        painter.fillRect(0, 0, 12, 12, QColor(colour))
    return QIcon(picture)
