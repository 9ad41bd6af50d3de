"""The Train panel: choose a recipe, press Train, watch."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.ui.panels.train.comparison import ComparisonNote
from napari_pytc.ui.panels.train.controller import TrainController
from napari_pytc.ui.panels.train.live_box import LiveBox
from napari_pytc.ui.panels.train.live_controller import LiveController
from napari_pytc.ui.panels.train.models import ModelList
from napari_pytc.ui.panels.train.progress import TrainingProgressBox
from napari_pytc.ui.panels.train.pytc_import import PytcImportDialog
from napari_pytc.ui.panels.train.recipe import RecipeChooser
from napari_pytc.ui.panels.train.scores import ClassTable
from napari_pytc.ui.panels.train.step_memory_line import StepMemoryLine
from napari_pytc.ui.panels.train.suggestion_controller import SuggestionController
from napari_pytc.ui.panels.train.tracking_box import TrackingBox
from napari_pytc.ui.panels.train.volume_choice import VolumeChoice
from napari_pytc.ui.widgets.buttons import allow, main_button
from napari_pytc.ui.widgets.curves import CurvesPlot
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import MARGIN, order_tabs, section
from napari_pytc.ui.widgets.notice import EmptyState
from napari_pytc.ui.widgets.series import series_of_run

_TRAIN = "Train a model on what is painted outside of the held-out boxes. You can go on painting meanwhile."


class TrainPanel(QWidget):
    """Recipe and settings, one button, progress, curves, scores, models.

    Parameters
    ----------
    controller : TrainController
        The controller of the panel.
    live : LiveController
        Learns while the user paints.
    suggestions : SuggestionController
        Controller of the suggestions where to paint next.
    """

    def __init__(
        self,
        controller: TrainController,
        live: LiveController,
        suggestions: SuggestionController,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.controller = controller
        workspace = controller.workspace
        self.empty = EmptyState(
            "No project is open. Open or make one in the Data panel, then come back to train.", "Data"
        )
        self.live = LiveBox(workspace, live, suggestions)
        self.recipe = RecipeChooser(controller.recipe)
        self.step_memory = StepMemoryLine(controller.step_memory)
        self.tracking = TrackingBox(controller.tracking)
        self.train_button = main_button("Train")
        self.train_button.setObjectName("trainButton")
        self.reason = wrapped()
        self.reason.setObjectName("trainReason")
        self.progress = TrainingProgressBox(controller)
        self.verdict = ComparisonNote(controller.models)
        self.plot = CurvesPlot(workspace.background)
        self.plot.setObjectName("trainingCurves")
        self.volumes = VolumeChoice()
        self.volumes.chosen.connect(controller.volumes.choose)
        controller.volumes.changed.connect(self._show_volumes)
        self.classes = ClassTable()
        self.models = ModelList(controller.models)
        self.recipe.import_button.clicked.connect(self.import_from_pytc)
        self.models.import_wanted.connect(self.import_from_pytc)
        self._lay_out()
        self.train_button.clicked.connect(controller.train)
        controller.curves_changed.connect(self._show_curves)
        controller.classes_changed.connect(self._show_classes)
        controller.readiness_changed.connect(self._update_button)
        workspace.session_changed.connect(self._show_project)
        self._show_project()
        self._show_volumes()
        self._show_curves()
        self._show_classes()
        self._update_button()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Load the plotting library as soon as the panel is seen, before a training needs the time."""
        super().showEvent(event)
        self.plot.prepare()

    def import_from_pytc(self) -> None:
        """Open the dialog that imports a recipe or a model of PyTorch Connectomics."""
        dialog = PytcImportDialog(self.controller.recipe, self.controller.models, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    # ---- private

    def _lay_out(self) -> None:
        self._parts = QWidget()
        parts = QVBoxLayout(self._parts)
        parts.setContentsMargins(0, 0, 0, 0)
        parts.addWidget(self.live)
        _add_section(parts, "How to train", self.recipe)
        for widget in (
            self.volumes,
            self.step_memory,
            self.tracking,
            self.train_button,
            self.reason,
            self.progress,
            self.verdict,
            self.plot,
        ):
            parts.addWidget(widget)
        # Below the button, so that this is seen without scrolling also where all settings are unfolded.
        _add_section(parts, "Settings", self.recipe.settings)
        self._painted = _add_section(parts, "Classes", self.classes)
        _add_section(parts, "Models", self.models)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self.empty)
        layout.addWidget(self._parts)
        layout.addStretch(1)
        order_tabs(self)
        self.recipe.built.connect(lambda: order_tabs(self))
        self.tracking.toggled.connect(lambda _: order_tabs(self))

    def _show_project(self) -> None:
        is_open = self.controller.workspace.session is not None
        self.empty.setVisible(not is_open)
        self._parts.setVisible(is_open)

    def _show_volumes(self) -> None:
        self.volumes.show_volumes(self.controller.volumes.listed)

    def _show_curves(self) -> None:
        series = series_of_run(self.controller.curves, self.controller.colours)
        self.plot.setVisible(any(len(one.points) > 1 for one in series))
        self.plot.show_series(series)

    def _show_classes(self) -> None:
        controller = self.controller
        self.classes.show_classes(controller.classes, controller.painted, controller.scores)

    def _update_button(self) -> None:
        controller = self.controller
        reason = controller.why_not()
        allow(self.train_button, reason, _TRAIN)
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason) and not controller.is_training)
        self._painted.setVisible(controller.learns_classes)


def _add_section(layout: QVBoxLayout, title: str, inside: QWidget) -> QWidget:
    box, contents = section(title)
    contents.addWidget(inside)
    layout.addWidget(box)
    return box
