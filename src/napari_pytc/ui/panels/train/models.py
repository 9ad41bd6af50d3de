"""The list of a project's models."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAction,
    QFileDialog,
    QMessageBox,
    QTreeWidgetItem,
    QTreeWidgetItemIterator,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.plans.model_scores import values_of
from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.panels.train.comparison import ComparisonDialog
from napari_pytc.ui.panels.train.models_controller import ModelsController, short_name
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.model_scores import HeldOutScores, scores_tip
from napari_pytc.ui.widgets.record_list import Column, Line, RecordList
from napari_pytc.ui.widgets.record_text import short_date

_ACTIVE = "● "
_NAME, _PRECISION, _GAIN, _TRAINED, _RECORD = 0, 2, 3, 5, Qt.ItemDataRole.UserRole
_COLUMNS = (
    Column("Model", stretches=True),
    Column("Dice", "Mean Dice on the held-out boxes: 1 is perfect.", is_number=True),
    Column(
        "AP",
        "Average precision of single objects in the held-out boxes, at an overlap of 0.5: 1 is perfect.",
        is_number=True,
    ),
    Column(
        "Gain",
        "Change of the mean Dice against the model it began with, or else the one that was in use, on the same "
        "voxels: ▲ better, ▼ worse, ≈ no different, ? not known.",
        is_number=True,
    ),
    Column("Recipe"),
    Column("Trained"),
)
_TIPS = {
    "activate": "Predict with this model unless told otherwise. A double click does the same.",
    "rename": "Give the model another name (F2).",
    "compare": "What two models differ in: settings, scores, curves. Select two with Ctrl.",
    "export": "Copy the model's folder, to use it in another project or on another machine.",
    "delete": "Delete the model for good. Its predictions stay.",
}


class ModelList(QWidget):
    """Models as a tree, each below the one it was fine-tuned from, with the actions on them.

    Parameters
    ----------
    controller : ModelsController
        Controller of the models that are listed.
    """

    import_wanted = Signal()
    """The button that imports was pressed."""

    def __init__(self, controller: ModelsController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.records = RecordList(
            "modelsTree",
            _COLUMNS,
            "The models of this project; what was fine-tuned stands below what it began with.",
            "No model yet. Paint a few strokes of two classes, then press Train.",
            most_lines=10,
            selects_several=True,
            wraps_buttons=True,
        )
        self.buttons = {
            name: self.records.add_button(text, f"{name}ModelButton", act)
            for name, text, act in (
                ("activate", "Activate", self.activate),
                ("rename", "Rename", self.rename),
                ("compare", "Compare", self.compare),
                ("export", "Export…", self.export),
                ("delete", "Delete…", self.delete),
            )
        }
        self.scores = HeldOutScores("modelScores")
        self.import_button = self.records.add_button("Import…", "importModelButton", self.import_wanted.emit)
        self.import_button.setToolTip("Import a model or a recipe of PyTorch Connectomics.")
        tree = self.tree = self.records.tree
        tree.setRootIsDecorated(True)
        tree.setIndentation(12)
        tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        tree.itemChanged.connect(self._on_renamed)
        rename = QAction("Rename", tree)
        rename.setShortcut("F2")
        rename.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        rename.triggered.connect(self.rename)
        tree.addAction(rename)
        delegate = tree.itemDelegate()
        assert delegate is not None
        delegate.closeEditor.connect(self._show_names)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.records)
        layout.addWidget(self.scores)
        self.records.selection_changed.connect(self._update_buttons)
        self.records.double_clicked.connect(self.activate)
        controller.changed.connect(self.refresh)
        self.refresh()

    @property
    def selected(self) -> list[ModelRecord]:
        """The models that are selected."""
        return self.records.selected

    def refresh(self) -> None:
        """Show the models as they are; the selection stays, at first it is the active model."""
        records = self._controller.records
        active = [record.id for record in records if record.active]
        self.records.show_lines([_line(record) for record in reversed(records)], () if self.selected else active)
        # Names need the room: most models learn classes, which have no average precision, and the first have no gain.
        has_precision = any(_precision(record) for record in records)
        self.tree.setColumnHidden(_PRECISION, not has_precision)
        self.tree.setColumnHidden(_GAIN, not any(record.comparisons for record in records))
        self.tree.setColumnHidden(_TRAINED, has_precision)
        with QSignalBlocker(self.tree):
            items = QTreeWidgetItemIterator(self.tree)
            while (item := items.value()) is not None:
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                items += 1

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme: the colour of damaged models is made of its colours."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self.refresh()

    def activate(self) -> None:
        """Make the selected model the one that predicts."""
        if not self._why_not("activate"):
            self._controller.activate(self.selected[0].id)

    def rename(self) -> None:
        """Let the name be edited in its place."""
        if not self._why_not("rename"):
            item = self.tree.selectedItems()[0]
            with QSignalBlocker(self.tree):
                item.setText(_NAME, self.selected[0].name)
            self.tree.editItem(item, _NAME)

    def compare(self) -> None:
        """Show the differences between two models."""
        if not self._why_not("compare"):
            first, second = sorted(self.selected, key=lambda record: record.created)
            dialog = ComparisonDialog(self._controller.workspace, first, second, self)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.show()

    def export(self) -> None:
        """Copy the selected model's folder to a folder that the user chooses."""
        if not self._why_not("export"):
            record = self.selected[0]
            where = QFileDialog.getExistingDirectory(self, f"Folder to copy {record.name} into")
            if where:
                self._controller.export(record.id, Path(where) / record.id)

    def delete(self) -> None:
        """Delete the selected models after confirmation."""
        if self._why_not("delete"):
            return
        records = self.selected
        what = f"“{records[0].name}”" if len(records) == 1 else f"{len(records)} models"
        answer = QMessageBox.question(self, "Delete", f"Delete {what} for good? Predictions made with it stay.")
        if answer == QMessageBox.StandardButton.Yes:
            self._controller.delete([record.id for record in records])

    # ---- private

    def _why_not(self, name: str) -> str:
        return self._controller.why_not(name, self.selected)

    def _update_buttons(self) -> None:
        chosen = sorted(self.selected, key=lambda record: record.created)
        beside = chosen[0] if len(chosen) == 2 else self._controller.active
        self.scores.show_model(chosen[-1] if len(chosen) in (1, 2) else None, beside)
        for name, button in self.buttons.items():
            allow(button, self._why_not(name), _TIPS[name])

    def _on_renamed(self, item: QTreeWidgetItem, column: int) -> None:
        if column != _NAME:
            return
        record, name = item.data(_NAME, _RECORD), item.text(_NAME).strip()
        if name and name != record.name:
            # Not before the editor is closed: the list is made anew.
            QTimer.singleShot(0, lambda: self._controller.rename(record.id, name))

    def _show_names(self) -> None:
        """Put the mark of the active model back, which is not part of the name that was edited."""
        with QSignalBlocker(self.tree):
            for item in self.tree.selectedItems():
                item.setText(_NAME, _marked_name(item.data(_NAME, _RECORD)))


def _line(record: ModelRecord) -> Line:
    mean = record.scores.get("mean")
    comparison = record.refusal or next(iter(record.comparisons), None)
    return Line(
        key=record.id,
        record=record,
        texts=(
            _marked_name(record),
            "—" if mean is None else f"{mean:.3f}",
            _precision(record),
            "" if comparison is None else comparison.short,
            "damaged" if record.problem else record.recipe,
            short_date(record.created, has_room=False),
        ),
        tip=_describe(record),
        bold=(_NAME,) if record.active else (),
        is_faint=bool(record.problem),
        parent=record.parent or "",
    )


def _precision(record: ModelRecord) -> str:
    """The average precision of single objects, as text; empty where it was not measured."""
    value = values_of(record.scores).get("average_precision_50")
    return "" if value is None else f"{value:.3f}"


def _marked_name(record: ModelRecord) -> str:
    return f"{_ACTIVE if record.active else ''}{short_name(record)}"


def _describe(record: ModelRecord) -> str:
    if record.problem:
        return f"{record.name} is damaged: {record.problem}"
    lines = [record.name, f"Folder: {record.id}", f"Recipe {record.recipe}, trained {short_date(record.created)}"]
    if record.tiling:
        lines.append(f"Predicts in {record.tiling}.")
    if record.active:
        lines.append("Active: predictions are made with it.")
    elif record.refusal is not None:
        lines.append("Not put to use when it was trained, as it is worse; Activate uses it all the same.")
    if record.parent:
        lines.append(f"Fine-tuned from {record.parent}.")
    lines.append(scores_tip(record))
    if record.interval is not None:
        lines.append("Dice: 95 % interval {:.3f} to {:.3f}".format(*record.interval))
    lines += [comparison.sentence for comparison in record.comparisons]
    return "\n".join(lines)
