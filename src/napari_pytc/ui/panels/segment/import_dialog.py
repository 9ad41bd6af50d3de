"""Dialog for the import of a segmentation that another program made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.flags import SEGMENTATION, error_in_window
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.number_list import whole_numbers
from napari_pytc.ui.widgets.reading_fields import OF_LABELS, ReadingFields
from napari_pytc.volumes.spec import ReadOptions

if TYPE_CHECKING:
    from napari_pytc.annotations.label_transform import LabelTransform
    from napari_pytc.geometry import Voxel

_MOST_GAP_UM = 10.0


@dataclass(frozen=True)
class ImportChoices:
    """What the user chose for an import.

    Parameters
    ----------
    labels : str
        ``PATH[:DATASET]``.
    boundaries : str
        ``PATH[:DATASET]`` of a boundary map or a prediction; empty for the image's dark ridges.
    gap_um : float
        Segments that lie at most so far apart touch.
    offset : tuple of int, optional
        Voxel of the image at which the labels begin; by default as their file says.
    ignored : tuple of int
        Values that are no ids.
    resample : bool
        Whether labels with voxels of another size are resampled.
    mapped : str
        Values to take for other ids, as ``7=3,255=background``.
    image_channel : int, optional
        The channel of the image, by its number in the file, whose dark ridges count; by default the first.
    options : ReadOptions
        How to read the labels.
    """

    labels: str
    boundaries: str = ""
    gap_um: float = 0.0
    offset: Voxel | None = None
    ignored: tuple[int, ...] = ()
    resample: bool = False
    mapped: str = ""
    image_channel: int | None = None
    options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def name(self) -> str:
        """Name of the file."""
        from napari_pytc.volumes.opening import split_dataset

        return Path(split_dataset(self.labels)[0]).name

    def transform(self) -> LabelTransform:
        """Where the labels lie, and what their values mean.

        Raises
        ------
        InvalidInput
            If values are mapped to what is no id.
        """
        from napari_pytc.annotations.label_transform import LabelTransform

        transform = LabelTransform(
            offset=self.offset,
            resample=self.resample,
            ignored=self.ignored,
            values=LabelTransform.parse_values(self.mapped),
        )
        transform.mapped_ids()
        return transform

    def arguments(self) -> dict[str, Any]:
        """The choices as arguments of `Jobs.import_segmentation_job`."""
        return {
            "labels": self.labels,
            "options": self.options,
            "transform": self.transform(),
            "boundaries": self.boundaries or None,
            "gap_um": self.gap_um,
            "image_channel": None if self.boundaries else self.image_channel,
        }


class PathField(QWidget):
    """A path to type, or to pick as a file or a folder.

    Parameters
    ----------
    name : str
        Object name of the line.
    picked : callable
        Called with the field and a path that was picked in a dialog.
    """

    def __init__(self, name: str, tip: str, empty: str, picked: Callable[[PathField, str], object]) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setObjectName(name)
        self.line.setToolTip(tip)
        self.line.setPlaceholderText(empty)
        self._picked = picked
        button = QToolButton()
        button.setText("…")
        button.setStyleSheet("QToolButton::menu-indicator { image: none; }")  # it lies over the dots
        button.setToolTip("Pick a file, or a folder (Zarr, N5, numbered sections).")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.addAction("File …", self._pick_file)
        menu.addAction("Folder …", self._pick_folder)
        button.setMenu(menu)
        layout = row(self.line, button)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)

    @property
    def text(self) -> str:
        """The path."""
        return str(self.line.text()).strip()

    def _pick_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Pick a file")
        if path:
            self._picked(self, path)

    def _pick_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Pick a folder")
        if path:
            self._picked(self, path)


Check = Callable[[ImportChoices, Callable[[], object], Callable[[PytcError], object]], object]
"""Looks whether some choices can be imported, then calls one of the two back."""


class ImportDialog(QDialog):
    """Asks which labels to import, where they lie, and what scores their contacts.

    Parameters
    ----------
    picked : callable
        Called with a `PathField` and a path that was picked for it, so that a dataset can be chosen.
    channels : mapping
        What the channels of the image are called, by their numbers in the file; empty where it has one.
    check : callable, optional
        Called with the choices, and with what to call where they can be imported and where they cannot.
    """

    def __init__(
        self,
        picked: Callable[[PathField, str], object],
        parent: QWidget | None = None,
        channels: Mapping[int, str] | None = None,
        check: Check | None = None,
    ) -> None:
        super().__init__(parent)
        self._check = check
        self.setObjectName("importSegmentationDialog")
        self.setWindowTitle("Import a segmentation")
        self.choices: ImportChoices | None = None
        self.labels = PathField(
            "importedLabels",
            "An id for each object, 0 for none: TIFF, HDF5 (FILE:DATASET), Zarr, N5, precomputed, .npy …",
            "File, or FILE:DATASET",
            picked,
        )
        self.boundaries = PathField(
            "importedBoundaries",
            "A boundary map (probabilities 0 to 1, or 0 to 255) or a prediction. It says how probably two segments "
            "that touch are one: for the review queue and for splits.",
            "Dark ridges in the image",
            picked,
        )
        self.channel = Combo("importedChannel", "The channel of the image whose dark ridges count.")
        for number, title in (channels or {}).items():
            self.channel.addItem(title, number)
        self.gap = QDoubleSpinBox()
        self.gap.setObjectName("importedGap")
        self.gap.setRange(0, _MOST_GAP_UM)
        self.gap.setDecimals(3)
        self.gap.setSingleStep(0.01)
        self.gap.setSuffix(" µm")
        self.gap.setSpecialValueText("None: only what touches")
        self.gap.setToolTip("Segments with at most so much background between them count as touching.")
        self.offset = _line(
            "importedOffset", "Voxel of the image at which the labels begin.", "As the file says: z, y, x"
        )
        self.ignored = _line("importedIgnored", "Values that are no ids, with commas between.", "None but 0")
        self.mapped = _line(
            "importedMap",
            "Ids to take for others, with commas between: another id, or background.",
            "None: for example 7=3, 255=background",
        )
        self.labels_channel = _line(
            "importedLabelsChannel", "Which channel of the file has the ids, from 0.", "The only one"
        )
        self.reading = ReadingFields(OF_LABELS)
        self.resample = QCheckBox(f"{SEGMENTATION['--resample']} labels whose voxels are of another size")
        self.resample.setObjectName("importedResample")
        self.resample.setToolTip("Each voxel of the image takes the nearest label; else such labels are refused.")
        self.notice = Notice()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.import_button = QPushButton("Import")
        self.import_button.setObjectName("startImport")
        buttons.addButton(self.import_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self._accept)
        buttons.rejected.connect(self.reject)
        fields = QFormLayout()
        fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        fields.addRow("Labels", self.labels)
        fields.addRow(SEGMENTATION["--channel"], self.labels_channel)
        fields.addRow(SEGMENTATION["--boundaries"], self.boundaries)
        fields.addRow(SEGMENTATION["--image-channel"], self.channel)
        fields.setRowVisible(self.channel, bool(channels))
        fields.addRow(SEGMENTATION["--gap"], self.gap)
        fields.addRow(SEGMENTATION["--offset"], self.offset)
        fields.addRow(SEGMENTATION["--ignore-value"], self.ignored)
        fields.addRow(SEGMENTATION["--map"], self.mapped)
        fields.addRow("", self.resample)
        layout = QVBoxLayout(self)
        layout.addWidget(
            wrapped(
                "Proofread what another program segmented. The file stays as it is; exports write its ids.", dim=True
            )
        )
        layout.addLayout(fields)
        layout.addWidget(self.reading)
        layout.addWidget(self.notice)
        layout.addWidget(buttons)
        for path in (self.labels, self.boundaries):
            path.line.textChanged.connect(self._update)
        self.setMinimumWidth(420)
        self._update()

    def show_error(self, error: PytcError) -> None:
        """Show an error beside the fields."""
        self.notice.show_error(error_in_window(error, SEGMENTATION))
        self.reading.show_where_needed([error.message, error.hint])
        self._update()

    def _update(self) -> None:
        self.import_button.setEnabled(bool(self.labels.text))
        self.channel.setEnabled(not self.boundaries.text)

    def _options(self) -> ReadOptions:
        if self.reading.form.problem:
            raise InvalidInput(f"The file cannot be read so: {self.reading.form.problem}")
        numbers = whole_numbers(self.labels_channel.text(), "Channels")
        if len(numbers) > 1 or any(number < 0 for number in numbers):
            raise InvalidInput(
                f"Ids are in one channel, counted from 0, got {self.labels_channel.text().strip()!r}.", "For example 1."
            )
        return self.reading.options.model_copy(update={"channel": numbers[0] if numbers else None})

    def _accept(self) -> None:
        try:
            choices = ImportChoices(
                self.labels.text,
                self.boundaries.text,
                self.gap.value(),
                _offset(self.offset.text()),
                whole_numbers(self.ignored.text(), "Values that are no ids"),
                self.resample.isChecked(),
                self.mapped.text().strip(),
                self.channel.currentData(),
                self._options(),
            )
            choices.arguments()  # what values are mapped to is read there
        except InvalidInput as error:
            self.show_error(error)
            return
        if self._check is None:
            self._accept_choices(choices)
            return
        self.import_button.setEnabled(False)
        self._check(choices, lambda: self._accept_choices(choices), self.show_error)

    def _accept_choices(self, choices: ImportChoices) -> None:
        self.choices = choices
        self.accept()


def _line(name: str, tip: str, empty: str) -> QLineEdit:
    line = QLineEdit()
    line.setObjectName(name)
    line.setToolTip(tip)
    line.setPlaceholderText(empty)
    return line


def _offset(text: str) -> Voxel | None:
    numbers = whole_numbers(text, "Offsets")
    if not numbers:
        return None
    if len(numbers) != 3:
        raise InvalidInput(f"An offset is three voxels along z, y, x, got {text!r}.", "For example 0, 128, 128.")
    z, y, x = numbers
    return z, y, x
