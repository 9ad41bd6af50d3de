"""The journal in the window: strokes and edits in one list, back and forth, shown at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtWidgets import QLineEdit, QPushButton

from napari_pytc.geometry import Box
from napari_pytc.ui.canvas.viewer.port import Pointer
from tests.ui.panels.proofread.proofreading_bench import Bench, Z


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path) -> Iterator[Bench]:
    found = Bench(qtbot, tmp_path)
    yield found
    found.close()


def lines(bench: Bench) -> list[str]:
    model = bench.panel.history.model
    return [model.data(model.index(k, 0)) for k in range(model.rowCount())]


def index_of(bench: Bench, text: str) -> QModelIndex:
    line = next(k for k, found in enumerate(lines(bench)) if text in found)
    return bench.panel.history.model.index(line, 0)


def stroke(bench: Bench, row: int, label: int = 2, released: bool = True) -> None:
    """A stroke of the annotation layer, as napari paints it."""
    layers = bench.workspace.layers
    assert layers is not None
    layer = layers.strokes
    layer.point(Pointer("press", 1, (0.0, 0.0), (Z, row, 10)))
    for x in range(10, 40):
        layer.data[Z, row, x] = label
    if released:
        layer.point(Pointer("release", 1, (0.0, 0.0), (Z, row, 40)))


def strokes_shown(bench: Bench) -> int:
    layers = bench.workspace.layers
    assert layers is not None
    return int((np.asarray(layers.strokes.data[Z]) > 0).sum())


def test_one_entry_a_stroke_in_one_list_with_edits_and_undo_shows_at_once(bench: Bench) -> None:
    layers = bench.workspace.layers
    assert layers is not None
    stroke(bench, 10)
    bench.until(lambda: len(bench.titles) == 1)
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b])
    bench.key("Enter")
    stroke(bench, 20)
    bench.until(lambda: len(bench.titles) == 3)
    merged = bench.segment_at(a)
    refreshed = layers.strokes.refreshed
    layers.strokes.press("Control-Z")
    bench.until(lambda: strokes_shown(bench) == 30)
    bench.until(lambda: layers.strokes.refreshed > refreshed)
    assert bench.session.strokes.store.read(Box((Z, 20, 0), (Z + 1, 21, 64))).max() == 0
    bench.key("Control-Z")
    bench.until(lambda: bench.segment_at(a) != bench.segment_at(b))
    layers.image.press("Control-Z")
    bench.until(lambda: strokes_shown(bench) == 0)
    for _ in range(3):
        layers.strokes.press("Control-Shift-Z")
        bench.idle()
    bench.until(lambda: strokes_shown(bench) == 60)
    assert bench.segment_at(a) == bench.segment_at(b) == merged


def test_undo_takes_back_the_stroke_that_is_not_on_the_disk_yet(bench: Bench) -> None:
    stroke(bench, 10)
    bench.actions.history.undo()
    bench.until(lambda: strokes_shown(bench) == 0)
    bench.idle()
    assert bench.session.strokes.store.counts() == {}
    assert bench.titles == []


def test_the_list_shows_what_and_where_and_where_one_is(bench: Bench) -> None:
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b])
    bench.key("Enter")
    bench.key("L")  # what was merged is selected
    titles = lines(bench)
    assert titles[0].startswith("▸ Lock")
    assert titles[1].startswith("Merge")
    assert titles[-1] == "As it began"
    model = bench.panel.history.model
    assert len(model.data(model.index(1, 1)).split(", ")) == 3
    bench.press(QPushButton, "undoButton")
    bench.until(lambda: lines(bench)[1].startswith("▸ Merge"))
    assert model.data(model.index(0, 0), Qt.ItemDataRole.FontRole).italic()
    assert model.data(model.index(0, 0), Qt.ItemDataRole.ForegroundRole) is not None
    assert "Taken back" in model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole)
    assert bench.message.startswith("Lock")
    bench.press(QPushButton, "redoButton")
    bench.until(lambda: lines(bench)[0].startswith("▸ Lock"))


def test_a_click_flies_there_and_a_double_click_goes_to_that_state(bench: Bench) -> None:
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b])
    bench.key("Enter")
    merged = bench.section
    bench.key("D")
    bench.until(lambda: len(bench.titles) == 2)
    history = bench.panel.history
    entry = bench.actions.history.entries[-2]
    history.view.clicked.emit(index_of(bench, "Merge"))
    assert bench.viewer.flights[-1][1] == entry.box
    history.view.setCurrentIndex(index_of(bench, "Merge"))
    history.view.doubleClicked.emit(index_of(bench, "Merge"))
    bench.until(lambda: len(bench.titles) == 1)
    np.testing.assert_array_equal(bench.section, merged)
    history.view.setCurrentIndex(index_of(bench, "Delete"))
    bench.press(QPushButton, "jumpButton")
    bench.until(lambda: len(bench.titles) == 2)
    assert bench.segment_at(a) == 0
    history.view.setCurrentIndex(index_of(bench, "Switch"))
    bench.press(QPushButton, "jumpButton")
    bench.until(lambda: bench.titles == [])
    assert not history.jump.isEnabled()
    assert "present state" in history.jump.toolTip()


def test_checkpoints_name_a_state(bench: Bench) -> None:
    name, button = bench.panel.history.name, bench.panel.history.mark
    assert isinstance(name, QLineEdit)
    assert "needs a name" in button.toolTip()
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b])
    bench.key("Enter")
    name.setText("before lunch")
    button.click()
    bench.until(lambda: any("⚑ before lunch" in line for line in lines(bench)))
    assert name.text() == ""


def test_the_list_is_there_after_a_restart(bench: Bench) -> None:
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b])
    bench.key("Enter")
    before = lines(bench)
    bench.workspace.close_project()
    assert lines(bench) == []
    bench.open()
    bench.until(lambda: lines(bench) == before)
    bench.key("Control-Z")
    bench.until(lambda: bench.segment_at(a) != bench.segment_at(b))


def test_nothing_to_take_back_is_reported(bench: Bench) -> None:
    bench.workspace.close_project()
    bench.actions.history.undo()
    assert "no project is open" in bench.refusal
