"""Layers of the user's that show a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice, layer_choice, shows_volume
from napari_pytc.volumes.spec import ChunkedSpec, Hdf5Spec, TiffSpec, VolumeSpec

SHAPE = (4, 5, 6)


def choice(path: str | None, channel: int | None = None, shape: tuple[int, int, int] = SHAPE) -> LayerChoice:
    return LayerChoice("a", shape, "uint8", path, None, None, channel)


@pytest.mark.parametrize(
    ("found", "spec", "is_same"),
    [
        (choice("/d/a.h5:raw"), Hdf5Spec(path=Path("/d/a.h5"), dataset="raw"), True),
        (choice("/d/a.h5"), Hdf5Spec(path=Path("/d/a.h5"), dataset="raw"), True),
        (choice("/d/a.h5:mask"), Hdf5Spec(path=Path("/d/a.h5"), dataset="raw"), False),
        (choice("/d/b.h5:raw"), Hdf5Spec(path=Path("/d/a.h5"), dataset="raw"), False),
        (choice("/d/a.tif"), TiffSpec(path=Path("/d/a.tif")), True),
        (choice("/d/../d/a.tif"), TiffSpec(path=Path("/d/a.tif")), True),
        (choice("/d/a.tif", 1), TiffSpec(path=Path("/d/a.tif"), channel=1), True),
        (choice("/d/a.tif", 0), TiffSpec(path=Path("/d/a.tif")), True),
        (choice("/d/a.tif", 1), TiffSpec(path=Path("/d/a.tif")), False),
        (choice("/d/a.tif", shape=(4, 5, 7)), TiffSpec(path=Path("/d/a.tif")), False),
        (choice(None), TiffSpec(path=Path("/d/a.tif")), False),
        (choice("/d/a.zarr:s/0"), ChunkedSpec(url="/d/a.zarr", driver="zarr", array="s/0"), True),
        (choice("/d/a.zarr/s/0"), ChunkedSpec(url="/d/a.zarr", driver="zarr", array="s/0"), True),
        (choice("https://h/a.zarr"), ChunkedSpec(url="https://h/a.zarr", driver="zarr"), True),
        (choice("https://h/a.zarr:s/0"), ChunkedSpec(url="https://h/a.zarr", driver="zarr"), False),
    ],
)
def test_a_layer_shows_a_volume(found: LayerChoice, spec: VolumeSpec, is_same: bool) -> None:
    assert shows_volume(found, spec, SHAPE, "uint8") is is_same


@pytest.mark.parametrize(
    ("shape", "options", "axis", "found"),
    [
        ((4, 50, 60), {}, None, (4, 50, 60)),
        ((50, 60), {}, None, (1, 50, 60)),
        ((2, 9, 50, 60), {}, 0, (9, 50, 60)),
        ((9, 2, 50, 60), {}, 1, (9, 50, 60)),
        ((3, 50, 60), {"axis_labels": ("channel", "y", "x")}, 0, (1, 50, 60)),
        ((9, 4, 50, 60), {"axis_labels": ("z", "c", "y", "x")}, 1, (9, 50, 60)),
        ((4, 50, 60, 3), {"rgb": True}, 3, (4, 50, 60)),
        ((50, 60, 3), {"rgb": True}, 2, (1, 50, 60)),
    ],
)
def test_channels_of_layers(
    shape: tuple[int, ...], options: dict[str, Any], axis: int | None, found: tuple[int, int, int]
) -> None:
    choice = layer_choice(Image(np.zeros(shape, np.uint8), **options))
    assert choice is not None
    assert (choice.channel_axis, choice.shape, choice.is_colour) == (axis, found, options.get("rgb", False))
    assert choice.n_channels == (1 if axis is None else shape[axis])


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 9, 50, 60), {"axis_labels": ("t", "z", "y", "x")}),
        ((20, 30, 50, 60), {}),
        ((2, 2, 50, 60), {}),
        ((2, 3, 9, 50, 60), {}),
    ],
)
def test_movies_and_unclear_axes_are_no_images(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    assert layer_choice(Image(np.zeros(shape, np.uint8), **options)) is None
