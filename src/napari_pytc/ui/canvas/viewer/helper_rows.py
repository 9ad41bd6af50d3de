"""Layers that only show feedback, kept out of napari's layer list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QListView

from napari_pytc.ui.canvas.viewer.layer_choice import OURS

if TYPE_CHECKING:
    import napari.viewer

HELPERS = ("edit-preview", "highlight", "marks")
"""Roles of the layers that show what the mouse points at or would do: nobody switches or moves them."""


class HelperRows(QObject):
    """Hides the rows of helper layers in a viewer's layer list, where that is open.

    The rows are found by the layers that they show, as napari's list has no public interface for it: where that is
    another one, the layers are listed like all others.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer of the list.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._update)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.layers.events.reordered):
            event.connect(self._update_soon)

    def _update_soon(self, event: Any = None) -> None:
        """Update once the list has its rows."""
        self._timer.start(0)

    def _update(self) -> None:
        layers = list(self._viewer.layers)
        helpers = [layer for layer in layers if layer.metadata.get(OURS) in HELPERS]
        if not layers:
            return
        for view in QApplication.allWidgets():
            if isinstance(view, QListView) and _shows(view, layers):
                for row in range(len(layers)):
                    layer = _layer_at(view, row)
                    view.setRowHidden(row, any(layer is one for one in helpers))


def _layer_at(view: QListView, row: int) -> Any:
    model = view.model()
    return None if model is None else model.data(model.index(row, 0), Qt.ItemDataRole.UserRole)


def _shows(view: QListView, layers: list[Any]) -> bool:
    """Whether a list has a row for each of these layers."""
    model = view.model()
    if model is None or model.rowCount() != len(layers):
        return False
    shown = [_layer_at(view, row) for row in range(len(layers))]
    return all(any(one is layer for one in shown) for layer in layers)
