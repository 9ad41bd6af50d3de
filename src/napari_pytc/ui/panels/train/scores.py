"""The table of classes: how much is painted of each, and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_pytc.session.records import ClassInfo
from napari_pytc.ui.panels.train.controller import Scores
from napari_pytc.ui.widgets.labels import wrapped

_TIPS = (
    "The classes of the project.",
    "Voxels annotated by strokes, in all.",
    "Overlap with what is annotated in the held-out boxes: 1 is perfect, 0 is none.",
    "Intersection over union in the held-out boxes: stricter than Dice, 1 is perfect.",
    "Average precision of the single objects of the class in the held-out boxes, at an overlap of 0.5: 1 is perfect.",
)
_TITLES = ("Class", "Painted", "Dice", "IoU", "AP")


class ClassTable(QWidget):
    """A row for each class: painted voxels and scores."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableWidget(0, len(_TITLES))
        self.table.setObjectName("classTable")
        self.table.setToolTip("How much is painted of each class, in voxels, and the scores of the model.")
        self.table.setHorizontalHeaderLabels(_TITLES)
        for column, tip in enumerate(_TIPS):
            header_item = self.table.horizontalHeaderItem(column)
            assert header_item is not None
            header_item.setToolTip(tip)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setWordWrap(False)  # or a name is cut after its first word
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None
        assert rows is not None
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._rows, self._header = rows, header
        self._of = wrapped(dim=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(self._of)

    def show_classes(self, classes: Sequence[ClassInfo], painted: Mapping[str, int], scores: Scores) -> None:
        """Show classes with their scores.

        Parameters
        ----------
        painted : mapping
            Annotated voxels by class name.
        """
        self.table.setRowCount(len(classes))
        for number, one in enumerate(classes):
            found = [(of_class or {}).get(one.name) for of_class in (scores.dice, scores.iou, scores.precision)]
            texts = (one.name, f"{painted.get(one.name, 0):,}", *map(_number, found))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                else:
                    item.setIcon(_swatch(one.colour))
                    item.setToolTip(one.name)
                self.table.setItem(number, column, item)
        self.table.setColumnHidden(2, scores.dice is None)
        self.table.setColumnHidden(3, scores.iou is None)
        self.table.setColumnHidden(4, not scores.precision)
        self._of.setText(_about(scores))
        self._of.setVisible(scores.dice is not None)
        self._fit_height(len(classes))

    def _fit_height(self, n_rows: int) -> None:
        """Make the table as high as its rows: the panel scrolls, not the table in it, unless the classes are many."""
        shown = min(n_rows, 12)
        frame = 2 * self.table.frameWidth()
        self.table.setFixedHeight(self._header.sizeHint().height() + shown * self._rows.defaultSectionSize() + frame)


def _about(scores: Scores) -> str:
    if scores.dice is None:
        return ""
    of = f"Scores on the held-out boxes: {scores.of}."
    volumes = " · ".join(f"{name} {_number(mean)}" for name, mean in scores.volumes.items())
    return f"{of}\nMean Dice by volume: {volumes}" if volumes else of


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
