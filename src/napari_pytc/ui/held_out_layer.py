"""The outlines of what is held out, on the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_pytc.geometry import Shape
from napari_pytc.session.session import Session
from napari_pytc.ui.port import Look, ViewerPort
from napari_pytc.ui.predictions import once

_REST_MS = 80
"""Drawing shapes costs more than a slice: outlines follow when the scrolling rests."""


def line_width(shape: Shape) -> float:
    """Of an outline, in voxels: wide enough to be seen when the whole section is in view."""
    return max(1.5, 0.002 * max(shape[1:]))


class HeldOutLayer(QObject):
    """Shows a session's held-out boxes; the layer is made with the first of them.

    Parameters
    ----------
    below : callable
        Gives the layer below which it lies.
    """

    def __init__(
        self, viewer: ViewerPort, session: Session, shape: Shape, below: Callable[[], Any], parent: QObject | None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._below = viewer, session, below
        self._line_width = line_width(shape)
        self.layer: Any = None
        self._timer = once(self, _REST_MS, self.show)
        session.held_out_changed.connect(self.show)

    def show(self, *boxes: object) -> None:
        """Show the boxes as they are now."""
        if self._session.held_out and not self._viewer.has(self.layer):
            self.layer = self._viewer.add_boxes(
                self._session.space, Look("Held out", "held-out", "#ffe119"), self._line_width
            )
            self._viewer.put_below(self.layer, self._below())
        self._viewer.show_boxes(self.layer, self._session.held_out)

    def show_soon(self) -> None:
        """Another section is shown."""
        if self._viewer.has(self.layer):
            self._timer.start()

    def close(self) -> None:
        """Stop following the session; the layer stays."""
        self._session.held_out_changed.disconnect(self.show)
        self._timer.stop()
