"""Folders of sections."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_volume
from tests.volumes import files
from tests.volumes.files import image


def _png(folder, sections):
    folder.mkdir()
    for z, section in enumerate(sections):
        (folder / f"s{z:03}.png").write_bytes(imagecodecs.png_encode(section))
    return folder


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_ten_comes_after_two(suffix, tmp_path):
    data = image(shape=(12, 9, 11))
    volume = open_volume(files.write_sections(tmp_path / "a", data, suffix))
    np.testing.assert_array_equal(volume.read(Box.of_shape(data.shape)), data)


def test_grey_stored_in_colours_is_grey(tmp_path):
    data = image(shape=(3, 9, 11))
    volume = open_volume(_png(tmp_path / "a", np.stack([data] * 3, axis=-1)))
    np.testing.assert_array_equal(volume.read(Box.of_shape(data.shape)), data)
    folder = tmp_path / "b"
    folder.mkdir()
    for z in range(3):
        tifffile.imwrite(folder / f"{z}.tif", np.stack([data[z]] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(open_volume(folder).read(Box.of_shape(data.shape)), data)


def test_colours_must_be_picked(tmp_path):
    data = image(shape=(3, 9, 11, 3))
    folder = _png(tmp_path / "a", data)
    with pytest.raises(VolumeError, match="3 channels"):
        open_volume(folder)
    volume = open_volume(folder, channel=2)
    np.testing.assert_array_equal(volume.read(Box.of_shape((3, 9, 11))), data[..., 2])
    with pytest.raises(VolumeError, match="no channel 3"):
        open_volume(folder, channel=3)


def test_a_single_image_is_one_section(tmp_path):
    folder = _png(tmp_path / "a", image(shape=(3, 9, 11)))
    assert open_volume(folder / "s001.png").shape == (1, 9, 11)


def test_a_section_of_another_size_is_named(tmp_path):
    folder = _png(tmp_path / "a", [image(shape=(9, 11)), image(shape=(9, 12)), image("uint16", (9, 11))])
    volume = open_volume(folder)
    for z, name in ((1, "s001.png has 9 x 12"), (2, "s002.png has 9 x 11 pixels of uint16")):
        with pytest.raises(VolumeError, match=name):
            volume.read(Box.at((z, 0, 0), (1, 2, 2)))


def test_a_damaged_section_is_named(tmp_path):
    folder = _png(tmp_path / "a", image(shape=(3, 9, 11)))
    (folder / "s001.png").write_bytes((folder / "s001.png").read_bytes()[:60])
    volume = open_volume(folder)
    volume.read(Box.at((0, 0, 0), (1, 9, 11)))
    with pytest.raises(VolumeError, match=r"s001\.png"):
        volume.read(Box.of_shape(volume.shape))


def test_two_kinds_of_sections_must_be_named(tmp_path):
    folder = _png(tmp_path / "a", image(shape=(3, 9, 11)))
    tifffile.imwrite(folder / "overview.tif", image(shape=(9, 11)))
    with pytest.raises(VolumeError, match=r"1 \.tif, 3 \.png"):
        open_volume(folder)
    assert open_volume(f"{folder}:.png").shape == (3, 9, 11)
    assert open_volume(f"{folder}:tif").shape == (1, 9, 11)


def test_stacks_in_a_folder_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(2):
        tifffile.imwrite(tmp_path / "a" / f"{i}.tif", image(), photometric="minisblack")
    with pytest.raises(VolumeError, match="holds 9 sections"):
        open_volume(tmp_path / "a")
