"""Lines on the canvas, on napari's model of a viewer: it needs no window."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.canvas.viewer.section_lines import FAINTEST
from napari_pytc.ui.canvas.viewer.viewer import NapariViewer

SPACE = VoxelSpace((40.0, 10.0, 10.0), (0.0, 100.0, 0.0))
LINES = np.array([[[0, 1, 2], [1, 1, 4]], [[3, 3, 3], [3, 4, 3]]], float)


def test_in_3d_lines_are_vectors_in_voxels() -> None:
    viewer = ViewerModel(ndisplay=3)
    port = NapariViewer(viewer)  # type: ignore[arg-type]
    layer = port.add_lines(SPACE, LayerStyle("Skeletons", "skeletons"), 1.5)
    assert len(layer.data) == 0
    port.show_lines(layer, LINES, ["#ff0000", "#00ff00"], 10)
    assert layer.data.tolist() == [[[0, 1, 2], [1, 0, 2]], [[3, 3, 3], [0, 1, 0]]]
    assert layer.edge_color.tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]
    assert tuple(layer.scale) == SPACE.voxel_size_nm
    assert tuple(layer.translate) == SPACE.origin_nm
    port.show_lines(layer, LINES[:1], ["#0000ff"], 10)
    assert layer.edge_color.tolist() == [[0, 0, 1, 1]]
    port.show_lines(layer, LINES[:0], [], 10)
    assert len(layer.data) == 0
    with port.layers_reused():
        port.remove(layer)
        assert port.add_lines(SPACE, LayerStyle("Skeletons", "skeletons"), 1.5) is layer
    port.remove(layer)
    assert layer not in viewer.layers
    port.show_lines(layer, LINES, ["#ff0000", "#00ff00"], 10)


def test_a_section_shows_the_parts_in_it_and_near_it_fainter() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((6, 8, 8)), scale=SPACE.voxel_size_nm, translate=SPACE.origin_nm)
    port = NapariViewer(viewer)  # type: ignore[arg-type]
    layer = port.add_lines(SPACE, LayerStyle("Skeletons", "skeletons"), 0.5)
    along, level = np.array([[0, 2, 0], [5, 2, 5]], float), np.array([[4, 6, 1], [4, 6, 7]], float)
    viewer.dims.set_point(0, 2 * 40)
    port.show_lines(layer, np.array([along, level]), ["#ff0000", "#00ff00"], 60)
    assert layer.data.tolist() == [[[2, 2, 0.5], [0, 0, 3]]]  # 1.5 sections before and behind the third
    assert layer.edge_color.tolist() == [[1, 0, 0, 1]]
    port.show_lines(layer, np.array([along, level]), ["#ff0000", "#00ff00"], 80)
    far, near = layer.edge_color.tolist()
    assert layer.data[:, 0, 0].tolist() == [2, 2]  # drawn in the section, where napari shows them
    assert (far[:3], near) == ([0, 1, 0], [1, 0, 0, 1])
    assert np.isclose(far[3], FAINTEST)
    viewer.dims.set_point(0, 4 * 40)
    port.show_lines(layer, np.array([along, level]), ["#ff0000", "#00ff00"], 20)
    assert layer.data.tolist() == [[[4, 2, 3.5], [0, 0, 1]], [[4, 6, 1], [0, 0, 6]]]
