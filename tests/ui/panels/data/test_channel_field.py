"""Channels in the form of a new project: one, several, all, grey; of files and of layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.data.channel_field import ChannelField
from tests.ui.panels.data.test_panel import SHAPE, SIZE, Window, window
from tests.volumes.files import image, write_hdf5

__all__ = ["window"]


def texts(field: ChannelField) -> list[str]:
    return [field.choice.itemText(k) for k in range(field.choice.count())]


@pytest.fixture
def field(qtbot: Any) -> ChannelField:
    found = ChannelField()
    qtbot.addWidget(found)
    return found


def read(window: Window) -> np.ndarray:
    source = window.create().image.source
    return source.read(Box.of_shape(source.shape))


def test_channels_have_their_names(field: ChannelField) -> None:
    field.offer(("DAPI", "", "GFP"), False, 0)
    assert texts(field) == ["0 DAPI", "1", "2 GFP", "all 3, one layer each", "several …"]
    assert field.value == 0
    field.choice.setCurrentIndex(3)
    assert field.value == "all"


def test_several_are_typed(field: ChannelField) -> None:
    field.offer(("",) * 4, False, 0)
    assert field.numbers.isHidden()
    field.choice.setCurrentIndex(5)
    assert not field.numbers.isHidden()
    for text in ("", "a", "0,", "0,4", "-1,2"):
        field.numbers.setText(text)
        assert "from 0 to 3" in field.problem, text
        assert field.value is None
    field.numbers.setText("1,1")
    assert "once" in field.problem
    field.numbers.setText("3, 1")
    assert (field.value, field.problem) == ((3, 1), "")
    field.numbers.setText("2")
    assert field.value == 2


def test_what_was_picked_stays_with_as_many_channels(field: ChannelField) -> None:
    field.offer(("a", "b", "c"), False, 0)
    field.choice.setCurrentIndex(4)
    field.choice.activated.emit(4)
    field.numbers.setText("2,0")
    field.offer(("a", "b", "c"), False, 0)
    assert field.value == (2, 0)
    field.offer(("a", "b"), False, 0)
    assert field.value == 0
    field.forget()
    field.offer(("red", "green", "blue"), True, None)
    assert field.value is None
    assert texts(field)[0] == "all, mixed to grey"


# ---- files


def test_several_channels_of_a_file_are_layers_of_their_own(window: Window, tmp_path: Path) -> None:
    data = image(shape=(3, *SHAPE))
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": data}, SIZE))
    window.form.channel.choose((0, 2))
    np.testing.assert_array_equal(read(window), data[[0, 2]])
    window.until(lambda: window.workspace.layers is not None)
    assert [layer.name for layer in window.viewer.layers] == ["fly: channel 0", "fly: channel 2", "Strokes"]
    assert [layer.style.colours for layer in window.viewer.layers[:2]] == ["#00ff00", "#ff00ff"]
    assert window.viewer.layers[0].style.blending == "additive"
    np.testing.assert_array_equal(window.viewer.layers[1].data[3, :, :], data[2, 3])
    assert any("left out: 1" in note for note in window.workspace.session.image.volume.notes)


def test_numbers_that_are_wrong_keep_the_button_away(window: Window, tmp_path: Path) -> None:
    window.choose(write_hdf5(tmp_path / "fly.h5", {"raw": image(shape=(3, *SHAPE))}, SIZE))
    window.form.channel.choice.setCurrentIndex(4)
    window.form.channel.numbers.setText("0,5")
    assert not window.form.create_button.isEnabled()
    assert "from 0 to 2" in window.form.reason.text()
    window.form.channel.numbers.setText("0,1")
    assert window.form.create_button.isEnabled()


# ---- layers


def offer(window: Window, data: np.ndarray, name: str, **changes: Any) -> LayerChoice:
    layer = window.viewer.add_image(data, VoxelSpace((1.0, 1.0, 1.0)), LayerStyle(name, ""))
    values = {"shape": SHAPE, "path": None, "voxel_size_nm": (40.0, 8.0, 8.0)} | changes
    choice = LayerChoice(name=name, dtype=data.dtype.name, layer=layer, **values)
    window.viewer.choices.insert(0, choice)
    return choice


def ready(window: Window) -> None:
    window.until(lambda: window.form.request is not None)
    window.form.folder.set_folder(window.folder / "cells.pytc")


def pick(window: Window, text: str) -> None:
    index = next(k for k in range(window.form.source.count()) if window.form.source.itemText(k).startswith(text))
    window.form.source.setCurrentIndex(index)
    window.form.source.activated.emit(index)
    ready(window)


def test_selected_layers_are_channels_and_go_on_as_the_image(window: Window) -> None:
    data = image(shape=(2, *SHAPE))
    first, second = offer(window, data[0], "DAPI"), offer(window, data[1].astype(np.uint16), "GFP")
    window.form.refresh_layers()
    assert window.form.source.count() == 2
    window.viewer.select_choices(first, second)
    pick(window, "2 layers: DAPI, GFP")
    assert "2 channels of 9 × 37 × 41 voxels (z, y, x), uint16" in window.form.facts.text()
    assert "in this order: DAPI, GFP" in window.form.notes.first.text()
    np.testing.assert_array_equal(read(window), data)
    assert window.workspace.session.image.source.channel_names == ("DAPI", "GFP")
    window.until(lambda: window.workspace.layers is not None)
    assert window.workspace.layers.images == (first.layer, second.layer)
    assert [layer.name for layer in window.viewer.layers] == ["DAPI", "GFP", "Strokes"]
    window.workspace.close_project()
    assert [layer.name for layer in window.viewer.layers] == ["DAPI", "GFP"]


def test_layers_of_other_shapes_are_no_channels(window: Window) -> None:
    first = offer(window, image(), "a")
    second = offer(window, image(shape=(3, 4, 5)), "b", shape=(3, 4, 5))
    window.viewer.select_choices(first, second)
    assert window.form.source.count() == 2


def test_layers_of_one_file_are_read_from_it(window: Window, tmp_path: Path) -> None:
    data = image(shape=(3, *SHAPE))
    path = str(write_hdf5(tmp_path / "fly.h5", {"raw": data}, SIZE))
    places = (2, 0)
    choices = [offer(window, data[k], f"fly {k}", path=path, channel=k) for k in places]
    window.viewer.select_choices(*choices)
    pick(window, "2 layers: fly 0, fly 2")
    assert (window.form.image, window.form.options.channel) == (path, (0, 2))
    np.testing.assert_array_equal(read(window), data[[0, 2]])
    window.until(lambda: window.workspace.layers is not None)
    assert [layer.name for layer in window.workspace.layers.images] == ["fly 0", "fly 2"]


def test_a_layer_of_colours_is_grey_unless_channels_are_asked_for(window: Window) -> None:
    data = image(shape=(*SHAPE, 3))
    choice = offer(window, data, "photo", channel_axis=3, n_channels=3, is_colour=True)
    window.form.refresh_layers()
    ready(window)
    assert "mixed to grey" in window.form.channel.choice.currentText()
    assert window.form.options.channel is None
    grey = window.form.array[0:2, 0:37, 0:41]
    assert np.abs(grey - data[:2].astype(float) @ [0.299, 0.587, 0.114]).max() <= 0.51
    window.form.channel.choose("all")
    np.testing.assert_array_equal(read(window), np.moveaxis(data, -1, 0))
    assert window.workspace.session.image.source.channel_names == ("red", "green", "blue")
    window.until(lambda: window.workspace.layers is not None)
    assert not choice.layer.visible, "the layers of the channels take its place"
    assert len(window.workspace.layers.images) == 3


def test_a_layer_with_an_axis_of_channels(window: Window) -> None:
    data = image(shape=(9, 2, 37, 41))
    offer(window, data, "stack", channel_axis=1, n_channels=2)
    window.form.refresh_layers()
    ready(window)
    assert "Axis 1 of the layer, of length 2, is taken as channels." in window.form.notes.first.text()
    window.form.channel.choose((0, 1))
    np.testing.assert_array_equal(read(window), np.moveaxis(data, 1, 0))


def test_a_colour_image_of_a_file(window: Window, tmp_path: Path) -> None:
    data = image(shape=(*SHAPE, 3))
    tifffile.imwrite(tmp_path / "rgb.tif", data, photometric="rgb")
    offer(window, data, "rgb", path=str(tmp_path / "rgb.tif"), channel_axis=3, n_channels=3, is_colour=True)
    window.form.refresh_layers()
    ready(window)
    assert window.form.image == str(tmp_path / "rgb.tif")
    window.form.channel.choose("all")
    np.testing.assert_array_equal(read(window), np.moveaxis(data, -1, 0))
