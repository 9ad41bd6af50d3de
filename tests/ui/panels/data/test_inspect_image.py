"""What a file offers to the form for a new project: the images in it, and which one is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pytc.errors import VolumeError
from napari_pytc.ui.panels.data.inspect_image import ImageChoice, inspect
from tests.volumes.files import image, write_sections

STACK = image(shape=(4, 16, 24))


def test_series_of_a_folder_are_offered_and_one_is_picked(tmp_path: Path) -> None:
    folder = write_sections(tmp_path / "a", STACK, ".png")
    for path in sorted(folder.iterdir())[:3]:
        (folder / path.name.replace("section", "mask")).write_bytes(path.read_bytes())
    offered = inspect(ImageChoice(where=str(folder)))
    assert [array.name for array in offered.arrays] == ["mask_*.png", "section_*.png"]
    assert offered.shape is None
    picked = inspect(ImageChoice(where=str(folder), dataset="section_*.png"))
    assert (picked.image, picked.shape) == (f"{folder}:section_*.png", STACK.shape)
    assert "3 other files are left out" in picked.notes[0]


def test_one_series_is_taken(tmp_path: Path) -> None:
    found = inspect(ImageChoice(where=str(write_sections(tmp_path / "a", STACK, ".tif"))))
    assert (found.arrays, found.shape) == ((), STACK.shape)


def test_of_several_images_of_a_tiff_the_largest_is_taken_with_a_note(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for data in (STACK[0, ::2, ::2], *STACK):
            file.write(data, metadata=None, photometric="minisblack")
    found = inspect(ImageChoice(where=str(tmp_path / "a.tif")))
    assert (found.arrays, found.shape) == ((), STACK.shape)
    assert "left out: :0 (1 x 8 x 12 uint8)" in found.notes[0]


def test_images_that_are_mixed_in_a_tiff_are_offered(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for data in (STACK[0], STACK[1].astype(np.uint16), *STACK[2:]):
            file.write(data, metadata=None, photometric="minisblack")
    offered = inspect(ImageChoice(where=str(tmp_path / "a.tif")))
    assert [(array.name, array.shape) for array in offered.arrays] == [("0", (3, 16, 24)), ("1", (1, 16, 24))]
    assert inspect(ImageChoice(where=str(tmp_path / "a.tif"), dataset="0")).shape == (3, 16, 24)


def test_nothing_that_can_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="neither sections"):
        inspect(ImageChoice(where=str(tmp_path)))
