"""What every editable store of labels must do: it is an array that starts at 0; tests subclass and give the store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from tests.support.volume_contract import some_boxes

SHAPE = (10, 40, 50)
WHOLE = Box.of_shape(SHAPE)


class LabelContract:
    """Subclasses say how a store of shape `SHAPE` is made, opened again, and written to; `dtype` is that of labels."""

    dtype: type = np.uint32

    def make(self, folder: Path) -> Any:
        """A new store, all 0."""
        raise NotImplementedError

    def reopen(self, store: Any, folder: Path) -> Any:
        """The same store, opened again from what is on the disk."""
        raise NotImplementedError

    def write(self, store: Any, box: Box, labels: np.ndarray) -> None:
        """Replace the labels of a box."""
        store.write(box, labels)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        return self.make(tmp_path)

    def some(self, box: Box, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 9, box.shape).astype(self.dtype)

    def test_a_new_one_is_empty(self, store: Any):
        assert tuple(store.shape) == SHAPE
        found = store.read(WHOLE)
        assert found.dtype == np.dtype(self.dtype)
        assert not found.any()

    @pytest.mark.parametrize("seed", range(4))
    def test_it_is_an_array(self, store: Any, tmp_path: Path, seed: int):
        expected = np.zeros(SHAPE, self.dtype)
        for step, box in enumerate(some_boxes(SHAPE, 6, seed)):
            if box.is_empty:
                continue
            labels = self.some(box, step) if step % 3 else np.full(box.shape, step % 2, self.dtype)
            self.write(store, box, labels)
            expected[box.slices] = labels
            np.testing.assert_array_equal(store.read(box), labels)
        np.testing.assert_array_equal(store.read(WHOLE), expected)
        for box in some_boxes(SHAPE, 6, seed + 10):
            np.testing.assert_array_equal(store.read(box), expected[box.slices])
        again = self.reopen(store, tmp_path)
        np.testing.assert_array_equal(again.read(WHOLE), expected)

    def test_writing_twice_is_the_same_as_once(self, store: Any):
        box = Box((1, 3, 5), (7, 33, 41))
        for _ in range(2):
            self.write(store, box, self.some(box))
        np.testing.assert_array_equal(store.read(box), self.some(box))

    def test_what_was_read_is_the_readers_own(self, store: Any):
        box = Box((0, 0, 0), (3, 5, 7))
        self.write(store, box, self.some(box))
        store.read(box)[...] = 7
        np.testing.assert_array_equal(store.read(box), self.some(box))

    def test_what_was_written_may_be_changed_by_its_writer(self, store: Any):
        box = Box((0, 0, 0), (3, 5, 7))
        labels = self.some(box)
        self.write(store, box, labels)
        labels[...] = 7
        np.testing.assert_array_equal(store.read(box), self.some(box))

    def test_an_empty_box_has_no_labels(self, store: Any):
        assert store.read(Box((2, 2, 2), (2, 5, 5))).shape == (0, 3, 3)

    @pytest.mark.parametrize(
        "box", [Box((0, 0, 0), (11, 1, 1)), Box((-1, 0, 0), (1, 1, 1)), Box((0, 0, 50), (1, 1, 51))]
    )
    def test_a_box_beyond_the_volume_is_refused(self, store: Any, box: Box):
        with pytest.raises(InvalidInput, match="does not lie within the volume"):
            store.read(box)
        with pytest.raises(InvalidInput, match="does not lie within the volume"):
            self.write(store, box, np.ones(box.shape, self.dtype))
        assert not store.read(WHOLE).any()

    def test_labels_of_another_type_are_refused(self, store: Any):
        box = Box((0, 0, 0), (2, 2, 2))
        with pytest.raises(InvalidInput):
            self.write(store, box, np.full(box.shape, 0.5, np.float32))
        assert not store.read(WHOLE).any()

    def test_threads_write_beside_one_another(self, store: Any):
        boxes = [Box((z, 0, x), (z + 1, 40, x + 10)) for z in range(4) for x in range(0, 50, 10)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda item: self.write(store, item[1], self.some(item[1], item[0])), enumerate(boxes)))
        for seed, box in enumerate(boxes):
            np.testing.assert_array_equal(store.read(box), self.some(box, seed))
