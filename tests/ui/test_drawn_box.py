"""Boxes are drawn in one section and meant as deep as was chosen last, in any panel."""

from __future__ import annotations

from pytestqt.qtbot import QtBot
from qtpy.QtCore import QObject

from napari_pytc.ui.drawn_box import DepthBox, box_depth


def test_all_panels_of_a_window_share_the_depth_and_no_others_do(qtbot: QtBot) -> None:
    here, elsewhere = QObject(), QObject()
    first, second, other = DepthBox(here), DepthBox(here), DepthBox(elsewhere)
    for box in (first, second, other):
        qtbot.addWidget(box)
    first.setValue(5)
    assert (second.value(), other.value()) == (5, 1)
    assert box_depth(here).sections == 5
    late = DepthBox(here)
    qtbot.addWidget(late)
    assert (late.value(), late.text()) == (5, "5 sections")
    second.setValue(1)
    assert first.text() == "1 section"
