"""Layers that are used again for another volume, in a real window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.viewer import layer_pool
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.canvas.viewer.viewer import NapariViewer
from tests.support.display import needs_display

pytestmark = [pytest.mark.slow, needs_display]

FIRST, SECOND = VoxelSpace((40.0, 10.0, 10.0)), VoxelSpace((50.0, 8.0, 8.0), (0.0, 100.0, 0.0))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer(show=True)


@pytest.fixture
def port(viewer: Any) -> NapariViewer:
    return NapariViewer(viewer)


def volume(shape: tuple[int, int, int]) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def test_layers_get_the_data_and_the_place_of_another_volume(viewer: Any, port: NapariViewer) -> None:
    image = port.add_image(volume((4, 20, 30)), FIRST, LayerStyle("a", "image", contrast_limits=(0.0, 255.0)))
    labels = port.add_labels(volume((4, 20, 30)), FIRST, LayerStyle("Strokes", "strokes", {1: "#ff0000"}))
    port.make_paintable(labels, True, 5)
    port.set_contrast(image, (10.0, 90.0), (0.0, 255.0))
    labels.opacity = 0.3
    with port.layers_reused():
        port.remove(labels)
        port.remove(image)
        assert not port.has(image)
        assert not port.has(labels)
        other = volume((6, 40, 50))
        again = port.add_image(other, SECOND, LayerStyle("b", "image", contrast_limits=(0.0, 255.0)))
        paint = port.add_labels(other, SECOND, LayerStyle("Strokes", "strokes", {1: "#00ff00"}))
    assert again is image
    assert paint is labels
    assert port.has(image)
    assert [layer.name for layer in viewer.layers] == ["b", "Strokes"]
    assert image.data is other
    assert tuple(image.scale) == SECOND.voxel_size_nm
    assert tuple(image.translate) == SECOND.origin_nm
    assert tuple(image.contrast_limits) == (0, 255)
    assert not labels.editable, "until it is made paintable"
    assert labels.opacity == 0.3, "the user's"
    np.testing.assert_allclose(labels.colormap.color_dict[1][:3], (0, 1, 0))
    assert viewer.dims.nsteps[0] == 6


def test_what_was_bound_to_a_layer_is_bound_no_more(port: NapariViewer) -> None:
    heard: list[str] = []
    style = LayerStyle("Strokes", "strokes", {1: "#ff0000"})
    labels = port.add_labels(volume((4, 20, 30)), FIRST, style)
    n_before = len(labels.mouse_drag_callbacks)
    port.bind_keys(labels, {"1": lambda: heard.append("key")})
    port.on_label_chosen(labels, lambda: heard.append("label"))
    port.on_mouse(labels, lambda pointer: heard.append("mouse"))
    port.set_help(labels, "paint")
    with port.layers_reused():
        port.remove(labels)
        assert port.add_labels(volume((4, 20, 30)), FIRST, style) is labels
    labels.selected_label = 3
    assert heard == []
    assert not labels.keymap
    assert len(labels.mouse_drag_callbacks) == n_before
    assert list(labels.metadata) == ["napari_pytc"]
    port.on_label_chosen(labels, lambda: heard.append("again"))
    labels.selected_label = 2
    assert heard == ["again"]


def test_layers_that_nobody_needs_go_after_a_while(
    viewer: Any, port: NapariViewer, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_pool, "_KEPT_MS", 200)
    mine = viewer.add_labels(volume((4, 20, 30)))
    segments = port.add_labels(volume((4, 20, 30)), FIRST, LayerStyle("Segments", "segments", by_id=True))
    boxes = port.add_boxes(FIRST, LayerStyle("Held out", "held-out", "#ffe119"), 2.0)
    with port.layers_reused():
        port.remove(segments)
        port.remove(boxes)
        port.remove(mine)
    assert list(viewer.layers) == [segments, boxes], "the user's own goes at once"
    assert not segments.visible
    assert not port.is_visible(segments)
    again = port.add_boxes(SECOND, LayerStyle("Held out", "held-out", "#ffe119"), 3.0)
    assert again is boxes
    assert again.visible
    qtbot.waitUntil(lambda: list(viewer.layers) == [boxes])
    assert port.add_labels(volume((4, 20, 30)), FIRST, LayerStyle("Segments", "segments", by_id=True)) is not segments


def test_a_view_is_restored(viewer: Any, port: NapariViewer) -> None:
    layer = port.add_image(volume((8, 40, 40)), FIRST, LayerStyle("a", "image"))
    port.restore_view(layer, None)
    assert viewer.dims.current_step[0] == 4
    assert port.voxels_in_view(layer).shape[1:] == (40, 40)
    viewer.dims.set_point(0, 80.0)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, 120.0, 90.0), 3.0
    port.set_contrast(layer, (20.0, 70.0), (5.0, 90.0))
    state = port.view_state(layer)
    port.restore_view(layer, None)
    port.set_contrast(layer, (0.0, 255.0), (0.0, 255.0))
    port.restore_view(layer, state)
    assert viewer.dims.current_step[0] == 2
    np.testing.assert_allclose(port.focus(layer), (2, 12, 9), atol=1e-6)
    assert viewer.scene.camera.zoom == 3.0
    assert port.contrast(layer) == (20, 70)
    assert tuple(layer.contrast_limits_range) == (5, 90)
