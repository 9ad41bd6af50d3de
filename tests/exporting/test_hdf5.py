from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from tests.support.arrays import FakeArray
from tests.support.exporter_contract import NAMES, ExporterContract, some_labels, some_prediction


class TestHdf5(ExporterContract):
    name = "out.h5"
    chunk_bytes = 32 * 128 * 128

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        with h5py.File(path) as file:
            size_um = file["main"].attrs.get("element_size_um")
            return file["main"][...], None if size_um is None else tuple(1e3 * v for v in size_um)

    def test_chunked_compressed_and_described(self, tmp_path: Path):
        path = tmp_path / self.name
        space = VoxelSpace((40, 4, 4), (80, 0, 12))
        self.export(FakeArray(some_labels(), space), path, class_names=NAMES)
        with h5py.File(path) as file:
            dataset = file["main"]
            assert dataset.chunks == (7, 40, 50)
            assert dataset.compression == "gzip"
            assert dataset.attrs["element_size_um"] == pytest.approx((0.04, 0.004, 0.004))
            assert dataset.attrs["voxel_size_nm"] == pytest.approx((40, 4, 4))
            assert dataset.attrs["offset"] == pytest.approx((80, 0, 12))
            assert list(dataset.attrs["class_names"]) == list(NAMES)

    def test_channels_are_named_and_chunked_apart(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(some_prediction(), path, compression="none")
        with h5py.File(path) as file:
            assert file["main"].chunks[0] == 1
            assert [dimension.label for dimension in file["main"].dims] == ["c", "z", "y", "x"]
            assert file["main"].compression is None
            assert list(file["main"].attrs["channels"]) == list(NAMES)

    def test_another_dataset_in_a_group(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path, dataset="/volumes/labels")
        with h5py.File(path) as file:
            assert np.array_equal(file["volumes/labels"][...], some_labels())

    @pytest.mark.parametrize("options", [{"dataset": ""}, {"dataset": "a/../b"}, {"compression": "zstd"}])
    def test_refusals_leave_nothing(self, tmp_path: Path, options: dict):
        with pytest.raises(InvalidInput):
            self.export(FakeArray(some_labels()), tmp_path / self.name, **options)
        assert list(tmp_path.iterdir()) == []
