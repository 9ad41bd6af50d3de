"""The box that the user draws: a rectangle of one section, and how many sections deep it is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape


class DrawingLayers(Protocol):
    """Layers that rectangles are drawn over; `ProjectLayers` are some."""

    @property
    def shape(self) -> Shape:
        """Shape of the volume."""

    def drawn_box(self) -> Box | None:
        """The newest rectangle, one section thick."""

    def start_drawing_box(self) -> None:
        """Let the user draw a rectangle."""


class DrawnBox(QObject):
    """The box that was drawn last on the layers of the project that is open; all panels share it.

    Parameters
    ----------
    layers : callable
        Gives the layers of the project that is open, or None.
    """

    depth_changed = Signal(int)

    def __init__(self, layers: Callable[[], DrawingLayers | None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self._n_sections = 1

    @property
    def n_sections(self) -> int:
        """Depth of the box in sections."""
        return self._n_sections

    def set_depth(self, n_sections: int) -> None:
        """Set the depth in sections, around the one that is drawn in."""
        if n_sections != self._n_sections:
            self._n_sections = n_sections
            self.depth_changed.emit(n_sections)

    def start(self) -> None:
        """Let the user draw a rectangle in the section that is shown."""
        layers = self._layers()
        if layers is not None:
            layers.start_drawing_box()

    def find(self) -> Box | None:
        """The box that was drawn last, as deep as it is meant; None if there is none."""
        layers = self._layers()
        box = None if layers is None else layers.drawn_box()
        return None if box is None or layers is None else deepened(box, self._n_sections, layers.shape)

    def require(self) -> Box:
        """The box that was drawn last, as deep as it is meant.

        Raises
        ------
        InvalidInput
            If none is drawn.
        """
        box = self.find()
        if box is None:
            raise InvalidInput("No box is drawn.", "Draw a rectangle: Data > Hold out > Draw box, or any shapes layer.")
        return box


def deepened(box: Box, n_sections: int, shape: Shape) -> Box:
    """A box that is one section thin, made deeper around that section; within the volume, shifted at its ends."""
    if n_sections <= 1 or 1 not in box.shape:
        return box
    axis = box.shape.index(1)
    n = min(n_sections, shape[axis])
    start, stop = list(box.start), list(box.stop)
    start[axis] = min(max(0, box.start[axis] - (n - 1) // 2), shape[axis] - n)
    stop[axis] = start[axis] + n
    return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]
