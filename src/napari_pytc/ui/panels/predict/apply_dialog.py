"""Dialog to apply a model to other files than the project's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.errors import PytcError
from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.panels.predict.copy_fields import CopyFields
from napari_pytc.ui.panels.predict.window_fields import WindowFields
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.flags import APPLY, READING, error_in_window
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import Scrolled, order_tabs, row
from napari_pytc.ui.widgets.model_scores import HeldOutScores, scores_tip, titled_score
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.reading_fields import ReadingFields
from napari_pytc.volumes.spec import ReadOptions, parse_channels

if TYPE_CHECKING:
    from napari_pytc.batch.jobs import ApplyJob
    from napari_pytc.plans.test_time import TtaSettings
    from napari_pytc.plans.windows import WindowSettings

_RESULTS = (
    ("Classes", "classes", "The most probable class of every voxel."),
    ("Probabilities", "probabilities", "A probability, 0 to 255, for every class."),
    ("Segments", "segments", "Single objects, told apart as the model's recipe says."),
)
_TILING, _BROUGHT = int(Qt.ItemDataRole.UserRole) + 1, int(Qt.ItemDataRole.UserRole) + 2
_FORMATS = (("TIFF", "tif"), ("HDF5", "h5"), ("OME-Zarr", "zarr"))


@dataclass(frozen=True)
class ApplyChoices:
    """What the user chose for a batch.

    Parameters
    ----------
    model : Path
        Folder of the model.
    inputs : tuple of str
        Files, folders and patterns.
    folder : str
        Folder of the outputs.
    channels : str
        Channels of the files, as they were typed; empty where each has one.
    reading : ReadOptions
        How else to read all of them.
    windows : WindowSettings, optional
        Of a model that predicts in windows.
    tta : TtaSettings, optional
        Test-time augmentation; by default what the model brings along.
    include_results : bool
        Whether files that a batch wrote are inputs too.
    """

    model: Path
    inputs: tuple[str, ...]
    folder: str
    what: str = "classes"
    format: str = "tif"
    sections: bool = False
    overwrite: bool = False
    channels: str = ""
    reading: ReadOptions = field(default_factory=ReadOptions)
    windows: WindowSettings | None = None
    tta: TtaSettings | None = None
    include_results: bool = False

    def describe(self) -> ApplyJob:
        """The job of these choices; reads folders, so not in the window's thread.

        Raises
        ------
        PytcError
            If an input names nothing, or the model does not suit what is wanted.
        """
        from napari_pytc.batch.describe import describe_apply

        settings: dict[str, Any] = {} if self.tta is None else {"flips": False, "tta": self.tta}
        if self.windows is not None:
            settings["windows"] = self.windows
        return describe_apply(
            self.model,
            self.inputs,
            self.folder,
            self.what,  # type: ignore[arg-type]
            self.format,  # type: ignore[arg-type]
            settings=settings,
            sections=self.sections,
            options=self.reading.model_copy(update={"channel": parse_channels(self.channels)}),
            overwrite=self.overwrite,
            include_results=self.include_results,
        )


Check = Callable[[ApplyChoices, Callable[[Any], object], Callable[[PytcError], object]], object]
"""Describes the job of some choices, then calls back with it or with an error."""


class _ScrolledFields(Scrolled):
    """Fields that are scrolled where a small screen has less height than all of them have once they are unfolded."""

    _MOST_HEIGHT = 560

    def __init__(self, fields: QFormLayout) -> None:
        inside = QWidget()
        fields.setContentsMargins(0, 0, 6, 0)
        inside.setLayout(fields)
        super().__init__(inside)

    def sizeHint(self) -> QSize:
        """As large as the fields, up to a height."""
        inside = self.widget()
        assert inside is not None
        wanted = inside.sizeHint()
        return QSize(max(wanted.width(), self.minimumSizeHint().width()), min(wanted.height(), self._MOST_HEIGHT))

    def minimumSizeHint(self) -> QSize:
        """As wide as the fields, and as high up to a height."""
        inside = self.widget()
        assert inside is not None
        return QSize(super().minimumSizeHint().width(), min(inside.minimumSizeHint().height(), self._MOST_HEIGHT))


class ApplyDialog(QDialog):
    """Asks for model, files, kind of result, format and folder.

    Parameters
    ----------
    models : sequence of ModelRecord
        The models to choose from; the first is chosen.
    check : callable
        Called with the choices, and with what to call with the described job or with an error.
    channels : str
        The channels to begin with: those of the project's image.
    """

    def __init__(
        self, models: Sequence[ModelRecord], check: Check, parent: QWidget | None = None, channels: str = ""
    ) -> None:
        super().__init__(parent)
        self.setObjectName("applyDialog")
        self.setWindowTitle("Apply a model to other files")
        self._check = check
        self.job: ApplyJob | None = None
        self._build(models)
        self.channels.setText(channels)
        self._update()

    @property
    def choices(self) -> ApplyChoices:
        """The choices as they are shown."""
        items = [self.files.item(number) for number in range(self.files.count())]
        return ApplyChoices(
            model=self.model.currentData(),
            inputs=tuple(item.text() for item in items if item is not None),
            folder=str(self.folder.text()).strip(),
            what=self.what.currentData(),
            format=self.format.currentData(),
            sections=self.sections.isChecked(),
            overwrite=self.overwrite.isChecked(),
            channels=str(self.channels.text()).strip(),
            reading=self.reading.options,
            windows=self.windows.value,
            tta=self.copies.value,
            include_results=self.include_results.isChecked(),
        )

    def add_inputs(self, paths: Sequence[str]) -> None:
        """Add files or folders that are not in the list yet."""
        known = set(self.choices.inputs)
        self.files.addItems([path for path in dict.fromkeys(paths) if path not in known])
        if paths and not self.folder.text():
            self.folder.setText(str(Path(paths[0]).parent / "napari-pytc-results"))
        self._update()

    # ---- private

    def _build(self, models: Sequence[ModelRecord]) -> None:
        self.model = Combo("applyModel", "The model that predicts.")
        for number, model in enumerate(models):
            title = titled_score(model)
            self.model.addItem(f"Active: {title}" if model.active else title, model.folder)
            self.model.setItemData(number, model.tiling, _TILING)
            self.model.setItemData(number, json.dumps(model.prediction), _BROUGHT)
            self.model.setItemData(number, scores_tip(model), Qt.ItemDataRole.ToolTipRole)
        self._models = tuple(models)
        self.scores = HeldOutScores("applyScores")
        self.files = QListWidget()
        self.files.setObjectName("applyFiles")
        self.files.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.files.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.files.setFixedHeight(110)
        self.files.setToolTip("Files and containers (Zarr, N5, precomputed); of other folders every file in them.")
        files, folder = QPushButton("Files …"), QPushButton("Folder …")
        self.remove_button = QPushButton("Remove")
        self.sections = QCheckBox("A folder of images is one volume of sections")
        self.sections.setObjectName("applySections")
        self.channels = QLineEdit()
        self.channels.setObjectName("applyChannels")
        self.channels.setPlaceholderText("Where files have several: 2, or 0,2, or all")
        self.channels.setToolTip("The channels of every file: as many as the images had that the model learned from.")
        self.reading = ReadingFields()
        self.what, self.format = Combo("applyWhat", "What to write."), Combo("applyFormat", "Kind of file to write.")
        for number, (title, value, tip) in enumerate(_RESULTS):
            self.what.addItem(title, value)
            self.what.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        for title, value in _FORMATS:
            self.format.addItem(title, value)
        self.folder = QLineEdit()
        self.folder.setObjectName("applyFolder")
        self.folder.setPlaceholderText("Folder for the results")
        browse = QPushButton("Choose …")
        self.overwrite = QCheckBox("Replace files of other work")
        self.overwrite.setToolTip("Else a file that has the name of a result already is left as it is, and told.")
        self.include_results = QCheckBox("Also results of earlier runs")
        self.include_results.setToolTip(
            "Else files that “Other files …” or the command apply wrote are left out, and told."
        )
        self.windows, self.copies = WindowFields(), CopyFields()
        self.notice = Notice()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.apply_button = QPushButton("Apply")
        self.apply_button.setObjectName("startApply")
        buttons.addButton(self.apply_button, QDialogButtonBox.ButtonRole.ActionRole)
        fields = QFormLayout()
        fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        fields.addRow("Model", self.model)
        fields.addRow("", self.scores)
        fields.addRow("", self.windows)
        fields.addRow("", self.copies)
        fields.addRow("Files", self.files)
        fields.addRow("", row(files, folder, self.remove_button))
        fields.addRow("", self.sections)
        fields.addRow(READING["--channel"], self.channels)
        fields.addRow("", self.reading)
        fields.addRow("Result", row(self.what, self.format))
        fields.addRow("Folder", row(self.folder, browse))
        fields.addRow("", row(self.overwrite, self.include_results))
        layout = QVBoxLayout(self)
        about = "The results go to a folder, not into the project. What a later run finds finished is left as it is."
        layout.addWidget(wrapped(about, dim=True))
        layout.addWidget(_ScrolledFields(fields), 1)
        layout.addWidget(self.notice)
        layout.addWidget(buttons)
        self.setMinimumWidth(480)
        files.clicked.connect(self._pick_files)
        folder.clicked.connect(self._pick_folder)
        self.remove_button.clicked.connect(self._remove)
        browse.clicked.connect(self._choose_folder)
        self.files.itemSelectionChanged.connect(self._update)
        self.folder.textChanged.connect(self._update)
        self.reading.form.changed.connect(self._update)
        self.model.currentIndexChanged.connect(self._update)
        for part in (self.windows, self.copies):
            part.changed.connect(self._update)
            part.built.connect(lambda: order_tabs(self))
        self.apply_button.clicked.connect(self._apply)
        buttons.rejected.connect(self.reject)

    def _update(self) -> None:
        self.remove_button.setEnabled(bool(self.files.selectedItems()))
        is_whole = self.files.count() and self.folder.text().strip() and self.model.count()
        brought = json.loads(self.model.currentData(_BROUGHT) or "{}")
        self.windows.show_tiling(str(self.model.currentData(_TILING) or ""), brought)
        self.copies.show_defaults(brought)
        chosen = self._models[self.model.currentIndex()] if self._models else None
        self.scores.show_model(chosen, self._models[0] if self._models else None)
        problem = self.reading.form.problem or self.windows.problem or self.copies.problem
        self.apply_button.setEnabled(bool(is_whole) and not problem)

    def _pick_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Files to apply the model to")
        self.add_inputs(paths)

    def _pick_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "A folder of files, or a container")
        self.add_inputs([path] if path else [])

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder for the results")
        if path:
            self.folder.setText(path)

    def _remove(self) -> None:
        for item in self.files.selectedItems():
            self.files.takeItem(self.files.row(item))
        self._update()

    def _apply(self) -> None:
        self.apply_button.setEnabled(False)
        self._check(self.choices, self._accept_job, self._show_error)

    def _accept_job(self, job: ApplyJob) -> None:
        self.job = job
        self.accept()

    def _show_error(self, error: PytcError) -> None:
        self.notice.show_error(error_in_window(error, APPLY))
        self.reading.show_where_needed([str(error)])
        self._update()
