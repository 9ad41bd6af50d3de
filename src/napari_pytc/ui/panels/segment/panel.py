"""The Segment panel: make objects of a prediction, with a live preview of the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QEnterEvent, QHideEvent, QShowEvent
from qtpy.QtWidgets import QButtonGroup, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.session.records import PredictionRecord, SegmentationInfo
from napari_pytc.ui.panels.segment.choices import SegmentChoices
from napari_pytc.ui.panels.segment.controller import Scope, SegmentController
from napari_pytc.ui.panels.segment.fields import DecoderFields, MaskFields
from napari_pytc.ui.panels.segment.import_dialog import ImportChoices, ImportDialog, PathField
from napari_pytc.ui.panels.segment.segmentation_list import SegmentationList
from napari_pytc.ui.panels.segment.trial_rows import PreviewRow, RegroupRow
from napari_pytc.ui.panels.segment.tuning_box import TuningBox
from napari_pytc.ui.widgets.array_dialog import ask_for_arrays, choices_of
from napari_pytc.ui.widgets.buttons import allow, button_group, main_button
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.drawn_box import DrawnBoxField
from napari_pytc.ui.widgets.job_row import JobRows
from napari_pytc.ui.widgets.labels import voxels, wrapped
from napari_pytc.ui.widgets.layout import MARGIN, form, line_up, order_tabs, section
from napari_pytc.ui.widgets.notice import EmptyState, Notice
from napari_pytc.ui.widgets.record_text import prediction_text
from napari_pytc.volumes.inspection import VolumeInfo

_SCOPES: tuple[tuple[Scope, str, str, str], ...] = (
    ("all", "Everything", "The whole volume, as far as it was predicted.", "Segment everything"),
    ("box", "Drawn box", "The rectangle drawn last, in any shapes layer.", "Segment the box"),
)


class SegmentPanel(QWidget):
    """Chooses prediction and decoder, shows a live preview, segments everything, and lists the segmentations.

    Parameters
    ----------
    controller : SegmentController
        The controller of the panel.
    """

    def __init__(self, controller: SegmentController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segmentPanel")
        self.controller = controller
        self._build()
        self._connect()
        self._show_jobs()
        self._show_predictions()
        self._show_facts()

    @property
    def choices(self) -> SegmentChoices | None:
        """The settings as they are shown; None while something is missing or wrong."""
        prediction = self.controller.prediction
        if prediction is None or self.controller.chosen_facts is None or self.decoder.problem:
            return None
        return SegmentChoices(prediction.id, self.decoder.value(), self.decoder.boundary_class, self.restriction.value)

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Notice a box that was drawn meanwhile."""
        self._update_buttons()
        self.controller.tuning.look_for_truth()
        super().enterEvent(event)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Resume the preview."""
        super().showEvent(event)
        line_up(*self._fields)
        self._on_setting()
        self.controller.tuning.look_for_truth()
        self.controller.preview.add_watcher(self)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Remove trials from the canvas while another panel is in front."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous():
            self.controller.hide_trials(self)

    # ---- private

    def _build(self) -> None:
        controller = self.controller
        self.empty = EmptyState()
        self.prediction = Combo("segmentPrediction", "The prediction whose objects are told apart.")
        self.trouble = Notice()
        self.decoder = DecoderFields()
        self.restriction = MaskFields()
        self.live = PreviewRow(controller.preview)
        self.scopes = QButtonGroup(self)
        scopes = button_group([self._scope_button(number) for number in range(len(_SCOPES))])
        self.box = DrawnBoxField(controller.workspace.drawn_box, "segmentDepth")
        self.extent = wrapped(dim=True)
        self.extent.setObjectName("segmentExtent")
        self.segment_button = main_button(_SCOPES[0][3])
        self.segment_button.setObjectName("segmentButton")
        self.resume_button = QPushButton("Go on with the one that was stopped")
        self.resume_button.setObjectName("resumeSegmentButton")
        self.reason = wrapped()
        self.reason.setObjectName("segmentReason")
        self.rows = JobRows()
        self.tuning = TuningBox(controller.tuning, lambda: self.choices)
        self.form, inside = section("Segment")
        top, below = form(("Prediction", self.prediction)), form(("Where", scopes), ("Box", self.box))
        self._below = below
        self._fields = (top, *self.decoder.forms, self.restriction.fields, below)
        inside.addLayout(top)
        above: tuple[QWidget, ...] = (self.trouble, self.decoder, self.restriction, self.live)
        for widget in above:
            inside.addWidget(widget)
        inside.addLayout(below)
        for widget in (self.extent, self.segment_button, self.reason, self.rows, self.tuning):
            inside.addWidget(widget)
        self.list = SegmentationList(controller)
        self.regroup = RegroupRow(controller.regrouping)
        self.shown, shown = section("Segmentations")
        self.import_button = QPushButton("Import segmentation …")
        self.import_button.setObjectName("importSegmentationButton")
        self.import_rows = JobRows()
        for widget in (self.list, self.regroup, self.resume_button, self.import_button, self.import_rows):
            shown.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        for part in (self.empty, self.form, self.shown):
            layout.addWidget(part)
        layout.addStretch(1)

    def _scope_button(self, number: int) -> QPushButton:
        scope, title, tip, _ = _SCOPES[number]
        button = QPushButton(title)
        button.setObjectName(f"segment-{scope}")
        button.setCheckable(True)
        button.setSizePolicy(button.sizePolicy().Policy.Expanding, button.sizePolicy().verticalPolicy())
        button.setToolTip(tip)
        self.scopes.addButton(button, number)
        button.setChecked(number == 0)
        return button

    def _connect(self) -> None:
        controller, workspace = self.controller, self.controller.workspace
        self.prediction.currentIndexChanged.connect(lambda: controller.choose(self.prediction.currentData()))
        self.prediction.activated.connect(lambda: controller.pick(self.prediction.currentData()))
        self.decoder.changed.connect(self._on_setting)
        self.restriction.changed.connect(self._on_setting)
        self.decoder.slider.moved.connect(lambda value: self._show_choices(at_once=True))
        self.scopes.idToggled.connect(self._update_buttons)
        workspace.drawn_box.depth_changed.connect(self._update_buttons)
        self.segment_button.clicked.connect(self._segment)
        self.resume_button.clicked.connect(controller.resume)
        controller.tuning.chosen.connect(self.decoder.show_settings)
        self.list.delete_requested.connect(self._delete)
        self.import_button.clicked.connect(self._ask_for_import)
        controller.predictions_changed.connect(self._show_predictions)
        controller.facts_changed.connect(self._show_facts)
        controller.segmentations_changed.connect(self._update_buttons)
        controller.jobs_changed.connect(self._show_jobs)
        for rows in (self.rows, self.import_rows):
            workspace.project_changed.connect(lambda rows=rows: rows.keep([]))
            workspace.jobs.changed.connect(rows.refresh)

    @property
    def _scope(self) -> Scope:
        return _SCOPES[self.scopes.checkedId()][0]

    def _show_predictions(self) -> None:
        controller = self.controller
        has_project = controller.workspace.session is not None
        known = [self.prediction.itemData(number) for number in range(self.prediction.count())]
        with QSignalBlocker(self.prediction):
            if known != controller.predictions:
                self._fill(controller.predictions)
            self.prediction.setCurrentIndex(controller.chosen_index)
        self.form.setVisible(bool(controller.predictions))
        self.shown.setVisible(has_project)
        self.empty.setVisible(not controller.predictions)
        if not has_project:
            self.empty.show_no_project()
        else:
            self.empty.show_text(
                "There is no prediction yet. Make one in the Predict panel: its objects are told apart here. Or import "
                "a segmentation of another program below.",
                "Predict",
            )
        self._update_buttons()

    def _fill(self, predictions: list[PredictionRecord]) -> None:
        self.prediction.clear()
        for number, record in enumerate(predictions):
            self.prediction.addItem(prediction_text(record), record)
            self.prediction.setItemData(number, record.id, Qt.ItemDataRole.ToolTipRole)

    def _show_facts(self) -> None:
        """Show the chosen prediction and the choices that fit it."""
        controller = self.controller
        with QSignalBlocker(self.prediction):
            self.prediction.setCurrentIndex(controller.chosen_index)
        self.restriction.show_facts(list(controller.facts.values()))
        facts, problem = controller.chosen_facts, controller.chosen_problem
        if problem is not None:
            self.trouble.show_error(problem)
        elif self.trouble.isVisible():
            self.trouble.clear()
        parts: tuple[QWidget, ...] = (self.decoder, self.restriction, self.live)
        for part in parts:
            part.setVisible(facts is not None)
        if facts is not None:
            self.decoder.show_facts(facts, controller.decoders)
            self.restriction.setVisible(self.restriction.classes.count() > 0)
            self.live.setVisible(not controller.workspace.locked_reason)
            order_tabs(self)
        self._on_setting()

    def _on_setting(self) -> None:
        self._update_buttons()
        self._show_choices()

    def _show_choices(self, at_once: bool = False) -> None:
        if self.isVisible():  # there may be another panel, with other settings
            self.controller.preview.set_choices(self.choices, self.decoder.problem, at_once)

    def _update_buttons(self) -> None:
        """Enable the buttons that can be pressed, and show the size of the box to segment."""
        controller, scope = self.controller, self._scope
        self._below.setRowVisible(self.box, scope == "box")
        region = controller.region(scope)
        place = " in the volume" if scope == "all" else " in the drawn box"
        self.extent.setText("" if region is None else voxels(region.shape) + place)
        self.extent.setVisible(region is not None)
        self.segment_button.setText(_SCOPES[self.scopes.checkedId()][3])
        reason = controller.why_not(scope, self.decoder.problem)
        allow(
            self.segment_button,
            reason,
            "Tell the objects apart in the background, block by block. The result becomes the current segmentation.",
        )
        self.tuning.show_problem(self.decoder.problem)
        self.reason.setText(reason[:1].upper() + reason[1:])
        self.reason.setVisible(bool(reason) and controller.prediction is not None and not controller.is_segmenting)
        allow(
            self.import_button,
            controller.why_no_import,
            "Labels that ilastik, Cellpose, WEBKNOSSOS, an FFN or another program made, to proofread them.",
        )
        self.resume_button.setVisible(bool(controller.unfinished) and not controller.is_segmenting)
        self.resume_button.setToolTip(controller.unfinished_text)

    def _segment(self) -> None:
        choices = self.choices
        if choices is not None:
            self.controller.segment(choices, self._scope)

    def _ask_for_import(self) -> None:
        session = self.controller.workspace.session
        channels = {} if session is None else session.image.several_channels

        def check(choices: ImportChoices, then: Callable[[], object], on_error: Callable[[PytcError], object]) -> None:
            self.controller.check_import(choices, then, on_error, dialog)

        dialog = ImportDialog(self._pick_dataset, self, channels, check)
        try:
            if dialog.exec() and dialog.choices is not None:
                self.controller.import_segmentation(dialog.choices)
        finally:
            dialog.deleteLater()

    def _pick_dataset(self, field: PathField, path: str) -> None:
        """Put a path into a field; where it holds several datasets, the user picks one first."""

        def choose(info: VolumeInfo) -> None:
            arrays = choices_of(info) if info.kind == "hdf5" else []
            picked = ask_for_arrays(Path(path).name, arrays, field) if len(arrays) > 1 else []
            field.line.setText(f"{path}:{picked[0].name}" if picked else path)

        field.line.setText(path)
        self.controller.describe_file(path, choose, field)

    def _delete(self, info: SegmentationInfo) -> None:
        answer = QMessageBox.question(
            self,
            "Delete segmentation",
            f"Delete the segmentation {info.id} and all edits of it from the disk? This cannot be undone.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.controller.delete(info)

    def _show_jobs(self) -> None:
        controller = self.controller
        for rows, running in ((self.rows, controller.running), (self.import_rows, controller.importing)):
            if running:
                rows.keep(running)
                for job in running:
                    rows.add(job, controller.n_voxels)
                order_tabs(self)
        self._update_buttons()
