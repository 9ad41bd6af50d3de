"""The Predict panel: let a model paint the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QEnterEvent, QShowEvent
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.geometry import Box
from napari_pytc.session.records import PredictionRecord
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.controls import Combo, elastic, main_button, order_tabs, segments
from napari_pytc.ui.doubt import DoubtCheck
from napari_pytc.ui.drawn_box import DrawnBoxField, deepened
from napari_pytc.ui.job_row import JobRows
from napari_pytc.ui.parts import MARGIN, EmptyState, allow, section, voxels, wrapped
from napari_pytc.ui.prediction_list import ClassButtons, PredictionList

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Scope, Workspace

_SCOPES: tuple[tuple[Scope, str, str], ...] = (
    ("view", "View", "What is on the canvas now."),
    ("box", "Drawn box", "The rectangle drawn last, in any shapes layer."),
    ("all", "Everything", "The whole volume, from the view outwards."),
)


class PredictPanel(QWidget):
    """Chooses a model and where to predict, shows how far it is, and what was predicted before.

    Parameters
    ----------
    workspace : Workspace
        What it shows and steers.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("predictPanel")
        self._workspace = workspace
        self.empty = EmptyState()
        self.model = elastic(Combo())
        self.model.setObjectName("modelCombo")
        self.model.setPlaceholderText("No model yet")
        self.model.setToolTip("The model that predicts. Models come from the Train panel.")
        self.flips = QCheckBox("Average over flips")
        self.flips.setObjectName("flipsCheck")
        self.flips.setToolTip("Predict mirrored copies too and average: several times slower, a little better.")
        self.scopes = QButtonGroup(self)
        scopes = segments([self._scope_button(*scope) for scope in _SCOPES])
        self.scopes.idToggled.connect(self._look)
        self.extent = wrapped(dim=True)
        self.extent.setObjectName("extentLabel")
        self.predict_button = main_button("Predict")
        self.predict_button.setObjectName("predictButton")
        self.predict_button.clicked.connect(self._predict)
        self.reason = wrapped()
        self.reason.setObjectName("predictReason")
        self.rows = JobRows()
        self.form, form = section("Predict")
        fields = QFormLayout()
        fields.setContentsMargins(0, 0, 0, 0)
        fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        fields.addRow("Model", self.model)
        fields.addRow("Where", scopes)
        self.box = DrawnBoxField(workspace)
        self.box.depth_box.setObjectName("predictDepth")
        self.box.depth_box.valueChanged.connect(self._look)
        fields.addRow("Box", self.box)
        self._fields = fields
        form.addLayout(fields)
        for widget in (self.extent, self.flips, self.predict_button, self.reason, self.rows):
            form.addWidget(widget)
        self.list = PredictionList()
        self.list.show_asked.connect(self._show)
        self.list.resume_asked.connect(workspace.go_on_predicting)
        self.list.delete_asked.connect(self._delete)
        self.classes = ClassButtons()
        self.classes.toggled.connect(self._show_probability)
        self.doubt = DoubtCheck(workspace)
        self.doubt.setObjectName("predictUncertainty")
        self.shown, shown = section("Predictions")
        shown.addWidget(self.list)
        shown.addWidget(self.classes)
        shown.addWidget(self.doubt)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        for part in (self.empty, self.form, self.shown):
            layout.addWidget(part)
        layout.addStretch(1)
        order_tabs(self)
        for signal in (workspace.session_changed, workspace.models_changed, workspace.runner_changed):
            signal.connect(self.refresh)
        for signal in (workspace.predictions_changed, workspace.classes_changed):
            signal.connect(self._list_predictions)
        workspace.session_changed.connect(lambda: self.rows.keep([]))  # those of the project before
        jobs = workspace.jobs
        jobs.added.connect(self._on_added)
        jobs.changed.connect(self._on_changed)
        jobs.produced.connect(self._on_produced)
        jobs.ended.connect(self._on_ended)
        self._began: set[JobView] = set()
        for job in jobs.running:
            self._on_added(job)
        self.refresh()

    @property
    def scope(self) -> Scope:
        """Where "Predict" predicts."""
        return _SCOPES[self.scopes.checkedId()][0]

    def choose_scope(self, scope: Scope) -> None:
        """Press one of the three buttons."""
        number = [entry[0] for entry in _SCOPES].index(scope)
        button = self.scopes.button(number)
        assert button is not None
        button.setChecked(True)

    def refresh(self) -> None:
        """Show models, predictions and sizes as they are now."""
        session = self._workspace.session
        self._list_models()
        n_models = self.model.count()
        self.form.setVisible(session is not None)
        self.shown.setVisible(session is not None)
        self.empty.setVisible(not n_models)
        if session is None:
            self.empty.say("No project is open. Open one in the Data panel.", "Data")
        else:
            self.empty.say("There is no model yet. Paint a few strokes, then train one in the Train panel.", "Train")
        self._list_predictions()
        self._look()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Look at what is in view: the canvas tells nobody when it is moved."""
        self._look()
        super().enterEvent(event)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look at what is in view."""
        self._look()
        super().showEvent(event)

    # ---- what follows is ours

    def _scope_button(self, scope: Scope, title: str, tip: str) -> QPushButton:
        button = QPushButton()
        button.setText(title)
        button.setObjectName(f"scope-{scope}")
        button.setCheckable(True)
        button.setSizePolicy(button.sizePolicy().Policy.Expanding, button.sizePolicy().verticalPolicy())
        button.setToolTip(tip)
        self.scopes.addButton(button, [entry[0] for entry in _SCOPES].index(scope))
        button.setChecked(scope == "view")
        return button

    def _list_models(self) -> None:
        session = self._workspace.session
        chosen = self.model.currentData()
        self.model.clear()
        if session is None:
            return
        models = [model for model in session.models() if not model.problem]
        for model in reversed(models):
            if model.active:
                self.model.insertItem(0, f"Active: {model.name}", None)
                at = 0
            else:
                self.model.addItem(model.name, model.id)
                at = self.model.count() - 1
            self.model.setItemData(at, _about(model.scores, model.recipe), Qt.ItemDataRole.ToolTipRole)
        self.model.setCurrentIndex(max(0, self.model.findData(chosen)))

    def _list_predictions(self) -> None:
        workspace = self._workspace
        session, layers = workspace.session, workspace.layers
        running = {job.output for job in workspace.jobs.running if job.kind == "predict"}
        self.list.put(
            [] if session is None else session.predictions(),
            None if layers is None else layers.predictions.folder,
            running,
            "" if workspace.is_changeable else "this project is open for reading only.",
        )
        # Layers are added once the helper thread has opened the prediction: this comes after.
        workspace.background.run(lambda: None, lambda nothing: self._look_at_layers(), receiver=self)

    def _look(self) -> None:
        """Sizes in tooltips, and what can be pressed."""
        workspace = self._workspace
        if workspace.session is None or workspace.layers is None:
            boxes: dict[str, Box | None] = {"view": None, "box": None, "all": None}
        else:
            layers = workspace.layers
            whole = Box.of_shape(workspace.session.annotations.shape)
            drawn = layers.drawn_box()
            deep = None if drawn is None else deepened(drawn, self.box.sections, whole.shape)
            boxes = {"view": layers.view_box(), "box": deep, "all": whole}
        for number, (scope, _, tip) in enumerate(_SCOPES):
            box, button = boxes[scope], self.scopes.button(number)
            assert button is not None
            button.setToolTip(tip if box is None else f"{tip}\n{voxels(box.shape)}")
        self._fields.setRowVisible(self.box, self.scope == "box")
        chosen = boxes[self.scope]
        self.extent.setText("" if chosen is None else voxels(chosen.shape) + _WHERE[self.scope])
        self.extent.setVisible(chosen is not None)
        missing = self._missing()
        no_box = self.scope == "box" and chosen is None and not missing
        tip = "Predict with the chosen model; it comes to the canvas tile by tile, and finished tiles are kept."
        reason = missing or ("no box is drawn: press Draw, then drag a rectangle on the canvas." if no_box else "")
        allow(self.predict_button, reason, tip)
        self.predict_button.setText(_BUTTON[self.scope])
        self.reason.setText(reason[:1].upper() + reason[1:])
        self.reason.setVisible(bool(reason) and bool(self.model.count()))
        self._look_at_layers()

    def _missing(self) -> str:
        workspace = self._workspace
        if workspace.session is None:
            return "no project is open."
        if workspace.session.read_only:
            return "this project is open for reading only."
        if workspace.layers is None:
            return "the project's image was not found."
        return "" if self.model.count() else "there is no model yet; train one first."

    def _look_at_layers(self) -> None:
        workspace = self._workspace
        if workspace.session is None or workspace.layers is None:
            self.classes.put([], [])
            return
        predictions = workspace.layers.predictions
        visible = [workspace.viewer.is_visible(layer) for layer in predictions.channels]
        self.classes.put(predictions.legend, visible)

    def _predict(self) -> None:
        from napari_pytc.learning.config import PredictPlan

        self._workspace.predict(self.scope, self.model.currentData(), PredictPlan(flips=self.flips.isChecked()))

    def _show(self, prediction: PredictionRecord | None) -> None:
        if self._workspace.layers is not None:
            self._workspace.layers.show_prediction(prediction)
            self._list_predictions()

    def _show_probability(self, number: int, visible: bool) -> None:
        workspace = self._workspace
        if workspace.layers is not None:
            workspace.viewer.set_visible(workspace.layers.predictions.channels[number], visible)

    def _delete(self, prediction: PredictionRecord) -> None:
        answer = QMessageBox.question(
            self,
            "Delete prediction",
            f"Delete the prediction {prediction.id} from the disk? This cannot be undone.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._workspace.delete_prediction(prediction.id)

    def _on_added(self, job: JobView) -> None:
        if job.kind == "predict":
            self.rows.keep([found for found in self._workspace.jobs.running if found.kind == "predict"])
            self.rows.add(job, self._n_voxels)
            order_tabs(self)

    def _n_voxels(self, job: JobView) -> int | None:
        session, box = self._workspace.session, getattr(job.spec, "box", None)
        if box is None and session is not None and job.spec is not None:
            return Box.of_shape(session.annotations.shape).size
        return None if box is None else box.size

    def _on_changed(self, job: JobView) -> None:
        self.rows.refresh(job)

    def _on_produced(self, job: JobView, boxes: list[Box]) -> None:
        if job.kind == "predict" and job not in self._began:
            self._began.add(job)
            self._list_predictions()

    def _on_ended(self, job: JobView) -> None:
        self._began.discard(job)
        if job.kind == "predict":
            self._list_predictions()


_BUTTON = {"view": "Predict the view", "box": "Predict the box", "all": "Predict everything"}
_WHERE = {"view": " in view", "box": " in the drawn box", "all": " in the volume"}


def _about(scores: dict[str, object], recipe: str) -> str:
    mean = scores.get("mean")
    score = f"held-out score {mean:.3f}" if isinstance(mean, float) else "no held-out score"
    return f"Recipe {recipe}, {score}."
