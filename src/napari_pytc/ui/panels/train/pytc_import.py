"""Dialog for the import of a recipe or a model of PyTorch Connectomics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.errors import PytcError
from napari_pytc.ui.panels.train.models_controller import ModelsController
from napari_pytc.ui.panels.train.recipe_controller import RecipeController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.ui.widgets.notice import Notice

if TYPE_CHECKING:
    from napari_pytc.pytc.translate import ImportedConfig

_CONFIGS = "Configurations (*.yaml *.yml)"
_CHECKPOINTS = "Checkpoints (*.ckpt *.tar *.pth *.pt)"
_COLUMNS = ("Key", "Value", "", "Here")
_WIDTHS = (310, 120, 75)
"""Of all columns but the last, which takes the rest; the whole text is a tip."""


class PytcImportDialog(QDialog):
    """Asks for a configuration and a checkpoint, and shows what becomes of every key.

    Parameters
    ----------
    recipe : RecipeController
        Takes the recipe.
    models : ModelsController
        Starts the import of the model.
    """

    def __init__(self, recipe: RecipeController, models: ModelsController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recipe, self._models = recipe, models
        self._found: ImportedConfig | None = None
        self._generation = 0
        self._last: tuple[str, str, str] | None = None
        """Configuration, checkpoint and voxel size that were read, or are being read; None after a failure."""
        self.setObjectName("pytcImportDialog")
        self.setWindowTitle("Import from PyTorch Connectomics")
        self.config = _line("pytcConfig", "The configuration of the training; name it within its clone of PyTC.")
        self.config.setPlaceholderText("A .yaml file; or empty for the one that the checkpoint holds")
        self.checkpoint = _line("pytcCheckpoint", "Read without running anything that is in it.")
        self.checkpoint.setPlaceholderText("For a model: a .ckpt or .pth.tar file")
        self.voxel_size = _line("pytcVoxelSize", "Voxel size z, y, x in nm that it learnt.")
        self.voxel_size.setPlaceholderText("As the configuration says: z, y, x in nm")
        self.notice = Notice()
        self.keys = QTreeWidget()
        self.keys.setObjectName("pytcKeys")
        self.keys.setHeaderLabels(_COLUMNS)
        self.keys.setRootIsDecorated(False)
        self.keys.setUniformRowHeights(True)
        self.keys.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for column, width in enumerate(_WIDTHS):
            self.keys.setColumnWidth(column, width)
        self.keys.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.summary = wrapped(dim=True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.recipe_button, self.model_button = QPushButton("Save as recipe…"), QPushButton("Import the model")
        self.recipe_button.setObjectName("pytcRecipeButton")
        self.model_button.setObjectName("pytcModelButton")
        for button in (self.recipe_button, self.model_button):
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
            button.setAutoDefault(False)
        fields = QFormLayout()
        fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        fields.addRow("Configuration", _with_button(self.config, lambda: self._pick(self.config, _CONFIGS)))
        fields.addRow("Checkpoint", _with_button(self.checkpoint, lambda: self._pick(self.checkpoint, _CHECKPOINTS)))
        fields.addRow("Voxel size", self.voxel_size)
        layout = QVBoxLayout(self)
        layout.addLayout(fields)
        layout.addWidget(self.notice)
        layout.addWidget(self.keys, 1)
        layout.addWidget(self.summary)
        layout.addWidget(buttons)
        buttons.rejected.connect(self.reject)
        self.config.editingFinished.connect(self._read_what_is_new)
        self.voxel_size.editingFinished.connect(self._read_what_is_new)
        self.checkpoint.editingFinished.connect(self._read_what_is_new)
        self.checkpoint.textChanged.connect(self._update)
        self.recipe_button.clicked.connect(self._save_recipe)
        self.model_button.clicked.connect(self._import_model)
        self.resize(920, 560)
        self._update()

    def read(self) -> None:
        """Read the configuration, or the one that the checkpoint holds, again, in the helper thread."""
        path, checkpoint, size = self._last = self._typed()
        self._generation += 1
        generation = self._generation
        self._found = None
        self.notice.clear()
        if path or checkpoint:

            def show(found: ImportedConfig) -> None:
                if generation == self._generation:
                    self._show(found)

            def fail(error: PytcError) -> None:
                if generation == self._generation:
                    self._last = None
                    self.notice.show_error(error)
                    self._fill(())

            self._models.workspace.background.run(lambda: _read(path, checkpoint, size), show, fail, receiver=self)
        self._update()

    # ---- private

    def _typed(self) -> tuple[str, str, str]:
        config, size = str(self.config.text()).strip(), str(self.voxel_size.text()).strip()
        return config, "" if config else str(self.checkpoint.text()).strip(), size

    def _read_what_is_new(self) -> None:
        """Read, unless it is read already: a click on a button leaves the line, and must find the button enabled."""
        if self._typed() != self._last:
            self.read()

    def _show(self, found: ImportedConfig) -> None:
        self._found = found
        rows = [
            (row.key, row.value, row.outcome, f"{row.became}{': ' if row.became and row.why else ''}{row.why}")
            for row in found.keys
        ]
        # What is not the same stands first.
        order = {"changed": 0, "left out": 1, "taken": 2}
        self._fill(tuple(sorted(rows, key=lambda one: order[one[2]])), found.notes)
        self._update()

    def _fill(self, rows: tuple[tuple[str, ...], ...], notes: tuple[str, ...] = ()) -> None:
        self.keys.clear()
        for texts in rows:
            item = QTreeWidgetItem(list(texts))
            for column, text in enumerate(texts):
                item.setToolTip(column, text)
            self.keys.addTopLevelItem(item)
        counts = {name: sum(one[2] == name for one in rows) for name in ("taken", "changed", "left out")}
        counted = ", ".join(f"{n} {name}" for name, n in counts.items()) + "." if rows else ""
        self.summary.setText(" ".join([counted, *notes]))

    def _update(self) -> None:
        is_read = self._found is not None
        missing = "" if is_read else "name a configuration that can be read, or a checkpoint that holds one."
        allow(self.recipe_button, missing, "Write a recipe file, which is chosen then.")
        checkpoint = "" if str(self.checkpoint.text()).strip() else "name a checkpoint."
        reason = missing or checkpoint or self._models.why_not_import()
        allow(self.model_button, reason, "Make a model of the checkpoint, in this project.")

    def _pick(self, line: QLineEdit, kinds: str) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Pick a file", str(line.text()), f"{kinds};;All files (*)")
        if path:
            line.setText(path)
            self._read_what_is_new()

    def _save_recipe(self) -> None:
        found = self._found
        if found is None:
            return
        chosen, _ = QFileDialog.getSaveFileName(self, "Save as recipe", f"{found.name}-recipe.yaml", _CONFIGS)
        if chosen:
            path = Path(chosen)
            path = path if path.suffix in (".yaml", ".yml") else path.with_name(f"{path.name}.yaml")
            self._recipe.save_plan(found.plan, path, found.about)
            self.accept()

    def _import_model(self) -> None:
        found, checkpoint = self._found, str(self.checkpoint.text()).strip()
        if found is not None and checkpoint:
            self._models.import_model(found, Path(checkpoint))
            self.accept()


def _read(path: str, checkpoint: str, size: str) -> ImportedConfig:
    from napari_pytc.geometry import VoxelSpace
    from napari_pytc.pytc.translate import import_config, import_embedded

    voxel_size = VoxelSpace.parse(size).voxel_size_nm if size else None
    return import_config([Path(path)], voxel_size) if path else import_embedded(Path(checkpoint), voxel_size)


def _line(name: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setObjectName(name)
    line.setToolTip(tip)
    return line


def _with_button(line: QLineEdit, pick: Callable[[], None]) -> QWidget:
    """A line with a button that picks a file for it."""
    button = QToolButton()
    button.setText("…")
    button.setToolTip("Pick a file.")
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.clicked.connect(pick)
    widget = QWidget()
    layout = row(line, button)
    layout.setContentsMargins(0, 0, 0, 0)
    widget.setLayout(layout)
    return widget
