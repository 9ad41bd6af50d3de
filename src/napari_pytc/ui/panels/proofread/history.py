"""The journal as a list: edits and strokes, where they are, and the way to any state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QLineEdit, QPushButton, QTreeView, QVBoxLayout, QWidget

from napari_pytc.geometry import Box
from napari_pytc.ui.panels.proofread.tools import action, key_text
from napari_pytc.ui.panels.proofread.undo import UndoHistory
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import faint, wrapped
from napari_pytc.ui.widgets.layout import row

if TYPE_CHECKING:
    from napari_pytc.proofreading.journal.journal import Entry

_START = "As it began"
_ROWS = 9
_MARK = "⚑"


class HistoryModel(QAbstractTableModel):
    """Entries of the journal, the newest first, and the initial state below them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: list[Entry] = []
        self._position = 0
        self._view = parent

    def set_entries(self, entries: list[Entry], position: int) -> None:
        """Show entries, the one with the id `position` as the present state."""
        self.beginResetModel()
        self._entries, self._position = list(reversed(entries)), position
        self.endResetModel()

    def entry(self, line: int) -> Entry | None:
        """The entry of a line; None for the beginning."""
        return self._entries[line] if 0 <= line < len(self._entries) else None

    def line_of(self, entry: int) -> int:
        """The line of an entry, the last line for 0."""
        return next((k for k, found in enumerate(self._entries) if found.id == entry), len(self._entries))

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """One line more than there are entries."""
        return 0 if parent.isValid() or not self._entries else len(self._entries) + 1

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Two columns: the edit and its position."""
        return 2

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return ("What", "Where (z, y, x)")[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, tooltip, font or colour of a cell."""
        entry = self.entry(index.row())
        is_here = (0 if entry is None else entry.id) == self._position
        if role == Qt.ItemDataRole.DisplayRole:
            return _title(entry, is_here) if index.column() == 0 else _where(entry)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _describe(entry, is_here)
        if role == Qt.ItemDataRole.FontRole and self._view is not None:
            font = self._view.font()
            font.setBold(is_here)
            font.setItalic(entry is not None and entry.is_undone)
            return font
        if role == Qt.ItemDataRole.ForegroundRole and self._view is not None and entry is not None and entry.is_undone:
            return faint(self._view.palette())
        return None


class HistoryList(QWidget):
    """The list, buttons to step, and a line to name the present state.

    Parameters
    ----------
    history : UndoHistory
        The undo history that is listed.
    """

    def __init__(self, history: UndoHistory, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history = history
        self.model = HistoryModel(self)
        self.view = QTreeView()
        self.view.setObjectName("historyList")
        self.view.setModel(self.model)
        self.view.setRootIsDecorated(False)
        self.view.setUniformRowHeights(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setToolTip(
            "All edits and strokes, the newest first; the state you are in is bold, what was taken back is grey.\n"
            "A click flies to the place, a double-click goes to that state."
        )
        header = self.view.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.none = wrapped("Nothing yet. Edits and strokes will be listed here, and can be undone.", dim=True)
        self.undo = QPushButton("Undo")
        self.undo.setObjectName("undoButton")
        self.redo = QPushButton("Redo")
        self.redo.setObjectName("redoButton")
        self.jump = QPushButton("Go to state")
        self.jump.setObjectName("jumpButton")
        self.name = QLineEdit()
        self.name.setObjectName("checkpointName")
        self.name.setMinimumWidth(60)
        self.name.setPlaceholderText("Name of this state")
        self.name.setToolTip("A name to find the present state by, for example: before the big merge.")
        self.mark = QPushButton("Set checkpoint")
        self.mark.setObjectName("checkpointButton")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row(self.undo, self.redo, self.jump))
        layout.addWidget(self.none)
        layout.addWidget(self.view)
        layout.addLayout(row(self.name, self.mark))
        self.undo.clicked.connect(history.undo)
        self.redo.clicked.connect(history.redo)
        self.jump.clicked.connect(self._jump)
        self.name.textChanged.connect(self._update_buttons)
        self.name.returnPressed.connect(self._set_checkpoint)
        self.mark.clicked.connect(self._set_checkpoint)
        self.view.clicked.connect(self._on_clicked)
        self.view.doubleClicked.connect(lambda index: self._jump())
        selection = self.view.selectionModel()
        assert selection is not None
        selection.currentRowChanged.connect(self._update_buttons)
        history.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the history as it is now."""
        chosen = self._chosen
        self.model.set_entries(self._history.entries, self._history.position)
        if chosen is not None and (chosen == 0 or chosen in [entry.id for entry in self._history.entries]):
            self.view.setCurrentIndex(self.model.index(self.model.line_of(chosen), 0))
        has_entries = bool(self._history.entries)
        self.none.setVisible(not has_entries)
        self.view.setVisible(has_entries)
        n_lines = min(max(len(self._history.entries) + 1, 3), _ROWS)
        self.view.setFixedHeight((n_lines + 1) * (self.view.fontMetrics().height() + 5) + 8)
        if has_entries:
            self.view.scrollTo(self.model.index(self.model.line_of(self._history.position), 0))
        self._update_buttons()

    # ---- private

    @property
    def _chosen(self) -> int | None:
        """The entry of the selected line, 0 for the beginning."""
        index = self.view.currentIndex()
        if not index.isValid():
            return None
        entry = self.model.entry(index.row())
        return 0 if entry is None else entry.id

    def _update_buttons(self, *args: object) -> None:
        history, locked = self._history, self._history.locked_reason
        nothing = "" if history.can_undo else "there is nothing to take back."
        allow(self.undo, locked or nothing, f"Take the last one back ({key_text(action('undo').key)}).")
        nothing = "" if history.can_redo else "nothing was taken back."
        allow(self.redo, locked or nothing, f"Make it again ({key_text(action('redo').key)}).")
        allow(
            self.jump,
            locked or history.why_not_jump(self._chosen),
            "Take back or make again until the selected line is the last one that is done.",
        )
        nothing = "" if history.entries else "nothing was done yet."
        unnamed = "" if self.name.text().strip() else "it needs a name."
        allow(self.mark, locked or nothing or unnamed, "Give the present state a name; it is shown in the list.")

    def _on_clicked(self, index: QModelIndex) -> None:
        entry = self.model.entry(index.row())
        if entry is not None:
            self._history.show_entry(entry)

    def _jump(self) -> None:
        chosen = self._chosen
        if chosen is not None and self.jump.isEnabled():
            self._history.jump(chosen)

    def _set_checkpoint(self) -> None:
        if self.mark.isEnabled():
            name = self.name.text().strip()
            self.name.clear()
            self._history.checkpoint(name)


def _title(entry: Entry | None, is_here: bool) -> str:
    title = _START if entry is None else entry.title
    mark = f"{_MARK} {entry.checkpoint} · " if entry is not None and entry.checkpoint else ""
    return f"{'▸ ' if is_here else ''}{mark}{title}"


def _where(entry: Entry | None) -> str:
    return "" if entry is None or entry.box.is_empty else ", ".join(str(int(c)) for c in _middle(entry.box))


def _middle(box: Box) -> tuple[int, int, int]:
    z, y, x = ((a + b) // 2 for a, b in zip(box.start, box.stop, strict=True))
    return (z, y, x)


def _describe(entry: Entry | None, is_here: bool) -> str:
    lines = [_START if entry is None else entry.title]
    if entry is not None:
        lines.append(time.strftime("%d %b %Y %H:%M:%S", time.localtime(entry.time)))
        if not entry.box.is_empty:
            lines.append(f"Voxels {entry.box}")
        if entry.n_voxels:
            lines.append(f"{entry.n_voxels:,} voxels rewritten")
        if entry.checkpoint:
            lines.append(f"Checkpoint: {entry.checkpoint}")
        if entry.is_undone:
            lines.append("Taken back")
        if entry.sealed:
            lines.append(f"Cannot be undone any more: {entry.sealed}")
    if is_here:
        lines.append("The present state")
    return "\n".join(lines)
