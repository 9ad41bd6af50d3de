"""The brush in held-out boxes: nothing is painted there by mistake, and it is said why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from qtpy.QtWidgets import QPushButton, QToolButton

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.ui.canvas.paint.paint_array import PaintArray
from napari_pytc.ui.canvas.project_layers import ProjectLayers
from tests.support.viewers import FakeViewer
from tests.ui.canvas.paint.test_paint_array import SHAPE, MemoryStore
from tests.ui.panels.data.test_panel import Window, opened, window  # noqa: F401 fixtures

HELD = [Box((0, 2, 3), (3, 6, 9)), Box((2, 5, 0), (7, 10, 5))]


@pytest.mark.slow
@given(
    strokes=st.lists(st.tuples(basic_indices(SHAPE, allow_newaxis=False), st.integers(0, 5))),
    points=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 8)), min_size=1),
)
def test_protected_boxes_stay_as_they_are_whatever_is_painted(
    strokes: list[tuple[Any, int]], points: list[tuple[int, int, int]]
) -> None:
    store, received = MemoryStore(), []
    array, expected = PaintArray(store), store.data.copy()
    array.protect(lambda: HELD, received.append)
    inside = np.zeros(SHAPE, bool)
    for box in HELD:
        inside[box.slices] = True
    fancy = tuple(np.array(axis) for axis in zip(*points, strict=True))
    for key, label in [*strokes, (fancy, 7)]:  # napari's brush gives indices of voxels
        wanted = expected.copy()
        wanted[key] = label
        refused = [box for box in HELD if (wanted[box.slices] != expected[box.slices]).any()]
        expected = np.where(inside, expected, wanted)
        received.clear()
        array[key] = label
        assert received == refused
    np.testing.assert_array_equal(np.asarray(array), expected)
    store.save(array)
    np.testing.assert_array_equal(store.data, expected)


@pytest.mark.slow
def test_a_stroke_across_is_kept_outside_and_reported_once(
    qtbot: Any,
    layers: ProjectLayers,
    viewer: FakeViewer,
    session: Any,
) -> None:
    received: list[PytcError] = []
    layers.failed.connect(received.append)
    held = Box((0, 0, 0), (12, 20, 40))
    session.held_out.add(held)
    strokes = viewer.find("Strokes")
    with qtbot.waitSignal(layers.saved):
        strokes.data[3:4, 15:25, 0:10] = 2
    assert session.strokes.counts() == {"membrane": 0, "inside": 50}
    assert not strokes.data[3, :20, :].any()
    qtbot.waitUntil(lambda: strokes.refreshed > 0)
    (error,) = received
    assert "held out" in error.message
    assert "pencil" in error.hint
    strokes.data[5:6, 0:2, 0:2] = 1
    assert len(received) == 1
    assert "held out" in viewer.status
    session.held_out.allow_painting(held)
    with qtbot.waitSignal(layers.saved):
        strokes.data[5:6, 0:2, 0:2] = 1
    assert session.strokes.counts() == {"membrane": 4, "inside": 50}


def test_the_pencil_beside_a_box_lets_truth_be_painted(opened: Window) -> None:  # noqa: F811
    session = opened.workspace.session
    assert session is not None
    opened.viewer.boxes = [np.array([[4, 5, 6], [4, 5, 20], [4, 15, 20], [4, 15, 6]], float)]
    opened.find(QPushButton, "holdOut").click()
    (box,) = session.held_out.boxes
    pencil = opened.find(QToolButton, "sayTruth0")
    assert not pencil.isChecked()
    assert "scored" in pencil.toolTip()
    pencil.click()
    assert session.held_out.protected == ()
    pencil.click()
    assert session.held_out.protected == (box,)
    pencil.click()
    session.held_out.add(Box((0, 0, 0), (1, 2, 2)))  # the list is made again
    assert opened.find(QToolButton, "sayTruth0").isChecked()
    assert not opened.find(QToolButton, "sayTruth1").isChecked()
