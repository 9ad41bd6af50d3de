"""Proofreading in a real window: the mouse on the canvas, the keys, and how long the window stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from napari_pytc.geometry import Box
from napari_pytc.ui.panels.proofread.panel import ProofreadPanel
from napari_pytc.ui.plugin import show_workspace
from tests.support.display import needs_display
from tests.support.mouse import canvas_of, drag, on_canvas
from tests.support.proofreading import make_segmented_project

pytestmark = [needs_display, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

Z = 6
KEYS = {"Enter": Qt.Key.Key_Return, "Escape": Qt.Key.Key_Escape}


class User:
    """A user who proofreads in a real window."""

    def __init__(self, viewer: Any, bot: QtBot, folder: Path) -> None:
        self.viewer, self.bot = viewer, bot
        self.made = make_segmented_project(folder, shape=(12, 96, 96), n_cells=12)
        self.widget = show_workspace(viewer)
        self.workspace = self.widget.workspace
        self.workspace.open_project(folder / "cells.pytc")
        self.wait(lambda: self.workspace.segments.document is not None)
        self.widget.show_panel("Proofread")
        panel = self.widget.panel("Proofread")
        assert isinstance(panel, ProofreadPanel)
        self.panel, self.editor = panel, self.widget.controllers.editor
        viewer.dims.set_current_step(0, Z)
        self.wait(lambda: viewer.layers.selection.active is self.layer)
        self.wait(lambda: "Edit preview" in viewer.layers)
        self.idle()

    @property
    def layer(self) -> Any:
        return self.viewer.layers["Segments"]

    @property
    def section(self) -> np.ndarray:
        document = self.editor.document
        assert document is not None
        return document.segments(Box((Z, 0, 0), (Z + 1, 96, 96)))[0]

    @property
    def titles(self) -> list[str]:
        return [entry.title for entry in self.widget.controllers.actions.history.entries if not entry.is_undone][1:]

    def wait(self, happened: Callable[[], Any]) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    def idle(self) -> None:
        self.bot.wait(50)
        self.wait(lambda: not self.editor.is_busy)
        self.bot.wait(50)
        self.wait(lambda: not self.editor.is_busy)

    def key(self, key: str, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        code = KEYS.get(key) or getattr(Qt.Key, f"Key_{key}")
        self.bot.keyClick(canvas_of(self.viewer), code, modifier)
        self.idle()

    def undo(self) -> None:
        self.key("Z", Qt.KeyboardModifier.ControlModifier)

    def draw(self, *places: tuple[int, int], layer: Any = None) -> None:
        drag(self.viewer, layer or self.layer, [(Z, y, x) for y, x in places])
        self.idle()

    def right_click(self, y: int, x: int) -> QWidget:
        """The menu that this opens."""
        canvas, place = canvas_of(self.viewer), on_canvas(self.viewer, self.layer, (Z, y, x))
        outside = QPointF(canvas.mapToGlobal(place.toPoint()))
        button, none = Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier
        for kind, held in (
            (QEvent.Type.MouseButtonPress, button),
            (QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton),
        ):
            QApplication.sendEvent(canvas, QMouseEvent(kind, place, outside, button, held, none))
        self.wait(QApplication.activePopupWidget)
        menu = QApplication.activePopupWidget()
        assert menu is not None
        return menu

    def neighbours(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Two places in two segments that touch along x."""
        section = self.section
        for y, x in np.argwhere(section[8:-8, 12:-20] != section[8:-8, 13:-19]) + np.array([8, 12]):
            left, right = section[y - 2 : y + 3, x - 10 : x + 1], section[y - 2 : y + 3, x + 1 : x + 12]
            if len(np.unique(left)) == len(np.unique(right)) == 1:
                return (int(y), int(x) - 6), (int(y), int(x) + 7)
        raise AssertionError("no neighbours")


@pytest.fixture
def user(make_napari_viewer: Callable[..., Any], qtbot: QtBot, tmp_path: Path) -> Iterator[User]:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    found = User(viewer, qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


@pytest.mark.timeout(600)
def test_merge_split_paint_lock_and_undo_with_mouse_and_keys(user: User) -> None:
    (y, x), (_, right) = user.neighbours()
    centre = user.viewer.scene.camera.center
    before = user.section
    user.key("M")
    user.draw((y, x), (y, right))
    assert user.editor.proposal is not None, user.editor.message
    assert np.asarray(user.viewer.layers["Marks"].data[Z]).any()
    assert np.asarray(user.viewer.layers["Edit preview"].data[Z]).any()
    assert user.viewer.scene.camera.center == centre, "drawing moved the view"
    user.key("Enter")
    merged = user.section
    assert merged[y, x] == merged[y, right]
    user.draw((y, x), (y, x + 1))
    user.key("X")
    user.draw((y, right), (y, right + 1))
    user.key("Enter")
    cut = user.section
    assert cut[y, x] != cut[y, right]
    user.key("Z")
    user.draw((y, x))
    assert [one.segment for one in user.editor.selected] == [cut[y, x]]
    user.key("P")
    assert user.layer.cursor == "circle"
    user.draw((y, x), (y, right))
    assert user.section[y, right] == cut[y, x]
    user.key("L")
    user.key("D")
    assert "locked" in user.editor.message.text
    assert [title.split()[0] for title in user.titles] == ["Merge", "Split", "Paint", "Lock"]
    for _ in range(4):
        user.undo()
    np.testing.assert_array_equal(user.section, before)
    user.key("Z", Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_array_equal(user.section, merged)


def test_napari_s_undo_on_the_strokes_is_the_journal_s(user: User) -> None:
    layers = user.workspace.layers
    assert layers is not None
    layers.choose_class(1)
    user.draw((20, 20), (20, 40), layer=layers.strokes)
    user.draw((40, 20), (40, 40), (60, 40), layer=layers.strokes)
    user.wait(lambda: len(user.titles) == 2)
    assert np.asarray(layers.strokes.data[Z]).any(axis=1)[[20, 50]].all()
    user.undo()
    user.wait(lambda: not np.asarray(layers.strokes.data[Z])[50].any())
    assert np.asarray(layers.strokes.data[Z])[20].any()
    user.undo()
    user.wait(lambda: not np.asarray(layers.strokes.data[Z]).any())
    session = user.workspace.session
    assert session is not None
    assert session.strokes.store.counts() == {}


def test_the_right_button_opens_the_menu(user: User) -> None:
    (y, x), _ = user.neighbours()
    menu = user.right_click(y, x)
    assert menu.objectName() == "segmentMenu"
    menu.close()


def test_space_moves_the_view_while_a_tool_is_chosen(user: User) -> None:
    (y, x), (_, right) = user.neighbours()
    user.key("M")
    assert not user.layer.mouse_pan
    canvas = canvas_of(user.viewer)
    user.bot.keyPress(canvas, Qt.Key.Key_Space)
    assert user.layer.mouse_pan
    user.bot.keyRelease(canvas, Qt.Key.Key_Space)
    user.wait(lambda: not user.layer.mouse_pan)
    user.draw((y, x), (y, right))
    assert user.editor.proposal is not None


def test_nothing_is_clipped_in_a_narrow_dock(user: User) -> None:
    (y, x), (_, right) = user.neighbours()
    user.key("M")
    user.draw((y, x), (y, right))
    user.widget.resize(360, 700)
    user.bot.wait(50)
    for kind in (QPushButton, QLabel):
        for part in user.panel.findChildren(kind):
            if part.isVisible() and part.text() and not (kind is QLabel and part.wordWrap()):
                assert part.width() >= part.minimumSizeHint().width() - 1, part.text()
    assert user.panel.minimumSizeHint().width() <= 340
