"""Objects to learn from, marked and imported in the Data panel, on fakes of the viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QComboBox, QLabel, QPushButton

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.session.objects import MarkedObjects
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.paint.object_layer import next_id
from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.panels.data.object_marks import marked_text
from napari_pytc.ui.panels.data.panel import DataPanel
from napari_pytc.ui.workspace import Workspace
from tests.support.viewers import FakeViewer
from tests.volumes.files import write_tiff

SHAPE = (9, 37, 41)


class Window:
    """The Data panel on a small project."""

    def __init__(self, qtbot: Any, folder: Path) -> None:
        np.save(folder / "image.npy", np.zeros(SHAPE, np.uint8))
        Session.create(folder / "p.pytc", folder / "image.npy", ["cell", "other"], (8.0, 8.0, 8.0)).close()
        self.bot, self.viewer = qtbot, FakeViewer()
        self.errors: list[PytcError] = []
        recent = RecentProjects(folder / "recent.json")
        self.workspace = Workspace(self.viewer, lambda: pytest.fail("no worker is needed"), recent)
        self.workspace.failed.connect(self.errors.append)
        self.panel = DataPanel(DataController(self.workspace))
        qtbot.addWidget(self.panel)
        self.panel.resize(340, 700)
        self.panel.show()
        self.page = self.panel.project
        self.folder = folder / "p.pytc"
        self.open()

    def open(self) -> None:
        self.workspace.open_project(self.folder)
        self.until(lambda: self.workspace.session is not None and self.workspace.segments.proofreader is not None)

    @property
    def session(self) -> Session:
        assert self.workspace.session is not None
        return self.workspace.session

    @property
    def objects(self) -> Any:
        assert self.workspace.layers is not None
        return self.workspace.layers.objects

    def until(self, happened: Callable[[], object]) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    def find(self, kind: type, name: str) -> Any:
        QApplication.processEvents()
        return self.panel.findChild(kind, name)

    def click(self, name: str) -> None:
        self.find(QPushButton, name).click()

    def paint(self, box: Box) -> None:
        """As napari paints: into the layer's array, with what is in the brush."""
        self.objects.layer.data[box.slices] = self.viewer.chosen_label(self.objects.layer)

    @property
    def received(self) -> str:
        return str(self.find(QLabel, "objectCounts").text())


@pytest.fixture
def window(qtbot, tmp_path: Path) -> Iterator[Window]:
    found = Window(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


def test_there_is_no_layer_before_something_is_to_be_marked(window: Window) -> None:
    assert not window.objects.is_shown
    assert not window.find(QPushButton, "singleObjects").isChecked()
    assert window.received == "No object is marked yet."


@pytest.mark.slow
def test_objects_are_painted_each_with_an_id_of_its_own(window: Window) -> None:
    window.click("newObject")
    assert window.viewer.selected is window.objects.layer
    window.paint(Box((2, 5, 5), (3, 8, 9)))
    window.click("newObject")
    window.paint(Box((2, 10, 5), (3, 13, 9)))
    window.click("objectBackground")
    window.paint(Box((2, 20, 5), (3, 21, 9)))
    window.until(lambda: window.session.objects.counts() == MarkedObjects(2, 24, 4, 2))
    window.until(lambda: window.received.startswith("Marked: 2 objects, 24 voxels; background 4 voxels."))
    window.click("objectEraser")
    window.paint(Box((2, 5, 5), (3, 8, 9)))
    window.until(lambda: window.session.objects.counts() == MarkedObjects(1, 12, 4, 2))
    assert window.objects.label == 0
    assert not window.errors


def test_keys_of_the_layer_choose_what_is_painted(window: Window) -> None:
    window.click("newObject")
    layer = window.objects.layer
    layer.press("B")
    assert window.objects.label == BACKGROUND
    layer.press("0")
    assert window.objects.label == 0
    layer.press("M")
    assert window.objects.label == 2
    assert "In the brush: object 2" in window.received


def test_undo_and_redo_go_over_objects(window: Window) -> None:
    window.click("newObject")
    box = Box((2, 5, 5), (3, 8, 9))
    window.paint(box)
    window.until(lambda: window.session.objects.counts().n_voxels == 12)
    proofreader = window.session.proofreader
    proofreader.undo()
    window.until(lambda: not window.objects.layer.data[box.slices].any())
    window.until(lambda: window.received.startswith("No object is marked yet"))
    proofreader.redo()
    window.until(lambda: window.objects.layer.data[box.slices].all())


def test_what_was_marked_is_there_when_the_project_is_opened_again(window: Window) -> None:
    window.click("newObject")
    window.paint(Box((2, 5, 5), (3, 8, 9)))
    window.workspace.close_project()
    assert window.viewer.layers == []
    window.open()
    assert window.objects.is_shown
    window.until(lambda: window.received.startswith("Marked: 1 object, 12 voxels"))
    assert window.find(QPushButton, "singleObjects").isChecked()
    window.click("newObject")
    assert window.objects.label == 2


def test_a_layer_that_the_user_deleted_comes_back(window: Window) -> None:
    window.click("newObject")
    window.viewer.remove(window.objects.layer)
    assert not window.objects.is_shown
    window.click("newObject")
    assert window.objects.is_shown
    window.paint(Box((0, 0, 0), (1, 2, 2)))
    window.until(lambda: window.session.objects.counts().n_voxels == 4)


@pytest.mark.parametrize(("dense", "background"), [(False, 0), (True, 9 * 37 * 41 - 200)])
def test_objects_of_a_file(window: Window, tmp_path: Path, dense: bool, background: int) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:5, :10, :5] = 40
    labels[3:5, :10, 5:10] = 50
    zeros = window.find(QComboBox, "objectZeros")
    zeros.setCurrentIndex(zeros.findData(dense))
    window.page.objects.import_requested.emit(
        str(write_tiff(tmp_path / "labels.tif", labels)), bool(zeros.currentData())
    )
    window.until(lambda: "2 objects of 200 voxels were marked" in window.page.notice.text)
    assert window.session.objects.counts() == MarkedObjects(2, 200, background, 50)
    window.until(lambda: window.objects.is_shown)
    assert window.find(QPushButton, "importObjects").isEnabled()
    window.until(lambda: window.received.startswith("Marked: 2 objects"))
    window.click("newObject")
    assert window.objects.label == 51


def test_a_file_of_no_objects_changes_nothing(window: Window, tmp_path: Path) -> None:
    window.page.import_objects(str(write_tiff(tmp_path / "labels.tif", np.zeros(SHAPE, np.uint8))), False)
    window.until(lambda: window.errors)
    assert "hold no object" in window.errors[0].message
    assert not window.objects.is_shown
    assert window.find(QPushButton, "importObjects").isEnabled()


def test_an_import_is_cancelled_by_its_button(window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(write_tiff(tmp_path / "labels.tif", np.ones(SHAPE, np.uint8)))
    begin = window.page.progress.begin

    def begin_and_cancel(*args: Any) -> Any:
        report = begin(*args)
        assert window.page.progress.isVisible()
        window.find(QPushButton, "cancelImport").click()
        return report

    monkeypatch.setattr(window.page.progress, "begin", begin_and_cancel)
    for add in (lambda: window.page.import_objects(path, True), lambda: window.page.import_labels(path)):
        window.page.notice.clear()
        add()
        window.until(lambda: window.page.notice.isVisible() and "cancelled" in window.page.notice.text)
        assert not window.page.progress.isVisible()
    assert window.session.objects.counts() == MarkedObjects(0, 0, 0, 0)
    assert set(window.session.strokes.counts().values()) == {0}
    assert window.session.proofreader.entries() == []
    assert not window.errors


def test_nothing_is_marked_in_a_project_that_is_only_read(window: Window) -> None:
    window.session.objects.add(np.ones((1, 2, 2), np.uint8))
    window.workspace.close_project()
    with Session.open(window.folder):
        window.open()
        assert window.session.project.read_only
        assert window.objects.is_shown
        assert not window.find(QPushButton, "newObject").isEnabled()
        window.objects.new_object()
        assert not window.objects.is_chosen


def test_ids_of_new_objects_have_colours_of_objects() -> None:
    assert [next_id(n) for n in (0, 1, 253, 254, 255, 509)] == [1, 2, 256 - 2, 256, 256, 511]


def test_counts_in_words() -> None:
    assert marked_text(MarkedObjects(0, 0, 0, 0), None) == "No object is marked yet."
    assert marked_text(MarkedObjects(0, 0, 30, 0), BACKGROUND) == (
        "No object is marked yet; background 30 voxels. In the brush: background."
    )
    assert marked_text(MarkedObjects(1, 7, 0, 3), 0) == "Marked: 1 object, 7 voxels. In the brush: the eraser."
