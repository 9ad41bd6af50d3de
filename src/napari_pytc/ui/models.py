"""The list of a project's models."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAction,
    QFileDialog,
    QHeaderView,
    QMessageBox,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QFlowLayout

from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.parts import allow, faint, wrapped

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace

_NAME, _DICE, _GAIN, _RECIPE, _DATE = range(5)
_ACTIVE = "● "
_RECORD = Qt.ItemDataRole.UserRole
_GAIN_TIP = (
    "Change of the mean Dice against the model it began with, or else the one that was in use, on the same voxels: ▲ "
    "better, ▼ worse, ≈ no different, ? not known."
)
_TIPS = {
    "activate": "Predict with this model unless told otherwise. A double click does the same.",
    "rename": "Give the model another name (F2).",
    "compare": "What two models differ in: settings, scores, curves. Select two with Ctrl.",
    "export": "Copy the model's folder, to use it in another project or on another machine.",
    "delete": "Delete the model for good. Its predictions stay.",
}


class ModelsList(QWidget):
    """Models as a tree, each below the one it was fine-tuned from, with what can be done with them.

    Parameters
    ----------
    workspace : Workspace
        Its session has the models.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._is_filling = False
        self._empty = wrapped("No model yet. Paint a few strokes of two classes, then press Train.", dim=True)
        self.tree = self._make_tree()
        self.buttons: dict[str, QPushButton] = {}
        bar = QWidget()
        flow = QFlowLayout(bar)
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setHorizontalSpacing(4)
        flow.setVerticalSpacing(4)
        for name, text, act in (
            ("activate", "Activate", self.activate),
            ("rename", "Rename", self.rename),
            ("compare", "Compare", self.compare),
            ("export", "Export…", self.export),
            ("delete", "Delete…", self.delete),
        ):
            button = self.buttons[name] = QPushButton(text)
            button.setObjectName(f"{name}ModelButton")
            button.clicked.connect(act)
            flow.addWidget(button)
        self._bar = bar
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._empty, self.tree, bar):
            layout.addWidget(widget)
        workspace.session_changed.connect(self.refresh)
        workspace.models_changed.connect(self.refresh)
        self.refresh()

    @property
    def selected(self) -> list[ModelRecord]:
        """The models that are selected."""
        return [item.data(_NAME, _RECORD) for item in self.tree.selectedItems()]

    def refresh(self) -> None:
        """Read the list again; what was selected stays so, at first the active model."""
        session = self._workspace.session
        records = [] if session is None else session.models()
        chosen = {record.id for record in self.selected} or {record.id for record in records if record.active}
        self._is_filling = True
        self.tree.clear()
        items = {record.id: self._item(record) for record in records}
        for record in reversed(records):
            item, above = items[record.id], items.get(record.parent or "")
            if above is None or above is item:
                self.tree.addTopLevelItem(item)
            else:
                above.addChild(item)
        self.tree.expandAll()
        for name, item in items.items():
            item.setSelected(name in chosen)
        self._is_filling = False
        self._empty.setVisible(not records)
        self.tree.setVisible(bool(records))
        self._bar.setVisible(bool(records))
        rows = min(max(len(records), 2), 10)
        self.tree.setFixedHeight((rows + 1) * (self.tree.fontMetrics().height() + 5) + 6)
        self._update_buttons()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme: the colour of damaged models was taken from it."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self.refresh()

    def activate(self) -> None:
        """Make the selected model the one that predicts."""
        session = self._workspace.session
        if session is not None and not self._reason("activate"):
            record = self.selected[0]
            self._change(lambda: session.activate_model(record.id))

    def rename(self) -> None:
        """Let the name be edited in its place."""
        if not self._reason("rename"):
            item = self.tree.selectedItems()[0]
            self._is_filling = True
            item.setText(_NAME, self.selected[0].name)
            self._is_filling = False
            self.tree.editItem(item, _NAME)

    def compare(self) -> None:
        """Show what two models differ in."""
        session = self._workspace.session
        if session is None or self._reason("compare"):
            return
        from napari_pytc.ui.comparison import ComparisonDialog

        first, second = sorted(self.selected, key=lambda record: record.created)
        dialog = ComparisonDialog(self._workspace, first, second, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def export(self) -> None:
        """Copy the selected model's folder to where the user says."""
        session = self._workspace.session
        if session is None or self._reason("export"):
            return
        record = self.selected[0]
        where = QFileDialog.getExistingDirectory(self, f"Folder to copy {record.name} into")
        if where:
            destination = Path(where) / record.id
            self._workspace.background.run(
                lambda: session.export_model(record.id, destination),
                lambda path: self._workspace.viewer.show_status(f"Copied the model to {path}."),
                self._workspace.failed.emit,
            )

    def delete(self) -> None:
        """Delete the selected models, after asking."""
        session = self._workspace.session
        if session is None or self._reason("delete"):
            return
        records = self.selected
        what = f"“{records[0].name}”" if len(records) == 1 else f"{len(records)} models"
        answer = QMessageBox.question(self, "Delete", f"Delete {what} for good? Predictions made with it stay.")
        if answer == QMessageBox.StandardButton.Yes:
            for record in records:
                self._change(lambda record=record: session.delete_model(record.id))
            self._workspace.background.run(session.empty_trash)

    def _change(self, change: Any) -> None:
        self._workspace.attempt(change)
        # Also after an error: the list shows what is so.
        self._workspace.models_changed.emit()

    def _reason(self, name: str) -> str:
        """Why a button cannot be used now."""
        records, session = self.selected, self._workspace.session
        if session is None:
            return "no project is open."
        if session.read_only and name not in ("compare", "export"):
            return "the project is open for reading only."
        if name == "compare":
            if len(records) != 2:
                return "select two models."
            return "one of them is damaged." if any(record.problem for record in records) else ""
        if name == "delete":
            return "" if records else "select a model."
        if len(records) != 1:
            return "select one model."
        if records[0].problem:
            return f"the model is damaged: {records[0].problem}"
        return "it is active already." if name == "activate" and records[0].active else ""

    def _update_buttons(self) -> None:
        for name, button in self.buttons.items():
            allow(button, self._reason(name), _TIPS[name])

    def _make_tree(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setObjectName("modelsTree")
        tree.setToolTip("The models of this project; what was fine-tuned stands below what it began with.")
        tree.setColumnCount(5)
        tree.setHeaderLabels(["Model", "Dice", "Gain", "Recipe", "Trained"])
        header_item = tree.headerItem()
        assert header_item is not None
        header_item.setToolTip(_DICE, "Mean Dice on the held-out boxes: 1 is perfect.")
        header_item.setToolTip(_GAIN, _GAIN_TIP)
        tree.setIndentation(12)
        tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        tree.setUniformRowHeights(True)
        tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        tree.setExpandsOnDoubleClick(False)
        tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = tree.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        tree.itemSelectionChanged.connect(self._update_buttons)
        tree.itemDoubleClicked.connect(lambda *_: self.activate())
        tree.itemChanged.connect(self._renamed)
        rename = QAction("Rename", tree)
        rename.setShortcut("F2")
        rename.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        rename.triggered.connect(self.rename)
        tree.addAction(rename)
        delegate = tree.itemDelegate()
        assert delegate is not None
        delegate.closeEditor.connect(self._restore_names)
        return tree

    def _item(self, record: ModelRecord) -> QTreeWidgetItem:
        mean = record.scores.get("mean")
        score = "—" if mean is None else f"{mean:.3f}"
        weighty = record.refusal or next(iter(record.comparisons), None)
        gain = "" if weighty is None else weighty.short
        texts = [_shown_name(record), score, gain, record.recipe, short_date(record.created, has_room=False)]
        item = QTreeWidgetItem(texts)
        item.setData(_NAME, _RECORD, record)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        for column in (_DICE, _GAIN):
            item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        tip = _about(record)
        for column in range(len(texts)):
            item.setToolTip(column, tip)
            if record.problem:
                item.setForeground(column, faint(self.palette()))
        if record.problem:
            item.setText(_RECIPE, "damaged")
        if record.active:
            font = item.font(_NAME)
            font.setBold(True)
            item.setFont(_NAME, font)
        return item

    def _renamed(self, item: QTreeWidgetItem, column: int) -> None:
        session = self._workspace.session
        if self._is_filling or session is None or column != _NAME:
            return
        record, name = item.data(_NAME, _RECORD), item.text(_NAME).strip()
        if name and name != record.name:
            # Not before the editor is closed: the list is made anew.
            QTimer.singleShot(0, lambda: self._change(lambda: session.rename_model(record.id, name)))

    def _restore_names(self) -> None:
        """Put the mark of the active model back, which is not part of the name that was edited."""
        self._is_filling = True
        for item in self.tree.selectedItems():
            item.setText(_NAME, _shown_name(item.data(_NAME, _RECORD)))
        self._is_filling = False


def short_date(created: str, has_room: bool = True) -> str:
    """A date and time of the models' folders in local time; empty if it is none.

    Today "08:31"; else "21 Nov 08:31", or "21 Nov" where there is no room.
    """
    try:
        when = datetime.fromisoformat(created).astimezone()
    except ValueError:
        return ""
    if when.date() == datetime.now(when.tzinfo).date():
        return when.strftime("%H:%M")
    return when.strftime("%d %b %H:%M" if has_room else "%d %b")


def short_name(record: ModelRecord) -> str:
    """The name; one that nobody chose without its date."""
    return record.name.split("-", 2)[-1] if record.name == record.id and record.created else record.name


def _shown_name(record: ModelRecord) -> str:
    return f"{_ACTIVE if record.active else ''}{short_name(record)}"


def _about(record: ModelRecord) -> str:
    if record.problem:
        return f"{record.name} is damaged: {record.problem}"
    lines = [record.name, f"Folder: {record.id}", f"Recipe {record.recipe}, trained {short_date(record.created)}"]
    if record.active:
        lines.append("Active: predictions are made with it.")
    elif record.refusal is not None:
        lines.append("Not put to use when it was trained, as it is worse; Activate uses it all the same.")
    if record.parent:
        lines.append(f"Fine-tuned from {record.parent}.")
    mean = record.scores.get("mean")
    if mean is None:
        lines.append("No score: nothing annotated was held out.")
    else:
        low_high = "" if record.interval is None else " (95 % interval {:.3f} to {:.3f})".format(*record.interval)
        lines.append(f"Mean held-out Dice: {mean:.3f}{low_high}")
    lines += [comparison.sentence for comparison in record.comparisons]
    return "\n".join(lines)
