"""Folders of numbered sections, read by PIL and tifffile."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.series import TiffSeriesExporter
from napari_pytc.geometry import VoxelSpace
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext
from tests.support.exporter_contract import NAMES, ExporterContract, some_labels


class SeriesContract(ExporterContract):
    name = "sections"
    has_channels = False
    large_shape = (2, 200, 200)

    def read_section(self, file: Path) -> np.ndarray:
        raise NotImplementedError

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        files = sorted(file for file in path.iterdir() if file.suffix in (".png", ".tif"))
        told = json.loads((path / "export.json").read_text()).get("voxel_size_nm")
        return np.stack([self.read_section(file) for file in files]), told and tuple(told)

    def test_labels_open_as_a_volume(self, tmp_path: Path):
        labels, path = some_labels(), tmp_path / self.name
        self.export(FakeArray(labels), path)
        assert np.array_equal(self.reopened(path)[0], labels)

    def test_files_are_numbered_as_the_sections_of_the_whole(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(
            FakeArray(some_labels((3, 4, 5)), VoxelSpace((40, 4, 4), (40 * 9998, 8, 0))), path, class_names=NAMES
        )
        names = sorted(file.stem for file in path.iterdir())
        assert names == ["09998", "09999", "10000", "export"]
        mark = json.loads((path / "export.json").read_text())
        assert mark["origin_nm"] == [40 * 9998, 8, 0]
        assert mark["class_names"] == list(NAMES)

    def test_only_a_folder_without_other_files_is_replaced(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path)
        (path / "notes.txt").write_text("mine")
        with pytest.raises(VolumeError, match=r"other files, too \(notes.txt"):
            self.export(FakeArray(some_labels(seed=1)), path, overwrite=True)
        assert (path / "notes.txt").read_text() == "mine"
        assert self.is_intact(path, some_labels())

    def test_the_name_of_a_file_is_no_folder(self, tmp_path: Path):
        with pytest.raises(InvalidInput, match="named like TIFF") as caught:
            self.export(FakeArray(some_labels()), tmp_path / "out.tif")
        assert caught.value.hint == "Give it another name, such as out."


def test_sections_of_wide_voxels_wait_in_smaller_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, running, most = some_labels((6, 8, 8)).astype(np.uint64), list[int](), list[int]()

    def write(self: TiffSeriesExporter, file: Path, section: np.ndarray, options: ExportOptions, facts: object) -> None:
        running.append(1)
        time.sleep(0.01)
        most.append(len(running))
        running.pop()
        file.touch()

    monkeypatch.setattr(TiffSeriesExporter, "write", write)
    options = ExportOptions(block_bytes=8 * 8 * 8)  # one section of 8 bytes a voxel
    TiffSeriesExporter().export(FakeArray(labels), tmp_path / "out", options, RecordingContext())
    assert max(most) == 1


class TestPngSeries(SeriesContract):
    key = "png-series"
    dtypes = ("uint8", "uint16")

    def read_section(self, file: Path) -> np.ndarray:
        with Image.open(file) as image:
            return np.asarray(image)


class TestTiffSeries(SeriesContract):
    key = "tif-series"

    def read_section(self, file: Path) -> np.ndarray:
        return tifffile.imread(file)

    def test_each_section_says_its_voxel_size(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path, class_names=NAMES)
        with tifffile.TiffFile(path / "0003.tif") as file:
            assert file.pages.first.get_resolution("CENTIMETER") == pytest.approx((1e7 / 4.0, 1e7 / 4.6))
            assert file.shaped_metadata[0]["voxel_size_nm"] == [40.0, 4.6, 4.0]
            assert file.shaped_metadata[0]["class_names"] == list(NAMES)
