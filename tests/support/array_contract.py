"""What every readable array must do that is exported or scored: any box reads as slicing the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from tests.support.volume_contract import some_boxes


class ArrayContract:
    """Subclasses give the fixtures `array`, and `truth`: (z, y, x), or (c, z, y, x) for an array with channels."""

    def test_it_describes_itself(self, array: Any, truth: np.ndarray) -> None:
        assert tuple(array.shape) == truth.shape[-3:]
        assert array.dtype == truth.dtype
        assert isinstance(array.space, VoxelSpace)
        assert len(array.channels) == (len(truth) if truth.ndim == 4 else 0)
        assert len(set(array.channels)) == len(array.channels)

    def test_a_box_reads_as_slicing(self, array: Any, truth: np.ndarray) -> None:
        for box in some_boxes(truth.shape[-3:], 15):
            block = array.read(box)
            np.testing.assert_array_equal(block, truth[(..., *box.slices)])
            assert block.dtype == truth.dtype

    def test_an_empty_box_has_no_voxel(self, array: Any, truth: np.ndarray) -> None:
        for box in (Box((0, 0, 0), (0, 0, 0)), Box((1, 1, 1), (1, 2, 2))):
            assert array.read(box).shape == (*truth.shape[:-3], *box.shape)

    def test_threads_read_at_once(self, array: Any, truth: np.ndarray) -> None:
        boxes = some_boxes(truth.shape[-3:], 20, seed=1)
        with ThreadPoolExecutor(4) as pool:
            for box, block in zip(boxes, pool.map(array.read, boxes), strict=True):
                np.testing.assert_array_equal(block, truth[(..., *box.slices)])


class StoredArrayContract(ArrayContract):
    """Of arrays on disk, which check the box themselves."""

    def test_a_box_beyond_it_is_refused(self, array: Any, truth: np.ndarray) -> None:
        for box in (Box((0, 0, 0), tuple(n + 1 for n in truth.shape[-3:])), Box((-1, 0, 0), (1, 1, 1))):  # type: ignore[arg-type]
            with pytest.raises(InvalidInput, match=r"box"):
                array.read(box)
