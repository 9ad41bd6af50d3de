"""The layers in a real window, painted with a real mouse."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
import tensorstore as ts

from napari_pytc.geometry import Box, Shape
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.project_layers import ProjectLayers
from napari_pytc.ui.canvas.viewer.planes import Plane, cut_box
from napari_pytc.ui.canvas.viewer.port import LayerStyle, box_of_points
from napari_pytc.ui.canvas.viewer.viewer import NapariViewer
from napari_pytc.ui.tasks.background import Background
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.display import needs_display
from tests.support.tissue import make_tissue

SHAPE: Shape = (12, 96, 80)
NM = (40.0, 10.0, 10.0)


class Window:
    """A napari window with a project in it, and a hand on its mouse."""

    def __init__(self, viewer: Any, session: Session, qtbot: Any) -> None:
        self.viewer, self.session, self.qtbot = viewer, session, qtbot
        self.background = Background()
        self.layers = ProjectLayers(NapariViewer(viewer), session, session.image.source, self.background)
        self.canvas = viewer.window._qt_viewer.canvas
        self.settle()

    def settle(self) -> None:
        """Let the window draw."""
        for _ in range(3):
            self.canvas.native.update()
            self.qtbot.wait(30)

    def at(self, voxel: tuple[float, float, float]) -> Any:
        """Where a voxel of the image is on the canvas."""
        from qtpy.QtCore import QPoint

        world = np.asarray(self.layers.image.data_to_world(voxel))
        displayed = list(self.viewer.dims.displayed)
        away = world[displayed] - np.asarray(self.viewer.scene.camera.center)[-2:]
        native = self.canvas.native
        y, x = away * self.viewer.scene.camera.zoom + np.array([native.height(), native.width()]) / 2
        return QPoint(round(x), round(y))

    def drag(self, *voxels: tuple[float, float, float]) -> None:
        """Press the mouse at the first voxel, move over the others, let go."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        test: Any = QTest
        native, button = self.canvas.native, Qt.MouseButton.LeftButton
        points = [self.at(voxel) for voxel in voxels]
        test.mouseMove(native, points[0])
        test.mousePress(native, button, pos=points[0])
        for point in [*points, points[-1]]:  # the last one twice: on a busy machine vispy may drop one all the same
            self.qtbot.wait(15)  # vispy drops moves that come faster
            move(native, point)
        test.mouseRelease(native, button, pos=points[-1])
        self.qtbot.wait(5)

    def key(self, text: str) -> None:
        """Press a key on the canvas."""
        from qtpy.QtTest import QTest

        test: Any = QTest
        test.keyClicks(self.canvas.native, text)
        self.qtbot.wait(5)

    def saved(self) -> dict[str, int]:
        """What is on disk once all is saved."""
        done: list[int] = []
        self.layers.flush(lambda: done.append(1))
        self.qtbot.waitUntil(lambda: bool(done))
        return self.session.strokes.counts()

    def close(self) -> None:
        self.layers.close()
        self.background.close()
        self.session.close()


def move(native: Any, point: Any) -> None:
    """QTest's own moves carry no buttons."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    left = Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    place = QPointF(point)
    event = QMouseEvent(QEvent.Type.MouseMove, place, QPointF(native.mapToGlobal(point)), left, left, none)
    QApplication.sendEvent(native, event)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("main", data=make_tissue(SHAPE, anisotropy=4.0).raw)
    folder = tmp_path / "fly.pytc"
    Session.create(folder, tmp_path / "raw.h5", ["membrane", "inside"], voxel_size_nm=NM).close()
    return folder


@pytest.fixture
def open_window(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Iterator[Callable[[Path], Window]]:
    windows: list[Window] = []

    def make(folder: Path) -> Window:
        windows.append(Window(make_napari_viewer(show=True), Session.open(folder), qtbot))
        return windows[-1]

    yield make
    for window in windows:
        window.close()


@pytest.fixture
def window(open_window: Callable[[Path], Window], project: Path) -> Window:
    return open_window(project)


@pytest.mark.slow
@needs_display
def test_a_stroke_of_the_mouse_is_on_disk(window: Window) -> None:
    window.viewer.dims.set_current_step(0, 5)
    window.drag((5, 40, 20), (5, 40, 40), (5, 40, 60))
    assert (window.layers.strokes.data[5, 40, 20:60] == 1).all()
    counts = window.saved()
    assert counts["inside"] == 0
    assert counts["membrane"] == (window.layers.strokes.data[5, :, :] == 1).sum() > 150
    window.key("2")
    window.drag((5, 60, 20), (5, 60, 60))
    window.key("0")
    window.drag((5, 40, 20), (5, 40, 60))
    counts = window.saved()
    assert counts["inside"] > 100
    assert counts["membrane"] < 40


@pytest.mark.slow
@needs_display
def test_what_is_painted_is_shown_and_undone(window: Window) -> None:
    window.viewer.dims.set_current_step(0, 5)
    window.settle()
    window.drag((5, 40, 20), (5, 40, 60))
    layer = window.layers.strokes
    assert (layer._slice.image.raw[40, 20:60] == 1).all()
    picture = window.viewer.screenshot(flash=False).astype(int)
    assert (picture[..., 0] - picture[..., 1] > 60).sum() > 300
    layer.undo()
    assert window.saved() == {"membrane": 0, "inside": 0}
    layer.redo()
    assert window.saved()["membrane"] > 150


@pytest.mark.slow
@needs_display
def test_fill_and_polygon_and_every_axis(window: Window) -> None:
    layer = window.layers.strokes
    layer.paint_polygon(np.array([[3, 10, 10], [3, 10, 30], [3, 30, 30], [3, 30, 10]]), 1)
    layer.fill((3, 20, 20), 2)
    assert window.saved() == {"membrane": 0, "inside": 441}
    for order in [(1, 0, 2), (2, 1, 0)]:
        window.viewer.dims.order = order
        window.viewer.dims.set_current_step(order[0], 50)
        window.settle()
        spot = [6, 48, 40]
        spot[order[0]] = 50
        window.drag(tuple(spot), tuple(spot))  # type: ignore[arg-type]
        assert layer.data[tuple(spot)] == 1, order
    window.viewer.dims.order = (0, 1, 2)
    window.viewer.dims.ndisplay = 3
    layer.n_edit_dimensions = 3
    layer.paint((6, 60, 60), 2)
    assert layer.data[5:8, 60, 60].tolist()[1] == 2


@pytest.mark.slow
@needs_display
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 2, 1)])
def test_voxels_in_view_and_focus(window: Window, order: tuple[int, int, int]) -> None:
    viewer = window.viewer
    viewer.dims.order = order
    viewer.dims.set_current_step(order[0], 7)
    viewer.reset_view()
    window.settle()
    stop = [1 if axis == order[0] else SHAPE[axis] for axis in range(3)]
    start = [7 if axis == order[0] else 0 for axis in range(3)]
    assert window.layers.view_box() == Box.at(start, stop)
    assert window.layers.focus() == pytest.approx([7 if a == order[0] else (SHAPE[a] - 1) / 2 for a in range(3)])
    viewer.scene.camera.zoom *= 8
    window.settle()
    box, focus = window.layers.view_box(), window.layers.focus()
    assert box.size < np.prod(stop)
    assert box.contains_point([round(f) for f in focus])


@pytest.mark.slow
@needs_display
def test_the_users_own_four_axes_and_layers_do_not_disturb(window: Window) -> None:
    window.viewer.add_image(np.zeros((2, 12, 96, 80), np.uint8), scale=(1, *NM), units=("pixel", "nm", "nm", "nm"))
    window.viewer.dims.set_current_step(1, 4)
    window.settle()
    assert window.layers.view_box() == Box((4, 0, 0), (5, 96, 80))
    assert window.layers.focus() == pytest.approx((4, 47.5, 39.5))


@pytest.mark.slow
@needs_display
def test_layers_moved_renamed_deleted_and_put_back(window: Window) -> None:
    layers, viewer = window.layers, window.viewer
    layers.strokes.name, layers.image.name = "mine", "volume"
    layers.image.translate = (400, 100, 100)
    layers.strokes.translate = (400, 100, 100)
    viewer.reset_view()
    viewer.dims.set_current_step(0, 6)
    window.settle()
    assert layers.view_box().shape == (1, 96, 80)
    z = layers.view_box().start[0]
    window.drag((z, 40, 20), (z, 40, 60))
    assert (layers.strokes.data[z, 40, 20:60] == 1).all()
    viewer.layers.remove("mine")
    layers.choose_class(2)
    assert viewer.layers.selection.active is layers.strokes
    assert (layers.strokes.name, layers.strokes.mode, layers.strokes.selected_label) == ("Strokes", "paint", 2)
    assert (layers.strokes.data[z, 40, 20:60] == 1).all()


@pytest.mark.slow
@needs_display
def test_drawn_boxes_are_voxels(window: Window) -> None:
    window.viewer.dims.set_current_step(0, 5)
    window.layers.start_drawing_box()
    window.settle()
    window.drag((5, 20, 10), (5, 30, 20), (5, 60, 50))
    box = window.layers.drawn_box()
    assert box is not None
    assert (box.start[0], box.stop[0]) == (5, 6)
    np.testing.assert_allclose(box.start[1:], (20, 10), atol=2)
    np.testing.assert_allclose(box.stop[1:], (60, 50), atol=2)
    own = window.viewer.add_shapes([np.array([[3, 4], [3, 9], [8, 9], [8, 4.0]])], scale=NM[1:], units=("nm", "nm"))
    assert window.viewer.layers.selection.active is own
    assert window.layers.drawn_box() == Box((5, 3, 4), (6, 9, 10))
    assert window.viewer.dims.nsteps == SHAPE  # the sliders still go by voxels


@pytest.mark.slow
@needs_display
def test_the_status_bar_names_the_keys_that_our_layers_have(window: Window) -> None:
    strokes = window.layers.strokes
    said = "1 to 9: paint a class"  # napari's own would be: <1> the eraser, <3> the polygon tool
    for mode in ("paint", "polygon", "erase", "pan_zoom"):
        strokes.mode = mode
        assert strokes.help.startswith(said)
        assert window.viewer.help == strokes.help
    window.viewer.layers.selection.active = window.layers.image
    assert window.viewer.help.startswith(said)
    NapariViewer(window.viewer).set_help(strokes, "something else")
    strokes.mode = "paint"
    assert strokes.help == "something else"


@pytest.mark.slow
@needs_display
def test_held_out_boxes_are_shown_where_they_are(window: Window) -> None:
    window.viewer.dims.set_current_step(0, 3)
    window.session.held_out.add(Box((2, 10, 20), (5, 40, 60)))
    layer = window.viewer.layers["Held out"]
    assert layer.nshapes == 1
    np.testing.assert_allclose(layer.data[0].min(axis=0), (3, 9.5, 19.5))
    np.testing.assert_allclose(layer.data[0].max(axis=0), (3, 39.5, 59.5))
    assert window.viewer.layers.selection.active is window.layers.strokes
    assert window.viewer.dims.nsteps == SHAPE
    window.viewer.dims.set_current_step(0, 5)
    window.qtbot.waitUntil(lambda: layer.nshapes == 0)
    window.viewer.dims.order = (1, 0, 2)
    window.viewer.dims.set_current_step(1, 15)
    window.qtbot.waitUntil(lambda: layer.nshapes == 1)
    window.viewer.dims.ndisplay = 3
    window.qtbot.waitUntil(lambda: layer.nshapes == 6)
    assert window.layers.drawn_box() is None


@pytest.mark.slow
@needs_display
def test_a_prediction_in_the_window(window: Window, tmp_path: Path) -> None:
    sink = create_ome_zarr(
        tmp_path / "p.zarr", SHAPE, np.uint8, window.session.image.space, channels=("membrane", "inside")
    )
    window.layers.show_new_voxels(sink.path, [])
    window.qtbot.waitUntil(lambda: len(window.viewer.layers) == 3)
    window.layers.predictions.show_channel(1)
    names = [layer.name for layer in window.viewer.layers]
    assert names == ["fly", "P(inside)", "Prediction", "Strokes"]
    assert window.viewer.layers.selection.active is window.layers.strokes
    layer = window.viewer.layers["Prediction"]
    assert not layer.editable
    tile = Box((0, 0, 0), (12, 48, 80))
    sink.write(tile, np.stack([np.full(tile.shape, 30, np.uint8), np.full(tile.shape, 220, np.uint8)]))
    window.layers.show_new_voxels(sink.path, [tile])
    window.qtbot.waitUntil(lambda: bool((layer._slice.image.raw[:48] == 2).all()))
    assert not layer._slice.image.raw[48:].any()
    assert window.viewer.layers["P(inside)"].visible
    window.viewer.dims.ndisplay = 3
    window.settle()
    assert layer._slice.image.raw.shape == SHAPE
    window.viewer.dims.ndisplay = 2
    window.layers.show_prediction(None)
    assert "Prediction" not in window.viewer.layers


@pytest.mark.slow
@needs_display
def test_flying_to_a_place_in_sections_and_in_3d(window: Window) -> None:
    port, image, camera = NapariViewer(window.viewer), window.layers.image, window.viewer.scene.camera
    zoom = camera.zoom
    port.fly_to(image, (9, 60, 20))
    window.settle()
    assert window.viewer.dims.current_step[0] == 9
    assert np.allclose(port.focus(image), (9, 60, 20), atol=0.6)
    assert camera.zoom == zoom, "the user's zoom stays where nothing speaks against it"
    port.fly_to(image, (3, 40, 30), Box((3, 39, 29), (4, 41, 31)))
    window.settle()
    assert camera.zoom > 4 * zoom, "a small box is zoomed at"
    seen = port.voxels_in_view(image)
    assert seen.contains(Box((3, 39, 29), (4, 41, 31)))
    port.fly_to(image, (6, 48, 40), Box.of_shape(SHAPE))
    window.settle()
    whole, fifth = camera.zoom, Box((6, 38, 30), (7, 57, 46))
    port.fly_to(image, (6, 48, 40), fifth)
    assert camera.zoom == whole
    port.fly_to(image, (6, 48, 40), fifth, close=True)
    assert camera.zoom > whole, "a box that is to be seen closely takes a good part of the canvas"
    port.fly_to(image, (6, 48, 40), Box.of_shape(SHAPE))
    window.settle()
    assert port.voxels_in_view(image).shape[1:] == SHAPE[1:], "a large one is brought into view"
    window.viewer.dims.ndisplay = 3
    port.fly_to(image, (2, 10, 70), Box((0, 0, 60), (4, 20, 80)))
    assert np.allclose(port.focus(image), (2, 10, 70), atol=0.6)


@pytest.mark.slow
def test_image_choices(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer()
    port = NapariViewer(viewer)
    viewer.add_image(np.zeros((4, 5, 6), np.uint8), name="a", scale=(0.04, 0.01, 0.01), units=("um",) * 3)
    viewer.add_image(np.zeros((5, 6), np.uint16), name="b")
    viewer.add_labels(np.zeros((5, 6), int), name="c")
    viewer.add_image(np.zeros((2, 2, 5, 6)), name="d")  # no axis is far shorter than the others
    a, b = (next(c for c in port.image_choices() if c.name == name) for name in "ab")
    assert len(port.image_choices()) == 2
    assert not a.is_selected
    viewer.layers.selection = {viewer.layers["a"], viewer.layers["b"]}
    assert all(choice.is_selected for choice in port.image_choices())
    assert (a.shape, a.dtype, a.voxel_size_nm) == ((4, 5, 6), "uint8", pytest.approx((40, 10, 10)))
    assert (b.shape, b.voxel_size_nm) == ((1, 5, 6), None)
    layer = port.add_image(np.zeros((4, 5, 6), np.uint8), a_space(), LayerStyle("ours", "image"))
    assert len(port.image_choices()) == 2
    for call in (port.remove, port.remove, port.refresh):
        call(layer)
    assert not port.has(layer)


def a_space() -> Any:
    from napari_pytc.geometry import VoxelSpace

    return VoxelSpace(NM)


def test_boxes_of_points() -> None:
    assert box_of_points(np.array([[3, 1.0, 2.0], [3, 5.2, 9.4]]), SHAPE) == Box((3, 1, 2), (4, 6, 10))
    assert box_of_points(np.array([[3, -9.0, 2.0], [3, 500, 2.0]]), SHAPE) == Box((3, 0, 2), (4, 96, 3))
    assert box_of_points(np.array([[3, 200.0, 2.0], [3, 500, 2.0]]), SHAPE).is_empty


def test_planes_cut_boxes() -> None:
    corners = np.array([[0, 0, 0], [4, 6, 8]]) - 0.5
    (line,) = cut_box(corners, Plane((1, 2), (3.0, 9, 9)))
    assert line.shape == (5, 3)
    assert (line[:, 0] == 3).all()
    assert (line.min(axis=0)[1:].tolist(), line.max(axis=0)[1:].tolist()) == ([-0.5, -0.5], [5.5, 7.5])
    assert cut_box(corners, Plane((1, 2), (4.0, 9, 9))) == []
    edges = cut_box(corners, Plane((0, 1, 2), (9.0, 9, 9)))
    assert np.vstack(edges).min(axis=0).tolist() == [-0.5] * 3
    assert np.vstack(edges).max(axis=0).tolist() == [3.5, 5.5, 7.5]


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A project of 40 GB without a chunk on disk."""
    ts.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(tmp_path / "huge.zarr")},
            "metadata": {
                "shape": [8_000, 2304, 2240],
                "data_type": "uint8",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [64, 64, 64]}},
            },
        },
        create=True,
    ).result()
    folder = tmp_path / "huge.pytc"
    Session.create(folder, tmp_path / "huge.zarr", ["membrane", "inside"], voxel_size_nm=NM).close()
    return folder


@pytest.mark.slow
@needs_display
def test_forty_gigabytes_are_opened_scrolled_and_painted(open_window: Callable[[Path], Window], huge: Path) -> None:
    window = open_window(huge)
    gc.collect()
    before = psutil.Process().memory_info().rss
    for z in range(0, 8_000, 160):
        window.viewer.dims.set_current_step(0, z)
        window.drag((z, 400, 400), (z, 420, 440))
    for y in range(0, 2304, 512):
        window.viewer.dims.order = (1, 0, 2)
        window.viewer.dims.set_current_step(1, y)
        window.qtbot.wait(20)
    window.viewer.dims.ndisplay = 3
    window.qtbot.wait(20)
    assert not window.layers.image.visible
    window.viewer.dims.ndisplay = 2
    window.viewer.dims.order = (0, 1, 2)
    counts = window.saved()
    assert counts["membrane"] > 50 * 100
    window.qtbot.waitUntil(lambda: psutil.Process().memory_info().rss - before < 1e9)
