"""The outline of one place on the canvas that the user is to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.ui.held_out_layer import line_width
from napari_pytc.ui.port import Look, ViewerPort
from napari_pytc.ui.predictions import once

_REST_MS = 80


class OutlineLayer(QObject):
    """Shows a box where to paint; the layer is there only while there is a box.

    Parameters
    ----------
    below : callable
        Gives the layer below which it lies.
    """

    def __init__(
        self, viewer: ViewerPort, space: VoxelSpace, shape: Shape, below: Callable[[], Any], parent: QObject | None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._space, self._below = viewer, space, below
        self._line_width = line_width(shape)
        self._box: Box | None = None
        self.layer: Any = None
        self._timer = once(self, _REST_MS, self._draw)

    def show(self, box: Box | None) -> None:
        """Outline a box, or none."""
        self._box = box
        if box is None:
            self._timer.stop()
            self._viewer.remove(self.layer)
            self.layer = None
            return
        if not self._viewer.has(self.layer):
            self.layer = self._viewer.add_boxes(
                self._space, Look("Paint here", "paint-here", "#ffffff"), self._line_width
            )
            self._viewer.put_below(self.layer, self._below())
        self._draw()

    def show_soon(self) -> None:
        """Another section is shown."""
        if self._viewer.has(self.layer):
            self._timer.start()

    def _draw(self) -> None:
        self._viewer.show_boxes(self.layer, [] if self._box is None else [self._box])
