"""The Segment panel: make objects of a prediction, and see at once what a setting does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QEnterEvent, QHideEvent, QShowEvent
from qtpy.QtWidgets import QButtonGroup, QFormLayout, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_pytc.geometry import Box
from napari_pytc.session.records import PredictionRecord, SegmentationInfo
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.controls import Combo, elastic, main_button, order_tabs, segments
from napari_pytc.ui.drawn_box import DrawnBoxField, deepened
from napari_pytc.ui.job_row import JobRows
from napari_pytc.ui.parts import MARGIN, EmptyState, Notice, allow, line_up, section, voxels, wrapped
from napari_pytc.ui.prediction_list import meant, short_text
from napari_pytc.ui.segmenting.choices import SegmentChoices
from napari_pytc.ui.segmenting.decoder_fields import DecoderFields
from napari_pytc.ui.segmenting.known import KnownPredictions
from napari_pytc.ui.segmenting.mask_fields import MaskFields
from napari_pytc.ui.segmenting.preview import SegmentPreview
from napari_pytc.ui.segmenting.preview_row import PreviewRow
from napari_pytc.ui.segmenting.regroup_row import RegroupRow
from napari_pytc.ui.segmenting.segmentation_list import SegmentationList
from napari_pytc.ui.segmenting.work import activate, delete, go_on, keep_regrouped, look_up, segment

if TYPE_CHECKING:
    from napari_pytc.decoding.jobs import SegmentJob
    from napari_pytc.ui.workspace import Workspace

_SCOPES = (
    ("all", "Everything", "The whole volume, as far as it was predicted."),
    ("box", "Drawn box", "The rectangle drawn last, in any shapes layer."),
)
_BUTTON = {"all": "Segment everything", "box": "Segment the box"}
_TRY_MS = 350
"""After the last change of a setting a preview is made; the slider does not wait."""


class SegmentPanel(QWidget):
    """Chooses prediction and decoder, shows a live preview, segments everything, and lists what was segmented.

    Parameters
    ----------
    workspace : Workspace
        What it shows and steers.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segmentPanel")
        self._workspace = workspace
        self._known = KnownPredictions(workspace, self)
        self._unfinished: list[SegmentJob] = []
        self._picked = ""
        self._build()
        self._try_timer = QTimer(self)
        self._try_timer.setSingleShot(True)
        self._try_timer.setInterval(_TRY_MS)
        self._try_timer.timeout.connect(self._try)
        self._connect()
        for job in workspace.jobs.running:
            self._on_added(job)
        self.refresh()

    @property
    def choices(self) -> SegmentChoices | None:
        """What the fields say; None while something is missing or wrong."""
        record = self._record
        if record is None or record.id not in self._known.facts or self.decoder.problem:
            return None
        return SegmentChoices(record.id, self.decoder.value(), self.decoder.boundary_class, self.restriction.value)

    def refresh(self) -> None:
        """Show predictions and segmentations as they are now."""
        session = self._workspace.session
        predictions = [] if session is None else list(reversed(session.predictions()))
        with QSignalBlocker(self.prediction):
            self.prediction.clear()
            for number, record in enumerate(predictions):
                self.prediction.addItem(short_text(record), record)
                self.prediction.setItemData(number, record.id, Qt.ItemDataRole.ToolTipRole)
            self.prediction.setCurrentIndex(meant(predictions, self._picked))
        self.form.setVisible(bool(predictions))
        self.empty.setVisible(not predictions)
        if session is None:
            self.empty.say("No project is open. Open one in the Data panel.", "Data")
        else:
            self.empty.say(
                "There is no prediction yet. Make one in the Predict panel: its objects are told apart here.", "Predict"
            )
        self._list_segmentations()
        self._known.read(predictions)

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """A box may have been drawn meanwhile."""
        self._look()
        super().enterEvent(event)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Go on with the preview."""
        super().showEvent(event)
        line_up(*self._fields)
        self._look()
        self._try_soon()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Nobody looks at a preview while another panel is in front."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous():
            self.live.stop()
            self.regroup.drop()

    # ---- what follows is ours

    def _build(self) -> None:
        workspace = self._workspace
        self.empty = EmptyState()
        self.prediction = elastic(Combo())
        self.prediction.setObjectName("segmentPrediction")
        self.prediction.setToolTip("The prediction whose objects are told apart.")
        self.trouble = Notice()
        self.decoder = DecoderFields()
        self.restriction = MaskFields()
        self.preview = SegmentPreview(workspace, self)
        self.live = PreviewRow(workspace, self.preview)
        self.scopes = QButtonGroup(self)
        scopes = segments([self._scope_button(*scope) for scope in _SCOPES])
        self.box = DrawnBoxField(workspace)
        self.box.depth_box.setObjectName("segmentDepth")
        self.extent = wrapped(dim=True)
        self.extent.setObjectName("segmentExtent")
        self.segment_button = main_button(_BUTTON["all"])
        self.segment_button.setObjectName("segmentButton")
        self.resume_button = QPushButton("Go on with the one that was stopped")
        self.resume_button.setObjectName("resumeSegmentButton")
        self.reason = wrapped()
        self.reason.setObjectName("segmentReason")
        self.rows = JobRows()
        self.form, form = section("Segment")
        top, below = QFormLayout(), QFormLayout()
        for fields in (top, below):
            fields.setContentsMargins(0, 0, 0, 0)
            fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        top.addRow("Prediction", self.prediction)
        below.addRow("Where", scopes)
        below.addRow("Box", self.box)
        self._below = below
        self._fields = (top, *self.decoder.forms, self.restriction.fields, below)
        form.addLayout(top)
        above: tuple[QWidget, ...] = (self.trouble, self.decoder, self.restriction, self.live)
        for widget in above:
            form.addWidget(widget)
        form.addLayout(below)
        for widget in (self.extent, self.segment_button, self.resume_button, self.reason, self.rows):
            form.addWidget(widget)
        self.list = SegmentationList()
        self.regroup = RegroupRow(workspace)
        self.shown, shown = section("Segmentations")
        shown.addWidget(self.list)
        shown.addWidget(self.regroup)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        for part in (self.empty, self.form, self.shown):
            layout.addWidget(part)
        layout.addStretch(1)

    def _connect(self) -> None:
        workspace = self._workspace
        self.prediction.currentIndexChanged.connect(self._on_prediction)
        self.prediction.activated.connect(self._on_picked)
        workspace.session_changed.connect(self._on_session)
        self._known.changed.connect(self._on_known)
        self.decoder.changed.connect(self._on_setting)
        self.restriction.changed.connect(self._on_setting)
        self.decoder.slider.moved.connect(self._on_slider)
        self.live.wanted.connect(self._try_soon)
        self.live.check.toggled.connect(self._on_live)
        self.scopes.idToggled.connect(self._look)
        self.box.depth_box.valueChanged.connect(self._look)
        self.segment_button.clicked.connect(self._segment)
        self.resume_button.clicked.connect(self._resume)
        self.list.activate_asked.connect(lambda found: activate(workspace, found))
        self.list.delete_asked.connect(self._delete)
        self.regroup.began.connect(self.live.switch_off)
        self.regroup.keep_asked.connect(partial(keep_regrouped, workspace))
        for signal in (workspace.session_changed, workspace.predictions_changed, workspace.runner_changed):
            signal.connect(self.refresh)
        workspace.segmentations_changed.connect(self._list_segmentations)
        workspace.segments.document_changed.connect(self._list_segmentations)
        jobs = workspace.jobs
        jobs.added.connect(self._on_added)
        jobs.changed.connect(self.rows.refresh)
        jobs.ended.connect(self._on_ended)

    def _scope_button(self, scope: str, title: str, tip: str) -> QPushButton:
        button = QPushButton(title)
        button.setObjectName(f"segment-{scope}")
        button.setCheckable(True)
        button.setSizePolicy(button.sizePolicy().Policy.Expanding, button.sizePolicy().verticalPolicy())
        button.setToolTip(tip)
        self.scopes.addButton(button, [entry[0] for entry in _SCOPES].index(scope))
        button.setChecked(scope == "all")
        return button

    @property
    def _scope(self) -> str:
        return _SCOPES[self.scopes.checkedId()][0]

    @property
    def _record(self) -> PredictionRecord | None:
        return self.prediction.currentData()

    @property
    def _box(self) -> Box | None:
        """The drawn box, as deep as it is meant."""
        session, layers = self._workspace.session, self._workspace.layers
        drawn = None if layers is None else layers.drawn_box()
        if drawn is None or session is None:
            return None
        return deepened(drawn, self.box.sections, session.annotations.shape)

    def _on_session(self) -> None:
        """Nothing is left of the project before."""
        self._picked = ""
        self.rows.keep([])

    def _on_picked(self) -> None:
        record = self._record
        self._picked = "" if record is None else record.id

    def _on_known(self) -> None:
        self.restriction.put(list(self._known.facts.values()))
        self._on_prediction()

    def _on_prediction(self) -> None:
        record = self._record
        facts = None if record is None else self._known.facts.get(record.id)
        problem = None if record is None else self._known.problems.get(record.id)
        if problem is not None:
            self.trouble.show_error(problem)
        elif self.trouble.isVisible():
            self.trouble.clear()
        parts: tuple[QWidget, ...] = (self.decoder, self.restriction, self.live)
        for part in parts:
            part.setVisible(facts is not None)
        if facts is not None:
            self.decoder.show_facts(facts, self._known.models)
            self.restriction.setVisible(self.restriction.classes.count() > 0)
            self.live.setVisible(self._workspace.is_changeable)
            order_tabs(self)
        self._look()
        self._try_soon()

    def _on_setting(self) -> None:
        self._look()
        self._try_soon()

    def _on_slider(self) -> None:
        """Grouping anew follows the hand; whatever else changed meanwhile waits for its own time."""
        if self.preview.source is not None and not self._try_timer.isActive():
            self._try()
        elif self.preview.source is not None:
            self._try_timer.stop()
            self._try()

    def _on_live(self, is_on: bool) -> None:
        """The canvas shows one trial at a time."""
        if is_on:
            self.regroup.drop()

    def _try_soon(self) -> None:
        if self.live.is_on and self.isVisible():
            self._try_timer.start()
        else:
            self._try_timer.stop()

    def _try(self) -> None:
        choices = self.choices
        if self.isVisible():
            self.live.show_choices(choices, self.decoder.problem)

    def _look(self) -> None:
        """What can be pressed, and what it would take."""
        session, scope = self._workspace.session, self._scope
        self._below.setRowVisible(self.box, scope == "box")
        whole = None if session is None else Box.of_shape(session.annotations.shape)
        chosen = whole if scope == "all" else self._box
        words = " in the volume" if scope == "all" else " in the drawn box"
        self.extent.setText("" if chosen is None else voxels(chosen.shape) + words)
        self.extent.setVisible(chosen is not None)
        self.segment_button.setText(_BUTTON[scope])
        reason = self._missing(chosen)
        allow(
            self.segment_button,
            reason,
            "Tell the objects apart in the background, block by block. The result becomes the current segmentation.",
        )
        self.reason.setText(reason[:1].upper() + reason[1:])
        self.reason.setVisible(bool(reason) and self._record is not None and not self._is_segmenting)
        self.resume_button.setVisible(bool(self._unfinished) and not self._is_segmenting)

    def _missing(self, box: Box | None) -> str:
        workspace, record = self._workspace, self._record
        if workspace.session is None:
            return "no project is open."
        if workspace.session.read_only:
            return "this project is open for reading only."
        if workspace.layers is None:
            return "the project's image was not found."
        if record is None:
            return "there is no prediction yet; make one first."
        if record.id in self._known.problems:
            return "this prediction cannot be read."
        if self.decoder.problem:
            return self.decoder.problem
        if box is None:
            return "no box is drawn: press Draw, then drag a rectangle on the canvas."
        return "a segmentation runs already." if self._is_segmenting else ""

    @property
    def _is_segmenting(self) -> bool:
        return any(job.kind == "segment" for job in self._workspace.jobs.running)

    def _segment(self) -> None:
        choices = self.choices
        if choices is not None:
            self.live.switch_off()
            segment(self._workspace, choices, self._box if self._scope == "box" else None)

    def _resume(self) -> None:
        if self._unfinished:
            self.live.switch_off()
            go_on(self._workspace, self._unfinished[0])

    def _delete(self, info: SegmentationInfo) -> None:
        answer = QMessageBox.question(
            self,
            "Delete segmentation",
            f"Delete the segmentation {info.id} and all edits of it from the disk? This cannot be undone.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            delete(self._workspace, info)

    def _list_segmentations(self) -> None:
        session = self._workspace.session
        self.shown.setVisible(session is not None)
        if session is None:
            self._unfinished = []
            self.list.put([], {}, "")
            return

        def put(found: tuple[list[SegmentationInfo], list[SegmentJob]]) -> None:
            if session is not self._workspace.session:
                return
            segmentations, self._unfinished = found
            titles = {kind: model.title for kind, model in self._known.models.items()}
            locked = "" if self._workspace.is_changeable else "this project is open for reading only."
            busy = "a segmentation runs." if self._is_segmenting else ""
            self.list.put(segmentations, titles, locked or busy)
            if self._unfinished:
                kind = self._unfinished[0].decoder.kind
                self.resume_button.setToolTip(
                    f"{titles.get(kind, kind)} of {self._unfinished[0].prediction.stem} was cut short; its finished "
                    "blocks are kept."
                )
            self._look()

        self._workspace.background.run(partial(look_up, session), put, self._workspace.failed.emit, receiver=self)

    def _on_added(self, job: JobView) -> None:
        if job.kind == "segment":
            self.rows.keep([found for found in self._workspace.jobs.running if found.kind == "segment"])
            self.rows.add(job, self._n_voxels)
            order_tabs(self)
            self._look()

    def _n_voxels(self, job: JobView) -> int | None:
        session, box = self._workspace.session, getattr(job.spec, "box", None)
        if box is None and session is not None and job.spec is not None:
            return Box.of_shape(session.annotations.shape).size
        return None if box is None else box.size

    def _on_ended(self, job: JobView) -> None:
        if job.kind == "segment":
            self._list_segmentations()
            self._look()
