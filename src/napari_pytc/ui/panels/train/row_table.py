"""Tables of settings whose chosen row is edited in fields below: what those of channels and losses share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import yaml
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_pytc.errors import InvalidInput

_MOST_ROWS = 8


class RowTable(QTableWidget):
    """A table that shows rows of text, of which one is chosen; it is as high as its rows, and scrolls through many.

    Parameters
    ----------
    name : str
        Of the Qt object.
    columns : sequence of str
        Their titles.
    """

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        super().__init__(0, len(columns))
        self.setObjectName(name)
        self.setHorizontalHeaderLabels(list(columns))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab goes on to the buttons; the arrow keys choose a row
        header, numbers = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert numbers is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setHighlightSections(False)
        numbers.hide()
        self.setWordWrap(False)
        bar = self.horizontalScrollBar()
        assert bar is not None
        bar.rangeChanged.connect(self._fit)

    @property
    def chosen(self) -> int:
        """Number of the chosen row; 0 without one."""
        return max(0, self.currentRow())

    def show_rows(
        self, rows: Sequence[Sequence[str]], tips: Sequence[str], chosen: int, wrong: Collection[int] = ()
    ) -> None:
        """Show rows and choose one, without a signal.

        Parameters
        ----------
        tips : sequence of str
            Tooltip of each row.
        wrong : collection of int
            Numbers of the rows that have a problem.
        """
        with QSignalBlocker(self):
            self.setRowCount(len(rows))
            for number, (texts, tip) in enumerate(zip(rows, tips, strict=True)):
                for column, text in enumerate(texts):
                    item = QTableWidgetItem(f"⚠ {text}" if number in wrong and column == 0 else text)
                    item.setToolTip(tip)
                    self.setItem(number, column, item)
            self.selectRow(max(0, chosen))
        self._fit()

    def show_columns(self, shown: Sequence[bool]) -> None:
        """Hide columns that tell nothing, so that the others have room in a narrow panel."""
        for column, is_shown in enumerate(shown):
            self.setColumnHidden(column, not is_shown)

    def _fit(self) -> None:
        """Be as high as the rows, and as a scroll bar where the columns need one."""
        header, bar, n_rows = self.horizontalHeader(), self.horizontalScrollBar(), self.rowCount()
        assert header is not None
        assert bar is not None
        n_shown = min(max(1, n_rows), _MOST_ROWS)
        row_height = self.rowHeight(0) if n_rows else header.sizeHint().height()
        bar_height = bar.sizeHint().height() if bar.maximum() else 0
        self.setFixedHeight(header.sizeHint().height() + n_shown * row_height + bar_height + 6)


def flow(content: dict[str, Any]) -> str:
    """Settings as the text that recipes take, without the braces; empty for none."""
    if not content:
        return ""
    text = str(yaml.safe_dump(content, default_flow_style=True, sort_keys=False, width=10**6)).strip()
    return text.removeprefix("{").removesuffix("}")


def read_flow(text: str) -> dict[str, Any]:
    """The settings in a text, in braces or without.

    Raises
    ------
    InvalidInput
        If they are none.
    """
    text = text.strip()
    try:
        found = yaml.safe_load(text if text.startswith("{") else f"{{{text}}}") or {}
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(f"Settings must be as in a recipe, name: value, got {text!r}.")
    return found
