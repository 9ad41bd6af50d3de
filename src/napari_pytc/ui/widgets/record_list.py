"""A list of records with buttons for those that are selected: models, predictions, segmentations, runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QFlowLayout

from napari_pytc.ui.widgets.labels import faint, wrapped

_RECORD, _KEY = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
_FEWEST_LINES = 2


@dataclass(frozen=True)
class Column:
    """A column of a `RecordList`.

    Parameters
    ----------
    stretches : bool
        Whether it takes the room that the others leave; else it is as wide as its texts.
    is_number : bool
        Whether its texts stand at the right.
    """

    title: str
    tip: str = ""
    stretches: bool = False
    is_number: bool = False


@dataclass(frozen=True)
class Line:
    """A record as a line of a `RecordList`.

    Parameters
    ----------
    key : str
        By which the record is known when the list is shown again.
    texts : sequence of str
        One a column.
    bold : collection of int
        Columns in bold, as of the record in use.
    is_faint : bool
        Whether it is shown as something that cannot be used.
    parent : str
        Key of the line below which it stands; empty for none.
    """

    key: str
    record: Any
    texts: Sequence[str]
    tip: str = ""
    bold: Collection[int] = ()
    is_faint: bool = False
    parent: str = ""


class RecordList(QWidget):
    """Lines in columns, a row of buttons below them, and a sentence in their place while there are none.

    What is selected stays selected when the lines are shown again. The list is as high as its lines, up to a limit.

    Parameters
    ----------
    name : str
        Of the Qt object of the tree.
    tip : str
        Tooltip of the tree.
    empty : str
        Text while there are no lines.
    most_lines : int
        More are scrolled.
    selects_several : bool
        Whether more than one line can be selected.
    selects_none : bool
        Whether lines are only to be looked at.
    wraps_buttons : bool
        Whether buttons go to another row where there is no room; else they share one.
    """

    selection_changed = Signal()
    """Other lines are selected, or the lines are others."""
    double_clicked = Signal()

    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        tip: str = "",
        empty: str = "None yet.",
        most_lines: int = 8,
        selects_several: bool = False,
        wraps_buttons: bool = False,
        selects_none: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._columns, self._most_lines = tuple(columns), most_lines
        self._lines: list[Line] = []
        self.empty = wrapped(empty, dim=True)
        self.tree = self._make_tree(name, tip, selects_none, selects_several)
        self.bar = QWidget()
        self._buttons = QFlowLayout(self.bar) if wraps_buttons else QHBoxLayout(self.bar)
        self._buttons.setContentsMargins(0, 0, 0, 0)
        self._buttons.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.empty, self.tree, self.bar):
            layout.addWidget(widget)
        self.show_lines([])

    def add_button(self, text: str, name: str, on_click: Callable[[], object]) -> QPushButton:
        """Add a button below the lines; it is seen while there are any."""
        button = QPushButton(text)
        button.setObjectName(name)
        button.clicked.connect(lambda: on_click())
        self._buttons.addWidget(button)
        return button

    @property
    def selected(self) -> list[Any]:
        """The records that are selected, the topmost first."""
        return [item.data(0, _RECORD) for item in self.tree.selectedItems()]

    @property
    def first_selected(self) -> Any:
        """The record that is selected; None where none is."""
        found = self.selected
        return found[0] if found else None

    def show_lines(self, lines: Sequence[Line], select: Collection[str] = ()) -> None:
        """Show these lines in place of the others.

        Parameters
        ----------
        select : collection of str
            Keys to select instead of those that were selected. Where neither is among the lines, the first line is.
        """
        before = {item.data(0, _KEY) for item in self.tree.selectedItems()}
        keys = {line.key for line in lines}
        chosen = (set(select) or before) & keys or {line.key for line in lines[:1]}
        if self.tree.selectionMode() == QAbstractItemView.SelectionMode.NoSelection:
            chosen = set()
        self._lines = list(lines)
        self.tree.blockSignals(True)
        self.tree.clear()
        items = {line.key: self._item(line) for line in lines}
        for line in lines:
            above = items.get(line.parent) if line.parent != line.key else None
            if above is None:
                self.tree.addTopLevelItem(items[line.key])
            else:
                above.addChild(items[line.key])
        self.tree.expandAll()
        for key, item in items.items():
            item.setSelected(key in chosen)
        self.tree.blockSignals(False)
        self.empty.setVisible(not lines)
        self.tree.setVisible(bool(lines))
        self.bar.setVisible(bool(lines) and self._buttons.count() > 0)
        n_lines = min(max(len(lines), _FEWEST_LINES), self._most_lines)
        self.tree.setFixedHeight((n_lines + 1) * (self.tree.fontMetrics().height() + 5) + 6)
        self.selection_changed.emit()

    # ---- private

    def _make_tree(self, name: str, tip: str, selects_none: bool, selects_several: bool) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setObjectName(name)
        tree.setToolTip(tip)
        tree.setColumnCount(len(self._columns))
        tree.setHeaderLabels([column.title for column in self._columns])
        tree.setRootIsDecorated(False)
        tree.setUniformRowHeights(True)
        tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        tree.setExpandsOnDoubleClick(False)
        mode = QAbstractItemView.SelectionMode
        several = mode.ExtendedSelection if selects_several else mode.SingleSelection
        tree.setSelectionMode(mode.NoSelection if selects_none else several)
        header, titles = tree.header(), tree.headerItem()
        assert header is not None
        assert titles is not None
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(24)
        for number, column in enumerate(self._columns):
            resize = QHeaderView.ResizeMode
            header.setSectionResizeMode(number, resize.Stretch if column.stretches else resize.ResizeToContents)
            titles.setToolTip(number, column.tip)
        tree.itemSelectionChanged.connect(self.selection_changed)
        tree.itemDoubleClicked.connect(lambda item, column: self.double_clicked.emit())
        return tree

    def _item(self, line: Line) -> QTreeWidgetItem:
        item = QTreeWidgetItem(list(line.texts))
        item.setData(0, _RECORD, line.record)
        item.setData(0, _KEY, line.key)
        for number, column in enumerate(self._columns):
            item.setToolTip(number, line.tip)
            if column.is_number:
                item.setTextAlignment(number, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            if line.is_faint:
                item.setForeground(number, faint(self.palette()))
            if number in line.bold:
                font = item.font(number)
                font.setBold(True)
                item.setFont(number, font)
        return item
