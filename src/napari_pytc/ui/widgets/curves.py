"""Live curves of trainings: the loss above, held-out scores below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QHideEvent, QPalette, QShowEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.series import Series

_REDRAW_MS = 150
_HEIGHT, _HEIGHT_OF_ONE = 218, 138
"""Heights of the plots, without the names below them."""
_MARKS = {False: "━", True: "╍"}


class CurvesPlot(QWidget):
    """Draws series in the colours of napari's theme, at most every 150 ms and only while it is seen.

    pyqtgraph takes half a second to import, so a helper thread does that when the plot is first shown; nothing but an
    empty place is seen until then.

    Parameters
    ----------
    score : str
        Name of the score.
    """

    def __init__(self, background: Background, score: str = "held-out Dice", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._background, self._score = background, score
        self._series: list[Series] = []
        self.canvas: Any = None
        """A `PlotCanvas`, once pyqtgraph is there."""
        self._is_importing = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        self.legend = wrapped()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self.legend)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self._height = _HEIGHT_OF_ONE

    @property
    def is_ready(self) -> bool:
        """Whether there is something to draw on."""
        return self.canvas is not None

    def show_series(self, series: Sequence[Series]) -> None:
        """Draw these in place of the others, soon."""
        self._series = list(series)
        self._height = _HEIGHT if any(one.plot == "score" for one in series) else _HEIGHT_OF_ONE
        self._fit()
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def prepare(self) -> None:
        """Get pyqtgraph now, so that it is there when the first curve is."""
        if self.canvas is None and not self._is_importing:
            self._is_importing = True
            self._background.run(_import_pyqtgraph, lambda _: self._furnish(), receiver=self)

    def redraw(self) -> None:
        """Draw now."""
        self._timer.stop()
        if self.canvas is None:
            return
        text = self.palette().color(QPalette.ColorRole.WindowText)
        self.canvas.draw(self._series, text, self.palette().color(QPalette.ColorRole.Window))
        legend = _legend(self._series, text.name())
        self.legend.setText(legend)
        self.legend.setVisible(bool(legend))

    def showEvent(self, event: QShowEvent | None) -> None:
        """Get pyqtgraph when it is first needed, and catch up."""
        super().showEvent(event)
        self.prepare()
        self.redraw()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Draw no more."""
        super().hideEvent(event)
        self._timer.stop()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme, which napari's style sheet brings into the palette."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange and self.canvas is not None:
            self._timer.start()

    def _furnish(self) -> None:
        from napari_pytc.ui.widgets.plot_canvas import PlotCanvas

        self.canvas = PlotCanvas(self._score)
        self._layout.insertWidget(0, self.canvas)
        self._fit()
        self.redraw()

    def _fit(self) -> None:
        self.setMinimumHeight(self._height)
        if self.canvas is not None:
            self.canvas.setFixedHeight(self._height)


def _import_pyqtgraph() -> None:
    import pyqtgraph  # noqa: F401


def _legend(series: Sequence[Series], text: str) -> str:
    """A line of names in their colours; the loss, alone in its plot, needs none unless there are two."""
    n_losses = sum(one.plot == "loss" for one in series)
    named = [one for one in series if one.plot == "score" or n_losses > 1]
    marks = [f'<span style="color:{one.colour or text}">{_MARKS[one.dashed]}</span>' for one in named]
    return " &nbsp; ".join(f"{mark}&nbsp;{_escaped(one.name)}" for mark, one in zip(marks, named, strict=True))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
