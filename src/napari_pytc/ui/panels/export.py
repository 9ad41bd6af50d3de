"""The Export panel: write a prediction or segments to a file that other programs read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QEnterEvent, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.geometry import Box
from napari_pytc.jobs.job import JobState
from napari_pytc.session.records import PredictionRecord, SegmentationInfo
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.controls import Combo, elastic, main_button, order_tabs
from napari_pytc.ui.drawn_box import DrawnBoxField, box_depth, deepened
from napari_pytc.ui.export_outlook import (
    FORMATS,
    TABLE,
    ExportRequest,
    Format,
    Outlook,
    format_of,
    formats_for,
    look_ahead,
    with_suffix,
)
from napari_pytc.ui.export_source import ExportSource
from napari_pytc.ui.exported import Exported
from napari_pytc.ui.job_row import JobRows
from napari_pytc.ui.parts import MARGIN, EmptyState, allow, line_up, row, section, voxels, wrapped
from napari_pytc.ui.report import ReportSection

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace

_LOOKING = "looking at what is exported and the disk."
_WAIT_MS = 200
"""After the last key that was typed."""


class ExportPanel(QWidget):
    """Chooses what to write and where, says what that will be, and writes it.

    Parameters
    ----------
    workspace : Workspace
        What it shows and steers.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("exportPanel")
        self._workspace = workspace
        self._outlook: Outlook | None = None
        self._generation = 0
        self._named_by_user = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self._look_ahead)
        self.empty = EmptyState()
        self.form, form = section("Export")
        self._build_fields(form)
        self.outlook = wrapped()
        self.outlook.setObjectName("exportOutlook")
        self.unfinished = wrapped("⚠ This prediction is not complete: voxels that were not predicted are written as 0.")
        self.export_button = main_button("Export")
        self.export_button.setObjectName("exportButton")
        self.export_button.clicked.connect(self._export)
        self.rows = JobRows()
        self.exported = Exported(workspace)
        self.report = ReportSection(workspace)
        self.reason = wrapped()
        self.reason.setObjectName("exportReason")
        for widget in (self.unfinished, self.outlook, self.export_button, self.reason, self.rows, self.exported):
            form.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self.empty)
        layout.addWidget(self.form)
        layout.addWidget(self.report)
        layout.addStretch(1)
        order_tabs(self)
        workspace.session_changed.connect(self._on_session)
        workspace.predictions_changed.connect(self.refresh)
        workspace.segmentations_changed.connect(self._read_segmentations)
        workspace.segments.document_changed.connect(self._read_segmentations)
        jobs = workspace.jobs
        jobs.added.connect(self._on_added)
        jobs.changed.connect(self._on_changed)
        jobs.ended.connect(self._on_ended)
        for job in jobs.running:
            self._on_added(job)
        self._on_session()

    @property
    def request(self) -> ExportRequest | None:
        """What the fields say; None while something is missing."""
        record, path = self._record, self.path.text().strip()
        if record is None or not path or (self._region == "drawn" and self._box is None):
            return None
        options: dict[str, Any] = {
            "box": self._box,
            "compression": self.compression.currentData() or "auto",
            "overwrite": self.overwrite.isChecked(),
        }
        if self._format.name == "HDF5":
            options["dataset"] = self.dataset.text().strip()
        prediction = None if self.source.is_of_segments else record.id
        segmentation = record.id if self.source.is_of_segments else None
        return ExportRequest(self.source.kind, Path(path).expanduser().absolute(), prediction, segmentation, options)

    def refresh(self) -> None:
        """Show predictions, segmentations and sizes as they are now."""
        session = self._workspace.session
        self.source.put_predictions([] if session is None else session.predictions())
        self._show_emptiness()
        self._read_segmentations()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """A box may have been drawn meanwhile, or a file made or deleted."""
        self._ask_again()
        super().enterEvent(event)

    def showEvent(self, event: QShowEvent | None) -> None:
        """The theme is known now."""
        super().showEvent(event)
        line_up(self.source.fields, self._fields)

    # ---- what follows is ours

    def _build_fields(self, form: QVBoxLayout) -> None:
        self.source = ExportSource()
        self.what, self.prediction = self.source.what, self.source.prediction
        self.source.changed.connect(self._on_source)
        self.region = elastic(Combo())
        self.region.setObjectName("exportRegion")
        self.region.setToolTip("Which voxels to write.")
        self.box = DrawnBoxField(self._workspace)
        self.box.depth_box.setObjectName("exportDepth")
        box_depth(self._workspace).changed.connect(self._ask_again)
        self.format = elastic(Combo())
        self.format.setObjectName("exportFormat")
        self._offer_formats(FORMATS)
        self.dataset = QLineEdit("main")
        self.dataset.setToolTip("Name of the dataset in the HDF5 file, as main or volumes/labels.")
        self.compression = elastic(Combo())
        self.compression.setToolTip("How the file is made smaller; no voxel is changed by it.")
        self.path = QLineEdit()
        self.path.setObjectName("exportPath")
        browse = QPushButton("Browse …")
        browse.setToolTip("Choose the file to write.")
        browse.clicked.connect(self._browse)
        self.overwrite = QCheckBox("Replace what is there")
        self.overwrite.setObjectName("overwriteCheck")
        self.overwrite.setToolTip("Replace the file of this name once the new one is complete.")
        fields = QFormLayout()
        fields.setContentsMargins(0, 0, 0, 0)
        fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        fields.addRow("Region", self.region)
        fields.addRow("Box", self.box)
        fields.addRow("Format", self.format)
        fields.addRow("Dataset", self.dataset)
        fields.addRow("Compression", self.compression)
        fields.addRow("File", self.path)
        self._fields = fields
        form.addWidget(self.source)
        form.addLayout(fields)
        form.addLayout(row(self.overwrite, 1, browse))
        self.format.currentIndexChanged.connect(self._on_format)
        self.path.textEdited.connect(self._on_path)
        for combo in (self.region, self.compression):
            combo.currentIndexChanged.connect(self._ask_again)
        self.dataset.textChanged.connect(self._ask_again)
        self.overwrite.toggled.connect(self._ask_again)
        self._fill_format()

    @property
    def _record(self) -> PredictionRecord | SegmentationInfo | None:
        return self.source.record

    @property
    def _format(self) -> Format:
        return self.format.currentData()

    @property
    def _region(self) -> str:
        return self.region.currentData() or "all"

    @property
    def _box(self) -> Box | None:
        layers = self._workspace.layers
        if self._region == "predicted":
            return self.source.box
        drawn = layers.drawn_box() if self._region == "drawn" and layers is not None else None
        session = self._workspace.session
        if drawn is None or session is None:
            return None
        return deepened(drawn, self.box.sections, session.annotations.shape)

    def _on_session(self) -> None:
        self._named_by_user = False
        self.exported.forget()
        self.rows.keep([])
        self.source.forget()
        self.refresh()

    def _show_emptiness(self) -> None:
        session = self._workspace.session
        is_empty = not self.prediction.count() and not self.source.segmentation.count()
        self.empty.setVisible(is_empty)
        self.form.setVisible(not is_empty)
        if session is None:
            self.empty.say("No project is open. Open one in the Data panel.", "Data")
        else:
            self.empty.say("There is no prediction to export yet. Make one in the Predict panel.", "Predict")

    def _read_segmentations(self) -> None:
        """Off the window's thread: their records are on the disk."""
        session = self._workspace.session

        def put(found: list[SegmentationInfo]) -> None:
            if session is self._workspace.session:
                self.source.put_segmentations(found)
                self._show_emptiness()

        if session is not None:
            self._workspace.background.run(session.segmentations, put, self._workspace.failed.emit, receiver=self)

    def _on_source(self) -> None:
        record, chosen = self._record, self._region
        formats = formats_for(self.source.kind)
        if self._format not in formats:
            self._offer_formats(formats)
            self._on_format()
        self.region.blockSignals(True)
        self.region.clear()
        if self.source.box is not None:
            self.region.addItem(
                "What was segmented" if self.source.is_of_segments else "What was predicted", "predicted"
            )
        self.region.addItem("Whole volume", "all")
        self.region.addItem("Drawn box", "drawn")
        self.region.setCurrentIndex(max(0, self.region.findData(chosen if chosen == "drawn" else None)))
        self.region.blockSignals(False)
        self.unfinished.setVisible(isinstance(record, PredictionRecord) and record.state != "finished")
        session = self._workspace.session
        if session is not None and record is not None and not self._named_by_user:
            self.path.setText(str(session.folder.parent / f"{record.id}{self._format.suffix}"))
        self._ask_again()

    def _on_format(self) -> None:
        self._fill_format()
        self.path.setText(with_suffix(self.path.text(), self._format))
        self._ask_again()

    def _offer_formats(self, formats: tuple[Format, ...]) -> None:
        with QSignalBlocker(self.format):
            self.format.clear()
            for number, found in enumerate(formats):
                self.format.addItem(found.name, found)
                self.format.setItemData(number, found.tip, Qt.ItemDataRole.ToolTipRole)

    def _fill_format(self) -> None:
        self._fields.setRowVisible(self.dataset, self._format.name == "HDF5")
        self._fields.setRowVisible(self.compression, self._format is not TABLE)
        self.format.setToolTip(self._format.tip)
        self.compression.blockSignals(True)
        self.compression.clear()
        for text, value in self._format.compressions:
            self.compression.addItem(text, value)
        self.compression.blockSignals(False)

    def _on_path(self, text: str) -> None:
        self._named_by_user = True
        found = format_of(text)
        if found is not None and found is not self._format and (at := self.format.findText(found.name)) >= 0:
            with QSignalBlocker(self.format):
                self.format.setCurrentIndex(at)
            self._fill_format()
        self.overwrite.setChecked(False)
        self._ask_again()

    def _browse(self) -> None:
        formats = formats_for(self.source.kind)
        kinds = ";;".join(f"{found.name} (*{found.suffix})" for found in formats)
        chosen = f"{self._format.name} (*{self._format.suffix})"
        path, kind = QFileDialog.getSaveFileName(self, "Export to", self.path.text(), kinds, chosen)
        if not path:
            return
        if format_of(path) is None:
            path += next(found.suffix for found in formats if kind.startswith(f"{found.name} ("))
            asked = False  # the dialog asked about another name
        else:
            asked = True
        self.path.setText(path)
        self._on_path(path)
        self.overwrite.setChecked(asked and Path(path).exists())

    def _ask_again(self) -> None:
        self._generation += 1
        self._outlook = None
        self._timer.start()
        self._tell()

    def _look_ahead(self) -> None:
        request, session, generation = self.request, self._workspace.session, self._generation
        if request is None or session is None:
            return

        def put(found: Outlook) -> None:
            if generation == self._generation:
                self._outlook = found
                self._tell()

        look = partial(look_ahead, session, request)
        self._workspace.background.run(look, put, self._workspace.failed.emit, receiver=self)

    def _tell(self) -> None:
        outlook = self._outlook
        self._fields.setRowVisible(self.box, self._region == "drawn")
        self.overwrite.setVisible(self.overwrite.isChecked() or (outlook is not None and outlook.exists))
        if outlook is not None:
            box = self._box
            self.outlook.setText(outlook.text + (f"\nfrom a box of {voxels(box.shape)}" if box is not None else ""))
        elif self.request is None:
            self.outlook.clear()  # of another choice; while the disk is asked the old one stays, or it would flicker
        self.outlook.setVisible(bool(self.outlook.text()))
        reason = self._reason()
        allow(self.export_button, reason, "Write the file in the background; an old one stays until then.")
        self.reason.setText(reason[:1].upper() + reason[1:])
        # Not while the disk is asked, which is over in a moment; nor that the file just written is there.
        is_done = self.exported.is_of(self.path.text()) and not (outlook is not None and outlook.reason)
        self.reason.setVisible(bool(reason) and reason != _LOOKING and not is_done)
        self.path.setToolTip(f"The file to write; its suffix says the format.\n{self.path.text()}")

    def _reason(self) -> str:
        if self._record is None:
            return "there is no segmentation yet." if self.source.is_of_segments else "there is no prediction."
        if not self.path.text().strip():
            return "no file is named."
        if self._region == "drawn" and self._box is None:
            return "no box is drawn: press Draw, then drag a rectangle on the canvas."
        if self._outlook is None:
            return _LOOKING
        if self._outlook.exists and not self.overwrite.isChecked():
            return "there is a file of this name: tick Replace, or choose another name."
        return self._outlook.reason

    def _export(self) -> None:
        request = self.request
        if request is not None:
            self.exported.forget()
            self._workspace.export(request.what, request.path, request.prediction, **request.arguments())

    def _on_added(self, job: JobView) -> None:
        if job.kind == "export":
            self.rows.keep([found for found in self._workspace.jobs.running if found.kind == "export"])
            self.rows.add(job)
            order_tabs(self)

    def _on_changed(self, job: JobView) -> None:
        self.rows.refresh(job)

    def _on_ended(self, job: JobView) -> None:
        if job.kind == "export":
            if job.state == JobState.FINISHED:
                self.rows.keep([found for found in self._workspace.jobs.running if found.kind == "export"])
                self.exported.show_result(job)
            self.overwrite.setChecked(False)
            self._ask_again()
