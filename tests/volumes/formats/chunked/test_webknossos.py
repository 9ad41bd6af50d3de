"""Datasets of WEBKNOSSOS: axes, voxel size, layers and magnifications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.formats.chunked.webknossos import magnifications_of
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.support.stores import write_json, write_webknossos
from tests.support.volume_contract import VolumeContract
from tests.volumes import files
from tests.volumes.files import SHAPE, image


class TestWebknossos(VolumeContract):
    @pytest.fixture
    def truth(self) -> np.ndarray:
        return image()

    @pytest.fixture(
        params=[(2, ""), (3, ""), (2, "/color"), (2, "/color/1"), (3, "/color/1"), (2, ":color"), (2, ":color/1")],
        ids=str,
    )
    def volume(self, request: Any, tmp_path: Path, truth: np.ndarray) -> Any:
        version, inside = request.param
        return open_volume(f"{write_webknossos(tmp_path / 'wk', truth, version)}{inside}")

    def test_the_voxel_size_is_the_datasets(self, volume: Any) -> None:
        assert volume.space.voxel_size_nm == (40, 8, 4)
        assert volume.space_found.source == "WEBKNOSSOS scale"


def test_magnifications(tmp_path: Path) -> None:
    folder = write_webknossos(tmp_path / "wk", image(), n_mags=2)
    fine, coarse = open_volume(folder), open_volume(f"{folder}:color/2-2-1")
    assert fine.shape == SHAPE
    assert fine.notes == ("This is magnification 0 of 0 to 1 of layer 'color'.",)
    assert coarse.space.voxel_size_nm == (40, 16, 8)
    np.testing.assert_array_equal(coarse.read(Box.of_shape(coarse.shape)), image()[:, ::2, ::2])


def test_the_only_image_is_chosen_beside_segmentations(tmp_path: Path) -> None:
    folder = write_webknossos(tmp_path / "wk", image(), layers={"cells": "segmentation", "em": "color"})
    volume = open_volume(folder)
    assert volume.spec.array == "em/1"
    assert "'em/1' was chosen; there are also cells/1." in volume.notes
    assert open_volume(f"{folder}:cells").spec.array == "cells/1"


def test_several_images_are_listed(tmp_path: Path) -> None:
    folder = write_webknossos(tmp_path / "wk", image(), layers={"a": "color", "b": "color"})
    with pytest.raises(VolumeError, match="does not say which of its arrays to open") as caught:
        open_volume(folder)
    assert caught.value.hint == f"Name one, for example {folder}:a/1."


@pytest.mark.parametrize(
    ("scale", "size"),
    [
        ([4, 8, 40], (40, 8, 4)),
        ({"factor": [0.004, 0.008, 0.04], "unit": "micrometer"}, (40, 8, 4)),
        ({"factor": [4, 8, 40], "unit": "furlong"}, None),
        (None, None),
    ],
)
def test_scales(scale: Any, size: Any, tmp_path: Path) -> None:
    volume = open_volume(write_webknossos(tmp_path / "wk", image(), scale=scale))
    assert (volume.space.voxel_size_nm if volume.space.known else None) == (
        None if size is None else pytest.approx(size)
    )
    assert volume.space.known or "not known" in volume.notes[0]


def test_paths_and_orders_that_are_not_written() -> None:
    layer = {"name": "em", "category": "color", "dataFormat": "zarr", "mags": [{"mag": [2, 2, 1]}, {"mag": 1}]}
    fine, coarse = magnifications_of({"scale": [4, 4, 40], "dataLayers": [layer]}, "wk")
    assert (fine.paths, fine.axes, fine.level) == (("em/1", "em/1-1-1"), "", 0)
    assert (coarse.paths, coarse.found.space.voxel_size_nm) == (("em/2-2-1",), (40, 8, 8))


def test_its_own_format_says_how_to_convert(tmp_path: Path) -> None:
    layer = {"name": "em", "category": "color", "dataFormat": "wkw", "wkwResolutions": [{"resolution": 1}]}
    write_json(tmp_path / "wk" / "datasource-properties.json", {"scale": [4, 4, 40], "dataLayers": [layer]})
    with pytest.raises(VolumeError, match="whose layers are wkw") as caught:
        open_volume(tmp_path / "wk")
    assert "webknossos convert-zarr" in caught.value.hint


def test_a_path_that_leads_out_is_refused(tmp_path: Path) -> None:
    write_webknossos(tmp_path / "other", image())
    mag = {"mag": 1, "path": "../other/color/1"}
    layer = {"name": "em", "category": "color", "dataFormat": "zarr", "mags": [mag]}
    write_json(tmp_path / "wk" / "datasource-properties.json", {"scale": [4, 4, 40], "dataLayers": [layer]})
    with pytest.raises(VolumeError, match="leads out of"):
        open_volume(tmp_path / "wk")


def described(folder: Path, mag: dict[str, Any], **layer: Any) -> Path:
    """Properties of a dataset with one layer ``em``."""
    layers = [{"name": "em", "category": "color", "mags": [{"mag": 1} | mag]} | layer]
    write_json(folder / "datasource-properties.json", {"scale": [4, 8, 40], "dataLayers": layers})
    return folder


def test_a_folder_that_is_named_by_all_three_factors(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "wk" / "em" / "1-1-1", np.ascontiguousarray(image().transpose(2, 1, 0)[None]), 2)
    volume = open_volume(described(tmp_path / "wk", {}, dataFormat="zarr"))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image())
    assert volume.spec.array == "em/1-1-1"


def test_further_axes_are_time(tmp_path: Path) -> None:
    data = np.stack([image(), image(seed=1)])[None]  # c, t, z, y, x
    files.write_zarr(tmp_path / "wk" / "em" / "1", data, 3)
    order = {"axisOrder": {"c": 0, "z": 2, "y": 3, "x": 4}}
    more = [{"name": "t", "bounds": [0, 2], "index": 1}]
    folder = described(tmp_path / "wk", order, dataFormat="zarr3", additionalAxes=more)
    with pytest.raises(VolumeError, match="2 time points"):
        open_volume(folder)
    volume = open_volume(folder, ReadOptions(time=1))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image(seed=1))
    assert volume.space.voxel_size_nm == (40, 8, 4)


def test_uint24_is_colours(tmp_path: Path) -> None:
    data = np.repeat(image().transpose(2, 1, 0)[None], 3, axis=0)
    files.write_zarr(tmp_path / "wk" / "em" / "1", data, 2)
    volume = open_volume(described(tmp_path / "wk", {}, dataFormat="zarr", elementClass="uint24"))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image())
    assert any("mixed to grey" in note for note in volume.notes)


def test_n5_counts_axes_in_its_own_order(tmp_path: Path) -> None:
    files.write_n5(tmp_path / "wk", image(), "em/1")
    volume = open_volume(described(tmp_path / "wk", {"path": "./em/1"}, dataFormat="n5"))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image())
    assert volume.space.voxel_size_nm == (40, 8, 4)


def test_precomputed_layers_and_precomputed_volumes_in_folders(tmp_path: Path) -> None:
    files.write_precomputed(tmp_path / "wk" / "em", image()[None], scales=2)
    described(tmp_path / "wk", {"path": "./em/1"}, dataFormat="neuroglancerPrecomputed")
    for where in (tmp_path / "wk", f"{tmp_path / 'wk'}:em", tmp_path / "wk" / "em"):
        volume = open_volume(where)
        np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image())
        assert volume.spec.url == str(tmp_path / "wk" / "em")
        assert volume.space.voxel_size_nm == (40, 4, 4)
        assert open_spec(volume.spec).space == volume.space


def test_a_scale_of_1_without_a_unit_is_not_known(tmp_path: Path) -> None:
    volume = open_volume(write_webknossos(tmp_path / "wk", image(), scale=[1.0, 1.0, 1.0]))
    assert not volume.space.known
    assert "as where nothing was set" in volume.notes[0]


@pytest.mark.parametrize("inside", ["", "/em", "/em/1", ":em"])
def test_its_own_properties_go_before_ome_metadata_that_lack_an_axis(inside: str, tmp_path: Path) -> None:
    data = np.stack([image(), image(seed=1)])[None]  # c, t, z, y, x
    files.write_zarr(tmp_path / "wk" / "em", data, 2, "1")
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space", "unit": "nanometer"} for a in "xyz")]
    scale = [{"type": "scale", "scale": [1, 4, 8, 40]}]
    multiscale = {"version": "0.4", "axes": axes, "datasets": [{"path": "1", "coordinateTransformations": scale}]}
    write_json(tmp_path / "wk" / "em" / ".zattrs", {"multiscales": [multiscale]})
    order = {"axisOrder": {"c": 0, "z": 2, "y": 3, "x": 4}}
    more = [{"name": "t", "bounds": [0, 2], "index": 1}]
    folder = described(tmp_path / "wk", order, dataFormat="zarr", additionalAxes=more)
    volume = open_volume(f"{folder}{inside}", ReadOptions(time=1))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image(seed=1))
    assert volume.space.voxel_size_nm == (40, 8, 4)
