"""Fields for the options of a format: type of the voxels, dataset, version, pyramid, compression."""

from __future__ import annotations

from typing import Any, get_args

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLineEdit, QWidget

from napari_pytc.exporting.formats import ExportFormat
from napari_pytc.exporting.options import VoxelType
from napari_pytc.ui.panels.export.export_preview import SWC, SWC_SERIES, TABLE
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.layout import form


class FormatOptions(QWidget):
    """The options that a format uses; those of other formats are hidden, and keep their values."""

    changed = Signal()
    """An option has another value."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.dtype = Combo("exportType", "Type of a voxel in the file; values that do not fit are an error.")
        self.dtype.addItem("as the data", None)
        for name in get_args(VoxelType):
            self.dtype.addItem(name, name)
        self.layout_of = Combo("exportLayout", "CREMI: its dataset names, uint64 ids and attributes.")
        self.layout_of.addItem("one dataset", None)
        self.layout_of.addItem("CREMI challenge", "cremi")
        self.dataset = QLineEdit("main")
        self.dataset.setToolTip("Name of the dataset in the HDF5 file, as main or volumes/labels.")
        self.version = Combo("exportVersion", "Older programs read 0.4 only.")
        self.version.addItem("0.5 (Zarr 3)", "0.5")
        self.version.addItem("0.4 (Zarr 2)", "0.4")
        self.pyramid = QCheckBox("smaller copies to zoom out")
        self.pyramid.setObjectName("exportPyramid")
        self.pyramid.setChecked(True)
        self.pyramid.setToolTip("Means of images, the most frequent label of labels; a third more on the disk at most.")
        self.skeletons = QCheckBox("path length, branch and end points")
        self.skeletons.setObjectName("exportSkeletons")
        self.skeletons.setToolTip("Of the segments' skeletons, which takes longer than the rest of the table.")
        self.unit = Combo("exportUnit", "Unit of the coordinates and radii; the head of the file says it.")
        for text, value in (("automatic (nm)", None), ("nm", "nm"), ("µm", "um"), ("voxels", "voxels")):
            self.unit.addItem(text, value)
        self.compression = Combo(tooltip="How the file is made smaller; no voxel is changed by it.")
        self.fields = form(
            ("Type", self.dtype),
            ("Layout", self.layout_of),
            ("Dataset", self.dataset),
            ("Version", self.version),
            ("Pyramid", self.pyramid),
            ("Compression", self.compression),
            ("Skeletons", self.skeletons),
            ("Unit", self.unit),
        )
        self.fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        self.setLayout(self.fields)
        self._format: ExportFormat = TABLE
        for combo in (self.dtype, self.layout_of, self.version, self.compression, self.unit):
            combo.currentIndexChanged.connect(self._on_change)
        for signal in (self.dataset.textChanged, self.pyramid.toggled, self.skeletons.toggled):
            signal.connect(self._on_change)

    @property
    def values(self) -> dict[str, Any]:
        """Fields of `ExportJob`: those that the format uses, and the type where it is chosen."""
        options = self._format.options
        values: dict[str, Any] = {}
        if self._is_array:
            values["compression"] = self.compression.currentData() or "auto"
        if not self._format.suffixes:
            values["format"] = self._format.key
        if self.dtype.currentData() is not None and self._is_array:
            values["dtype"] = self.dtype.currentData()
        if "layout" in options and self.layout_of.currentData() is not None:
            values["layout"] = self.layout_of.currentData()
        elif "dataset" in options:
            values["dataset"] = self.dataset.text().strip()
        if "ome" in options and self.version.currentData() != "0.5":
            values["ome"] = self.version.currentData()
        if "pyramid" in options and not self.pyramid.isChecked():
            values["pyramid"] = False
        if "unit" in options and self.unit.currentData() is not None:
            values["unit"] = self.unit.currentData()
        if self._format is TABLE and self.skeletons.isChecked():
            values["skeletons"] = True
        return values

    @property
    def _is_array(self) -> bool:
        return self._format not in (TABLE, SWC, SWC_SERIES)

    def show_format(self, wanted: ExportFormat) -> None:
        """Show the options of a format."""
        self._format = wanted
        with QSignalBlocker(self.compression):
            self.compression.clear()
            for text, value in wanted.compressions:
                self.compression.addItem(text, value)
        self._show_rows()

    def _on_change(self) -> None:
        self._show_rows()
        self.changed.emit()

    def _show_rows(self) -> None:
        options = self._format.options
        is_cremi = self.layout_of.currentData() is not None
        for widget, is_shown in (
            (self.dtype, self._is_array),
            (self.layout_of, "layout" in options),
            (self.dataset, "dataset" in options and not is_cremi),
            (self.version, "ome" in options),
            (self.pyramid, "pyramid" in options),
            (self.compression, len(self._format.compressions) > 1),
            (self.skeletons, self._format is TABLE),
            (self.unit, "unit" in options),
        ):
            self.fields.setRowVisible(widget, is_shown)
