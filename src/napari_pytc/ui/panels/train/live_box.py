"""Live learning as a part of the Train panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QFont, QHideEvent, QShowEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget
from superqt import QToggleSwitch

from napari_pytc.ui.panels.train.live_controller import LiveController
from napari_pytc.ui.panels.train.live_settings import LiveSettings
from napari_pytc.ui.panels.train.live_status import Tone, live_status
from napari_pytc.ui.panels.train.suggestion_controller import SuggestionController
from napari_pytc.ui.panels.train.suggestion_list import SuggestionList
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.curves import CurvesPlot
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row, section
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.series import Series
from napari_pytc.ui.widgets.uncertainty_toggle import UncertaintyToggle

if TYPE_CHECKING:
    from napari_pytc.ui.tasks.job_board import JobModel
    from napari_pytc.ui.workspace import Workspace

_TINTS: dict[Tone, str] = {
    "plain": "128, 128, 128",
    "busy": "66, 133, 244",
    "good": "46, 160, 67",
    "wait": "214, 147, 20",
    "bad": "218, 54, 51",
}


class ToggleSwitch(QToggleSwitch):
    """A toggle switch with a bold title, in the tab order."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        font = QFont(self.font())
        font.setBold(True)
        self.setFont(font)


class Chip(QLabel):
    """A short text on a tinted ground, in the theme's own text colour."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tone: Tone | None = None

    def set_status(self, text: str, tone: Tone) -> None:
        """Show a text in a tone."""
        self.setText(text)
        if tone != self._tone:
            self._tone = tone
            self.setStyleSheet(
                f"QLabel {{ background: rgba({_TINTS[tone]}, 90); border: 1px solid rgb({_TINTS[tone]});"
                " border-radius: 8px; padding: 1px 8px; }"
            )


_SWITCH = (
    "While this is on, the prediction of what you look at follows each stroke within about a second, and a network "
    "learns on behind it. Key: Shift+I"
)


class LiveBox(QWidget):
    """Switch, status, uncertainty, suggestions, curves and settings of live learning.

    Parameters
    ----------
    workspace : Workspace
        Gives the worker's state and the background thread.
    """

    def __init__(
        self,
        workspace: Workspace,
        live: LiveController,
        suggestions: SuggestionController,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("liveBox")
        self._workspace, self._live, self._suggestions = workspace, live, suggestions
        self._n_points = -1
        self.switch = ToggleSwitch("Live")
        self.switch.setObjectName("liveSwitch")
        self.chip = Chip()
        self.chip.setObjectName("liveChip")
        self.status = wrapped(dim=True)
        self.status.setObjectName("liveStatus")
        self.notice = Notice()
        self.uncertainty = UncertaintyToggle(workspace)
        self.uncertainty.setObjectName("liveUncertainty")
        self.list = SuggestionList(self._suggestions)
        self.suggestions_fold = Fold("Where to paint next", self.list)
        self.suggestions_fold.toggleButton().setObjectName("whereToPaint")
        self.suggestions_fold.toggleButton().setToolTip("The places where more strokes are expected to help most.")
        self.plot = CurvesPlot(workspace.background, "score")
        self.plot.setObjectName("liveCurves")
        self.curves_fold = Fold("Scores while learning", self.plot)
        self.curves_fold.toggleButton().setToolTip("Scores of both models, and the network's loss.")
        self.settings = LiveSettings(workspace, self._live)
        self.settings_fold = Fold("Settings of Live", self.settings)
        self.settings_fold.toggleButton().setObjectName("liveSettings")
        self.settings_fold.toggleButton().setToolTip(
            "What learns behind the instant model, and how much memory may be used."
        )
        frame, inside = section("Learn while painting")
        inside.addLayout(row(self.switch, 1, self.chip))
        for widget in (
            self.status,
            self.notice,
            self.uncertainty,
            self.suggestions_fold,
            self.curves_fold,
            self.settings_fold,
        ):
            inside.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(frame)
        self.switch.clicked.connect(self._on_switched)
        self.notice.closed.connect(self._clear_problem)
        self.suggestions_fold.toggled.connect(self._follow_visibility)
        self.settings_fold.toggled.connect(self.settings.fill)
        self._live.changed.connect(self.refresh)
        workspace.session_changed.connect(self.refresh)
        workspace.worker.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show everything as it is now."""
        live, workspace = self._live, self._workspace
        status = live_status(live, workspace)
        self.chip.set_status(status.chip, status.tone)
        self.status.setText(status.sentence)
        with QSignalBlocker(self.switch):
            self.switch.setChecked(live.is_on)
        reason = "" if live.is_on else live.why_not()
        allow(self.switch, reason[:1].lower() + reason[1:], _SWITCH)
        if live.problem is None:
            self.notice.hide()
        elif not self.notice.isVisibleTo(self):
            self.notice.show_error(live.problem, live.trace)
        self._show_curves(live.job)
        self.list.refresh()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Keep the suggestions current while they are visible."""
        super().showEvent(event)
        self._follow_visibility()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Let the suggestions be while they are hidden."""
        super().hideEvent(event)
        self._follow_visibility()

    # ---- private

    def _on_switched(self, on: bool) -> None:
        if on:
            self._live.switch_on()
        else:
            self._live.switch_off()

    def _clear_problem(self) -> None:
        self._live.problem = None
        self.refresh()

    def _follow_visibility(self, *args: object) -> None:
        self._suggestions.set_followed(self.isVisible() and self.suggestions_fold.isExpanded())

    def _show_curves(self, job: JobModel | None) -> None:
        curves = {} if job is None else job.curves
        n_points = sum(map(len, curves.values()))
        self.curves_fold.setVisible(any(name.endswith(("/score", "/loss")) for name in curves))
        if n_points != self._n_points:
            self._n_points = n_points
            self.plot.show_series(live_series(curves))


def live_series(curves: dict[str, list[tuple[int, float]]]) -> list[Series]:
    """The curves of live learning, over the steps of the network."""
    found = []
    for name, title, plot in (
        ("network/loss", "network's loss", "loss"),
        ("instant/score", "instant model", "score"),
        ("network/score", "network", "score"),
    ):
        if curves.get(name):
            colour = "#4363d8" if name == "network/score" else None
            found.append(Series(title, tuple(curves[name]), plot, colour))  # type: ignore[arg-type]
    return found
