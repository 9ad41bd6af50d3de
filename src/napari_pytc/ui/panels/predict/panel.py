"""The Predict panel: let a model paint the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QEnterEvent, QShowEvent
from qtpy.QtWidgets import QButtonGroup, QMessageBox, QPushButton, QSizePolicy, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.session.records import ModelRecord, PredictionRecord
from napari_pytc.ui.job_launcher import Scope
from napari_pytc.ui.panels.predict.apply_dialog import ApplyChoices, ApplyDialog
from napari_pytc.ui.panels.predict.channel_choice import ChannelChoice
from napari_pytc.ui.panels.predict.controller import PredictController
from napari_pytc.ui.panels.predict.copy_fields import CopyFields
from napari_pytc.ui.panels.predict.prediction_list import PredictionList
from napari_pytc.ui.panels.predict.window_fields import WindowFields
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.buttons import allow, button_group, main_button
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.drawn_box import DrawnBoxField
from napari_pytc.ui.widgets.job_row import JobRows
from napari_pytc.ui.widgets.labels import voxels, wrapped
from napari_pytc.ui.widgets.layout import column, form, order_tabs, section
from napari_pytc.ui.widgets.model_scores import HeldOutScores, scores_tip, titled_score
from napari_pytc.ui.widgets.notice import EmptyState
from napari_pytc.ui.widgets.uncertainty_toggle import UncertaintyToggle

_SCOPES: tuple[tuple[Scope, str, str], ...] = (
    ("view", "View", "What is on the canvas now."),
    ("box", "Drawn box", "The rectangle drawn last, in any shapes layer."),
    ("all", "Everything", "The whole volume, from the view outwards."),
)
_KINDS = ("predict", "apply")
_TILING, _BROUGHT, _RECORD = (int(Qt.ItemDataRole.UserRole) + n for n in (1, 2, 3))
_BUTTON = {"view": "Predict the view", "box": "Predict the box", "all": "Predict everything"}
_WHERE = {"view": " in view", "box": " in the drawn box", "all": " in the volume"}


class PredictPanel(QWidget):
    """Chooses a model and a region to predict, shows the progress, and lists earlier predictions.

    Parameters
    ----------
    controller : PredictController
        The controller of the panel.
    """

    def __init__(self, controller: PredictController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("predictPanel")
        self._controller = controller
        workspace = controller.workspace
        self.empty = EmptyState()
        self.model = Combo("modelCombo", "The model that predicts. Models come from the Train panel.")
        self.model.setPlaceholderText("No model yet")
        self.scores = HeldOutScores("predictScores")
        self.copies = CopyFields()
        self.copies.changed.connect(self._update)
        self.copies.built.connect(lambda: order_tabs(self))
        self.windows = WindowFields()
        self.windows.changed.connect(self._update)
        self.windows.built.connect(lambda: order_tabs(self))
        self.model.currentIndexChanged.connect(self._update)
        self.scopes = QButtonGroup(self)
        scopes = button_group([self._scope_button(*scope) for scope in _SCOPES])
        self.scopes.idToggled.connect(self._update)
        self.extent = wrapped(dim=True)
        self.extent.setObjectName("extentLabel")
        self.predict_button = main_button("Predict")
        self.predict_button.setObjectName("predictButton")
        self.predict_button.clicked.connect(self._predict)
        self.reason = wrapped()
        self.reason.setObjectName("predictReason")
        self.rows = JobRows()
        self.box = DrawnBoxField(workspace.drawn_box, "predictDepth")
        self.other_button = QPushButton("Other files …")
        self.other_button.setObjectName("otherFilesButton")
        self.other_button.clicked.connect(self._ask_for_files)
        self.form, inside = section("Predict")
        self._fields = form(("Model", self.model), ("", self.scores), ("Where", scopes), ("Box", self.box))
        inside.addLayout(self._fields)
        for widget in (
            self.extent,
            self.windows,
            self.copies,
            self.predict_button,
            self.reason,
            self.other_button,
            self.rows,
        ):
            inside.addWidget(widget)
        self.list = PredictionList()
        self.list.show_requested.connect(controller.show)
        self.list.resume_requested.connect(controller.resume)
        self.list.delete_requested.connect(self._ask_to_delete)
        self.channels = ChannelChoice()
        self.channels.chosen.connect(controller.show_probability)
        self.uncertainty = UncertaintyToggle(workspace)
        self.uncertainty.setObjectName("predictUncertainty")
        self.shown, inside = section("Predictions")
        for part in (self.list, self.channels, self.uncertainty):
            inside.addWidget(part)
        column(self, self.empty, self.form, self.shown)
        order_tabs(self)
        workspace.drawn_box.depth_changed.connect(self._update)
        workspace.project_changed.connect(lambda: self.rows.keep([]))  # those of the project before
        controller.changed.connect(self.refresh)
        controller.predictions_changed.connect(self._list_predictions)
        controller.jobs.added.connect(self._on_job)
        controller.jobs.changed.connect(self.rows.refresh)
        for job in controller.jobs.running:
            self._on_job(job)
        self.refresh()

    @property
    def scope(self) -> Scope:
        """Region that "Predict" predicts."""
        return _SCOPES[self.scopes.checkedId()][0]

    def refresh(self) -> None:
        """Show models, predictions and sizes as they are now."""
        controller = self._controller
        self._list_models(controller.models())
        self.form.setVisible(controller.has_project)
        self.shown.setVisible(controller.has_project)
        self.empty.setVisible(not self.model.count())
        if controller.has_project:
            about = "There is no model yet. Paint a few strokes, then train one in the Train panel."
            self.empty.show_text(about, "Train")
        else:
            self.empty.show_no_project()
        self._list_predictions()
        self._update()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Show the size of the box in view: the canvas has no signal for its moves."""
        self._update()
        super().enterEvent(event)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Show the size of the box in view."""
        self._update()
        super().showEvent(event)

    # ---- private

    def _scope_button(self, scope: Scope, title: str, tip: str) -> QPushButton:
        button = QPushButton(title)
        button.setObjectName(f"scope-{scope}")
        button.setCheckable(True)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, button.sizePolicy().verticalPolicy())
        button.setToolTip(tip)
        self.scopes.addButton(button, [entry[0] for entry in _SCOPES].index(scope))
        button.setChecked(scope == "view")
        return button

    def _list_models(self, models: list[ModelRecord]) -> None:
        chosen = self.model.currentData()
        with QSignalBlocker(self.model):
            self.model.clear()
            for number, model in enumerate(models):
                title, value = titled_score(model), None if model.active else model.id
                self.model.addItem(f"Active: {title}" if model.active else title, value)
                self.model.setItemData(number, model, _RECORD)
                self.model.setItemData(number, _about(model), Qt.ItemDataRole.ToolTipRole)
                self.model.setItemData(number, model.tiling, _TILING)
                self.model.setItemData(number, json.dumps(model.prediction), _BROUGHT)
            self.model.setCurrentIndex(max(0, self.model.findData(chosen)) if models else -1)

    def _list_predictions(self) -> None:
        controller = self._controller
        self.list.show_predictions(
            controller.predictions(), controller.shown, controller.running, controller.locked_reason
        )
        # Layers are added once the helper thread has opened the prediction: this comes after.
        controller.workspace.background.run(lambda: None, lambda nothing: self._show_legend(), receiver=self)

    def _update(self) -> None:
        """Show sizes in tooltips, and enable the buttons that can be pressed."""
        controller, scope = self._controller, self.scope
        boxes = {name: controller.region(name) for name, _, _ in _SCOPES}
        for number, (name, _, tip) in enumerate(_SCOPES):
            box, button = boxes[name], self.scopes.button(number)
            assert button is not None
            button.setToolTip(tip if box is None else f"{tip}\n{voxels(box.shape)}")
        self._fields.setRowVisible(self.box, scope == "box")
        chosen = boxes[scope]
        self.extent.setText("" if chosen is None else voxels(chosen.shape) + _WHERE[scope])
        self.extent.setVisible(chosen is not None)
        brought = json.loads(self.model.currentData(_BROUGHT) or "{}")
        self.windows.show_tiling(str(self.model.currentData(_TILING) or ""), brought)
        self.copies.show_defaults(brought)
        self.scores.show_model(self.model.currentData(_RECORD), self.model.itemData(0, _RECORD))
        self._fields.setRowVisible(self.scores, self.model.currentIndex() >= 0)
        reason = controller.why_not(scope) or self.windows.problem or self.copies.problem
        tip = "Predict with the chosen model; it comes to the canvas tile by tile, and finished tiles are kept."
        allow(self.predict_button, reason, tip)
        self.predict_button.setText(_BUTTON[scope])
        tip = "Apply a model to files that are not in the project; the results go to a folder."
        allow(self.other_button, controller.why_not_apply, tip)
        self.reason.setText(reason[:1].upper() + reason[1:])
        self.reason.setVisible(bool(reason) and bool(self.model.count()))
        self._show_legend()

    def _show_legend(self) -> None:
        self.channels.show_legend(self._controller.legend())

    def _predict(self) -> None:
        self._controller.predict(self.scope, self.model.currentData(), self.copies.value, self.windows.value)

    def _ask_for_files(self) -> None:
        controller = self._controller

        def check(
            choices: ApplyChoices, then: Callable[[Any], object], on_error: Callable[[PytcError], object]
        ) -> None:
            controller.check_apply(choices, then, on_error, dialog)

        dialog = ApplyDialog(controller.models(), check, self, controller.channels)
        try:
            if dialog.exec() and dialog.job is not None:
                controller.apply(dialog.job)
        finally:
            dialog.deleteLater()

    def _ask_to_delete(self, prediction: PredictionRecord) -> None:
        answer = QMessageBox.question(
            self,
            "Delete prediction",
            f"Delete the prediction {prediction.id} from the disk? This cannot be undone.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._controller.delete(prediction)

    def _on_job(self, job: JobModel) -> None:
        if job.kind in _KINDS:
            self.rows.keep([found for found in self._controller.jobs.running if found.kind in _KINDS])
            self.rows.add(job, self._controller.n_voxels)
            order_tabs(self)


def _about(model: ModelRecord) -> str:
    return f"Recipe {model.recipe}. Predicts in {model.tiling or 'exact tiles'}.\n{scores_tip(model)}"
