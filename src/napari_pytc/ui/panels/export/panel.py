"""The Export panel: write a prediction or segments to a file that other programs read."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QEnterEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QLabel, QLineEdit, QPushButton, QWidget

from napari_pytc.exporting.formats import FORMATS, ExportFormat
from napari_pytc.session.records import PredictionRecord, SegmentationInfo
from napari_pytc.ui.panels.export.controller import FORECASTING, ExportChoices, ExportController
from napari_pytc.ui.panels.export.export_preview import format_of, formats_for, with_suffix
from napari_pytc.ui.panels.export.format_options import FormatOptions
from napari_pytc.ui.panels.export.last_export import LastExport
from napari_pytc.ui.panels.export.report import ReportSection
from napari_pytc.ui.panels.export.source import SourceChoice
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.buttons import allow, main_button
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.drawn_box import DrawnBoxField
from napari_pytc.ui.widgets.job_row import JobRows
from napari_pytc.ui.widgets.labels import voxels, wrapped
from napari_pytc.ui.widgets.layout import column, form, line_up, order_tabs, row, section
from napari_pytc.ui.widgets.notice import EmptyState


class ExportPanel(QWidget):
    """Chooses data and file of an export, shows a preview, and writes the file.

    Parameters
    ----------
    controller : ExportController
        The controller of the panel.
    """

    def __init__(self, controller: ExportController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("exportPanel")
        self._controller = controller
        self._named_by_user = False
        self.empty = EmptyState()
        self.forecast = wrapped()
        self.forecast.setObjectName("exportForecast")
        self.unfinished = wrapped("⚠ This prediction is not complete: voxels that were not predicted are written as 0.")
        self.export_button = main_button("Export")
        self.export_button.setObjectName("exportButton")
        self.export_button.clicked.connect(self._export)
        self.rows = JobRows()
        self.exported = LastExport(controller.show_file)
        self.report = ReportSection(controller)
        self.reason = wrapped()
        self.reason.setObjectName("exportReason")
        self.form, inside = section("Export")
        self._build_fields()
        inside.addWidget(self.source)
        inside.addLayout(self._fields)
        inside.addWidget(self.options)
        inside.addLayout(row(self._file_label, 1, self.overwrite, self.browse))
        inside.addWidget(self.path)  # a line of its own: the names of files are long
        for widget in (self.unfinished, self.forecast, self.export_button, self.reason, self.rows, self.exported):
            inside.addWidget(widget)
        column(self, self.empty, self.form, self.report)
        order_tabs(self)
        controller.session_changed.connect(self._on_session)
        controller.predictions_changed.connect(self.refresh)
        controller.segmentations_found.connect(self._show_segmentations)
        controller.forecast_changed.connect(self._update)
        controller.written.connect(self._on_written)
        controller.ended.connect(self._on_ended)
        controller.jobs.added.connect(self._on_job)
        controller.jobs.changed.connect(self.rows.refresh)
        for job in controller.running:
            self._on_job(job)
        self._on_session()

    def refresh(self) -> None:
        """Show predictions, segmentations and sizes as they are now."""
        self.source.show_channels(self._controller.channels())
        self.source.show_predictions(self._controller.predictions())
        self._show_emptiness()
        self._controller.find_segmentations()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """A box may have been drawn meanwhile, or a file made or deleted."""
        self._choose()
        super().enterEvent(event)

    def showEvent(self, event: QShowEvent | None) -> None:
        """The theme is known now."""
        super().showEvent(event)
        line_up(self.source.fields, self._fields, self.options.fields)

    # ---- private

    def _build_fields(self) -> None:
        drawn = self._controller.workspace.drawn_box
        self.source = SourceChoice()
        self.what, self.prediction = self.source.what, self.source.prediction
        self.region = Combo("exportRegion", "Which voxels to write.")
        self.box = DrawnBoxField(drawn, "exportDepth")
        self.format = Combo("exportFormat")
        self.options = FormatOptions()
        self.dataset, self.compression = self.options.dataset, self.options.compression
        self.path = QLineEdit()
        self.path.setObjectName("exportPath")
        self.browse = QPushButton("Browse …")
        self.browse.setToolTip("Choose the file to write.")
        self.overwrite = QCheckBox("Replace what is there")
        self.overwrite.setObjectName("overwriteCheck")
        self.overwrite.setToolTip("Replace the file of this name once the new one is complete.")
        self._fields = form(
            ("Region", self.region),
            ("Box", self.box),
            ("Format", self.format),
        )
        self._fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        self._file_label = QLabel("File")
        self._file_label.setBuddy(self.path)
        self._offer_formats(FORMATS)
        self._show_format()
        self.source.changed.connect(self._on_source)
        self.format.currentIndexChanged.connect(self._on_format)
        self.path.textEdited.connect(self._on_path)
        self.browse.clicked.connect(self._browse)
        for signal in (
            self.region.currentIndexChanged,
            self.options.changed,
            self.overwrite.toggled,
            drawn.depth_changed,
        ):
            signal.connect(self._choose)

    @property
    def _format(self) -> ExportFormat:
        return self.format.currentData()

    def _on_session(self) -> None:
        self._named_by_user = False
        self.exported.forget()
        self.rows.keep([])
        self.source.forget()
        self.refresh()

    def _show_emptiness(self) -> None:
        self.empty.setVisible(not self._controller.has_project)
        self.form.setVisible(self._controller.has_project)
        self.empty.show_no_project()

    def _show_segmentations(self, found: list[SegmentationInfo]) -> None:
        self.source.show_segmentations(found)
        self._show_emptiness()

    def _on_source(self) -> None:
        record, chosen = self.source.record, self.region.currentData()
        formats = formats_for(self.source.kind)
        if self._format not in formats:
            self._offer_formats(formats)
            self._on_format()
        with QSignalBlocker(self.region):
            self.region.clear()
            if self.source.box is not None:
                title = "What was segmented" if self.source.is_of_segments else "What was predicted"
                self.region.addItem(title, "predicted")
            self.region.addItem("Whole volume", "all")
            self.region.addItem("Drawn box", "drawn")
            self.region.setCurrentIndex(max(0, self.region.findData(chosen if chosen == "drawn" else None)))
        self.unfinished.setVisible(isinstance(record, PredictionRecord) and record.state != "finished")
        suggested = self._controller.suggested_path(self.source.kind, record, self._format.suffix)
        if suggested and not self._named_by_user:
            self.path.setText(suggested)
        self._choose()

    def _on_format(self) -> None:
        self._show_format()
        self.path.setText(with_suffix(self.path.text(), self._format))
        self._choose()

    def _offer_formats(self, formats: tuple[ExportFormat, ...]) -> None:
        with QSignalBlocker(self.format):
            self.format.clear()
            for number, found in enumerate(formats):
                self.format.addItem(found.title, found)
                self.format.setItemData(number, found.tip, Qt.ItemDataRole.ToolTipRole)

    def _show_format(self) -> None:
        self.options.show_format(self._format)
        self.format.setToolTip(self._format.tip)

    def _on_path(self, text: str) -> None:
        self._named_by_user = True
        found = format_of(text)
        if found is not None and found is not self._format and (at := self.format.findText(found.title)) >= 0:
            with QSignalBlocker(self.format):
                self.format.setCurrentIndex(at)
            self._show_format()
        self.overwrite.setChecked(False)
        self._choose()

    def _browse(self) -> None:
        formats = formats_for(self.source.kind)
        kinds = ";;".join(f"{found.title} (*{found.suffix})" for found in formats)
        chosen = f"{self._format.title} (*{self._format.suffix})"
        path, kind = QFileDialog.getSaveFileName(self, "Export to", self.path.text(), kinds, chosen)
        if not path:
            return
        # The dialog has confirmed replacing a file, but not one of the name with its suffix.
        is_confirmed = format_of(path) is not None
        if not is_confirmed:
            path += next(found.suffix for found in formats if kind.startswith(f"{found.title} ("))
        self.path.setText(path)
        self._on_path(path)
        self.overwrite.setChecked(is_confirmed and Path(path).exists())

    def _choose(self) -> None:
        """Pass the settings in the fields to the controller."""
        self._controller.choose(
            ExportChoices(
                self.source.kind,
                self.source.record,
                self.path.text(),
                self.region.currentData() or "all",
                self.overwrite.isChecked(),
                self.options.values | self.source.options,
            )
        )

    def _update(self) -> None:
        """Show the preview, and enable the buttons that can be pressed."""
        controller, found = self._controller, self._controller.forecast
        self._fields.setRowVisible(self.box, self.region.currentData() == "drawn")
        self.overwrite.setVisible(self.overwrite.isChecked() or (found is not None and found.exists))
        if found is not None:
            box = controller.box
            self.forecast.setText(found.text + (f"\nfrom a box of {voxels(box.shape)}" if box is not None else ""))
        elif controller.request is None:
            self.forecast.clear()  # of another choice; while the disk is read the old one stays, or it would flicker
        self.forecast.setVisible(bool(self.forecast.text()))
        reason = controller.reason
        allow(self.export_button, reason, "Write the file in the background; an old one stays until then.")
        self.reason.setText(reason[:1].upper() + reason[1:])
        # Not while the disk is read, which is over in a moment; nor that the file just written is there.
        is_done = self.exported.is_of(self.path.text()) and not (found is not None and found.reason)
        self.reason.setVisible(bool(reason) and reason != FORECASTING and not is_done)
        self.path.setToolTip(f"The file to write; its suffix says the format.\n{self.path.text()}")

    def _export(self) -> None:
        self.exported.forget()
        self._controller.export()

    def _on_job(self, job: JobModel) -> None:
        if job.kind == "export":
            self.rows.keep(self._controller.running)
            self.rows.add(job)
            order_tabs(self)

    def _on_written(self, job: JobModel) -> None:
        self.rows.keep(self._controller.running)
        self.exported.show_result(job)

    def _on_ended(self) -> None:
        self.overwrite.setChecked(False)
        self._choose()
