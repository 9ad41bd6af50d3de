"""Fields for the box that is drawn on the canvas."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QSpinBox, QWidget

from napari_pytc.ui.canvas.drawn_box import DrawnBox
from napari_pytc.ui.widgets.layout import row

_MOST = 100_000


class DepthBox(QSpinBox):
    """Chooses how many sections deep the drawn box is meant; wherever it is changed, all show it."""

    def __init__(self, drawn: DrawnBox, name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setRange(1, _MOST)
        self.setSuffix(" sections")
        self.setSpecialValueText("1 section")
        self.setStyleSheet("QSpinBox { min-width: 60px; }")
        self.setToolTip("How many sections deep the box is meant, around the one it is drawn in.")
        self.setValue(drawn.n_sections)
        self.valueChanged.connect(drawn.set_depth)
        drawn.depth_changed.connect(self.setValue)


class DrawnBoxField(QWidget):
    """Field for the drawn box: a button to draw another one, and its depth in sections."""

    def __init__(self, drawn: DrawnBox, depth_name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Draw a rectangle on the canvas, in the section that is shown.")
        self.draw.clicked.connect(drawn.start)
        self.depth_box = DepthBox(drawn, depth_name)
        inside = row(self.draw, self.depth_box)
        inside.setStretch(1, 1)
        self.setLayout(inside)
