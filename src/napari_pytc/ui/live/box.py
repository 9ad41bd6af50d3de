"""Live learning as a part of the Train panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.ui.doubt import DoubtCheck
from napari_pytc.ui.live.controller import live_of
from napari_pytc.ui.live.place_list import PlaceList
from napari_pytc.ui.live.places import places_of
from napari_pytc.ui.live.settings import LiveSettings
from napari_pytc.ui.live.switch import Chip, Switch
from napari_pytc.ui.live.words import words_of
from napari_pytc.ui.parts import Fold, Notice, allow, row, section, wrapped
from napari_pytc.ui.plots import CurvesPlot, Series

if TYPE_CHECKING:
    from napari_pytc.ui.bridge import JobView
    from napari_pytc.ui.workspace import Workspace

_SWITCH = (
    "While this is on, the prediction of what you look at follows each stroke within about a second, and a network "
    "learns on behind it. Key: Shift+I"
)


class LiveBox(QWidget):
    """The switch, what is going on, the doubt, and where to paint next.

    Parameters
    ----------
    workspace : Workspace
        What it shows and steers.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("liveBox")
        self._workspace, self._live, self._places = workspace, live_of(workspace), places_of(workspace)
        self._n_points = -1
        self.switch = Switch("Live")
        self.switch.setObjectName("liveSwitch")
        self.chip = Chip()
        self.chip.setObjectName("liveChip")
        self.status = wrapped(dim=True)
        self.status.setObjectName("liveStatus")
        self.notice = Notice()
        self.doubt = DoubtCheck(workspace)
        self.doubt.setObjectName("liveUncertainty")
        self.list = PlaceList(self._places)
        self.where = Fold("Where to paint next", self.list)
        self.where.button.setObjectName("whereToPaint")
        self.where.button.setToolTip("The places where more strokes are expected to help most.")
        self.plot = CurvesPlot(workspace.background, "score")
        self.plot.setObjectName("liveCurves")
        self.curves = Fold("Scores while learning", self.plot)
        self.curves.button.setToolTip("Scores of both models, and the network's loss.")
        self.settings = LiveSettings(workspace, self._live)
        self.more = Fold("Settings of Live", self.settings)
        self.more.button.setObjectName("liveSettings")
        self.more.button.setToolTip("What learns behind the instant model, and how much memory may be used.")
        frame, inside = section("Learn while painting")
        inside.addLayout(row(self.switch, 1, self.chip))
        for widget in (self.status, self.notice, self.doubt, self.where, self.curves, self.more):
            inside.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(frame)
        self.switch.clicked.connect(self._on_switched)
        self.notice.closed.connect(self._forget_problem)
        self.where.button.toggled.connect(self._follow)
        self.more.button.toggled.connect(self.settings.need)
        self._live.changed.connect(self.refresh)
        workspace.session_changed.connect(self.refresh)
        workspace.runner_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show everything as it is now."""
        live, workspace = self._live, self._workspace
        words = words_of(live, workspace)
        self.chip.say(words.chip, words.tone)
        self.status.setText(words.sentence)
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
        """Somebody may look at the list."""
        super().showEvent(event)
        self._follow()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Nobody looks at the list."""
        super().hideEvent(event)
        self._follow()

    # ---- what follows is ours

    def _on_switched(self, on: bool) -> None:
        if on:
            self._live.switch_on()
        else:
            self._live.switch_off()

    def _forget_problem(self) -> None:
        self._live.problem = None
        self.refresh()

    def _follow(self, *args: object) -> None:
        self._places.follow(self.isVisible() and self.where.button.isChecked())

    def _show_curves(self, job: JobView | None) -> None:
        curves = {} if job is None else job.curves
        n_points = sum(map(len, curves.values()))
        self.curves.setVisible(any(name.endswith(("/score", "/loss")) for name in curves))
        if n_points != self._n_points:
            self._n_points = n_points
            self.plot.show_series(series_of_live(curves))


def series_of_live(curves: dict[str, list[tuple[int, float]]]) -> list[Series]:
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
