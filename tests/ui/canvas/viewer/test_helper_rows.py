"""Layers that only show feedback have no row in napari's layer list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QListView

from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.canvas.viewer.viewer import NapariViewer

pytestmark = pytest.mark.slow
SPACE = VoxelSpace((4.0, 4.0, 4.0))


def listed(viewer: Any) -> list[str]:
    """Names in the layer list, from the top."""
    (view,) = (
        one
        for one in QApplication.allWidgets()
        if isinstance(one, QListView) and one.toolTip() == "Layer list" and one.model().rowCount() == len(viewer.layers)
    )
    model = view.model()
    rows = [row for row in range(model.rowCount()) if not view.isRowHidden(row)]
    return [model.data(model.index(row, 0), Qt.ItemDataRole.UserRole).name for row in rows]


def test_helpers_have_no_row_wherever_they_are(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    port = NapariViewer(viewer)
    data = np.zeros((3, 8, 8), np.uint8)
    segments = port.add_labels(data, SPACE, LayerStyle("Segments", "segments"))
    highlight = port.add_labels(data, SPACE, LayerStyle("Highlighted", "highlight"))
    port.add_labels(data, SPACE, LayerStyle("Marks", "marks"))
    mine = viewer.add_labels(data, name="mine")
    qtbot.waitUntil(lambda: listed(viewer) == ["mine", "Segments"])
    port.put_below(highlight, segments)
    qtbot.waitUntil(lambda: listed(viewer) == ["mine", "Segments"])
    assert [layer.name for layer in viewer.layers] == ["Highlighted", "Segments", "Marks", "mine"]
    port.remove(highlight)
    viewer.layers.remove(mine)
    qtbot.waitUntil(lambda: listed(viewer) == ["Segments"])
    viewer.layers.remove(segments)
    viewer.add_labels(data, name="other")
    qtbot.waitUntil(lambda: listed(viewer) == ["other"])
