"""Boundaries for proofreading, and what stands in for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.session.proofreading.boundaries import ProjectBoundary
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.images import MemoryImage

SHAPE = (4, 32, 32)
BOX = Box((1, 0, 0), (3, 32, 32))


def image(n_channels: int = 2) -> ImageSource:
    array = np.random.default_rng(0).integers(120, 200, (n_channels, *SHAPE)).astype(np.uint8)
    array[-1, :, 15:17] = 5  # a dark membrane in the last channel alone
    return MemoryImage(array, VoxelSpace((40, 4, 4)), ("", "sem")[-n_channels:])


def prediction(folder: Path, *names: str) -> Path:
    path = folder / "p.zarr"
    array = create_ome_zarr(path, SHAPE, "uint8", VoxelSpace((40, 4, 4)), channels=names, chunk_shape=SHAPE)
    values = np.zeros((len(names), *SHAPE), np.uint8)
    values[0, :, 15:17] = 255
    array.write(Box.of_shape(SHAPE), values)
    return path


def test_the_prediction_has_boundaries_and_nothing_is_told(tmp_path: Path) -> None:
    boundary = ProjectBoundary(prediction(tmp_path, "membrane", "inside"), "membrane", image)
    assert boundary.read(BOX)[:, 15].min() > boundary.read(BOX)[:, 4].max()
    assert boundary.note == ""


def test_ridges_of_the_image_stand_in_for_a_prediction_that_is_gone_and_a_note_says_of_which_channel(
    tmp_path: Path,
) -> None:
    boundary = ProjectBoundary(tmp_path / "gone.zarr", None, image, channel=1)
    assert boundary.note == "", "nothing was read yet"
    values = boundary.read(BOX)
    assert values[:, 15].mean() > values[:, 4].mean() + 0.2
    assert boundary.note == (
        "The prediction that was segmented is gone: cuts follow the dark ridges of sem in the image."
    )
    of_first = ProjectBoundary(tmp_path / "gone.zarr", None, image)
    of_first.read(BOX)
    assert of_first.note.endswith("ridges of channel 0 in the image.")


def test_of_an_image_with_one_channel_no_channel_is_named(tmp_path: Path) -> None:
    boundary = ProjectBoundary(tmp_path / "gone.zarr", None, lambda: image(1))
    boundary.read(BOX)
    assert boundary.note == "The prediction that was segmented is gone: cuts follow the dark ridges of the image."


def test_a_prediction_that_comes_back_takes_the_note_away(tmp_path: Path) -> None:
    boundary = ProjectBoundary(tmp_path / "p.zarr", "membrane", image)
    boundary.read(BOX)
    assert boundary.note
    prediction(tmp_path, "membrane", "inside")
    boundary.read(BOX)
    assert boundary.note == ""


def test_an_import_whose_map_is_gone_is_told_and_one_without_a_map_is_not() -> None:
    lost = ProjectBoundary(None, None, image, {"volume": {"kind": "npy", "path": "gone.npy"}})
    lost.read(BOX)
    assert lost.note.startswith("The boundary map of the import is gone: cuts follow")
    without = ProjectBoundary(None, None, image)
    without.read(BOX)
    assert without.note == "", "the import said so"


def test_without_an_image_distance_decides(tmp_path: Path) -> None:
    def moved() -> ImageSource:
        raise VolumeError("The image is not open.")

    boundary = ProjectBoundary(tmp_path / "gone.zarr", None, moved)
    assert not boundary.read(BOX).any()
    assert boundary.note.endswith("is gone, and the image cannot be read: cuts go by distance alone.")


@pytest.mark.parametrize("names", [("mito", "inside")])
def test_a_prediction_without_the_class_is_one_without_boundaries(tmp_path: Path, names: tuple[str, ...]) -> None:
    boundary = ProjectBoundary(prediction(tmp_path, *names), "membrane", image)
    boundary.read(BOX)
    assert boundary.note.startswith("The prediction that was segmented has no boundaries: cuts follow")
