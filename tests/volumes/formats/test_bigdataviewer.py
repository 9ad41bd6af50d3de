"""Data of BigDataViewer and BigStitcher: HDF5 alone, HDF5 and N5 with their XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.support.stores import write_bdv_hdf5, write_bdv_xml, write_json
from tests.support.volume_contract import VolumeContract
from tests.volumes import files
from tests.volumes.files import SHAPE, image

CHANNELS = {0: {"channel": "0", "tile": "0"}, 1: {"channel": "1", "tile": "0"}}
TILES = {0: {"channel": "0", "tile": "0"}, 1: {"channel": "0", "tile": "1"}}
TIMES = "<Timepoints type='pattern'><integerpattern>0-1</integerpattern></Timepoints>"


def whole(volume: Any) -> np.ndarray:
    return volume.read(Box.of_shape(volume.shape))


class TestXml(VolumeContract):
    @pytest.fixture
    def truth(self) -> np.ndarray:
        return image("uint16") * 250  # beyond what int16 holds

    @pytest.fixture(params=["a.xml", "a.xml:0", "a.xml:s00", "a.xml:part 0", "a.h5", "a.h5:t00000/s00/0/cells"])
    def volume(self, request: Any, tmp_path: Path, truth: np.ndarray) -> Any:
        write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): truth})
        write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE)
        volume = open_volume(tmp_path / request.param)
        yield volume
        volume.close()

    def test_the_xml_gives_the_voxel_size(self, volume: Any) -> None:
        assert volume.space.voxel_size_nm == (40, 8, 4)
        assert "BigDataViewer stores uint16 voxels as int16; they are read as uint16." in volume.notes


class TestN5(VolumeContract):
    @pytest.fixture
    def truth(self) -> np.ndarray:
        return image("uint16")

    @pytest.fixture
    def volume(self, tmp_path: Path, truth: np.ndarray) -> Any:
        files.write_n5(tmp_path / "a.n5", truth, "setup0/timepoint0/s0")
        return open_volume(
            write_bdv_xml(
                tmp_path / "a.xml", "a.n5", SHAPE, loader="bdv.n5", unit="um", affine="1 0 0 0 0 1 0 0 0 0 1 0"
            )
        )

    def test_the_xml_gives_the_voxel_size(self, volume: Any) -> None:
        assert volume.space.voxel_size_nm == (40e3, 8e3, 4e3)


def test_without_its_xml_the_finest_level_opens_and_the_size_is_not_known(tmp_path: Path) -> None:
    volume = open_volume(write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16")}))
    assert volume.spec.dataset == "t00000/s00/0/cells"
    assert not volume.space.known
    assert any("BigDataViewer keeps the voxel size in its XML, and no a.xml" in note for note in volume.notes)


def test_a_coarser_level_is_as_coarse_as_the_table_says(tmp_path: Path) -> None:
    path = write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16")})
    volume = open_volume(f"{path}:t00000/s00/1/cells")
    assert any("Level 1 is coarser than level 0 by 2 x 2 x 1 (x, y, z)." in note for note in volume.notes)
    write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE)
    volume = open_volume(f"{path}:t00000/s00/1/cells")
    assert volume.space.voxel_size_nm == (40, 16, 8)
    assert volume.space.origin_nm == (0, 4, 2)  # the mean of two voxels lies between them
    assert "This is level 1 of 0 to 1 of setup 0." in volume.notes


def test_of_several_the_largest_volume_is_suggested_and_not_a_table(tmp_path: Path) -> None:
    path = write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16"), (0, 1): image("uint16", (12, 37, 41))})
    with pytest.raises(VolumeError, match="has several datasets") as caught:
        open_volume(path)
    assert caught.value.hint == f"Name one, for example {path}:t00000/s01/0/cells."
    assert "resolutions" not in caught.value.message
    assert describe_volume(path).problem


def test_setups_are_channels(tmp_path: Path) -> None:
    views = {(0, 0): image("uint16"), (0, 1): image("uint16", seed=1)}
    write_bdv_hdf5(tmp_path / "a.h5", views)
    path = write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, CHANNELS)
    with pytest.raises(VolumeError, match="has 2 channels"):
        open_volume(path)
    volume = open_volume(path, ReadOptions(channel=1))
    np.testing.assert_array_equal(whole(volume), views[0, 1])
    assert any("This is setup s01 of 2" in note for note in volume.notes)


def test_tiles_are_named(tmp_path: Path) -> None:
    views = {(0, 0): image("uint16"), (0, 1): image("uint16", seed=1)}
    write_bdv_hdf5(tmp_path / "a.h5", views)
    path = write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, TILES)
    with pytest.raises(
        VolumeError, match="2 setups that are no channels of one image: s00 part 0, s01 part 1"
    ) as caught:
        open_volume(path)
    assert caught.value.hint == f"Name one, for example {path}:s00."
    np.testing.assert_array_equal(whole(open_volume(f"{path}:part 1")), views[0, 1])
    with pytest.raises(VolumeError, match="has no setup 's07'"):
        open_volume(f"{path}:s07")


def test_time_points(tmp_path: Path) -> None:
    views = {(0, 0): image("uint16"), (1, 0): image("uint16", seed=1)}
    write_bdv_hdf5(tmp_path / "a.h5", views)
    path = write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, times=TIMES)
    with pytest.raises(VolumeError, match="has 2 time points"):
        open_volume(path)
    np.testing.assert_array_equal(whole(open_volume(path, ReadOptions(time=1))), views[1, 0])


@pytest.mark.parametrize(
    "times",
    [
        TIMES,
        "<Timepoints type='range'><first>0</first><last>1</last></Timepoints>",
        "<Timepoints type='list'><Timepoint><id>0</id></Timepoint><Timepoint><id>1</id></Timepoint></Timepoints>",
    ],
)
def test_every_way_to_list_time_points(times: str, tmp_path: Path) -> None:
    write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16"), (1, 0): image("uint16", seed=1)})
    path = write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, times=times)
    np.testing.assert_array_equal(whole(open_volume(path, ReadOptions(time=1))), image("uint16", seed=1))


@pytest.mark.parametrize(
    ("affine", "origin", "noted"),
    [
        ("4 0 0 400 0 8 0 80 0 0 40 800", (800, 80, 400), False),
        ("1 0 0 100 0 1 0 10 0 0 1 20", (800, 80, 400), False),  # a world in voxels
        ("0 -4 0 0 4 0 0 0 0 0 40 0", (0, 0, 0), True),
        ("-4 0 0 400 0 8 0 0 0 0 40 0", (0, 0, -400), True),
    ],
)
def test_places_of_views(affine: str, origin: Any, noted: bool, tmp_path: Path) -> None:
    write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16")})
    volume = open_volume(write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, affine=affine))
    assert volume.space.origin_nm == pytest.approx(origin)
    assert any("turns, shears or flips" in note for note in volume.notes) is noted


@pytest.mark.parametrize("unit", ["pixel", ""])
def test_a_unit_that_is_no_length(unit: str, tmp_path: Path) -> None:
    write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16")})
    volume = open_volume(write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, unit=unit))
    assert not volume.space.known
    assert any("which is no length; it is not known" in note for note in volume.notes)


def test_parts_of_the_data_in_files_beside_are_followed(tmp_path: Path) -> None:
    write_bdv_hdf5(tmp_path / "part.h5", {(0, 0): image("uint16")})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t00000/s00"] = h5py.ExternalLink("part.h5", "/t00000/s00")
    volume = open_volume(write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE))
    np.testing.assert_array_equal(whole(volume), image("uint16"))
    assert "The voxels are in part.h5, to which a.h5 links." in volume.notes
    assert open_volume(tmp_path / "a.h5").spec.dataset == "t00000/s00/0/cells"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<SpimData", "is not a whole XML file"),
        ("<?xml version='1.0'?><html/>", "not one of BigDataViewer"),
        (
            "<SpimData><SequenceDescription><ImageLoader format='bdv.hdf5'><hdf5>a.h5</hdf5></ImageLoader>"
            "</SequenceDescription></SpimData>",
            "it lists no setups",
        ),
    ],
)
def test_xml_that_is_something_else(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(VolumeError, match=message):
        open_volume(tmp_path / "a.xml")


def test_what_the_xml_names_is_missing_or_another(tmp_path: Path) -> None:
    path = write_bdv_xml(tmp_path / "a.xml", "gone.h5", SHAPE)
    with pytest.raises(VolumeError, match=r"no file .*gone\.h5"):
        open_volume(path)
    write_bdv_hdf5(tmp_path / "gone.h5", {(0, 0): image("uint16", (3, 37, 41))})
    with pytest.raises(VolumeError, match=r"says that setup s00 has 9 x 37 x 41 voxels"):
        open_volume(path)
    write_bdv_xml(path, "a.zarr", SHAPE, loader="bdv.multimg.zarr")
    with pytest.raises(VolumeError, match=r"names its voxels as bdv\.multimg\.zarr; read are"):
        open_volume(path)


def test_a_view_that_the_xml_calls_missing(tmp_path: Path) -> None:
    write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16")})
    missing = "<MissingViews><MissingView timepoint='1' setup='0'/></MissingViews>"
    path = write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, times=TIMES + missing)
    with pytest.raises(VolumeError, match="time point 1 of setup s00 is missing"):
        whole(open_volume(path, ReadOptions(time=1)))


def test_cells_that_are_links_are_placed_by_the_xml_of_the_file_that_was_named(tmp_path: Path) -> None:
    files.write_hdf5(tmp_path / "data.h5", {"Data": image("int16")})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["s00/resolutions"] = [[1.0, 1, 1]]
        file["t00000/s00/0/cells"] = h5py.ExternalLink("data.h5", "/Data")
    write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE)
    for where in ("a.h5", "a.xml"):
        volume = open_volume(tmp_path / where)
        np.testing.assert_array_equal(whole(volume), image("uint16"))
        assert volume.space.voxel_size_nm == (40, 8, 4)


def test_n5_is_placed_by_the_xml_beside_and_never_by_its_own_resolution(tmp_path: Path) -> None:
    files.write_n5(tmp_path / "a.n5", image("uint16"), "setup0/timepoint0/s0")
    files.write_n5(tmp_path / "a.n5", image("uint16"), "setup0/timepoint0/s1", {"downsamplingFactors": [2, 2, 1]})
    group = tmp_path / "a.n5" / "setup0" / "timepoint0"
    write_json(group / "attributes.json", {"multiScale": True, "resolution": [0.32, 0.32, 0.4]})
    volume = open_volume(tmp_path / "a.n5")
    assert not volume.space.known
    assert "BigDataViewer keeps the voxel size in its XML, and no a.xml" in volume.notes[1]
    write_bdv_xml(tmp_path / "a.xml", "a.n5", SHAPE, loader="bdv.n5")
    assert open_volume(tmp_path / "a.n5").space.voxel_size_nm == (40, 8, 4)
    space = open_volume(f"{tmp_path / 'a.n5'}:setup0/timepoint0/s1").space
    assert space.voxel_size_nm == (40, 16, 8)
    assert space.origin_nm == (0, 4, 2)


@pytest.mark.parametrize(
    "images",
    [
        "<zgroups><zgroup setup='0' timepoint='0'><path>one</path></zgroup></zgroups>",
        "<zgroups><zgroup setup='0' tp='0' path='one' indicies='0 0'/></zgroups>",
        "<zgroups><zgroup setup='0' tp='0' path='two' indicies='1 0'/></zgroups>",
    ],
)
def test_images_of_a_zarr(images: str, tmp_path: Path) -> None:
    zyx = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    files.write_ome_zarr(tmp_path / "a.zarr" / "one", [image(), image()[:, ::2, ::2]], "0.4", zyx, [[1] * 3, [1, 2, 2]])
    axes = [{"name": "c", "type": "channel"}, *zyx]
    files.write_ome_zarr(tmp_path / "a.zarr" / "two", [np.stack([image(seed=1), image()])], "0.4", axes, [[1] * 4])
    volume = open_volume(write_bdv_xml(tmp_path / "a.xml", "a.zarr", SHAPE, loader="bdv.multimg.zarr", images=images))
    np.testing.assert_array_equal(whole(volume), image())
    assert volume.space.voxel_size_nm == (40, 8, 4)


@pytest.mark.parametrize(
    "times",
    [
        "<Timepoints type='range'><first>0</first><last>99999999999</last></Timepoints>",
        "<Timepoints type='pattern'><integerpattern>7-3</integerpattern></Timepoints>",
        "<Timepoints type='pattern'><integerpattern>x</integerpattern></Timepoints>",
    ],
)
def test_absurd_time_points_are_refused(times: str, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="cannot be understood"):
        open_volume(write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, times=times))


def test_an_unknown_encoding_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<?xml version='1.0' encoding='x'?><SpimData/>")
    with pytest.raises(VolumeError, match="is not a whole XML file"):
        open_volume(tmp_path / "a.xml")


@pytest.mark.parametrize("n_missing", [1, 2])
def test_the_first_time_point_may_be_missing(n_missing: int, tmp_path: Path) -> None:
    write_bdv_hdf5(tmp_path / "a.h5", {(1, 0): image("uint16")})
    views = "".join(f"<MissingView timepoint='{time}' setup='0'/>" for time in range(n_missing))
    times = f"{TIMES}<MissingViews>{views}</MissingViews>"
    path = write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, times=times)
    (array,) = describe_volume(path).arrays
    assert array.shape == (2, *SHAPE)
    assert array.dtype == ("uint16" if n_missing == 1 else "unknown")
    if n_missing == 1:
        np.testing.assert_array_equal(whole(open_volume(path, ReadOptions(time=1))), image("uint16"))
    with pytest.raises(VolumeError, match="time point 0 of setup s00 is missing"):
        open_volume(path, ReadOptions(time=0))
