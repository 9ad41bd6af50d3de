"""The layer on which marks and brush strokes are seen while they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.ui.port import Look, ViewerPort
from napari_pytc.ui.predictions import once
from napari_pytc.ui.proofreading.marks import MarksArray, Stroke

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFRESH_MS = 25
_SETTLE_MS = 150
"""A stroke that was painted stays until the segments are drawn anew."""


class Sheet(QObject):
    """Strokes above the segments. The layer is made with the first and stays, because adding one takes napari a while.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    """

    def __init__(self, viewer: ViewerPort, shape: Shape, space: VoxelSpace, parent: QObject) -> None:
        super().__init__(parent)
        self.shape = shape
        self._viewer, self._space = viewer, space
        self._array = MarksArray(shape)
        self._layer: Any = None
        self._colours: dict[int, str] = {}
        self._painted: list[Stroke] = []
        self._refreshing = once(self, _REFRESH_MS, self._refresh)
        self._settling = once(self, _SETTLE_MS, self._forget_painted)

    @property
    def is_there(self) -> bool:
        """Whether the layer is in the viewer."""
        return self._viewer.has(self._layer)

    def lay_out(self, colours: Mapping[int, str]) -> None:
        """Add the layer if it is not there; `colours` are "#rrggbb" by number of a stroke."""
        if not self.is_there:
            self._colours = dict(colours)
            look = Look("Marks", "marks", self._colours, opacity=0.9, visible=not self._viewer.is_3d())
            self._layer = self._viewer.add_labels(self._array, self._space, look)

    def show_colours(self, colours: Mapping[int, str]) -> None:
        """Show strokes in other colours."""
        if self._layer is not None and colours != self._colours:
            self._colours = dict(colours)
            self._viewer.set_colours(self._layer, self._colours)

    def set_visible(self, visible: bool) -> None:
        """Show or hide the layer."""
        self._viewer.set_visible(self._layer, visible)

    def add(self, stroke: Stroke) -> None:
        """Show a stroke; call `redraw` while it grows."""
        self._array.add(stroke)
        self.redraw()

    def redraw(self) -> None:
        """Show what was drawn, soon."""
        if not self._refreshing.isActive():
            self._refreshing.start()

    def take_away(self, stroke: Stroke) -> None:
        """Show a stroke no longer."""
        self._array.remove([stroke])
        self._refresh()

    def settle(self, stroke: Stroke) -> None:
        """Show a stroke until the segments that it became are drawn."""
        self._painted.append(stroke)
        self._settling.start()

    def clear(self) -> None:
        """Show nothing."""
        if not self._array.is_empty:
            self._array.clear()
            self._refresh()

    def close(self) -> None:
        """Take the layer away."""
        self._refreshing.stop()
        self._settling.stop()
        self._viewer.remove(self._layer)
        self._layer = None
        self.deleteLater()

    def _forget_painted(self) -> None:
        painted, self._painted = self._painted, []
        self._array.remove(painted)
        self._refresh()

    def _refresh(self) -> None:
        if self._layer is not None:
            self._viewer.refresh(self._layer)
