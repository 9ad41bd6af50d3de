from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting import tiff
from napari_pytc.geometry import VoxelSpace
from tests.support.arrays import FakeArray
from tests.support.exporter_contract import NAMES, ExporterContract, some_labels, some_prediction


class TestTiff(ExporterContract):
    name = "out.tif"

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        with tifffile.TiffFile(path) as file:
            told = file.imagej_metadata or (file.shaped_metadata or ({},))[0]
            if "spacing" not in told:
                return file.asarray(), None
            per_um = file.pages.first.get_resolution(None if file.is_imagej else "MICROMETER")
            return file.asarray(), (1e3 * told["spacing"], 1e3 / per_um[1], 1e3 / per_um[0])

    def test_imagej_reads_labels(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path, class_names=NAMES)
        with tifffile.TiffFile(path) as file:
            assert file.is_imagej
            assert not file.is_bigtiff
            assert file.imagej_metadata["slices"] == 7
            assert file.imagej_metadata["unit"] == "um"
            assert file.imagej_metadata["spacing"] == pytest.approx(0.04)
            assert file.imagej_metadata["Info"] == "1 membrane\n2 mitochondriën\n3 rest"
            assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE

    def test_channels_come_first(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(some_prediction(), path)
        with tifffile.TiffFile(path) as file:
            assert file.series[0].axes == "CZYX"
            assert file.shaped_metadata[0]["channels"] == list(NAMES)

    def test_compression_as_asked(self, tmp_path: Path):
        for compression, tag in (("zstd", tifffile.COMPRESSION.ZSTD), ("none", tifffile.COMPRESSION.NONE)):
            path = tmp_path / f"{compression}.tif"
            self.export(FakeArray(some_labels()), path, compression=compression)
            with tifffile.TiffFile(path) as file:
                assert file.pages.first.compression == tag
            assert self.is_intact(path, some_labels())

    @pytest.mark.parametrize(("one_byte_more", "big"), [(0, True), (1, False)])
    def test_bigtiff_from_the_size_before_compression(
        self, tmp_path: Path, one_byte_more: int, big: bool, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(tiff, "BIGTIFF_FROM", some_labels().nbytes + one_byte_more)
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path)
        with tifffile.TiffFile(path) as file:
            assert file.is_bigtiff == big
        array, voxel_size_nm = self.read_back(path)
        assert np.array_equal(array, some_labels())
        assert voxel_size_nm == pytest.approx((40.0, 4.6, 4.0))

    @pytest.mark.parametrize("dtype", ["uint8", "uint32"])
    def test_sections_larger_than_a_block_are_tiled(self, tmp_path: Path, dtype: str):
        labels, path = some_labels((2, 300, 700), dtype), tmp_path / self.name
        self.export(FakeArray(labels), path, block_bytes=2 * 256 * 256)
        with tifffile.TiffFile(path) as file:
            assert file.pages.first.is_tiled
        assert self.is_intact(path, labels)

    def test_three_sections_are_no_colours(self, tmp_path: Path):
        for shape in ((3, 20, 30), (3, 20, 3), (1, 20, 4)):
            path = tmp_path / "_".join(map(str, (*shape, self.name)))
            self.export(FakeArray(some_labels(shape)), path)
            with tifffile.TiffFile(path) as file:
                assert file.pages.first.samplesperpixel == 1

    @pytest.mark.parametrize("size_nm", [(0.5, 0.123, 0.3), (45, 4.6, 4.7), (1e5, 325.0, 325.25)])
    def test_sizes_keep_their_digits(self, tmp_path: Path, size_nm: tuple[float, float, float]):
        for dtype in ("uint8", "uint32"):
            path = tmp_path / f"{dtype}.tif"
            self.export(FakeArray(some_labels(dtype=dtype), VoxelSpace(size_nm)), path)
            assert self.read_back(path)[1] == pytest.approx(size_nm, rel=1e-6)


class TestOmeTiff(ExporterContract):
    name = "out.ome.tif"

    @pytest.mark.parametrize("dtype", ["uint64", "int64"])
    def test_what_ome_has_not_is_refused_with_a_way_out(self, tmp_path: Path, dtype: str):
        with pytest.raises(InvalidInput, match=f"got {dtype}") as caught:
            self.export(FakeArray(some_labels(dtype=dtype)), tmp_path / self.name)
        assert "plain TIFF" in caught.value.hint
        assert list(tmp_path.iterdir()) == []

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        with tifffile.TiffFile(path) as file:
            assert file.is_ome
            pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
            if "PhysicalSizeX" not in pixels:
                return file.asarray(), None
            assert pixels["PhysicalSizeXUnit"] == "µm"
            return file.asarray(), tuple(1e3 * pixels[f"PhysicalSize{axis}"] for axis in "ZYX")

    def test_channels_are_named(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(some_prediction(), path)
        with tifffile.TiffFile(path) as file:
            assert file.series[0].axes == "CZYX"
            channels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]["Channel"]
        assert [channel["Name"] for channel in channels] == list(NAMES)
        colours = [channel["Color"] & 0xFFFFFFFF for channel in channels]
        assert colours == [0x00FF00FF, 0xFF00FFFF, 0x00B4FFFF][: len(NAMES)]
