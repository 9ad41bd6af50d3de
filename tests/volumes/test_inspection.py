"""What `info PATH` tells."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.inspection import VolumeInfo, describe_volume
from tests.support.stores import write_bdv_hdf5, write_bdv_xml, write_mrc, write_nifti, write_webknossos
from tests.volumes import files
from tests.volumes.files import SHAPE, image


def test_hdf5_lists_all_and_says_what_opens(tmp_path):
    path = files.write_hdf5(tmp_path / "a.h5", {"raw": image(), "truth": image("uint16")}, {"resolution": [40, 4, 4]})
    info = describe_volume(path)
    assert [(a.name, a.shape, a.dtype) for a in info.arrays] == [("raw", SHAPE, "uint8"), ("truth", SHAPE, "uint16")]
    assert (info.kind, info.shape, info.dtype, info.problem) == ("hdf5", SHAPE, "uint8", "")
    assert info.voxel_size_nm == (40, 4, 4)
    assert info.voxel_size_source == "HDF5 attribute resolution"
    assert info.n_bytes == image().nbytes
    assert info.n_file_bytes == path.stat().st_size
    assert VolumeInfo.model_validate_json(info.model_dump_json()) == info


def test_what_cannot_be_opened_as_written_is_still_described(tmp_path):
    path = files.write_hdf5(tmp_path / "a.h5", {"em": image(), "truth": image()})
    info = describe_volume(path)
    assert len(info.arrays) == 2
    assert "several datasets" in info.problem
    assert info.shape is None


def test_channels_are_counted(tmp_path):
    path = files.write_tiff(tmp_path / "a.tif", image(shape=(3, *SHAPE)), metadata={"axes": "CZYX"})
    info = describe_volume(path)
    assert (info.n_channels, info.shape) == (3, SHAPE)
    assert "3 channels" in info.problem
    assert info.arrays[0].axes == "czyx"


def test_levels_of_a_container(tmp_path):
    info = describe_volume(files.write_precomputed(tmp_path / "em", image()[None], scales=2))
    assert [a.name for a in info.arrays] == ["4_4_40", "8_8_40"]
    assert [a.voxel_size_nm for a in info.arrays] == [(40, 4, 4), (40, 8, 8)]
    assert info.kind == "chunked"
    assert info.n_file_bytes is None


def test_sections_and_npy(tmp_path):
    assert describe_volume(files.write_sections(tmp_path / "a", image(), ".png")).shape == SHAPE


def test_a_missing_path_is_an_error(tmp_path):
    with pytest.raises(VolumeError, match="no file or folder"):
        describe_volume(tmp_path / "none.h5")


def test_an_array_is_described_as_the_groups_around_it_have_it(tmp_path):
    folder = write_webknossos(tmp_path / "wk", image())
    (array,) = describe_volume(folder / "color" / "1").arrays
    assert (array.name, array.axes, array.voxel_size_nm) == ("", "cxyz", (40, 8, 4))


def test_setups_of_bigdataviewer(tmp_path):
    write_bdv_hdf5(tmp_path / "a.h5", {(0, 0): image("uint16"), (0, 1): image("uint16")})
    tiles = {0: {"tile": "0"}, 1: {"tile": "1"}}
    info = describe_volume(write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, tiles))
    assert [array.name for array in info.arrays] == ["s00", "s01"]
    assert info.arrays[0].shape == (1, *SHAPE)
    assert info.arrays[0].dtype == "uint16"
    assert info.arrays[0].voxel_size_nm == (40, 8, 4)
    assert "Name one" in info.problem


@pytest.mark.parametrize("kind", ["mrc", "nifti"])
def test_files_of_one_image_have_no_list(kind, tmp_path):
    if kind == "mrc":
        path = write_mrc(tmp_path / "a.mrc", image("int16"), (400, 40, 80))
    else:
        path = write_nifti(tmp_path / "a.nii", image().T, np.diag([0.008e-3, 0.004e-3, 0.04e-3, 1]))
    info = describe_volume(path)
    assert (info.kind, info.arrays, info.shape) == (kind, (), SHAPE)
    assert info.voxel_size_nm == (40, 4, 8)


def test_one_odd_file_beside_series_of_sections(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("raw", "mask"):
        files.write_sections(tmp_path / "a" / name, image(), ".png")
        for path in sorted((tmp_path / "a" / name).iterdir()):
            path.rename(tmp_path / "a" / f"{name}_{path.name}")
        (tmp_path / "a" / name).rmdir()
    (tmp_path / "a" / "notes.png").write_bytes(b"this is a letter")
    info = describe_volume(tmp_path / "a")
    assert [array.shape for array in info.arrays] == [SHAPE, SHAPE]
    assert "series" in info.problem
