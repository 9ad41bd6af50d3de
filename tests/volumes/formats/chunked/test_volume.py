"""Chunked arrays: zip archives, attributes of funlib, CellMap and N5, codecs, masks, and hostile metadata."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_spec, open_volume
from tests.support.stores import write_json, zip_folder
from tests.support.volume_contract import VolumeContract
from tests.volumes import files
from tests.volumes.files import SHAPE, image

NM = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
NM3 = ["nm"] * 3
PIXELS = {"dimensions": [8, 4, 40], "unit": "nm"}
ZARR2 = {
    "zarr_format": 2, "shape": list(SHAPE), "chunks": [4, 16, 16], "dtype": "|u1", "fill_value": 0, "order": "C",
    "filters": None, "compressor": None,
}  # fmt: skip


def whole(volume: Any) -> np.ndarray:
    return volume.read(Box.of_shape(volume.shape))


class TestZip(VolumeContract):
    @pytest.fixture
    def truth(self) -> np.ndarray:
        return image("uint16")

    @pytest.fixture(params=["2", "3:raw", "3:a/raw:inside", "n5", "ome"])
    def volume(self, request: Any, tmp_path: Path, truth: np.ndarray) -> Any:
        kind, _, rest = request.param.partition(":")
        path, _, inside = rest.partition(":")
        if kind == "n5":
            files.write_n5(tmp_path / "a", truth, "volumes/raw")
        elif kind == "ome":
            files.write_ome_zarr(tmp_path / "a", [truth], "0.5", NM, [[40, 4, 4]])
        else:
            files.write_zarr(tmp_path / "a", truth, int(kind), path)
        return open_volume(zip_folder(tmp_path / "a", tmp_path / "a.zarr.zip", inside))


def test_an_array_of_a_zip_archive_is_named_behind_the_colon(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a", image(), 3, "one")
    files.write_zarr(tmp_path / "a", image(seed=1), 3, "two")
    path = zip_folder(tmp_path / "a", tmp_path / "a.zip")
    np.testing.assert_array_equal(whole(open_volume(f"{path}:two")), image(seed=1))
    with pytest.raises(VolumeError, match="does not say which") as caught:
        open_volume(path)
    assert caught.value.hint == f"Name one, for example {path}:one."


def test_zip_archives_that_hold_something_else_or_are_cut(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("text.txt", "hello")
    with pytest.raises(VolumeError, match="holds no Zarr"):
        open_volume(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:60])
    with pytest.raises(VolumeError, match="is not a whole zip archive") as caught:
        open_volume(tmp_path / "b.zip")
    assert caught.value.hint == "Copy or download it again."


def test_a_mask_of_bool_is_0_and_1(tmp_path: Path) -> None:
    mask = image() > 100
    for version in (2, 3):
        volume = open_volume(files.write_zarr(tmp_path / f"{version}.zarr", mask, version))
        assert volume.dtype == "uint8"
        np.testing.assert_array_equal(whole(volume), mask.astype("uint8"))


def test_an_array_of_another_type_is_not_suggested(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", np.zeros(SHAPE, "complex64"), 2)
    with pytest.raises(VolumeError, match=r"has no array that could be a volume; it has / .* complex64") as caught:
        open_volume(tmp_path / "a.zarr")
    assert "voxels of uint8" in caught.value.hint


def test_the_example_in_a_message_is_the_largest_volume(tmp_path: Path) -> None:
    for name, shape in {"a": (3, 37, 41), "b": SHAPE, "list": (90,)}.items():
        zarr.create_array(str(tmp_path / "a.zarr" / name), data=image(shape=shape), zarr_format=2)
    with pytest.raises(VolumeError, match="does not say which") as caught:
        open_volume(tmp_path / "a.zarr")
    assert caught.value.hint == f"Name one, for example {tmp_path / 'a.zarr'}:b."
    assert "list" not in caught.value.message


@pytest.mark.parametrize("inside", ["", "/raw"])
def test_funlib(inside: str, tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 2, "raw")
    attributes = {"offset": [80, 16, 8], "voxel_size": [40, 4, 8], "axis_names": ["z", "y", "x"], "units": NM3}
    write_json(tmp_path / "a.zarr" / "raw" / ".zattrs", attributes)
    volume = open_volume(f"{tmp_path / 'a.zarr'}{inside}")
    assert volume.space.voxel_size_nm == (40, 4, 8)
    assert volume.space.origin_nm == (80, 16, 8)


def test_axis_names_that_are_x_first(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", np.ascontiguousarray(image().transpose(2, 1, 0)), 2, "raw")
    attributes = {"voxel_size": [8, 4, 40], "offset": [8, 16, 80], "axis_names": ["x", "y", "z"], "units": NM3}
    write_json(tmp_path / "a.zarr" / "raw" / ".zattrs", attributes)
    volume = open_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(whole(volume), image())
    assert volume.space.voxel_size_nm == (40, 4, 8)
    assert volume.space.origin_nm == (80, 16, 8)


def cellmap(scale: list[float], translate: list[float]) -> dict[str, Any]:
    return {"axes": ["z", "y", "x"], "ordering": "C", "scale": scale, "translate": translate, "units": NM3}


def test_levels_of_cosem(tmp_path: Path) -> None:
    files.write_n5(tmp_path / "a.n5", image(), "em/s0")
    files.write_n5(tmp_path / "a.n5", image()[:, ::2, ::2], "em/s1")
    datasets = [
        {"path": "s0", "transform": cellmap([40, 4, 8], [400, 0, 0])},
        {"path": "s1", "transform": cellmap([40, 8, 16], [400, 2, 4])},
    ]
    write_json(tmp_path / "a.n5" / "em" / "attributes.json", {"multiscales": [{"name": "em", "datasets": datasets}]})
    fine, coarse = open_volume(f"{tmp_path / 'a.n5'}"), open_volume(f"{tmp_path / 'a.n5'}:em/s1")
    assert fine.spec.array == "em/s0"
    assert "This is level 0 of 0 to 1, 's0'." in fine.notes
    np.testing.assert_array_equal(whole(fine), image())
    assert fine.space.voxel_size_nm == (40, 4, 8)
    assert fine.space.origin_nm == (400, 0, 0)
    assert coarse.space.voxel_size_nm == (40, 8, 16)
    assert coarse.space.origin_nm == (400, 2, 4)


def test_an_array_of_cellmap_in_zarr(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 2, "em/s0")
    attributes = {
        "transform": cellmap([40, 4, 8], [400, 4, 0]),
        "pixelResolution": {"dimensions": [1, 1, 1], "unit": "nm"},
    }
    write_json(tmp_path / "a.zarr" / "em" / "s0" / ".zattrs", attributes)
    space = open_volume(tmp_path / "a.zarr").space
    assert space.voxel_size_nm == (40, 4, 8)
    assert space.origin_nm == (400, 4, 0)


def test_ome_zarr_metadata_in_n5_is_slowest_first(tmp_path: Path) -> None:
    files.write_n5(tmp_path / "a.n5", image(), "em/s0")
    transforms = [{"type": "scale", "scale": [40, 4, 8]}, {"type": "translation", "translation": [80, 8, 16]}]
    multiscale = {"version": "0.4", "axes": NM, "datasets": [{"path": "s0", "coordinateTransformations": transforms}]}
    write_json(tmp_path / "a.n5" / "em" / "attributes.json", {"multiscales": [multiscale]})
    volume = open_volume(tmp_path / "a.n5")
    np.testing.assert_array_equal(whole(volume), image())
    assert volume.space.voxel_size_nm == (40, 4, 8)
    assert volume.space.origin_nm == (80, 8, 16)


@pytest.mark.parametrize(
    ("group", "array", "size", "origin"),
    [
        ({}, {"resolution": [8, 4, 40], "offset": [16, 8, 80]}, (40, 4, 8), (80, 8, 16)),
        ({"pixelResolution": PIXELS}, {"downsamplingFactors": [2, 2, 1]}, (40, 8, 16), (0, 2, 4)),
        ({"pixelResolution": PIXELS, "scales": [[1, 1, 1], [2, 2, 1]]}, {}, (40, 8, 16), (0, 2, 4)),
        ({"resolution": [4, 4, 4], "downsamplingFactors": [9, 9, 9]}, {}, (4, 4, 4), (0, 0, 0)),
    ],
)  # fmt: skip
def test_attributes_of_n5(group: Any, array: Any, size: Any, origin: Any, tmp_path: Path) -> None:
    files.write_n5(tmp_path / "a.n5", image(), "em/s1", array)
    write_json(tmp_path / "a.n5" / "em" / "attributes.json", group)
    space = open_volume(tmp_path / "a.n5").space
    assert space.voxel_size_nm == size
    assert space.origin_nm == origin


def test_of_several_levels_the_one_taken_is_said(tmp_path: Path) -> None:
    levels, sizes = [image(), image()[:, ::2, ::2]], [[40, 4, 4], [40, 8, 8]]
    path = files.write_ome_zarr(tmp_path / "a.zarr", levels, "0.4", NM, sizes, [400, 40, 4])
    assert open_volume(path).notes == ("This is level 0 of 0 to 1, 's0'.",)
    volume = open_volume(f"{path}/s1")
    assert volume.notes == ("This is level 1 of 0 to 1, 's1'.",)
    assert volume.space.origin_nm == (400, 40, 4)
    assert open_spec(volume.spec).notes == volume.notes


@pytest.mark.parametrize("version", [2, 3])
def test_a_codec_that_is_not_known_is_named_when_the_array_is_opened(version: int, tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), version)
    if version == 2:
        name, key, codec = ".zarray", "compressor", numcodecs.LZ4().get_config()
    else:
        name, key, codec = "zarr.json", "codecs", [{"name": "bytes"}, {"name": "numcodecs.lz4", "configuration": {}}]
    meta = json.loads((tmp_path / "a.zarr" / name).read_text())
    write_json(tmp_path / "a.zarr" / name, meta | {key: codec})
    with pytest.raises(
        VolumeError, match=r"a\.zarr is compressed with (numcodecs\.)?lz4, which needs zarr-python"
    ) as caught:
        open_volume(tmp_path / "a.zarr")
    assert "zstd" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_codecs_of_n5_and_filters(tmp_path: Path) -> None:
    files.write_n5(tmp_path / "a.n5", image(), "raw", {"compression": {"type": "lz4", "blockSize": 65536}})
    with pytest.raises(VolumeError, match="compressed with lz4, which needs the program that wrote it"):
        open_volume(tmp_path / "a.n5")
    write_json(tmp_path / "b.zarr" / ".zarray", ZARR2 | {"filters": [{"id": "delta", "dtype": "|u1"}]})
    with pytest.raises(VolumeError, match="written with filters"):
        open_volume(tmp_path / "b.zarr")


@pytest.mark.parametrize("path", ["../other.zarr/raw", "s0/../../other.zarr/raw", "..", "a\\..\\..\\other.zarr"])
def test_metadata_that_lead_out_of_the_container_are_refused(path: str, tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "other.zarr", image(), 2, "raw")
    write_json(tmp_path / "a.zarr" / ".zattrs", {"multiscales": [{"axes": NM, "datasets": [{"path": path}]}]})
    with pytest.raises(VolumeError, match=r"leads out of .*a\.zarr; arrays of a container lie inside it"):
        open_volume(tmp_path / "a.zarr")
    with pytest.raises(VolumeError, match="leads out of"):
        open_volume(f"{tmp_path / 'a.zarr'}:../other.zarr/raw")


def test_an_absolute_path_in_metadata_stays_in_the_container(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "other.zarr", image(), 2)
    multiscales = [{"axes": NM, "datasets": [{"path": str(tmp_path / "other.zarr")}]}]
    write_json(tmp_path / "a.zarr" / ".zattrs", {"multiscales": multiscales})
    with pytest.raises(VolumeError, match="holds no Zarr"):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [2**40, 2**40, 2**40]}, "voxels, which no disk holds"),
        ({"shape": [9, -37, 41]}, "voxels, which no disk holds"),
        ({"chunks": [2**20, 2**20, 2**20]}, "has chunks of 1048576 x 1048576 x 1048576 voxels"),
        ({"chunks": [0, 16, 16]}, "cannot be opened"),
        ({"shape": [9, 37.5, 41]}, "cannot be understood"),
        ({"shape": ["9", 37, 41]}, "cannot be understood"),
    ],
)
def test_absurd_shapes_and_chunks_are_refused(changes: Any, message: str, tmp_path: Path) -> None:
    write_json(tmp_path / "a.zarr" / ".zarray", ZARR2 | changes)
    with pytest.raises(VolumeError, match=message) as caught:
        open_volume(tmp_path / "a.zarr")
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_shard_may_be_large_where_its_chunks_are_small(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, shape=(2048, 2048, 2048), shards=(2048, 2048, 2048), chunks=(64, 64, 64), dtype="uint8")
    assert open_volume(path).shape == (2048, 2048, 2048)


def test_metadata_of_gigabytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    with (tmp_path / "a.zarr" / ".zattrs").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(VolumeError, match=r"\.zattrs has 2147483648 bytes"):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_folder_that_links_to_itself_is_walked_once(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 2, "raw")
    (tmp_path / "a.zarr" / "loop").symlink_to(tmp_path / "a.zarr", target_is_directory=True)
    assert open_volume(tmp_path / "a.zarr").notes == ()


def test_a_path_with_dots_and_slashes_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    files.write_zarr(tmp_path / "up.zarr", image(), 2, "raw")
    monkeypatch.chdir(tmp_path / "sub")
    for where in ("../up.zarr", "../up.zarr/raw", "../up.zarr:raw", f"/{tmp_path}/up.zarr", "./../sub/../up.zarr"):
        volume = open_volume(where)
        np.testing.assert_array_equal(whole(volume), image())
        np.testing.assert_array_equal(whole(open_spec(volume.spec)), image())


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_beside_an_image_are_listed_and_not_chosen(version: str, tmp_path: Path) -> None:
    folder, levels = tmp_path / "a.zarr", [image(), image()[:, ::2, ::2]]
    files.write_ome_zarr(folder, levels, version, NM, [[40, 4, 4], [40, 8, 8]])
    files.write_ome_zarr(folder / "labels" / "cells", [image("uint16")], version, NM, [[40, 4, 4]])
    group = zarr.open_group(folder / "labels", mode="a", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update({"labels": ["cells"]} if version == "0.4" else {"ome": {"labels": ["cells"]}})
    volume = open_volume(folder)
    assert volume.spec.array == "s0"
    assert "'s0' was chosen; there are also labels/cells/s0." in volume.notes
    assert open_volume(f"{folder}:1").spec.array == "s1"
    for name in ("labels/cells", "labels/cells/s0"):
        np.testing.assert_array_equal(whole(open_volume(f"{folder}:{name}")), image("uint16"))


def test_the_size_may_stand_above_and_the_offset_at_the_array(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 2, "volumes/labels")
    write_json(
        tmp_path / "a.zarr" / "volumes" / ".zattrs", {"resolution": [40, 4, 8], "unit": "nm", "offset": [1, 1, 1]}
    )
    assert open_volume(tmp_path / "a.zarr").space.origin_nm == (1, 1, 1)
    write_json(tmp_path / "a.zarr" / "volumes" / "labels" / ".zattrs", {"offset": [160, 64, 128]})
    assert open_volume(tmp_path / "a.zarr").space.origin_nm == (160, 64, 128)


def test_files_around_an_array_that_are_no_metadata_do_no_harm(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 2)
    for name in ("zarr.json", "attributes.json", "datasource-properties.json", "info"):
        (tmp_path / name).write_text("no JSON")
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "a.zarr")), image())


def test_axes_of_the_metadata_that_are_not_the_arrays_are_left_out_and_said(tmp_path: Path) -> None:
    folder = files.write_ome_zarr(tmp_path / "a.zarr", [image()[None]], "0.5", NM, [[40, 4, 4]])
    volume = open_volume(folder)
    np.testing.assert_array_equal(whole(volume), image())
    assert "The OME-Zarr metadata has 3 axes and the array 4; they are left out." in volume.notes
