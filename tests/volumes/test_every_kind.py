"""Every kind of file passes the contract of a volume."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.volume_contract import SinkContract, VolumeContract
from tests.volumes import files
from tests.volumes.files import SHAPE, image

TIFFS = {
    "plain": {},
    "plain pages": {"metadata": None},
    "big-endian": {"byteorder": ">"},
    "big-endian pages": {"byteorder": ">", "metadata": None},
    "bigtiff": {"bigtiff": True},
    "strips": {"compression": "zlib", "rowsperstrip": 7},
    "one strip": {"compression": "lzw", "rowsperstrip": 64, "predictor": True},
    "tiles": {"compression": "zstd", "tile": (16, 16)},
    "raw tiles": {"tile": (16, 32)},
    "raw strips": {"rowsperstrip": 5, "metadata": None},
    "volume tiles": {"tile": (4, 16, 16), "compression": "zlib", "volumetric": True},
    "imagej": {"imagej": True},
    "imagej zlib": {"imagej": True, "compression": "zlib"},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "ome zlib": {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
}
DTYPES = ("uint8", "uint16", "int16", "float32", "uint32", "int32", "uint64", "float64")


def _write(kind: str, tmp_path, data: np.ndarray) -> str:
    name, _, rest = kind.partition(":")
    if rest == "mixed pages":
        stored = ({}, {"compression": "zlib"}, {"tile": (16, 16), "compression": "lzw"}, {"rowsperstrip": 5})
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for z, section in enumerate(data):
                file.write(section, metadata=None, contiguous=False, photometric="minisblack", **stored[z % 4])
        return str(tmp_path / "a.tif")
    if name == "tiff":
        return str(files.write_tiff(tmp_path / "a.tif", data, **TIFFS[rest]))
    if name == "hdf5":
        options = {"chunks": (4, 16, 16), "compression": "gzip"} if rest == "gzip" else {}
        return str(files.write_hdf5(tmp_path / "a.h5", {"main": data}, **options))
    if name == "sections":
        return str(files.write_sections(tmp_path / "a", data, rest))
    if name in ("zarr2", "zarr3"):
        return str(files.write_zarr(tmp_path / "a.zarr", data, int(name[-1]), rest))
    if name == "ome-zarr":
        axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
        return str(files.write_ome_zarr(tmp_path / "a.zarr", [data], rest, axes, [[40, 4, 4]]))
    if name == "n5":
        return str(files.write_n5(tmp_path / "a.n5", data, "volumes/raw"))
    if name == "precomputed":
        return str(files.write_precomputed(tmp_path / "a", data[None]))
    np.save(tmp_path / "a.npy", data)
    return str(tmp_path / "a.npy")


KINDS = [
    *(f"tiff:{name}" for name in TIFFS),
    "tiff:mixed pages",
    *("hdf5:plain", "hdf5:gzip", "sections:.tif", "sections:.png", "zarr2:", "zarr3:", "zarr2:raw", "zarr3:a/raw"),
    *("ome-zarr:0.4", "ome-zarr:0.5", "n5", "precomputed", "npy"),
]


class TestFiles(VolumeContract):
    @pytest.fixture
    def truth(self):
        return image("uint16")

    @pytest.fixture(params=KINDS)
    def volume(self, request, tmp_path, truth):
        volume = open_volume(_write(request.param, tmp_path, truth))
        yield volume
        volume.close()


class TestMemory(VolumeContract):
    @pytest.fixture
    def truth(self):
        return image("float32")

    @pytest.fixture
    def volume(self, truth):
        return MemoryVolume(truth.copy(), VoxelSpace((40, 4, 4)))


class TestWrittenZarr(VolumeContract):
    @pytest.fixture
    def truth(self):
        return image("uint8")

    @pytest.fixture
    def volume(self, tmp_path, truth):
        array = create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", VoxelSpace((40, 4, 4), (1, 2, 3)))
        array.write(Box.of_shape(SHAPE), truth)
        return array


class TestMemorySink(SinkContract):
    @pytest.fixture
    def sink(self):
        return MemoryVolume(np.zeros(SHAPE, "uint8"))


class TestZarrSink(SinkContract):
    @pytest.fixture(params=[(), ("membrane", "inside")], ids=["plain", "channels"])
    def sink(self, request, tmp_path):
        return create_ome_zarr(
            tmp_path / "a.zarr", SHAPE, "uint8", VoxelSpace(), channels=request.param, chunk_shape=(4, 16, 16)
        )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["tiff:strips", "tiff:plain", "hdf5:gzip", "zarr2:", "zarr3:", "n5", "npy"])
def test_every_type_of_voxel_is_read(kind, dtype, tmp_path):
    data = image(dtype)
    volume = open_volume(_write(kind, tmp_path, data))
    assert volume.dtype == dtype
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), data)


@pytest.mark.parametrize("kind", ["tiff:plain", "tiff:tiles", "hdf5:plain", "npy"])
def test_an_image_is_a_volume_of_one_section(kind, tmp_path):
    data = image(shape=(37, 41))
    volume = open_volume(_write(kind, tmp_path, data))
    np.testing.assert_array_equal(volume.read(Box.of_shape((1, 37, 41))), data[None])


def test_jpeg_sections_are_read_as_jpeg_decodes_them(tmp_path):
    smooth = np.linspace(0, 255, 37 * 41).reshape(37, 41).astype("uint8")
    volume = open_volume(files.write_sections(tmp_path / "a", np.stack([smooth] * 11), ".jpg"))
    assert volume.shape == (11, 37, 41)
    assert np.abs(volume.read(Box.of_shape(volume.shape))[10].astype(int) - smooth).max() < 12
