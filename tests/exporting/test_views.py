from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.views import Converted, Crop, MostProbable
from napari_pytc.geometry import Box, VoxelSpace
from tests.support.arrays import FakeArray


def probabilities(n_channels: int = 3) -> FakeArray:
    data = np.random.default_rng(0).integers(0, 256, (n_channels, 4, 5, 6)).astype(np.uint8)
    return FakeArray(data, channels=tuple(f"c{k}" for k in range(n_channels)))


def test_the_most_probable_class_counts_from_one():
    array = probabilities()
    labels = MostProbable(array)
    assert (labels.shape, labels.dtype, labels.channels) == ((4, 5, 6), np.uint8, ())
    assert labels.space == array.space
    assert np.array_equal(labels.read(Box.of_shape(labels.shape)), array.data.argmax(axis=0) + 1)


def test_voxels_never_predicted_stay_zero():
    array = probabilities()
    array.data[:, 1] = 0
    array.data[:, 2, 0, 0] = (0, 0, 1)
    labels = MostProbable(array).read(Box.of_shape(array.shape))
    assert not labels[1].any()
    assert labels[2, 0, 0] == 3
    assert labels[0].all()


def test_of_equal_probabilities_the_first_wins():
    array = FakeArray(np.full((2, 1, 1, 2), 9, np.uint8), channels=("a", "b"))
    assert MostProbable(array).read(Box.of_shape(array.shape)).tolist() == [[[1, 1]]]


def test_classes_have_the_numbers_that_they_are_given():
    array = probabilities()
    labels = MostProbable(array, (2, 9, 1)).read(Box.of_shape(array.shape))
    assert np.array_equal(labels, np.array([2, 9, 1])[array.data.argmax(axis=0)])
    with pytest.raises(InvalidInput, match="256"):
        MostProbable(array, (1, 2, 256))


def test_classes_need_channels():
    with pytest.raises(InvalidInput):
        MostProbable(FakeArray(np.zeros((1, 1, 1), np.uint8)))


def test_a_crop_keeps_its_place():
    array = FakeArray(np.arange(60).reshape(3, 4, 5), VoxelSpace((40, 4, 5), (100, 0, 10)))
    crop = Crop(array, Box((1, 1, 2), (3, 4, 5)))
    assert crop.shape == (2, 3, 3)
    assert crop.space == VoxelSpace((40, 4, 5), (140, 4, 20))
    assert np.array_equal(crop.read(Box((1, 0, 0), (2, 2, 3))), array.data[2:3, 1:3, 2:5])


def test_a_crop_of_channels_keeps_them():
    array = probabilities()
    crop = Crop(array, Box((1, 1, 2), (3, 4, 5)))
    assert crop.channels == array.channels
    assert np.array_equal(crop.read(Box.of_shape(crop.shape)), array.data[:, 1:3, 1:4, 2:5])


@pytest.mark.parametrize("box", [Box((0, 0, 0), (0, 4, 5)), Box((0, 0, 0), (4, 4, 5)), Box((-1, 0, 0), (2, 4, 5))])
def test_a_box_outside_is_refused(box: Box):
    with pytest.raises(InvalidInput, match="box to export"):
        Crop(FakeArray(np.zeros((3, 4, 5))), box)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1.5, 256.0])
def test_what_a_type_of_whole_numbers_cannot_hold_is_refused(value: float):
    data = np.array([[[1.0, 2.0, value]]])
    array = Converted(FakeArray(data), np.dtype(np.uint8))
    with pytest.raises(InvalidInput, match="uint8 holds whole numbers from 0 to 255"):
        array.read(Box.of_shape(array.shape))
    assert Converted(FakeArray(data[..., :2]), np.dtype(np.uint8)).read(Box.of_shape((1, 1, 2))).tolist() == [[[1, 2]]]


def test_a_number_that_would_become_infinite_is_refused():
    wide = Converted(FakeArray(np.array([[[0.1, np.inf, np.nan]]])), np.dtype(np.float32))
    found = wide.read(Box.of_shape(wide.shape))
    assert found[0, 0, 0] == np.float32(0.1)
    assert np.isinf(found[0, 0, 1])
    array = Converted(FakeArray(np.array([[[1e300]]])), np.dtype(np.float32))
    with pytest.raises(InvalidInput, match=r"float32 holds numbers up to 3\.4.*e\+38, but the data has 1e\+300"):
        array.read(Box.of_shape(array.shape))
