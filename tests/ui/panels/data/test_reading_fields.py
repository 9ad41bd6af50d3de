"""How to read an image is said in the form: axes, time point, missing sections; the file is looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QPushButton

from napari_pytc.geometry import Box
from tests.ui.panels.data.test_panel import SIZE, Window
from tests.volumes.files import image, write_hdf5, write_sections

SHAPE = (4, 16, 24)


@pytest.fixture
def window(qtbot: Any, tmp_path: Path) -> Iterator[Window]:
    found = Window(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


def check(window: Window, name: str, value: Any) -> None:
    """Set an optional field and wait until the file has been looked at again."""
    former = window.form._n_inspections
    editor = window.form.reading.form._parts[0].editors[name]
    editor.inner.set_value(value)
    editor.box.setChecked(True)
    window.until(lambda: window.form._n_inspections > former and window.form.facts.text()[:7] != "Looking")


def is_open(window: Window) -> bool:
    return bool(window.form.reading.fold.isExpanded())


def test_a_plain_image_needs_nothing(window: Window, tmp_path: Path) -> None:
    assert window.form.reading.isHidden()
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": image(shape=SHAPE)}, SIZE))
    assert not window.form.reading.isHidden()
    assert not is_open(window)


def test_a_time_point_is_chosen(window: Window, tmp_path: Path) -> None:
    movie = np.stack([image(shape=SHAPE), 255 - image(shape=SHAPE)])
    tifffile.imwrite(tmp_path / "movie.tif", movie, imagej=True, metadata={"axes": "TZYX"})
    window.choose(tmp_path / "movie.tif")
    assert is_open(window)
    assert "2 time points" in window.form.notice.text
    assert "“Time point”" in window.form.notice.text
    assert "--" not in window.form.notice.text
    assert window.form.request is None
    assert window.form.reading.form._parts[0].editors["time"].inner.value() == 0
    check(window, "time", 1)
    assert window.form.notice.isHidden()
    assert window.form._inspected.shape == SHAPE
    for box in window.form.voxel_size.boxes:
        box.setValue(8)
    window.until(lambda: window.form.folder.folder is not None and window.form.folder.state.text())
    source = window.create().image.source
    assert source.spec.time == 1
    np.testing.assert_array_equal(source.channels[0].read(Box.of_shape(SHAPE)), movie[1])


def test_axes_begin_with_the_files_own_and_a_wrong_one_is_told(window: Window, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "fly.tif", image(shape=SHAPE), imagej=True, metadata={"axes": "ZYX"})
    window.choose(tmp_path / "fly.tif")
    for box in window.form.voxel_size.boxes:
        box.setValue(8)
    fields = window.form.reading.form
    assert fields._parts[0].editors["axes"].inner.value() == "zyx"
    check(window, "axes", "xyz")
    assert window.form._inspected.shape == SHAPE[::-1]
    assert window.form.request.options.axes == "xyz"
    fields._parts[0].editors["axes"].inner.set_value("xx")
    assert "Axes: axes are letters of t, c, z" in window.form.problem
    assert not window.find(QPushButton, "createProject").isEnabled()
    fields._parts[0].editors["axes"].box.setChecked(False)
    window.until(lambda: window.form._inspected is not None and window.form._inspected.shape == SHAPE)
    assert window.form.problem == ""


def test_missing_sections_keep_their_places_when_asked(window: Window, tmp_path: Path) -> None:
    folder = write_sections(tmp_path / "sections", image(shape=SHAPE), ".png")
    sorted(folder.iterdir())[1].unlink()
    window.choose(folder)
    assert is_open(window)
    assert "“Missing sections: blank”" in window.form.notes.first.text()
    assert window.form._inspected.shape[0] == 3
    combo = window.form.reading.form._parts[0].editors["missing_sections"].combo
    combo.setCurrentIndex(combo.findData("blank"))
    window.until(lambda: window.form._inspected is not None and window.form._inspected.shape[0] == 4)
    assert window.form.options.missing_sections == "blank"


def test_the_picked_channel_stays_when_the_file_is_read_otherwise(window: Window, tmp_path: Path) -> None:
    data = np.stack([image(shape=(3, 40, 44)) + k for k in range(2)])
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": data}, SIZE))
    window.form.channel.choice.setCurrentIndex(1)
    window.form.channel.choice.activated.emit(1)
    check(window, "axes", "czxy")
    assert window.form._inspected.shape == (3, 44, 40)
    assert window.form.options.channel == 1


def test_another_image_begins_anew(window: Window, tmp_path: Path) -> None:
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": image(shape=SHAPE)}, SIZE))
    check(window, "axes", "xyz")
    window.choose(write_hdf5(tmp_path / "bee.h5", {"raw": image(shape=SHAPE)}, SIZE))
    assert window.form.options.axes is None
    assert window.form._inspected.shape == SHAPE


def test_the_file_of_a_layer_is_read_instead_of_the_layer(window: Window, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "fly.h5", {"raw": image(shape=SHAPE)}, SIZE)
    window.offer(image(shape=SHAPE), path=f"{path}:raw")
    window.until(lambda: window.form._inspected is not None)
    assert window.form.layers
    check(window, "axes", "xyz")
    assert not window.form.layers
    assert window.form._inspected.shape == SHAPE[::-1]
    assert window.form.image == f"{path}:raw"


def test_a_layer_without_a_file_has_no_such_fields(window: Window) -> None:
    window.offer(image(shape=SHAPE), voxel_size_nm=(4.0, 4.0, 4.0))
    window.until(lambda: window.form._inspected is not None)
    assert window.form.reading.isHidden()


def test_a_volume_is_added_as_it_is_read(window: Window, tmp_path: Path) -> None:
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": image()}, SIZE))
    session = window.create()
    window.until(lambda: window.page.isVisible())
    window.page.volumes.add.click()
    form = window.page.volumes.form
    form.choose_path(str(write_hdf5(tmp_path / "bee.h5", {"raw": image(shape=SHAPE)}, SIZE)))
    window.until(lambda: form.request is not None)
    editor = form.reading.form._parts[0].editors["axes"]
    editor.inner.set_value("xyz")
    editor.box.setChecked(True)
    window.until(lambda: form._inspected is not None and form._inspected.shape == SHAPE[::-1])
    form.add_button.click()
    window.until(lambda: len(session.volumes.records()) == 2 or window.errors)
    assert not window.errors
    assert session.volumes.records()[1].spec.axes == "xyz"
