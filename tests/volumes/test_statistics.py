"""Intensities by sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.statistics import BLOCK_SHAPE, sample_statistics


class Ramp:
    """A large volume that exists only where it is read: the value is the section."""

    shape = (4000, 4000, 4000)
    dtype = np.dtype("float32")
    space = VoxelSpace()

    def __init__(self) -> None:
        self.n_read = 0

    def read(self, box: Box) -> np.ndarray:
        self.n_read += box.size
        sections = np.arange(box.start[0], box.stop[0], dtype="float32")
        return np.broadcast_to(sections[:, None, None], box.shape).copy()


def test_a_small_volume_is_read_whole():
    data = np.random.default_rng(0).normal(100, 20, (5, 150, 140)).astype("float32")
    found = sample_statistics(MemoryVolume(data))
    assert found.n_sampled == data.size
    assert found.mean == pytest.approx(data.mean(), rel=1e-5)
    assert found.std == pytest.approx(data.std(), rel=1e-5)
    assert (found.minimum, found.maximum) == (data.min(), data.max())
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(data, [0.5, 99.5])))


def test_blocks_are_spread_over_a_large_volume():
    volume = Ramp()
    found = sample_statistics(volume)
    assert volume.n_read == 64 * np.prod(BLOCK_SHAPE)
    assert found.mean == pytest.approx(2000, rel=0.1)
    assert found.minimum < 200
    assert found.maximum > 3800


def test_the_same_seed_reads_the_same():
    assert sample_statistics(Ramp(), seed=3) == sample_statistics(Ramp(), seed=3)
    assert sample_statistics(Ramp(), seed=3) != sample_statistics(Ramp(), seed=4)


def test_excluded_and_non_finite_voxels_are_left_out():
    data = np.full((8, 64, 64), 10, "float32")
    data[:4] = 1000
    data[5, 0, :7] = np.nan
    data[6, 0, :2] = np.inf
    found = sample_statistics(MemoryVolume(data), exclude=[Box((0, 0, 0), (4, 64, 64))])
    assert (found.mean, found.std, found.n_nonfinite) == (10, 0, 9)
    assert found.n_sampled == 4 * 64 * 64 - 9


def test_boxes_that_leave_a_corner_of_a_large_volume():
    found = sample_statistics(Ramp(), exclude=[Box((0, 0, 0), (3000, 4000, 4000))])
    assert found.minimum >= 3000
    assert found.n_sampled == 64 * np.prod(BLOCK_SHAPE)


def test_nothing_left_is_an_error():
    with pytest.raises(VolumeError, match="held out"):
        sample_statistics(Ramp(), exclude=[Box.of_shape(Ramp.shape)])
    with pytest.raises(VolumeError, match="NaN"):
        sample_statistics(MemoryVolume(np.full((2, 8, 8), np.nan, "float32")))


def test_a_constant_volume():
    found = sample_statistics(MemoryVolume(np.full((2, 8, 8), 7, "uint8")))
    assert (found.mean, found.std, found.low, found.high) == (7, 0, 7, 7)


class Anywhere:
    """A volume of any shape that exists only where it is read, and notes where that is."""

    dtype = np.dtype("uint8")
    space = VoxelSpace()

    def __init__(self, shape):
        self.shape = shape
        self.boxes = []

    def read(self, box):
        assert Box.of_shape(self.shape).contains(box)
        self.boxes.append(box)
        return np.full(box.shape, 7, np.uint8)


@settings(max_examples=25)
@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 700), st.integers(1, 700)), n_blocks=st.integers(1, 20))
def test_blocks_lie_within_the_volume_and_a_small_one_is_read_once(shape, n_blocks):
    volume = Anywhere(shape)
    found = sample_statistics(volume, n_blocks=n_blocks)
    assert len(volume.boxes) <= n_blocks
    assert not any(box.is_empty for box in volume.boxes)
    assert found.n_sampled == sum(box.size for box in volume.boxes)
    counts = [-(-n // min(b, n)) for n, b in zip(shape, BLOCK_SHAPE, strict=True)]
    if np.prod(counts) <= n_blocks:
        assert found.n_sampled == np.prod(shape)
        assert len(set(volume.boxes)) == len(volume.boxes)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "uint64", "float32", "float64"])
def test_statistics_of_every_type_are_those_of_numpy(dtype):
    data = np.random.default_rng(1).normal(60, 20, (3, 40, 50)).clip(1, 120).astype(dtype)
    found = sample_statistics(MemoryVolume(data))
    assert found.mean == pytest.approx(data.astype(float).mean(), rel=1e-6)
    assert found.std == pytest.approx(data.astype(float).std(), rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(data, [0.5, 99.5])))
    assert found.n_nonfinite == 0


def test_large_values_do_not_overflow():
    data = np.full((2, 30, 30), 2**63 + 2**62, np.uint64)
    found = sample_statistics(MemoryVolume(data))
    assert found.mean == pytest.approx(2**63 + 2**62)
    assert found.std == 0


def test_where_to_look_can_be_given():
    data = np.zeros((4, 50, 60), np.uint8)
    data[2, 10:20, 10:20] = 100
    places = [Box((2, 10, 10), (3, 20, 20)), Box((2, 10, 15), (3, 20, 20))]
    found = sample_statistics(MemoryVolume(data), blocks=places)
    assert (found.mean, found.n_sampled) == (100, 150)
    found = sample_statistics(MemoryVolume(data), blocks=places, exclude=[Box((0, 0, 0), (4, 15, 60))])
    assert found.n_sampled == 75
    with pytest.raises(VolumeError, match="leave no voxel of 2 blocks"):
        sample_statistics(MemoryVolume(data), blocks=places, exclude=[Box.of_shape(data.shape)])


@settings(max_examples=25)
@given(seed=st.integers(0, 99))
def test_excluded_voxels_never_count(seed):
    rng = np.random.default_rng(seed)
    data = np.ones((6, 40, 40), np.uint8)
    boxes = []
    for _ in range(3):
        start = rng.integers(0, (5, 30, 30))
        boxes.append(Box.at(start.tolist(), rng.integers(1, (4, 30, 30)).tolist()))
        data[boxes[-1].intersect(Box.of_shape(data.shape)).slices] = 200
    found = sample_statistics(MemoryVolume(data), exclude=boxes)
    assert found.maximum == found.minimum == 1
    assert found.n_sampled == np.count_nonzero(data == 1)


def padded(value: float, dtype: str = "uint8") -> np.ndarray:
    data = np.random.default_rng(0).normal(120, 20, (4, 64, 64)).clip(1, 254)
    data[:, :20] = value
    return data.astype(dtype)


@pytest.mark.parametrize(("value", "dtype"), [(0, "uint8"), (255, "uint8"), (0, "float32"), (65535, "uint16")])
def test_padding_is_left_out_where_that_is_wanted(value: float, dtype: str):
    data = padded(value, dtype)
    found = sample_statistics(MemoryVolume(data), skip_padding=True)
    tissue = data[:, 20:]
    assert (found.n_padding, found.n_sampled) == (data.size - tissue.size, tissue.size)
    assert found.mean == pytest.approx(tissue.mean(), rel=1e-5)
    assert found.std == pytest.approx(tissue.std(), rel=1e-5)
    assert sample_statistics(MemoryVolume(data)).mean == pytest.approx(data.mean(), rel=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        np.random.default_rng(0).normal(120, 20, (4, 64, 64)).clip(100, 140).astype("uint8"),  # saturated, in no areas
        np.kron(np.random.default_rng(0).integers(0, 2, (1, 8, 8)), np.ones((4, 8, 8), "uint8")).astype("uint8"),
        np.full((4, 64, 64), 7, "uint8"),
        padded(120),  # an area of a value amid the others may be anything
        np.random.default_rng(0).integers(0, 9, (4, 1, 64)).astype("uint8"),
    ],
)
def test_what_is_no_padding_is_kept(data: np.ndarray):
    found = sample_statistics(MemoryVolume(data), skip_padding=True)
    assert (found.n_padding, found.n_sampled) == (0, data.size)
