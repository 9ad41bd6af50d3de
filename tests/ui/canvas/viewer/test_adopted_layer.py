"""A layer of the user's as a project's image, in a real window: its place, what stays in view, what is given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.viewer.layer_choice import OURS
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.canvas.viewer.viewer import NapariViewer
from tests.support.display import needs_display

pytestmark = [pytest.mark.slow, needs_display]

SHAPE = (12, 96, 80)
SPACE = VoxelSpace((40.0, 10.0, 10.0), (0.0, 500.0, 100.0))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer(show=True)


@pytest.fixture
def port(viewer: Any) -> NapariViewer:
    return NapariViewer(viewer)


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)


def look_at(viewer: Any, section: float, centre: tuple[float, float], zoom: float) -> None:
    viewer.dims.set_point(0, section)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, *centre), zoom


def test_section_and_view_stay(viewer: Any, port: NapariViewer, qtbot: Any) -> None:
    raw = volume()
    layer = viewer.add_image(raw, name="mine", colormap="magma", contrast_limits=(10, 90))
    look_at(viewer, 7, (40.0, 30.0), 9.0)
    port.adopt_image(layer, SPACE)
    qtbot.wait(50)
    assert len(viewer.layers) == 1
    assert layer.data is raw
    assert (layer.name, layer.colormap.name, tuple(layer.contrast_limits)) == ("mine", "magma", (10, 90))
    assert tuple(layer.scale) == SPACE.voxel_size_nm
    assert tuple(layer.translate) == SPACE.origin_nm
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert viewer.dims.current_step[0] == 7
    assert viewer.dims.nsteps[0] == SHAPE[0], "the slider has a step a section"
    np.testing.assert_allclose(port.focus(layer), (7, 40, 30), atol=0.01)
    assert viewer.scene.camera.zoom == pytest.approx(0.9), "a voxel is as large on the canvas as before"
    assert layer.metadata[OURS] == "image"
    assert port.image_choices() == []


def test_a_layer_in_other_units_is_placed_alike(viewer: Any, port: NapariViewer) -> None:
    layer = viewer.add_image(volume(), scale=(0.05, 0.02, 0.02), units=("um",) * 3, translate=(1, 2, 3))
    look_at(viewer, 1.2, (2.6, 3.4), 700.0)
    before = port.focus(layer)
    port.adopt_image(layer, SPACE)
    assert tuple(layer.scale) == SPACE.voxel_size_nm
    np.testing.assert_allclose(port.focus(layer), before, atol=0.01)
    assert viewer.scene.camera.zoom == pytest.approx(1.4)


def test_what_lies_on_the_image_goes_with_it(
    viewer: Any, port: NapariViewer, qtbot: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = viewer.add_image(volume())
    mask = viewer.add_labels(np.ones((6, 48, 40), np.uint8), scale=(2, 2, 2))
    points = viewer.add_points(np.array([[3.0, 20.0, 10.0]]), translate=(1, 0, 0))
    films = viewer.add_image(np.zeros((2, 12, 96, 80), np.uint8))
    other = viewer.add_image(np.zeros((4, 4, 4)), scale=(8, 8, 8), units=("um",) * 3)
    viewer.layers.remove(other)
    at = layer.world_to_data(mask.data_to_world((2, 10, 5)))
    port.adopt_image(layer, SPACE)
    ours = port.add_labels(np.zeros(SHAPE, np.uint8), SPACE, LayerStyle("Strokes", "strokes"))
    qtbot.wait(100)
    np.testing.assert_allclose(layer.world_to_data(mask.data_to_world((2, 10, 5))), at, atol=1e-6)
    np.testing.assert_allclose(layer.world_to_data(points.data_to_world(points.data[0])), (4, 20, 10), atol=1e-6)
    np.testing.assert_allclose(films.scale, (1, *SPACE.voxel_size_nm))
    assert tuple(ours.scale) == SPACE.voxel_size_nm
    assert viewer.layers.extent.units is not None, "napari finds no inconsistent units"


def test_a_single_section_becomes_a_volume(viewer: Any, port: NapariViewer, qtbot: Any) -> None:
    layer = viewer.add_image(volume()[0])
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, 40.0, 30.0), 9.0
    port.adopt_image(layer, VoxelSpace((10.0, 10.0, 10.0)))
    port.add_labels(np.zeros((1, *SHAPE[1:]), np.uint8), VoxelSpace((10.0, 10.0, 10.0)), LayerStyle("Strokes", "s"))
    qtbot.wait(50)
    assert layer.data.shape == (1, *SHAPE[1:])
    np.testing.assert_allclose(port.focus(layer), (0, 40, 30), atol=0.01)
    assert port.voxels_in_view(layer).shape[0] == 1


def test_what_is_in_view_of_a_pyramid_is_told_in_its_finest_voxels(viewer: Any, port: NapariViewer, qtbot: Any) -> None:
    raw = np.zeros((4, 2048, 2048), np.uint8)
    layer = viewer.add_image([raw, raw[:, ::4, ::4]])
    port.adopt_image(layer, SPACE)
    viewer.reset_view()
    qtbot.waitUntil(lambda: layer.data_level == 1)
    qtbot.wait(100)
    seen = port.voxels_in_view(layer).shape
    assert min(seen[1:]) > 1900


def test_it_is_given_back(viewer: Any, port: NapariViewer) -> None:
    layer = viewer.add_image(volume())
    layer.bind_key("F8", lambda layer: None)
    port.adopt_image(layer, SPACE)
    port.bind_keys(layer, {"1": lambda: None})
    port.set_help(layer, "paint")
    port.release_image(layer)
    assert port.has(layer)
    assert len(layer.keymap) == 1
    assert layer.metadata == {}
    assert tuple(layer.scale) == SPACE.voxel_size_nm
    assert len(port.image_choices()) == 1
