"""Keeps the brush out of held-out boxes, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
from napari_pytc.ui.paint import ScribbleArray
from napari_pytc.ui.port import ViewerPort
from napari_pytc.ui.predictions import once


class HeldOutGuard(QObject):
    """Leaves what is painted in a session's held-out boxes out of an array.

    The first time in each box it is told with the reason and what to do instead, later in the status bar alone.

    Parameters
    ----------
    layer : callable
        Gives the layer that shows the array.
    tell : callable
        Takes a `PytcError`, at the first stroke in a held-out box.
    """

    def __init__(
        self,
        viewer: ViewerPort,
        session: Session,
        array: ScribbleArray,
        layer: Callable[[], Any],
        tell: Callable[[PytcError], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._layer, self._tell = viewer, layer, tell
        self._told: set[Box] = set()
        # napari puts what it painted into its copy of the slice after the array has had it.
        self._timer = once(self, 0, self._refresh)
        array.protect(lambda: session.protected, self._on_refused)

    def _on_refused(self, box: Box) -> None:
        self._timer.start()
        if box in self._told:
            self._viewer.show_status("This box is held out: what is painted in it is left out.")
            return
        self._told.add(box)
        self._tell(
            InvalidInput(
                "This box is held out for honest scores: what is painted in it is left out, for it would not teach.",
                "Paint elsewhere to teach. In the Data panel, the pencil beside the box lets you paint what is true in "
                "it, and ✕ gives it back to training.",
            )
        )

    def _refresh(self) -> None:
        if self._viewer.has(self._layer()):
            self._viewer.refresh(self._layer())
