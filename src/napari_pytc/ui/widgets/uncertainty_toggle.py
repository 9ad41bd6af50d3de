"""The check box that shows the uncertainty of a prediction."""

from __future__ import annotations

from typing import Protocol

from qtpy.QtCore import QSignalBlocker, SignalInstance
from qtpy.QtGui import QEnterEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_pytc.ui.canvas.project_layers import ProjectLayers
from napari_pytc.ui.widgets.buttons import allow

_TIP = (
    "Show where the prediction on the canvas is in doubt: bright where two classes are almost equally probable. "
    "Key: Shift+U"
)


class Canvas(Protocol):
    """The layers of the project that is open; a `Workspace` has them."""

    session_changed: SignalInstance

    @property
    def layers(self) -> ProjectLayers | None:
        """The layers; None where no project is open or its image is missing."""


class UncertaintyToggle(QCheckBox):
    """Switches the layer of uncertainty; all panels that have one show the same.

    Parameters
    ----------
    canvas : Canvas
        The canvas that shows the uncertainty.
    """

    def __init__(self, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__("Show uncertainty", parent)
        self._canvas = canvas
        self._layers: ProjectLayers | None = None
        self.clicked.connect(self._switch)
        canvas.session_changed.connect(self._on_session)
        self._on_session()

    def refresh(self, *args: object) -> None:
        """Catch up with the canvas."""
        layers = self._canvas.layers
        allow(self, "" if layers is not None else "there is no image to show it on.", _TIP)
        with QSignalBlocker(self):
            self.setChecked(layers is not None and layers.predictions.uncertainty.is_on)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Follow changes made in the list of layers."""
        super().showEvent(event)
        self.refresh()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Follow changes made in the list of layers."""
        super().enterEvent(event)
        self.refresh()

    # ---- private

    def _switch(self, on: bool) -> None:
        if self._canvas.layers is not None:
            self._canvas.layers.predictions.uncertainty.switch(on)

    def _on_session(self) -> None:
        layers = self._canvas.layers
        if layers is not None and layers is not self._layers:
            layers.predictions.uncertainty.switched.connect(self.refresh)
        self._layers = layers
        self.refresh()
