"""Dialog that says how the labels of a file are taken over: where they lie, and what their values mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.placement import has_same_voxels, place_labels
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, Voxel, VoxelSpace
from napari_pytc.ui.panels.data.inspect_labels import LabelFile, LabelImport
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.flags import LABELS, in_window
from napari_pytc.ui.widgets.labels import shape_text, wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.ui.widgets.number_list import whole_numbers
from napari_pytc.ui.widgets.reading_fields import OF_LABELS, ReadingFields
from napari_pytc.volumes.spec import ReadOptions

_FARTHEST = 10_000_000

Inspect = Callable[[ReadOptions, Callable[[LabelFile], object]], object]
"""Looks at the file again with other options, then calls back with its facts."""


class LabelDialog(QDialog):
    """Place of the labels in the image, the meaning of their values, and for objects what is one.

    Parameters
    ----------
    file : LabelFile
        Facts of the file.
    inspect : callable, optional
        Called with other options to read it with, and with what to call with its facts then.
    image_shape, image_space : tuple of int, VoxelSpace
        Of the image.
    classes : sequence of str, optional
        Names of the classes; None where the labels are ids of objects.
    is_dense : bool
        Whether 0 means that no object is there.
    """

    def __init__(
        self,
        file: LabelFile,
        image_shape: Shape,
        image_space: VoxelSpace,
        classes: Sequence[str] | None,
        is_dense: bool = False,
        parent: QWidget | None = None,
        inspect: Inspect | None = None,
    ) -> None:
        super().__init__(parent)
        self._inspect = inspect
        self._n_inspections = 0
        self._file, self._image, self._classes, self._is_dense = file, (image_shape, image_space), classes, is_dense
        self.setWindowTitle(f"Import {Path(file.where).name}")
        self.facts, self.place, self.problem = wrapped(), wrapped(), wrapped()
        self.place.setObjectName("labelPlace")
        self.problem.setObjectName("labelProblem")
        self.resample = QCheckBox(f"{LABELS['--resample']} to the image's voxels: each takes the nearest label")
        self.resample.setObjectName("labelResample")
        self.offset = [_offset_box(axis) for axis in "zyx"]
        self.as_in_file = QPushButton("As the file says")
        self.as_in_file.setObjectName("labelAsInFile")
        self.as_in_file.setToolTip("Put the labels where the file's origin and voxel size say.")
        self.channel = Combo("labelChannel", "Which channel of the file holds the labels.")
        self.reading = ReadingFields(OF_LABELS)
        self.reading.setVisible(inspect is not None)
        self.values = _text_field("labelValues", "0=background,255=mito" if classes is not None else "255=background")
        self.ignored = _text_field("labelIgnored", "255")
        self.components = QCheckBox(f"{LABELS['--components']}, as in binary masks")
        self.components.setObjectName("labelComponents")
        self.keep_ids = QCheckBox(LABELS["--keep-ids"])
        self.keep_ids.setObjectName("labelKeepIds")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self._start: Voxel | None = None
        """Voxel of the image at which the labels begin by what the file says; None where they cannot lie there."""
        self._lay_out()
        self._connect()
        self.show_file(file)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow(f"{LABELS['--offset']} (z, y, x)", row(*self.offset, self.as_in_file))
        form.addRow(LABELS["--map"], self.values)
        form.addRow(LABELS["--ignore-value"], self.ignored)
        form.addRow(LABELS["--channel"], self.channel)
        self._form = form
        self.values.setToolTip(
            "What values mean, with commas between: the name or number of a class, or 0 for not annotated."
            if self._classes is not None
            else "What values mean, with commas between: another id, 0, or background."
        )
        self.ignored.setToolTip("Values that mean that nothing is known there, with commas between.")
        layout = QVBoxLayout(self)
        for widget in (self.facts, self.resample):
            layout.addWidget(widget)
        layout.addLayout(form)
        for box in (self.components, self.keep_ids):
            box.setVisible(self._classes is None)
            layout.addWidget(box)
        for part in (self.reading, self.place, self.problem):
            layout.addWidget(part)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert ok is not None
        self._ok = ok
        ok.setText("Import")
        self.setMinimumWidth(460)

    def _connect(self) -> None:
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.as_in_file.clicked.connect(self._put_as_in_file)
        self.resample.toggled.connect(self._put_as_in_file)
        self.reading.changed.connect(self._reread)
        self.reading.form.changed.connect(self._show)
        self.channel.activated.connect(self._reread)
        for box in self.offset:
            box.valueChanged.connect(self._show)
        for field in (self.values, self.ignored):
            field.textChanged.connect(self._show)
        for check in (self.components, self.keep_ids):
            check.toggled.connect(self._show)

    @property
    def answer(self) -> LabelImport:
        """How the labels are read and taken over.

        Raises
        ------
        InvalidInput
            If what was typed is no list of values.
        """
        offset: Voxel = (self.offset[0].value(), self.offset[1].value(), self.offset[2].value())
        transform = LabelTransform(
            offset=None if offset == self._start else offset,
            resample=self.resample.isChecked(),
            values=LabelTransform.parse_values(self.values.text().strip()),
            ignored=whole_numbers(self.ignored.text(), "Values to ignore"),
            dense=self._is_dense,
            components=self.components.isChecked(),
            keep_ids=self.keep_ids.isChecked(),
        )
        return LabelImport(transform, self._options)

    def show_file(self, file: LabelFile) -> None:
        """Show the facts of the file, read as it is now."""
        self._file = file
        self.facts.setText(_facts_text(file))
        self.resample.setVisible(not file.problem and not has_same_voxels(file.shape, file.space, self._image[1]))
        chosen = max(0, self.channel.currentIndex())
        self.channel.clear()
        self.channel.addItems([str(k) for k in range(file.n_channels)])
        self.channel.setCurrentIndex(min(chosen, file.n_channels - 1))
        self._form.setRowVisible(self.channel, file.n_channels > 1)
        self.reading.suggest_axes(file.axes)
        self.reading.show_where_needed([file.problem])
        self._put_as_in_file()

    def done(self, result: int) -> None:
        """Close the dialog; what is still looked at is shown no more."""
        self._n_inspections += 1
        super().done(result)

    @property
    def _options(self) -> ReadOptions:
        channel = self.channel.currentIndex() if self._file.n_channels > 1 else None
        return self.reading.options.model_copy(update={"channel": channel})

    def _reread(self) -> None:
        """Look at the file again, as the fields say."""
        if self._inspect is None:
            return
        self._n_inspections += 1
        number = self._n_inspections
        self._ok.setEnabled(False)

        def take(file: LabelFile) -> None:
            if number == self._n_inspections:
                self.show_file(file)

        self._inspect(self._options, take)

    def _put_as_in_file(self) -> None:
        """Show where the file says that its labels begin."""
        try:
            placed = place_labels(self._file.shape, self._file.space, *self._image, None, self.resample.isChecked())
            self._start = placed.start
        except InvalidInput:
            self._start = None
        for box, start in zip(self.offset, self._start or (0, 0, 0), strict=True):
            box.blockSignals(True)
            box.setValue(start)
            box.blockSignals(False)
        self._show()

    def _show(self) -> None:
        """Show where the labels will lie, or why they cannot be imported so."""
        self.as_in_file.setEnabled(self._start is not None)
        try:
            self._check_reading()
            transform = self.answer.transform
            if transform.components and transform.keep_ids:
                raise InvalidInput("Connected parts get ids of their own, so that no id of the file is kept.")
            offset, resample = transform.offset, transform.resample
            placed = place_labels(self._file.shape, self._file.space, *self._image, offset, resample)
        except InvalidInput as error:
            self.place.setText("")
            self.problem.setText(f"⚠ {in_window(' '.join([error.message, error.hint]).strip(), LABELS)}")
            self._ok.setEnabled(False)
            return
        self._ok.setEnabled(True)
        self.problem.setText("")
        lines = [f"They will fill the voxels {placed.box} of the image (z, y, x).", *placed.notes, *self._file.notes]
        if self._classes is not None and self._file.class_names:
            names = ", ".join(f"{value} {name}" for value, name in self._file.class_names.items())
            lines.append(f"The file names its classes ({names}): they go to the classes of these names.")
        self.place.setText(in_window(" ".join(lines), LABELS))

    def _check_reading(self) -> None:
        """Refuse what the file cannot be read with."""
        if self.reading.form.problem:
            raise InvalidInput(f"The file cannot be read so: {self.reading.form.problem}")
        if self._file.problem:
            raise InvalidInput(self._file.problem)


def ask_how_to_import(
    file: LabelFile,
    image_shape: Shape,
    image_space: VoxelSpace,
    classes: Sequence[str] | None,
    is_dense: bool = False,
    parent: QWidget | None = None,
    inspect: Inspect | None = None,
) -> LabelImport | None:
    """Let the user say how labels are taken over; None where the dialog is cancelled. Parameters as of the dialog."""
    dialog = LabelDialog(file, image_shape, image_space, classes, is_dense, parent, inspect)
    try:
        return dialog.answer if dialog.exec() else None
    finally:
        dialog.deleteLater()


def _facts_text(file: LabelFile) -> str:
    if file.problem:
        return f"{Path(file.where).name} cannot be read as it is."
    size = " × ".join(f"{v:g}" for v in file.space.voxel_size_nm)
    voxel = f"voxels of {size} nm" if file.space.known else "the file does not say how large its voxels are"
    return f"{shape_text(file.shape)} voxels (z, y, x), {file.dtype}; {voxel}."


def _offset_box(axis: str) -> QSpinBox:
    box = QSpinBox()
    box.setObjectName(f"labelOffset{axis.upper()}")
    box.setRange(-_FARTHEST, _FARTHEST)
    box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
    box.setToolTip(f"Voxel of the image along {axis} at which the labels begin.")
    return box


def _text_field(name: str, example: str) -> QLineEdit:
    field = QLineEdit()
    field.setObjectName(name)
    field.setPlaceholderText(f"for example {example}")
    return field
