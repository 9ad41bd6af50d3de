"""The mouse on a napari canvas, as Qt would tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget


def canvas_of(viewer: Any) -> QWidget:
    """The widget that a viewer is drawn on."""
    native: QWidget = viewer.window._qt_viewer.canvas.native
    return native


def on_canvas(viewer: Any, layer: Any, voxel: Sequence[float]) -> QPointF:
    """Where a voxel of a layer is drawn, in pixels of the canvas."""
    world = np.asarray(layer.data_to_world(voxel), float)[list(viewer.dims.displayed)]
    centre = np.asarray(viewer.camera.center, float)[-2:]
    canvas = canvas_of(viewer)
    y, x = (world - centre) * viewer.camera.zoom + np.array([canvas.height(), canvas.width()]) / 2
    return QPointF(float(x), float(y))


def drag(viewer: Any, layer: Any, voxels: Sequence[Sequence[float]]) -> None:
    """Press at the first voxel, move over the others, release at the last."""
    places = [on_canvas(viewer, layer, voxel) for voxel in voxels]
    _send(viewer, QEvent.Type.MouseMove, places[0], Qt.MouseButton.NoButton, held=False)
    _send(viewer, QEvent.Type.MouseButtonPress, places[0], Qt.MouseButton.LeftButton, held=True)
    for place in places[1:]:
        _send(viewer, QEvent.Type.MouseMove, place, Qt.MouseButton.NoButton, held=True)
    _send(viewer, QEvent.Type.MouseButtonRelease, places[-1], Qt.MouseButton.LeftButton, held=False)


def _send(viewer: Any, kind: QEvent.Type, place: QPointF, button: Qt.MouseButton, held: bool) -> None:
    canvas = canvas_of(viewer)
    buttons = Qt.MouseButton.LeftButton if held else Qt.MouseButton.NoButton
    outside = QPointF(canvas.mapToGlobal(place.toPoint()))
    QApplication.sendEvent(canvas, QMouseEvent(kind, place, outside, button, buttons, Qt.KeyboardModifier.NoModifier))
    QApplication.processEvents()
