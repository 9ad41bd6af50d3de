"""The check box that shows where a prediction is in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QEnterEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_pytc.ui.parts import allow

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace

_TIP = (
    "Show where the prediction on the canvas is in doubt: bright where two classes are almost equally probable. "
    "Key: Shift+U"
)


class DoubtCheck(QCheckBox):
    """Switches the layer of uncertainty; all panels that have one show the same.

    Parameters
    ----------
    workspace : Workspace
        Whose canvas.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__("Show uncertainty", parent)
        self._workspace = workspace
        self._watched: Any = None
        self.clicked.connect(self._switch)
        workspace.session_changed.connect(self._on_session)
        self._on_session()

    def refresh(self, *args: object) -> None:
        """Catch up with the canvas."""
        layers = self._workspace.layers
        allow(self, "" if layers is not None else "there is no image to show it on.", _TIP)
        with QSignalBlocker(self):
            self.setChecked(layers is not None and layers.predictions.uncertainty.is_on)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Catch up with what was done in the list of layers."""
        super().showEvent(event)
        self.refresh()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Catch up with what was done in the list of layers."""
        super().enterEvent(event)
        self.refresh()

    # ---- what follows is ours

    def _switch(self, on: bool) -> None:
        if self._workspace.layers is not None:
            self._workspace.layers.predictions.uncertainty.switch(on)

    def _on_session(self) -> None:
        layers = self._workspace.layers
        if layers is not None and layers is not self._watched:
            layers.predictions.uncertainty.switched.connect(self.refresh)
        self._watched = layers
        self.refresh()
