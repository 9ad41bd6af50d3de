"""Intensities by sampling."""

from __future__ import annotations

import numpy as np
import pytest

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
