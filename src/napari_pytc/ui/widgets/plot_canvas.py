"""Canvas for curves: two plots of pyqtgraph, one above the other. Importing this takes half a second."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_pytc.ui.widgets.series import Series, thinned

_AXIS_WIDTH = 58
_FEW_POINTS = 12
"""Curves of fewer points show them, or a single one would not be seen."""


class _Plot:
    """A view with its axes; not a `PlotItem`, which brings menus and windows of its own that are never closed."""

    def __init__(self, layout: pyqtgraph.GraphicsLayout, row: int, title: str, has_steps: bool) -> None:
        self.view = pyqtgraph.ViewBox(enableMenu=False, enableMouse=False)
        self.left = pyqtgraph.AxisItem("left", linkView=self.view)
        self.left.setLabel(title)
        self.bottom = pyqtgraph.AxisItem("bottom", linkView=self.view)
        self.bottom.setLabel("step")
        self.show_steps(has_steps)
        self.left.enableAutoSIPrefix(False)
        self.bottom.enableAutoSIPrefix(False)
        self.left.setWidth(_AXIS_WIDTH)
        layout.addItem(self.left, row, 0)
        layout.addItem(self.view, row, 1)
        layout.addItem(self.bottom, row + 1, 1)
        self.curves: list[pyqtgraph.PlotDataItem] = []

    def show_steps(self, shown: bool) -> None:
        """Whether the steps stand below it."""
        self.bottom.setStyle(showValues=shown)
        self.bottom.showLabel(shown)

    def setVisible(self, visible: bool) -> None:
        for part in (self.left, self.view, self.bottom):
            part.setVisible(visible)

    def draw(self, series: Sequence[Series], text: QColor) -> None:
        for axis in (self.left, self.bottom):
            axis.setPen(text)
            axis.setTextPen(text)
        while len(self.curves) > len(series):
            self.view.removeItem(self.curves.pop())
        while len(self.curves) < len(series):
            self.curves.append(pyqtgraph.PlotDataItem())
            self.view.addItem(self.curves[-1])
        for curve, one in zip(self.curves, series, strict=True):
            steps, values = thinned(one.points)
            colour = QColor(one.colour) if one.colour else text
            style = Qt.PenStyle.DashLine if one.dashed else Qt.PenStyle.SolidLine
            curve.setData(
                steps,
                values,
                pen=pyqtgraph.mkPen(colour, width=1 if one.colour else 2, style=style),
                symbol="o" if len(steps) < _FEW_POINTS else None,
                symbolSize=5,
                symbolBrush=colour,
                symbolPen=None,
            )
        self.view.enableAutoRange(axis=pyqtgraph.ViewBox.YAxis)


class PlotCanvas(pyqtgraph.GraphicsLayoutWidget):
    """The loss above, scores from 0 to 1 below, over the same steps."""

    def __init__(self, score: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # The wheel scrolls the panel.
        self.enableMouse(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.ci.setContentsMargins(2, 4, 8, 2)
        self.ci.setSpacing(0)
        self.loss = _Plot(self.ci, 0, "loss", has_steps=False)
        self.score = _Plot(self.ci, 2, score, has_steps=True)

    def draw(self, series: Sequence[Series], text: QColor, background: QColor) -> None:
        """Draw series, both plots over all of their steps."""
        self.setBackground(background)
        steps = [step for one in series for step, _ in one.points]
        for plot in (self.loss, self.score):
            plot.view.setXRange(min(steps, default=0), max(steps, default=1), padding=0.02)
        has_scores = any(one.plot == "score" for one in series)
        self.score.setVisible(has_scores)
        self.loss.show_steps(not has_scores)
        self.loss.draw([one for one in series if one.plot == "loss"], text)
        self.score.draw([one for one in series if one.plot == "score"], text)
