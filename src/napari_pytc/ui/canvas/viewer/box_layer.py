"""Outlines of boxes on the canvas: held-out boxes, and the suggestion where to paint next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QObject

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort
from napari_pytc.ui.tasks.timers import single_shot

_REST_MS = 80
"""Drawing shapes costs more than a slice: outlines follow when the scrolling rests."""


def line_width(shape: Shape) -> float:
    """Width of an outline in voxels: wide enough to be seen when the whole section is in view."""
    return max(1.5, 0.002 * max(shape[1:]))


class BoxLayer(QObject):
    """Shows boxes; the layer is there only while there is one.

    Parameters
    ----------
    shape : tuple of int
        Of the volume.
    below : callable
        Gives the layer below which it lies.
    """

    def __init__(
        self,
        viewer: ViewerPort,
        space: VoxelSpace,
        shape: Shape,
        style: LayerStyle,
        below: Callable[[], Any],
        parent: QObject | None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._space, self._style, self._below = viewer, space, style, below
        self._line_width = line_width(shape)
        self._boxes: tuple[Box, ...] = ()
        self.layer: Any = None
        self._timer = single_shot(self, _REST_MS, self._draw)

    def show(self, boxes: Sequence[Box]) -> None:
        """Outline these boxes and no others; the layer comes back if the user deleted it."""
        self._boxes = tuple(boxes)
        if not boxes:
            self.close()
            return
        if not self._viewer.has(self.layer):
            self.layer = self._viewer.add_boxes(self._space, self._style, self._line_width)
            self._viewer.put_below(self.layer, self._below())
        self._draw()

    def show_soon(self) -> None:
        """Another section is shown."""
        if self._viewer.has(self.layer):
            self._timer.start()

    def close(self) -> None:
        """Take the layer away."""
        self._timer.stop()
        self._viewer.remove(self.layer)
        self.layer = None

    def _draw(self) -> None:
        self._viewer.show_boxes(self.layer, self._boxes)
