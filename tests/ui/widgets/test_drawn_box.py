"""Tests of the fields for the drawn box."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from napari_pytc.ui.canvas.drawn_box import DrawnBox
from napari_pytc.ui.widgets.drawn_box import DepthBox, DrawnBoxField
from tests.support.viewers import FakeViewer
from tests.support.workspaces import FakeLayers


def test_the_depth_is_the_same_in_all_panels_of_a_window(qtbot: QtBot) -> None:
    here, elsewhere = DrawnBox(lambda: None), DrawnBox(lambda: None)
    first, second, other = DepthBox(here), DepthBox(here), DepthBox(elsewhere)
    for box in (first, second, other):
        qtbot.addWidget(box)
    first.setValue(5)
    assert (second.value(), other.value()) == (5, 1)
    assert here.n_sections == 5
    late = DepthBox(here)
    qtbot.addWidget(late)
    assert late.value() == 5


def test_draw_starts_a_rectangle_on_the_layers(qtbot: QtBot) -> None:
    layers = FakeLayers(FakeViewer())
    drawn = DrawnBox(lambda: layers)
    field = DrawnBoxField(drawn)
    qtbot.addWidget(field)
    field.draw.click()
    assert layers.drawings == 1
