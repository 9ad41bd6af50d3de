"""Live curves of trainings: the loss above, held-out scores below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QHideEvent, QPalette, QShowEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_pytc.ui.background import Background
from napari_pytc.ui.parts import wrapped

_REDRAW_MS = 150
_MOST_POINTS = 2000
_HEIGHT, _HEIGHT_OF_ONE = 218, 138
"""Of what is drawn; the names below it take what they need."""
_MARKS = {False: "━", True: "╍"}

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Series:
    """A curve.

    Parameters
    ----------
    name : str
        As in the legend.
    points : sequence of (int, float)
        Step and value.
    plot : "loss" or "score"
        Which of the two plots it belongs to.
    colour : str, optional
        As #rrggbb; by default the text's.
    dashed : bool
        Tells two runs apart.
    """

    name: str
    points: Points
    plot: Literal["loss", "score"]
    colour: str | None = None
    dashed: bool = False


def series_of_run(
    curves: Mapping[str, Points], colours: Mapping[str, str], name: str = "", dashed: bool = False
) -> list[Series]:
    """The curves of a training.

    Parameters
    ----------
    curves : mapping
        Points by name: "loss", "dice" for the mean, and "dice/<class>".
    colours : mapping
        Colours by class.
    name : str
        Of the run, before the names of its curves.
    """
    found = []
    for curve, points in curves.items():
        kind, _, of = curve.partition("/")
        if kind == "loss":
            found.append(Series(f"{name} loss".strip(), tuple(points), "loss", dashed=dashed))
        elif kind == "dice":
            title = f"{name} {of or 'mean'}".strip()
            found.append(Series(title, tuple(points), "score", colours.get(of), dashed))
    return found


class CurvesPlot(QWidget):
    """Draws series in the colours of napari's theme, at most every 150 ms and only while it is seen.

    pyqtgraph takes half a second to import, so a helper thread does that when the plot is first shown; nothing but an
    empty place is seen until then.

    Parameters
    ----------
    score : str
        What the scores are.
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
        from napari_pytc.ui.plot_canvas import PlotCanvas

        self.canvas = PlotCanvas(self._score)
        self._layout.insertWidget(0, self.canvas)
        self._fit()
        self.redraw()

    def _fit(self) -> None:
        self.setMinimumHeight(self._height)
        if self.canvas is not None:
            self.canvas.setFixedHeight(self._height)


def thinned(points: Points, most: int = _MOST_POINTS) -> tuple[list[int], list[float]]:
    """Steps and values of at most so many points, the last among them; without those that are no finite number."""
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    every = -(-len(finite) // most) if finite else 1
    chosen = finite[::-1][::every][::-1]
    return [step for step, _ in chosen], [value for _, value in chosen]


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
