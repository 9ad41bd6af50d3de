"""Lines on the canvas, on napari's model of a viewer: it needs no window."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.canvas.viewer.viewer import NapariViewer

SPACE = VoxelSpace((40.0, 10.0, 10.0), (0.0, 100.0, 0.0))


def test_lines_are_vectors_in_voxels() -> None:
    viewer = ViewerModel()
    port = NapariViewer(viewer)  # type: ignore[arg-type]
    layer = port.add_lines(SPACE, LayerStyle("Skeletons", "skeletons"), 1.5)
    assert len(layer.data) == 0
    lines = np.array([[[0, 1, 2], [1, 1, 4]], [[3, 3, 3], [3, 4, 3]]], float)
    port.show_lines(layer, lines, ["#ff0000", "#00ff00"])
    assert layer.data.tolist() == [[[0, 1, 2], [1, 0, 2]], [[3, 3, 3], [0, 1, 0]]]
    assert layer.edge_color.tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]
    assert tuple(layer.scale) == SPACE.voxel_size_nm
    assert tuple(layer.translate) == SPACE.origin_nm
    port.show_lines(layer, lines[:1], ["#0000ff"])
    assert layer.edge_color.tolist() == [[0, 0, 1, 1]]
    port.show_lines(layer, lines[:0], [])
    assert len(layer.data) == 0
    with port.layers_reused():
        port.remove(layer)
        assert port.add_lines(SPACE, LayerStyle("Skeletons", "skeletons"), 1.5) is layer
    port.remove(layer)
    assert layer not in viewer.layers
    port.show_lines(layer, lines, ["#ff0000", "#00ff00"])
