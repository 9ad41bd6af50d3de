"""Strokes and marks as they are drawn: their voxels, and the layer that shows them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QObject

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.proofread.marks import MarkedStroke, MarksArray, MarksLayer
from tests.support.viewers import FakeViewer

SHAPE: Shape = (12, 64, 64)
SIZE_NM = (8.0, 8.0, 8.0)


def test_a_stroke_is_round_in_the_plane_and_cut_at_the_volume() -> None:
    stroke = MarkedStroke(1, 0, 5, (40.0, 8.0, 8.0), SHAPE)
    stroke.move_to((3.0, 20.0, 20.0))
    box, mask = stroke.mask() or (None, None)
    assert box == Box((3, 18, 18), (4, 23, 23))
    assert mask is not None
    assert mask[0].tolist()[0] == [False, True, True, True, False]
    stroke.move_to((3.0, -4.0, 20.0))
    box, mask = stroke.mask() or (None, None)
    assert box is not None
    assert box.start[1] == 0
    assert stroke.voxels[0] == (3, 20, 20)
    assert stroke.voxels[-1] == (3, 0, 20)
    assert len(stroke.voxels) == 21
    across = MarkedStroke(1, 1, 10, (40.0, 8.0, 8.0), SHAPE)
    across.move_to((6.0, 20.0, 20.0))
    assert across.mask()[0].shape == (3, 1, 11)  # type: ignore[index]
    outside = MarkedStroke(1, 0, 5, (8.0, 8.0, 8.0), SHAPE)
    outside.move_to((3.0, -40.0, 20.0))
    assert outside.mask() is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_stroke_stays_in_its_plane_and_passes_every_voxel_of_a_line(axis: int) -> None:
    stroke = MarkedStroke(1, axis, 1, SIZE_NM, SHAPE)
    start, stop = np.array([5.0, 30.0, 30.0]), np.array([5.0, 30.0, 30.0])
    others = [k for k in range(3) if k != axis]
    stop[others] += (3, 5)
    stroke.move_to(tuple(start))
    stroke.move_to(tuple(stop))
    found = stroke.mask()
    assert found is not None
    box, mask = found
    assert box.shape[axis] == 1
    assert stroke.voxels[0] == tuple(start)
    assert stroke.voxels[-1] == tuple(stop)
    steps = np.abs(np.diff(np.array(stroke.voxels), axis=0)).max(axis=1)
    assert (steps == 1).all(), "no voxel is skipped, none is there twice in a row"
    assert all(mask[tuple(np.subtract(voxel, box.start))] for voxel in stroke.voxels)


def test_marks_are_a_volume_that_is_empty_elsewhere() -> None:
    array = MarksArray(SHAPE)
    assert array.is_empty
    stroke = MarkedStroke(3, 0, 1, (8.0, 8.0, 8.0), SHAPE)
    array.add(stroke)
    for x in range(10, 15):
        stroke.move_to((3.0, 20.0, float(x)))
    np.testing.assert_array_equal(np.flatnonzero(np.asarray(array[3])[20]), np.arange(10, 15))
    assert int(np.asarray(array).sum()) == 15
    array.remove([stroke])
    assert array.is_empty


@pytest.fixture
def viewer() -> FakeViewer:
    return FakeViewer()


@pytest.fixture
def layer(viewer: FakeViewer, qtbot: QtBot) -> Iterator[MarksLayer]:
    parent = QObject()
    strokes = viewer.add_labels(np.zeros(SHAPE, np.uint8), VoxelSpace(SIZE_NM), LayerStyle("Strokes", "strokes"))
    layer = MarksLayer(viewer, SHAPE, VoxelSpace(SIZE_NM), lambda: strokes, parent)
    yield layer
    layer.close()


def drawn(number: int = 1) -> MarkedStroke:
    stroke = MarkedStroke(number, 0, 3, SIZE_NM, SHAPE)
    stroke.move_to((3.0, 20.0, 20.0))
    return stroke


def test_the_layer_comes_with_the_first_stroke_and_stays(viewer: FakeViewer, layer: MarksLayer, qtbot: QtBot) -> None:
    assert not layer.is_there
    layer.ensure_layer({1: "#ff0000"})
    layer.ensure_layer({1: "#00ff00"})
    assert [found.name for found in viewer.layers] == ["Marks", "Strokes"]
    shown = viewer.find("Marks")
    layer.add(drawn())
    qtbot.waitUntil(lambda: shown.refreshed == 1)
    assert np.asarray(shown.data[3]).any()
    layer.clear()
    assert not np.asarray(shown.data[3]).any()
    assert layer.is_there
    layer.show_colours({1: "#0000ff"})
    assert shown.style.colours == {1: "#0000ff"}
    viewer.layers.clear()  # the user deleted it
    layer.ensure_layer({})
    assert layer.is_there


def test_a_painted_stroke_is_shown_until_the_segments_are(viewer: FakeViewer, layer: MarksLayer, qtbot: QtBot) -> None:
    layer.ensure_layer({})
    painted, refused = drawn(1), drawn(2)
    layer.add(painted)
    layer.add(refused)
    layer.remove(refused)
    section = viewer.find("Marks").data
    assert set(np.unique(np.asarray(section[3]))) == {0, 1}
    layer.remove_later(painted)
    assert np.asarray(section[3]).any()
    qtbot.waitUntil(lambda: not np.asarray(section[3]).any())


def test_in_3d_it_is_hidden(viewer: FakeViewer, layer: MarksLayer) -> None:
    viewer.show_3d(True)
    layer.ensure_layer({})
    assert not viewer.find("Marks").visible
    layer.set_visible(True)
    assert viewer.find("Marks").visible
    layer.close()
    assert [found.name for found in viewer.layers] == ["Strokes"]
