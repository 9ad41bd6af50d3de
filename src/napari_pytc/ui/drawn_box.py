"""Boxes are drawn in one section; how many sections deep they are meant is chosen once for all panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QPushButton, QSpinBox, QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape
from napari_pytc.ui.parts import row

if TYPE_CHECKING:
    from napari_pytc.ui.starting import JobStarter
    from napari_pytc.ui.workspace import Workspace

_MOST = 100_000


class BoxDepth(QObject):
    """How many sections deep the box drawn in a window is meant."""

    changed = Signal(int)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.sections = 1

    def choose(self, sections: int) -> None:
        """Take so many sections."""
        if sections != self.sections:
            self.sections = sections
            self.changed.emit(sections)


def box_depth(workspace: QObject) -> BoxDepth:
    """The depth that all panels of a workspace share."""
    return workspace.findChild(BoxDepth) or BoxDepth(workspace)


class DepthBox(QSpinBox):
    """Chooses the depth; wherever it is changed, all show it.

    Parameters
    ----------
    workspace : QObject
        Whose drawn boxes they are.
    """

    def __init__(self, workspace: QObject, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        depth = box_depth(workspace)
        self.setRange(1, _MOST)
        self.setSuffix(" sections")
        self.setSpecialValueText("1 section")
        self.setStyleSheet("QSpinBox { min-width: 60px; }")
        self.setToolTip("How many sections deep the box is meant, around the one it is drawn in.")
        self.setValue(depth.sections)
        self.valueChanged.connect(depth.choose)
        depth.changed.connect(self.setValue)


class DrawnBoxField(QWidget):
    """For panels that do something with the drawn box: draw another one, and how deep it is meant.

    Parameters
    ----------
    workspace : Workspace
        On whose canvas it is drawn.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Draw a rectangle on the canvas, in the section that is shown.")
        self.draw.clicked.connect(self._draw)
        self.depth_box = DepthBox(workspace)
        inside = row(self.draw, self.depth_box)
        inside.setStretch(1, 1)
        self.setLayout(inside)

    @property
    def sections(self) -> int:
        """How many sections deep it is meant."""
        return self.depth_box.value()

    def _draw(self) -> None:
        if self._workspace.layers is not None:
            self._workspace.layers.start_drawing_box()


def deepened(box: Box, depth: int, shape: Shape) -> Box:
    """A box that is one section thin, made deeper around that section; within the volume, shifted at its ends."""
    if depth <= 1 or 1 not in box.shape:
        return box
    axis = box.shape.index(1)
    n = min(depth, shape[axis])
    start, stop = list(box.start), list(box.stop)
    start[axis] = min(max(0, box.start[axis] - (n - 1) // 2), shape[axis] - n)
    stop[axis] = start[axis] + n
    return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]


def drawn_box(workspace: JobStarter) -> Box:
    """The box that was drawn last, as deep as it is meant.

    Raises
    ------
    InvalidInput
        If none is drawn.
    """
    layers, session = workspace.require_layers(), workspace.session
    assert session is not None
    box = layers.drawn_box()
    if box is None:
        raise InvalidInput("No box is drawn.", "Draw a rectangle: Data > Hold out > Draw box, or any shapes layer.")
    return deepened(box, box_depth(workspace).sections, session.annotations.shape)
