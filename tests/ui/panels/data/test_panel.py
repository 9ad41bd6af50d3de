"""The Data panel on a workspace with a fake viewer: from nothing to a project, and all it changes in one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication, QLabel, QLineEdit, QMessageBox, QPushButton, QRadioButton, QToolButton, QWidget

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.drawn_box import deepened
from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.data import controller as data_controller
from napari_pytc.ui.panels.data import project_page
from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.panels.data.inspect_labels import LabelImport
from napari_pytc.ui.panels.data.panel import DataPanel
from napari_pytc.ui.widgets.buttons import ElidedButton
from napari_pytc.ui.widgets.flags import in_window
from napari_pytc.ui.workspace import Workspace
from tests.support.viewers import FakeViewer
from tests.volumes.files import image, write_hdf5, write_tiff, write_zarr

SIZE = {"voxel_size_nm": [40.0, 8.0, 4.0]}
SHAPE = (9, 37, 41)


class Window:
    """A panel, its workspace and viewer, and what failed."""

    def __init__(self, qtbot: Any, folder: Path) -> None:
        self.bot, self.folder = qtbot, folder
        self.viewer = FakeViewer()
        self.errors: list[PytcError] = []
        self.recent = RecentProjects(folder / "recent.json")
        self.workspace = Workspace(self.viewer, lambda: pytest.fail("no worker is needed"), self.recent)
        self.workspace.failed.connect(self.errors.append)
        self.panel = DataPanel(DataController(self.workspace))
        qtbot.addWidget(self.panel)
        self.panel.resize(340, 700)
        self.panel.show()
        self.form = self.panel.start.form
        self.page = self.panel.project

    def until(self, happened: Callable[[], object]) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    def find(self, kind: type, name: str) -> Any:
        QApplication.processEvents()  # rows are shown, and former ones deleted, when the loop turns
        found = [widget for widget in self.panel.findChildren(kind, name) if not widget.isHidden()]
        assert found, f"no {name} is shown"
        return found[-1]

    def choose(self, path: Path | str) -> None:
        self.form.choose_path(str(path))
        self.until(lambda: self.form.request is not None or self.form.notice.text)
        self.until(lambda: not self.form.notice.isHidden() or self.form.folder.state.text())

    def create(self) -> Session:
        self.find(QPushButton, "createProject").click()
        self.until(lambda: self.workspace.session is not None or self.errors)
        assert not self.errors
        assert self.workspace.session is not None
        return self.workspace.session

    def offer(self, data: np.ndarray, **changes: Any) -> LayerChoice:
        layer = self.viewer.add_image(data, VoxelSpace((1.0, 1.0, 1.0)), LayerStyle("cells", ""))
        z, y, x = data.shape
        values = {"name": "cells", "path": None, "voxel_size_nm": None} | changes
        choice = LayerChoice(shape=(z, y, x), dtype=data.dtype.name, layer=layer, **values)
        self.viewer.choices.append(choice)
        self.form.refresh_layers()
        return choice


@pytest.fixture
def window(qtbot, tmp_path: Path) -> Iterator[Window]:
    found = Window(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


@pytest.fixture
def opened(window: Window, tmp_path: Path) -> Window:
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE))
    window.create()
    window.until(lambda: window.page.isVisible())
    return window


def _ask(monkeypatch: pytest.MonkeyPatch, answer: str) -> list[str]:
    """Answer the question before a class is removed."""
    asked: list[str] = []

    def press(question: QMessageBox) -> int:
        asked.append(f"{question.text()} {question.informativeText()}")
        (button,) = (b for b in question.buttons() if b.text() == answer)
        button.click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", press)
    return asked


# ---- nothing open


def test_at_first_it_says_what_to_do(window: Window) -> None:
    assert window.panel.start.isVisible()
    assert not window.page.isVisible()
    assert "choose a file" in window.form.facts.text()
    assert window.form.request is None
    assert not window.form._details.isVisible()


def test_a_file_becomes_a_project_next_to_it(window: Window, tmp_path: Path) -> None:
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE))
    assert "9 × 37 × 41 voxels (z, y, x), uint8, 13.7 kB" in window.form.facts.text()
    assert window.form.voxel_size.value == (40, 8, 4)
    assert "From the file" in window.form.voxel_size.source.text()
    assert window.find(QLabel, "projectFolder").toolTip() == str(tmp_path / "fly.pytc")
    session = window.create()
    assert session.folder == tmp_path / "fly.pytc"
    assert list(session.classes.names) == ["membrane", "inside"]
    assert session.image.volume.voxel_size_source == "file"
    assert window.page.isVisible()
    assert not window.panel.start.isVisible()
    assert "Voxel 40 × 8 × 4 nm, from the file" in window.find(QLabel, "projectFacts").text()
    np.testing.assert_array_equal(session.image.source.channels[0].read(Box.of_shape(SHAPE)), image())


def test_an_unknown_voxel_size_must_be_typed(window: Window, tmp_path: Path) -> None:
    window.choose(write_tiff(tmp_path / "fly.tif", image()))
    button = window.find(QPushButton, "createProject")
    assert not button.isEnabled()
    assert "voxel size is not known" in button.toolTip()
    assert "Not known" in window.form.voxel_size.source.text()
    for box, value in zip(window.form.voxel_size.boxes, (30, 5, 4.5), strict=True):
        box.clear()
        window.bot.keyClicks(box, f"{value:n}")
    assert "Typed by you" in window.form.voxel_size.source.text()
    session = window.create()
    assert session.image.space.voxel_size_nm == (30, 5, 4.5)
    assert session.image.volume.voxel_size_source == "user"


def test_of_several_datasets_one_is_picked(window: Window, tmp_path: Path) -> None:
    window.form.choose_path(str(write_hdf5(tmp_path / "fly.h5", {"a": image(), "b": image("uint16", seed=1)}, SIZE)))
    combo = window.form.dataset
    window.until(lambda: combo.isVisible() and combo.count() == 2)
    assert combo.currentIndex() == -1
    assert "choose one of the datasets" in window.find(QPushButton, "createProject").toolTip()
    combo.setCurrentIndex(1)
    combo.activated.emit(1)
    window.until(lambda: window.form.request is not None)
    window.until(lambda: window.form.folder.state.text())
    assert combo.currentText().split() == ["b", "9", "×", "37", "×", "41", "uint16"]
    assert window.create().image.source.dtype == np.uint16


def test_of_several_channels_one_is_picked(window: Window, tmp_path: Path) -> None:
    data = image(shape=(3, *SHAPE))
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": data}, SIZE))
    window.form.channel.choice.setCurrentIndex(2)
    np.testing.assert_array_equal(window.create().image.source.channels[0].read(Box.of_shape(SHAPE)), data[2])


def test_the_metadata_of_a_container_stands_for_it(window: Window, tmp_path: Path) -> None:
    write_zarr(tmp_path / "fly.zarr", image(), 3)
    window.choose(tmp_path / "fly.zarr" / "zarr.json")
    assert window.form.request is not None
    assert window.form.request.image == str(tmp_path / "fly.zarr")


def test_what_cannot_be_read_is_reported_in_a_sentence(window: Window, tmp_path: Path) -> None:
    window.form.choose_path(str(tmp_path / "nothing.h5"))
    window.until(lambda: not window.form.notice.isHidden())
    assert "There is no file" in window.form.notice.text
    assert window.form.request is None


def test_only_the_last_choice_counts(window: Window, tmp_path: Path) -> None:
    first = write_hdf5(tmp_path / "first.h5", {"raw": image()}, SIZE)
    second = write_hdf5(tmp_path / "second.h5", {"raw": image()[:5]}, SIZE)
    window.form.choose_path(str(first))
    window.choose(second)
    assert window.form.request is not None
    assert window.form.request.image == str(second)
    assert "5 × 37 × 41" in window.form.facts.text()


def test_notes_of_the_reader_are_shown(window: Window, tmp_path: Path) -> None:
    path = tmp_path / "colours.tif"
    tifffile.imwrite(path, np.stack([image()] * 3, axis=-1), photometric="rgb")
    window.choose(path)
    window.until(lambda: window.form._inspected is not None)
    assert "mixed to grey" in window.form.notes.first.text()
    assert "mixed to grey" in window.form.channel.choice.currentText()
    for box in window.form.voxel_size.boxes:
        box.setValue(8)
    session = window.create()
    window.until(lambda: window.page.isVisible())
    assert session.image.source.notes
    assert in_window(session.image.source.notes[0]) in window.page.notes.first.text()
    assert not window.page.notes.isHidden()


# ---- layers


def test_a_layer_without_a_file_goes_into_the_project(window: Window) -> None:
    window.offer(image(), voxel_size_nm=(40.0, 8.0, 8.0))
    window.until(lambda: window.form.request is not None)
    assert "copied into the project" in window.form.facts.text()
    assert "From the layer" in window.form.voxel_size.source.text()
    window.form.folder.set_folder(window.folder / "cells.pytc")
    session = window.create()
    np.testing.assert_array_equal(session.image.source.channels[0].read(Box.of_shape(SHAPE)), image())
    assert session.image.space.voxel_size_nm == (40, 8, 8)
    window.until(lambda: window.workspace.layers is not None)
    assert [layer.name for layer in window.viewer.layers] == ["cells", "Strokes"], "the layer is the image"


def test_a_layer_of_a_file_stays_there(window: Window, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE)
    window.offer(image(), path=str(path), voxel_size_nm=(40.0, 8.0, 4.0))
    window.until(lambda: window.form.request is not None)
    assert window.form.request is not None
    assert (window.form.request.image, window.form.request.array) == (str(path), None)
    assert window.form.request.options.voxel_size_nm is None


def test_a_layer_that_differs_from_its_file_is_copied(window: Window, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE)
    window.offer(image()[:4], path=str(path))
    window.until(lambda: window.form.request is not None)
    assert window.form.request is not None
    assert window.form.request.image is None
    assert window.form.request.array.shape == (4, 37, 41)


def test_the_layers_scale_goes_before_the_files(window: Window, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE)
    window.offer(image(), path=str(path), voxel_size_nm=(50.0, 8.0, 8.0))
    window.until(lambda: window.form.request is not None)
    assert window.form.request is not None
    assert window.form.request.options.voxel_size_nm == (50, 8, 8)


def test_layers_come_and_go(window: Window) -> None:
    first = window.offer(image())
    window.until(lambda: window.form.request is not None or not window.form.voxel_size.value)
    window.offer(image("uint16"), name="second")
    assert [window.form.source.itemText(k) for k in range(2)] == ["cells", "second"]
    assert window.form.source.currentText() == "cells"
    window.viewer.choices.remove(first)
    window.viewer._changed()
    assert window.form.source.currentIndex() == -1
    assert "choose a file" in window.form.facts.text()


# ---- where it goes, what it begins with


def test_a_project_that_is_there_is_offered(window: Window, opened: Window) -> None:
    window.workspace.close_project()
    window.choose(window.folder / "fly.h5")
    window.until(lambda: window.form.open_there.isVisible())
    assert not window.find(QPushButton, "createProject").isEnabled()
    assert "A project is there already" in window.find(QLabel, "folderState").text()
    window.form.open_there.click()
    window.until(lambda: window.workspace.session is not None)


def test_first_classes_are_edited_before_the_project_is_made(window: Window, tmp_path: Path) -> None:
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE))
    classes = window.form.classes
    classes.list.added.emit("synapse")
    classes.list.renamed.emit(1, "wall")
    classes.list.renamed.emit(3, "wall")  # there is one already
    classes.list.recoloured.emit(3, "#0000ff")
    classes.list.removed.emit(2)
    assert classes.specs == (ClassSpec(name="wall", colour="#e6194b"), ClassSpec(name="synapse", colour="#0000ff"))
    assert [(c.id, c.name) for c in window.create().classes.records()] == [(1, "wall"), (2, "synapse")]


def test_recent_projects_open_by_a_click(opened: Window) -> None:
    opened.workspace.close_project()
    opened.until(lambda: opened.panel.findChildren(ElidedButton))
    (button,) = opened.panel.findChildren(ElidedButton)
    assert button.toolTip() == f"Open {opened.folder / 'fly.pytc'}"
    button.click()
    assert "Opening fly.pytc" in opened.panel.busy.text()
    assert opened.panel.busy.isVisible()
    opened.until(lambda: opened.workspace.session is not None)
    assert not opened.panel.busy.isVisible()


def test_the_sample_is_there_to_try(window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_controller, "default_folder", lambda: tmp_path / "samples")
    for _ in range(2):  # the second time with what was painted
        window.find(QPushButton, "openSample").click()
        window.until(lambda: window.workspace.layers is not None)
        assert window.page.title.text() == "medulla"
        window.workspace.close_project()
    assert not window.errors
    (tmp_path / "a file").touch()
    monkeypatch.setattr(data_controller, "default_folder", lambda: tmp_path / "a file")
    window.find(QPushButton, "openSample").click()
    window.until(lambda: window.errors)


def test_a_project_that_vanished_meanwhile_is_reported_and_offered_no_longer(opened: Window) -> None:
    opened.workspace.close_project()
    opened.until(lambda: opened.panel.findChildren(ElidedButton))
    shutil.rmtree(opened.folder / "fly.pytc")
    opened.panel.findChildren(ElidedButton)[0].click()
    opened.until(lambda: opened.errors)
    assert "not any more" in opened.errors[0].message
    opened.until(lambda: not [one for one in opened.panel.findChildren(ElidedButton) if one.isVisible()])
    assert opened.panel.start.isEnabled()


def test_projects_that_are_gone_are_not_offered(opened: Window) -> None:
    opened.workspace.close_project()
    opened.until(lambda: opened.panel.findChildren(ElidedButton))
    shutil.rmtree(opened.folder / "fly.pytc")
    opened.panel.start.refresh()
    opened.until(lambda: not [b for b in opened.panel.findChildren(ElidedButton) if not b.isHidden()])


# ---- a project


def test_brush_and_list_follow_each_other(opened: Window) -> None:
    layers = opened.workspace.layers
    assert layers is not None
    opened.find(QRadioButton, "class2").click()
    assert layers.chosen_class == 2
    layers.choose_class(0)
    assert opened.find(QRadioButton, "eraser").isChecked()
    layers.choose_class(1)
    assert opened.find(QRadioButton, "class1").isChecked()


def test_counts_follow_the_strokes(opened: Window) -> None:
    assert opened.workspace.session is not None
    opened.workspace.session.strokes.paint(Box((0, 0, 0), (2, 10, 10)), 2)
    opened.until(lambda: opened.page.classes.count(2) == 200)
    assert opened.page.classes.count(1) == 0


def test_classes_are_changed_in_place(opened: Window) -> None:
    session = opened.workspace.session
    assert session is not None
    opened.bot.keyClicks(opened.find(QLineEdit, "newClassName"), "synapse")
    opened.find(QPushButton, "addClass").click()
    assert list(session.classes.names) == ["membrane", "inside", "synapse"]
    opened.page.classes.renamed.emit(3, "vesicle")
    opened.page.classes.recoloured.emit(3, "#00ff00")
    assert (session.classes.records()[2].name, session.classes.records()[2].colour) == ("vesicle", "#00ff00")
    assert opened.find(QLineEdit, "name3").text() == "vesicle"
    opened.page.classes.renamed.emit(3, "inside")
    assert [error.message for error in opened.errors] == ["There is a class 'inside' already."]
    assert opened.find(QLineEdit, "name3").text() == "vesicle"


def test_removal_says_what_it_costs_and_keeps_the_rest(opened: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened.workspace.session
    assert session is not None
    session.strokes.paint(Box((0, 0, 0), (2, 10, 10)), 1)
    session.strokes.paint(Box((4, 0, 0), (5, 10, 10)), 2)
    opened.until(lambda: opened.page.classes.count(1) == 200)
    asked = _ask(monkeypatch, "Keep")
    opened.find(QToolButton, "remove1").click()
    assert len(session.classes.names) == 2
    assert "200 annotated voxels are erased" in asked[0]
    _ask(monkeypatch, "Remove")
    opened.find(QToolButton, "remove1").click()
    opened.until(lambda: len(session.classes.names) == 1)
    assert session.strokes.counts() == {"inside": 100}
    assert not opened.errors
    opened.until(lambda: opened.find(QRadioButton, "class1").isEnabled())


def test_a_drawn_box_is_held_out_as_deep_as_wanted(opened: Window) -> None:
    session = opened.workspace.session
    assert session is not None
    opened.find(QPushButton, "holdOut").click()
    assert opened.errors[-1].message == "No box is drawn."
    opened.find(QPushButton, "drawBox").click()
    assert opened.viewer.selected is not None
    assert opened.viewer.selected.mode == "add_rectangle"
    opened.viewer.boxes = [np.array([[4, 5, 6], [4, 5, 20], [4, 15, 20], [4, 15, 6]], float)]
    opened.page.held_out.depth_box.setValue(3)
    opened.find(QPushButton, "holdOut").click()
    (box,) = session.held_out.boxes
    assert (box.start[0], box.stop[0]) == (3, 6)
    texts = [label.text() for label in opened.page.held_out.findChildren(QLabel) if not label.isHidden()]
    assert any(text.startswith("3 × ") and "µm" in text for text in texts)
    opened.find(QToolButton, "release0").click()
    assert session.held_out.boxes == ()


@pytest.mark.parametrize(("depth", "expected"), [(1, (4, 5)), (3, (3, 6)), (4, (3, 7)), (9, (0, 9)), (99, (0, 9))])
def test_depth_stays_in_the_volume(depth: int, expected: tuple[int, int]) -> None:
    box = deepened(Box((4, 1, 1), (5, 10, 10)), depth, SHAPE)
    assert (box.start[0], box.stop[0]) == expected
    assert box.shape[1:] == (9, 9)


def test_labels_of_a_file_join_the_strokes(opened: Window, tmp_path: Path) -> None:
    session = opened.workspace.session
    assert session is not None
    session.strokes.paint(Box((0, 0, 0), (1, 1, 5)), 2)
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:5, :10, :10] = 1
    opened.page.import_labels(str(write_tiff(tmp_path / "labels.tif", labels)))
    opened.until(lambda: "200 voxels were labelled" in opened.page.notice.text)
    assert session.strokes.counts() == {"membrane": 200, "inside": 5}
    opened.until(lambda: opened.page.classes.count(1) == 200)
    assert opened.find(QPushButton, "importLabels").isEnabled()


def test_labels_lie_where_the_dialog_was_told_and_what_was_assumed_is_shown(
    opened: Window, tmp_path: Path, asked: dict[str, Any]
) -> None:
    session = opened.workspace.session
    assert session is not None
    path = str(write_tiff(tmp_path / "labels.tif", np.full((1, 3, 4), 255, np.uint8)))
    asked["answer"] = None
    opened.page.import_labels(path)
    opened.until(lambda: "file" in asked)
    assert asked["classes"] == ["membrane", "inside"]
    assert (asked["shape"], asked["file"].shape) == (SHAPE, (1, 3, 4))
    assert set(session.strokes.counts().values()) == {0}
    asked["answer"] = LabelImport(LabelTransform(values={255: "inside"}))
    opened.page.import_labels(path)
    opened.until(lambda: "12 voxels were labelled" in opened.page.notice.text)
    assert "put at its first voxel" in opened.page.notice.findChildren(QLabel)[2].text()
    asked["answer"] = LabelImport(LabelTransform(values={255: "membrane"}, offset=(2, 3, 4)))
    opened.page.import_labels(path)
    opened.until(lambda: session.strokes.counts() == {"membrane": 12, "inside": 12})
    assert (session.strokes.store.read(Box.at((2, 3, 4), (1, 3, 4))) == 1).all()


def test_labels_that_are_no_classes_change_nothing(opened: Window, tmp_path: Path) -> None:
    assert opened.workspace.session is not None
    opened.page.import_labels(str(write_tiff(tmp_path / "labels.tif", np.full(SHAPE, 7, np.uint8))))
    opened.until(lambda: opened.errors)
    assert "the value 7" in opened.errors[0].message
    assert set(opened.workspace.session.strokes.counts().values()) == {0}
    opened.until(lambda: opened.find(QPushButton, "importLabels").isEnabled())


def test_of_several_label_datasets_the_user_picks(
    opened: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened.workspace.session is not None
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, :7] = 1
    path = write_hdf5(tmp_path / "labels.h5", {"a": image(), "b": labels})
    monkeypatch.setattr(project_page, "ask_for_arrays", lambda title, arrays, parent: [arrays[1]])
    opened.page.import_labels(str(path))
    opened.until(lambda: "7 voxels" in opened.page.notice.text)


def test_an_image_that_moved_is_found_again(opened: Window) -> None:
    folder = opened.folder / "fly.pytc"
    opened.workspace.close_project()
    moved = opened.folder / "elsewhere.h5"
    (opened.folder / "fly.h5").rename(moved)
    opened.workspace.open_project(folder)
    opened.until(lambda: opened.workspace.session is not None)
    assert opened.find(QPushButton, "findImage").isEnabled()
    assert "image is missing" in opened.find(QPushButton, "holdOut").toolTip()
    opened.page.relink(str(write_hdf5(opened.folder / "wrong.h5", {"raw": image()[:3]})))
    opened.until(lambda: any("3 x 37 x 41" in error.message for error in opened.errors))
    opened.until(lambda: opened.workspace.session is not None)
    opened.page.relink(str(moved))
    opened.until(lambda: opened.workspace.layers is not None)
    assert not opened.page.find_image.isVisible()


def test_what_may_only_be_read_says_so(window: Window, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE)
    with Session.create(tmp_path / "fly.pytc", path, ["membrane"]):
        window.workspace.open_project(tmp_path / "fly.pytc")
        window.until(lambda: window.workspace.session is not None)
        assert "open for reading only" in window.find(QLabel, "readOnly").text()
        for name in ("drawBox", "holdOut", "importLabels"):
            assert not window.find(QPushButton, name).isEnabled()
        assert not window.find(QRadioButton, "class1").isEnabled()
        again = window.find(QPushButton, "openForEditing")
        n_errors = len(window.errors)
        again.click()
        window.until(lambda: len(window.errors) > n_errors)
        assert "open for reading only" in window.errors[-1].message
        assert window.workspace.locked_reason
    again.click()
    window.until(lambda: not window.workspace.locked_reason)
    assert again.isHidden()
    assert window.find(QPushButton, "drawBox").isEnabled()


def test_closing_leads_back(opened: Window) -> None:
    opened.find(QPushButton, "closeProject").click()
    assert opened.workspace.session is None
    assert opened.panel.start.isVisible()


@pytest.mark.parametrize("state", ["empty", "file", "project"])
def test_it_fits_a_narrow_dock(window: Window, state: str, tmp_path: Path) -> None:
    if state != "empty":
        name = "a_volume_with_a_name_that_is_much_too_long_for_any_panel_of_a_window.h5"
        window.choose(write_hdf5(tmp_path / name, {"raw": image(), "another_long_name_of_a_dataset": image()}, SIZE))
    if state == "project":
        window.create()
        window.until(lambda: window.page.isVisible())
    shown: QWidget = window.panel
    assert shown.minimumSizeHint().width() <= 305  # 320 less the vertical scroll bar
