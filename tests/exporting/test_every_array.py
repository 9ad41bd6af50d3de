"""Every array that can be exported keeps the contract of readable arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.exporting.views import Crop, MostProbable
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.volumes.zarr_output import ChunkedArray, create_ome_zarr
from tests.support.array_contract import ArrayContract, StoredArrayContract
from tests.support.arrays import FakeArray
from tests.support.hand_made import write_segmentation

SHAPE = (5, 14, 17)
SPACE = VoxelSpace((40, 4, 5), (100, 0, 10))
NAMES = ("membrane", "inside", "rest")


@pytest.fixture
def probabilities() -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype(np.uint8)
    values[:, 1] = 0  # never predicted
    return values


class TestFake(ArrayContract):
    @pytest.fixture(params=["channels", "plain"])
    def truth(self, request: pytest.FixtureRequest, probabilities: np.ndarray) -> np.ndarray:
        return probabilities if request.param == "channels" else probabilities[0]

    @pytest.fixture
    def array(self, truth: np.ndarray) -> FakeArray:
        return FakeArray(truth, SPACE, NAMES if truth.ndim == 4 else ())


class TestPrediction(StoredArrayContract):
    @pytest.fixture
    def truth(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities

    @pytest.fixture
    def array(self, truth: np.ndarray, tmp_path: Path) -> ChunkedArray:
        array = create_ome_zarr(tmp_path / "p", SHAPE, "uint8", SPACE, channels=NAMES, chunk_shape=(2, 8, 8))
        array.write(Box.of_shape(SHAPE), truth)
        return array


class TestClasses(ArrayContract):
    @pytest.fixture
    def truth(self, probabilities: np.ndarray) -> np.ndarray:
        return np.where(probabilities.any(axis=0), probabilities.argmax(axis=0) + 1, 0).astype(np.uint8)

    @pytest.fixture
    def array(self, probabilities: np.ndarray) -> MostProbable:
        return MostProbable(FakeArray(probabilities, SPACE, NAMES))


class TestCrop(ArrayContract):
    box = Box((1, 2, 3), (5, 13, 15))

    @pytest.fixture
    def truth(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities[(slice(None), *self.box.slices)]

    @pytest.fixture
    def array(self, probabilities: np.ndarray) -> Crop:
        return Crop(FakeArray(probabilities, SPACE, NAMES), self.box)

    def test_its_first_voxel_keeps_its_place(self, array: Crop) -> None:
        assert array.space.origin_nm == tuple(
            o + s * v for o, s, v in zip(SPACE.origin_nm, self.box.start, SPACE.voxel_size_nm, strict=True)
        )

    def test_a_crop_of_a_crop_is_one(self, array: Crop, truth: np.ndarray) -> None:
        inner = Box((1, 1, 1), (3, 9, 10))
        twice = Crop(array, inner)
        np.testing.assert_array_equal(twice.read(Box.of_shape(inner.shape)), truth[(slice(None), *inner.slices)])
        assert twice.space == Crop(array.array, inner.shift(self.box.start)).space


class TestClassesOfACrop(ArrayContract):
    box = Box((0, 2, 3), (3, 13, 15))

    @pytest.fixture
    def truth(self, probabilities: np.ndarray) -> np.ndarray:
        classes = np.where(probabilities.any(axis=0), probabilities.argmax(axis=0) + 1, 0).astype(np.uint8)
        return classes[self.box.slices]

    @pytest.fixture
    def array(self, probabilities: np.ndarray) -> MostProbable:
        return MostProbable(Crop(FakeArray(probabilities, SPACE, NAMES), self.box))


class TestSegments(StoredArrayContract):
    @pytest.fixture
    def truth(self) -> np.ndarray:
        return np.random.default_rng(1).integers(0, 9, SHAPE).astype(np.uint32)

    @pytest.fixture
    def array(self, truth: np.ndarray, tmp_path: Path) -> SegmentsView:
        write_segmentation(tmp_path / "first", truth, space=SPACE)
        return SegmentsView.open(tmp_path / "first")
