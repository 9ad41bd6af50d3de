"""The volumes in the Data panel: the list, its buttons, and the form that adds one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QInputDialog, QMessageBox

from napari_pytc.geometry import VoxelSpace
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.data import volume_list
from napari_pytc.ui.panels.data.panel import DataPanel
from napari_pytc.ui.panels.data.volume_list import VolumeList
from tests.support.workspace_bench import WorkspaceBench
from tests.volumes.files import image, write_hdf5

SIZE = {"voxel_size_nm": [40.0, 8.0, 4.0]}


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path) -> Iterator[WorkspaceBench]:
    found = WorkspaceBench(qtbot, tmp_path)
    found.open(found.make())
    yield found
    found.workspace.shutdown()


@pytest.fixture
def panel(bench: WorkspaceBench, qtbot: Any) -> DataPanel:
    found = DataPanel(bench.controllers.data)
    qtbot.addWidget(found)
    found.resize(340, 900)
    found.show()
    return found


@pytest.fixture
def volumes(panel: DataPanel) -> VolumeList:
    return panel.project.volumes


def texts(volumes: VolumeList) -> list[str]:
    return [volumes.list.item(k).text() for k in range(volumes.list.count())]


def add(bench: WorkspaceBench, volumes: VolumeList, name: str = "second") -> None:
    """Add the volume of a file with the form."""
    path = write_hdf5(bench.folder / f"{name}.h5", {"raw": image()}, SIZE)
    volumes.add.click()
    assert volumes.form.isVisible()
    volumes.form.choose_path(str(path))
    bench.until(lambda: volumes.form.add_button.isEnabled())
    volumes.form.add_button.click()
    bench.until(lambda: bench.session.image.volume.name == name)


def test_a_single_volume_has_a_button_for_another(volumes: VolumeList) -> None:
    assert volumes.list.isHidden()
    assert volumes.remove.isHidden()
    assert volumes.add.text() == "Add another volume …"
    assert volumes.add.isEnabled()


def test_a_file_is_added_and_volumes_are_shown_with_a_click(
    bench: WorkspaceBench, volumes: VolumeList, panel: DataPanel
) -> None:
    add(bench, volumes)
    assert not volumes.form.isVisible()
    assert texts(volumes) == ["a", "second"]
    assert volumes.list.isVisible()
    assert [volumes.list.item(k).font().bold() for k in range(2)] == [False, True]
    assert "9 × 37 × 41 voxels" in panel.project.facts.text()
    volumes.list.itemClicked.emit(volumes.list.item(0))
    bench.until(lambda: bench.workspace.volumes.current == "v1")
    assert volumes.list.item(0).font().bold()
    assert "12 × 48 × 40 voxels" in panel.project.facts.text()
    assert panel.project.isVisible()
    assert not bench.errors


def test_the_form_says_what_is_missing_and_can_be_closed(bench: WorkspaceBench, volumes: VolumeList) -> None:
    volumes.add.click()
    form = volumes.form
    assert not form.add_button.isEnabled()
    assert form.reason.text() == "No volume is chosen."
    form.choose_path(str(write_hdf5(bench.folder / "bare.h5", {"raw": image()})))
    bench.until(lambda: "voxel size" in form.reason.text())
    for box in form.voxel_size.boxes:
        box.setValue(8)
    assert form.add_button.isEnabled()
    form.name.setText(" other animal ")
    request = form.request
    assert request is not None
    assert (request.name, request.options.voxel_size_nm) == ("other animal", (8, 8, 8))
    form.cancel_button.click()
    assert not form.isVisible()
    assert volumes.add.isVisible()
    assert len(bench.workspace.volumes.records) == 1


def test_what_was_typed_stays_where_the_volume_cannot_be_added(bench: WorkspaceBench, volumes: VolumeList) -> None:
    form = volumes.form
    volumes.add.click()
    form.choose_path(str(bench.folder / "a.h5"))  # the project has this image
    bench.until(lambda: form.reason.text() != "No volume is chosen.")
    for box in form.voxel_size.boxes:
        box.setValue(8)
    form.name.setText("again")
    form.add_button.click()
    assert not form.isEnabled(), "while it is being added"
    bench.until(lambda: bench.errors)
    assert "has this image already" in bench.errors.pop().message
    assert form.isVisible()
    assert form.isEnabled()
    assert form.name.text() == "again"
    assert form.request is not None
    form.choose_path(str(write_hdf5(bench.folder / "new.h5", {"raw": image()}, SIZE)))
    bench.until(lambda: form.request is not None)
    form.add_button.click()
    bench.until(lambda: bench.session.image.volume.name == "again")
    assert not form.isVisible()
    assert form.name.text() == ""


def test_a_layer_is_added_and_is_the_image(bench: WorkspaceBench, volumes: VolumeList) -> None:
    mine = bench.viewer.add_image(image(), VoxelSpace((1.0, 1.0, 1.0)), LayerStyle("mine", ""))
    z, y, x = image().shape
    bench.viewer.choices = [LayerChoice("mine", (z, y, x), "uint8", None, (40.0, 8.0, 4.0), mine)]
    volumes.add.click()
    bench.until(lambda: volumes.form.add_button.isEnabled())
    volumes.form.name.setText("mine")
    volumes.form.add_button.click()
    bench.until(lambda: bench.workspace.volumes.current == "v2")
    assert bench.layers.image is mine
    np.testing.assert_array_equal(bench.session.image.source.channels[0].read(bench.layers.view_box()), image())


def test_renaming_and_removing_ask(bench: WorkspaceBench, volumes: VolumeList, monkeypatch: pytest.MonkeyPatch) -> None:
    add(bench, volumes)
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, **more: ("better", True))
    volumes.rename.click()
    assert texts(volumes) == ["a", "better"]
    asked: list[str] = []

    class Question(QMessageBox):
        answer = "Keep"

        def exec(self) -> int:
            asked.append(self.text())
            next(button for button in self.buttons() if button.text().strip("&") == self.answer).click()
            return 0

    monkeypatch.setattr(volume_list, "QMessageBox", Question)
    volumes.remove.click()
    assert asked == ["Remove the volume better?"]
    assert texts(volumes) == ["a", "better"]
    Question.answer = "Remove"
    volumes.remove.click()
    bench.until(lambda: len(bench.workspace.volumes.records) == 1)
    assert bench.workspace.volumes.current == "v1"
    assert volumes.list.isHidden()


def test_a_project_that_is_read_only_has_its_list_and_no_buttons(bench: WorkspaceBench, volumes: VolumeList) -> None:
    add(bench, volumes)
    bench.workspace.close_project()
    with Session.open(bench.folder / "a.pytc"):
        bench.open(bench.folder / "a.pytc")
        assert texts(volumes) == ["a", "second"]
        assert not volumes.add.isEnabled()
        assert "reading only" in volumes.remove.toolTip()
        bench.workspace.close_project()


def test_a_missing_image_is_marked(bench: WorkspaceBench, volumes: VolumeList, panel: DataPanel) -> None:
    add(bench, volumes)
    bench.workspace.volumes.show("v1")
    bench.until(lambda: bench.workspace.volumes.current == "v1")
    (bench.folder / "second.h5").unlink()
    bench.session.at("v2").image.close()
    bench.workspace.volumes.show("v2")
    bench.until(lambda: bench.workspace.volumes.current == "v2")
    assert texts(volumes) == ["a", "⚠ second"]
    assert panel.project.find_image.isVisible()
    assert not panel.project.load.isEnabled()
