"""From what a user writes to a volume, and what is said when it cannot be."""

from __future__ import annotations

import h5py
import imagecodecs
import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_spec, open_volume, split_dataset
from napari_pytc.volumes.spec import ChunkedSpec, Hdf5Spec, ReadOptions, SectionsSpec, TiffSpec
from tests.volumes import files
from tests.volumes.files import SHAPE, image


@pytest.mark.parametrize(
    ("text", "path", "dataset"),
    [
        ("a.h5", "a.h5", None),
        ("a.h5:volumes/raw", "a.h5", "volumes/raw"),
        ("C:\\data\\a.h5", "C:\\data\\a.h5", None),
        ("C:\\data\\a.h5:main", "C:\\data\\a.h5", "main"),
        ("C:/data/a.zarr:0", "C:/data/a.zarr", "0"),
        ("s3://bucket/a.zarr", "s3://bucket/a.zarr", None),
        ("s3://bucket/a.zarr:s1", "s3://bucket/a.zarr", "s1"),
        ("gs://bucket/a.n5:volumes/raw", "gs://bucket/a.n5", "volumes/raw"),
        ("https://host:8080/a.zarr", "https://host:8080/a.zarr", None),
        ("https://host:8080/a.zarr:0", "https://host:8080/a.zarr", "0"),
        ("precomputed://gs://bucket/em/1", "precomputed://gs://bucket/em/1", None),
        ("precomputed://https://host:80/em:2", "precomputed://https://host:80/em", "2"),
        ("a.h5:", "a.h5", None),
    ],
)
def test_colons_of_drives_schemes_and_ports_do_not_split(text, path, dataset):
    assert split_dataset(text) == (path, dataset)


def test_a_name_on_disk_may_hold_a_colon(tmp_path):
    path = tmp_path / "12:30.npy"
    np.save(path, image())
    assert open_volume(path).shape == SHAPE
    assert split_dataset(f"{path}:main") == (str(path), "main")


def _refused(where, *words: str, **options) -> VolumeError:
    with pytest.raises(VolumeError) as caught:
        open_volume(where, ReadOptions(**options))
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_missing_file_is_named(tmp_path):
    _refused(tmp_path / "none.tif", "There is no file", "none.tif")


@pytest.mark.parametrize(
    "spec",
    [
        lambda p: TiffSpec(path=p / "gone.tif"),
        lambda p: Hdf5Spec(path=p / "gone.h5", dataset="main"),
        lambda p: SectionsSpec(path=p / "gone", suffix=".png"),
        lambda p: ChunkedSpec(url=str(p / "gone.zarr"), driver="zarr3"),
    ],
)
def test_a_moved_image_is_named(spec, tmp_path):
    with pytest.raises(VolumeError, match=r"There is no .*gone"):
        open_spec(spec(tmp_path))


def test_the_kind_is_seen_from_the_bytes_not_the_name(tmp_path):
    path = files.write_hdf5(tmp_path / "a.dat", {"main": image()})
    assert open_volume(path).spec.kind == "hdf5"


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"this is not an image at all"])
def test_a_file_of_another_kind_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    _refused(tmp_path / name, name)


def test_an_unknown_suffix_says_what_can_be_opened(tmp_path):
    (tmp_path / "a.doc").write_bytes(b"hello")
    _refused(tmp_path / "a.doc", "TIFF", "Zarr")


def test_a_folder_without_sections_is_refused(tmp_path):
    _refused(tmp_path, "neither sections")


class TestHdf5:
    def test_the_only_fitting_dataset_just_opens(self, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"em/grey": image(), "table": np.arange(9)})
        assert open_volume(path).spec.dataset == "em/grey"

    @pytest.mark.parametrize(
        ("names", "guess"),
        [(("volumes/raw", "raw", "main"), "main"), (("raw", "labels"), "raw"), (("volumes/raw", "b"), "volumes/raw")],
    )
    def test_usual_names_are_guessed_in_order(self, names, guess, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {name: image() for name in names})
        assert open_volume(path).spec.dataset == guess

    def test_several_others_are_listed_with_shapes(self, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"em": image(), "truth": image("uint16")})
        error = _refused(path, "em (9, 37, 41) uint8", "truth (9, 37, 41) uint16")
        assert f"{path}:em" in error.hint

    def test_a_wrong_name_lists_what_there_is(self, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"em": image()})
        _refused(f"{path}:main", "no dataset 'main'", "em (9, 37, 41)")

    def test_no_fitting_dataset(self, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"table": np.arange(9), "complex": np.zeros(SHAPE, complex)})
        _refused(path, "no dataset that is an image", "table (9,)")

    @pytest.mark.parametrize("dtype", ["complex64"])
    def test_other_types_are_refused(self, dtype, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"main": np.zeros(SHAPE, dtype)})
        _refused(f"{path}:main", dtype, "uint8")

    def test_a_truncated_file(self, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"main": image()})
        path.write_bytes(path.read_bytes()[:-500])
        _refused(path, "truncated")

    def test_a_file_without_anything(self, tmp_path):
        h5py.File(tmp_path / "a.h5", "w").close()
        _refused(tmp_path / "a.h5", "none")


class TestAxes:
    @pytest.mark.parametrize("axes", ["czyx", "zyxc"])
    def test_a_channel_must_be_picked(self, axes, tmp_path):
        data = image(shape=(2, *SHAPE))
        path = files.write_hdf5(tmp_path / "a.h5", {"main": np.moveaxis(data, 0, axes.index("c"))})
        _refused(path, "2 channels")
        _refused(path, "no channel 2", channel=2)
        volume = open_volume(path, ReadOptions(channel=1))
        np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), data[1])

    def test_one_channel_needs_no_picking(self, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"main": image()[None]})
        assert open_volume(path).shape == SHAPE
        _refused(path, "1 channel,", channel=1)

    def test_imagej_says_its_order(self, tmp_path):
        data = image(shape=(9, 2, 37, 41))
        path = files.write_tiff(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "ZCYX"})
        np.testing.assert_array_equal(open_volume(path, ReadOptions(channel=1)).read(Box.of_shape(SHAPE)), data[:, 1])

    def test_ome_says_its_order(self, tmp_path):
        data = image(shape=(2, *SHAPE))
        for compression in (None, "zlib"):
            path = files.write_tiff(
                tmp_path / "a.ome.tif", data, ome=True, metadata={"axes": "CZYX"}, compression=compression
            )
            _refused(path, "2 channels")
            np.testing.assert_array_equal(open_volume(path, ReadOptions(channel=1)).read(Box.of_shape(SHAPE)), data[1])

    @pytest.mark.parametrize("compression", [None, "zlib"])
    @pytest.mark.parametrize("planar", ["contig", "separate"])
    def test_colours_of_tiff_pages_are_channels(self, compression, planar, tmp_path):
        shape = (5, 37, 41, 3) if planar == "contig" else (5, 3, 37, 41)
        data = image(shape=shape)
        path = files.write_tiff(
            tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar, compression=compression, rowsperstrip=9
        )
        grey = np.einsum("zyxs,s->zyx" if planar == "contig" else "zsyx,s->zyx", data, (0.299, 0.587, 0.114))
        mixed = open_volume(path)
        assert np.abs(mixed.read(Box.of_shape((5, 37, 41))) - grey).max() <= 0.5
        assert "mixed to grey" in mixed.notes[0]
        expected = data[..., 2] if planar == "contig" else data[:, 2]
        box = Box((1, 5, 7), (4, 33, 40))
        np.testing.assert_array_equal(open_volume(path, ReadOptions(channel=2)).read(box), expected[box.slices])

    def test_many_imagej_channels_without_sections_are_sections(self, tmp_path):
        path = files.write_tiff(tmp_path / "a.tif", image(), imagej=True)
        assert open_volume(path).shape == SHAPE

    def test_several_time_points_are_refused(self, tmp_path):
        path = files.write_tiff(tmp_path / "a.tif", image(shape=(2, *SHAPE)), imagej=True, metadata={"axes": "TZYX"})
        _refused(path, "2 time points")

    def test_a_single_time_point_is_dropped(self, tmp_path):
        path = files.write_hdf5(tmp_path / "a.h5", {"main": image()[None, None]})
        assert open_volume(path).shape == SHAPE

    def test_ilastik_axistags_are_followed(self, tmp_path):
        data = image()
        tags = '{"axes": [{"key": "x"}, {"key": "y"}, {"key": "z"}]}'
        path = files.write_hdf5(tmp_path / "a.h5", {"exported_data": data.transpose()}, {"axistags": tags})
        np.testing.assert_array_equal(open_volume(path).read(Box.of_shape(SHAPE)), data)


class TestContainers:
    def test_several_arrays_are_listed(self, tmp_path):
        files.write_zarr(tmp_path / "a.zarr", image(), 3, "em")
        files.write_zarr(tmp_path / "a.zarr", image("uint16"), 3, "truth")
        _refused(tmp_path / "a.zarr", "em (9, 37, 41) uint8", "truth (9, 37, 41) uint16")
        assert open_volume(f"{tmp_path}/a.zarr:truth").dtype == "uint16"
        assert open_volume(f"{tmp_path}/a.zarr/truth").dtype == "uint16"

    def test_a_wrong_array_lists_what_there_is(self, tmp_path):
        files.write_n5(tmp_path / "a.n5", image(), "em")
        _refused(f"{tmp_path}/a.n5:raw", "no array 'raw'", "em")

    @pytest.mark.parametrize("version", ["0.4", "0.5"])
    def test_levels_are_picked_by_number_and_by_name(self, version, tmp_path):
        data = image(shape=(2, *SHAPE))
        axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space", "unit": "micrometer"} for a in "zyx")]
        scales = [[1, 0.04, 0.004, 0.004], [1, 0.04, 0.008, 0.008]]
        where = files.write_ome_zarr(tmp_path / "a.zarr", [data, data[..., ::2, ::2]], version, axes, scales)
        _refused(where, "2 channels")
        for name in ("1", "s1"):
            volume = open_volume(f"{where}:{name}", ReadOptions(channel=1))
            assert volume.space.voxel_size_nm == pytest.approx((40, 8, 8))
            np.testing.assert_array_equal(volume.read(Box.of_shape(volume.shape)), data[1, :, ::2, ::2])
        assert open_volume(where, ReadOptions(channel=0)).shape == SHAPE
        inside = open_volume(f"{where}/s1", ReadOptions(channel=0))
        assert inside.space.voxel_size_nm == pytest.approx((40, 8, 8))
        assert open_spec(inside.spec).space == inside.space

    def test_scales_of_precomputed(self, tmp_path):
        data = image(shape=(2, *SHAPE))
        where = files.write_precomputed(tmp_path / "em", data, scales=2)
        volume = open_volume(f"precomputed://file://{where}:1", ReadOptions(channel=1))
        np.testing.assert_array_equal(volume.read(Box.of_shape(volume.shape)), data[1, :, ::2, ::2])
        assert volume.space.voxel_size_nm == (40, 8, 8)
        assert open_spec(volume.spec).space == volume.space
        assert open_volume(f"{where}:8_8_40", ReadOptions(channel=1)).shape == volume.shape

    def test_damaged_metadata(self, tmp_path):
        files.write_zarr(tmp_path / "a.zarr", image(), 3)
        (tmp_path / "a.zarr" / "zarr.json").write_text("{")
        _refused(tmp_path / "a.zarr", "damaged")

    def test_an_empty_folder_named_zarr(self, tmp_path):
        (tmp_path / "a.zarr").mkdir()
        _refused(tmp_path / "a.zarr", "holds no Zarr")

    def test_a_damaged_chunk_is_named_when_it_is_read(self, tmp_path):
        files.write_zarr(tmp_path / "a.zarr", image(), 3)
        for chunk in (tmp_path / "a.zarr" / "c").rglob("*"):
            if chunk.is_file():
                chunk.write_bytes(b"damaged")
        volume = open_volume(tmp_path / "a.zarr")
        with pytest.raises(VolumeError, match="could not be read"):
            volume.read(Box.of_shape(SHAPE))


def test_a_folder_of_containers_is_one_unless_it_has_images_of_its_own(tmp_path):
    files.write_zarr(tmp_path / "em" / "raw", image(), 2)
    assert open_volume(tmp_path / "em").spec.array == "raw"
    (tmp_path / "em" / "s_1.png").write_bytes(imagecodecs.png_encode(image()[0]))
    assert open_volume(tmp_path / "em").shape == (1, *SHAPE[1:])
