"""HDF5 files: what is suggested, links that lead astray, filters that are not installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.formats.hdf5_file import datasets_of
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import open_volume
from tests.volumes import files
from tests.volumes.files import SHAPE, image


def whole(volume: Any) -> np.ndarray:
    return volume.read(Box.of_shape(volume.shape))


def test_a_mask_of_bool_is_0_and_1(tmp_path: Path) -> None:
    mask = image() > 100
    volume = open_volume(files.write_hdf5(tmp_path / "a.h5", {"mask": mask}))
    assert volume.dtype == "uint8"
    np.testing.assert_array_equal(whole(volume), mask.astype("uint8"))


def test_the_example_in_a_message_opens(tmp_path: Path) -> None:
    data = {
        "small": image(shape=(3, 37, 41)),
        "large": image(),
        "table": image(shape=(300, 300)),
        "list": image(shape=(9,)),
    }
    path = files.write_hdf5(tmp_path / "a.h5", data)
    with pytest.raises(VolumeError, match="has several datasets") as caught:
        open_volume(path)
    assert caught.value.hint == f"Name one, for example {path}:large."
    assert open_volume(f"{path}:large").shape == SHAPE


def test_images_of_one_section_count_where_there_are_no_volumes(tmp_path: Path) -> None:
    path = files.write_hdf5(tmp_path / "a.h5", {"image": image(shape=(37, 41)), "list": image(shape=(9,))})
    assert open_volume(path).shape == (1, 37, 41)


def test_a_group_that_holds_itself_is_walked_once(tmp_path: Path) -> None:
    path = files.write_hdf5(tmp_path / "a.h5", {"group/raw": image()})
    with h5py.File(path, "a") as file:
        file["group/up"] = file["/"]
        file["again"] = file["group"]
        file["same"] = file["group/raw"]
        file["soft"] = h5py.SoftLink("/group/raw")
    with h5py.File(path) as file:
        assert len(datasets_of(file)) == 1
    np.testing.assert_array_equal(whole(open_volume(path)), image())
    np.testing.assert_array_equal(whole(open_volume(f"{path}:soft")), image())


def test_links_that_lead_to_one_another_end_in_a_sentence(tmp_path: Path) -> None:
    path = files.write_hdf5(tmp_path / "a.h5", {"raw": image()})
    with h5py.File(path, "a") as file:
        file["there"], file["back"] = h5py.SoftLink("/back"), h5py.SoftLink("/there")
        file["gone"] = h5py.ExternalLink("gone.h5", "/raw")
    with pytest.raises(VolumeError, match=r"a\.h5:there cannot be opened") as caught:
        open_volume(f"{path}:there")
    assert "\n" not in str(caught.value)
    with pytest.raises(VolumeError, match="has no dataset 'gone'"):
        open_volume(f"{path}:gone")


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A file with every kind of link to a file outside of its folder."""
    outside = files.write_hdf5(tmp_path / "outside.h5", {"raw": image()})
    (tmp_path / "secret").write_bytes(image().tobytes())
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "a.h5"
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink("../outside.h5", "/raw")
        file["group"] = h5py.ExternalLink(str(outside), "/")
        file["soft"] = h5py.SoftLink("/link")
        file.create_dataset("bytes", SHAPE, "uint8", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)])
        layout = h5py.VirtualLayout(SHAPE, "uint8")
        layout[...] = h5py.VirtualSource(str(outside), "raw", SHAPE)
        file.create_virtual_dataset("virtual", layout)
    return path


@pytest.mark.parametrize("name", ["link", "group/raw", "soft", "bytes", "virtual"])
def test_links_out_of_the_folder_are_refused(name: str, linked: Path) -> None:
    with pytest.raises(VolumeError, match="outside of the folder of the file; such links are not followed") as caught:
        open_volume(f"{linked}:{name}")
    assert caught.value.hint == "Open that file itself."


def test_links_to_files_beside_are_followed_and_said(tmp_path: Path) -> None:
    files.write_hdf5(tmp_path / "beside.h5", {"raw": image()})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("beside.h5", "/raw")
        layout = h5py.VirtualLayout(SHAPE, "uint8")
        layout[...] = h5py.VirtualSource("beside.h5", "raw", SHAPE)
        file.create_virtual_dataset("virtual", layout)
    for name in ("link", "virtual"):
        volume = open_volume(f"{tmp_path / 'a.h5'}:{name}")
        np.testing.assert_array_equal(whole(volume), image())
        assert "The voxels are in beside.h5, to which a.h5 links." in volume.notes


def test_an_absurd_shape_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (2**31, 2**31, 2**31), "uint8", chunks=(16, 16, 16))
    with pytest.raises(VolumeError, match="voxels, which no disk holds"):
        open_volume(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["Bitshuffle", "LZ4", "Zstd", "Blosc"])
def test_filters_of_hdf5plugin_are_read_where_it_is_installed(name: str, tmp_path: Path) -> None:
    import hdf5plugin

    path = files.write_hdf5(tmp_path / "a.h5", {"raw": image()}, chunks=(4, 16, 16), **getattr(hdf5plugin, name)())
    np.testing.assert_array_equal(whole(open_volume(path)), image())


def test_a_filter_that_is_not_installed_is_named_when_the_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hdf5plugin

    path = files.write_hdf5(tmp_path / "a.h5", {"raw": image()}, chunks=(4, 16, 16), **hdf5plugin.Bitshuffle())
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    with pytest.raises(
        VolumeError, match=r"compressed with bitshuffle \(HDF5 filter 32008\), which needs a plugin that"
    ):
        open_volume(path)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(
        VolumeError, match=r"bitshuffle \(HDF5 filter 32008\), which needs the package hdf5plugin"
    ) as caught:
        open_volume(path)
    assert caught.value.hint == 'Install it: pip install "napari-pytc[formats]".'


@pytest.mark.parametrize(
    ("attributes", "axes"),
    [({"axis_names": ["x", "y", "z"]}, "xyz"), ({"axis_names": ["z", "y", "x"]}, "zyx")],
)
def test_axis_names_of_funlib(attributes: dict[str, Any], axes: str, tmp_path: Path) -> None:
    data = image() if axes == "zyx" else image().transpose(2, 1, 0)
    size = [40, 4, 8] if axes == "zyx" else [8, 4, 40]
    more = {"voxel_size": size, "offset": [10 * v for v in size], "units": ["nm"] * 3}
    volume = open_volume(files.write_hdf5(tmp_path / "a.h5", {"raw": data}, attributes | more))
    np.testing.assert_array_equal(whole(volume), image())
    assert volume.space.voxel_size_nm == (40, 4, 8)
    assert volume.space.origin_nm == (400, 40, 80)


def test_types_that_numpy_lacks_are_named_and_passed_over(tmp_path: Path) -> None:
    path = files.write_hdf5(tmp_path / "a.h5", {"raw": image()}, {"resolution": [40, 4, 8], "unit": "nm"})
    with h5py.File(path, "a") as file:
        cube = h5py.h5s.create_simple((3, 3, 3))
        h5py.h5d.create(file.id, b"time", h5py.h5t.UNIX_D32LE, cube)
        h5py.h5a.create(file["raw"].id, b"offset", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((3,)))
        file["nothing"] = h5py.Empty("f8")
        file["raw"].attrs["units"] = h5py.Empty("S3")
    assert open_volume(path).space.voxel_size_nm == (40, 4, 8)
    assert [array.name for array in describe_volume(path).arrays] == ["nothing", "raw", "time"]
    with pytest.raises(VolumeError, match=r"is no image: .* of a type that NumPy lacks"):
        open_volume(f"{path}:time")


def test_a_usual_name_is_chosen_among_others_and_said(tmp_path: Path) -> None:
    path = files.write_hdf5(tmp_path / "a.h5", {"labels": image(), "raw": image()})
    volume = open_volume(path)
    assert volume.spec.dataset == "raw"
    assert volume.notes == ("'raw' was chosen; there are also labels.",)
    assert open_volume(f"{path}:raw").notes == ()
