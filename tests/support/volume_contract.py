"""What every `VolumeSource` and every writable volume must do; tests subclass and give the volume."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.opening import open_spec
from napari_pytc.volumes.source import VolumeSink, VolumeSource


def some_boxes(shape: tuple[int, int, int], n_boxes: int = 25, seed: int = 0) -> list[Box]:
    """The whole, a voxel at either end, and boxes at random."""
    rng = np.random.default_rng(seed)
    last = tuple(n - 1 for n in shape)
    boxes = [Box.of_shape(shape), Box.at((0, 0, 0), (1, 1, 1)), Box.at(last, (1, 1, 1))]
    for _ in range(n_boxes):
        ends = np.sort(rng.integers(0, np.array(shape) + 1, (2, 3)), axis=0)
        boxes.append(Box(tuple(ends[0].tolist()), tuple(ends[1].tolist())))
    return boxes


class VolumeContract:
    """Subclasses give the fixtures `volume` and `truth`, the (z, y, x) array that it must read as."""

    def test_is_a_volume_source(self, volume, truth):
        assert isinstance(volume, VolumeSource)
        assert volume.shape == truth.shape
        assert volume.dtype == truth.dtype
        assert volume.dtype.isnative
        assert isinstance(volume.space, VoxelSpace)

    def test_its_notes_are_sentences(self, volume):
        assert isinstance(volume.notes, tuple)
        for note in volume.notes:
            assert note[0].isupper() or note[0].isdigit(), note
            assert note.endswith("."), note

    def test_reading_is_slicing(self, volume, truth):
        for box in some_boxes(truth.shape):
            block = volume.read(box)
            assert block.shape == box.shape
            assert block.dtype == volume.dtype
            assert block.flags.c_contiguous
            np.testing.assert_array_equal(block, truth[box.slices])

    def test_a_box_that_leaves_the_volume_is_refused(self, volume, truth):
        for box in (Box((0, 0, 0), tuple(n + 1 for n in truth.shape)), Box((-1, 0, 0), (1, 1, 1))):
            with pytest.raises(InvalidInput, match="leaves the volume"):
                volume.read(box)

    def test_what_was_read_is_the_readers_own(self, volume, truth):
        box = Box.of_shape(truth.shape)
        volume.read(box)[...] = 1
        np.testing.assert_array_equal(volume.read(box), truth)

    def test_its_spec_opens_the_same_volume(self, volume, truth):
        again = open_spec(type(volume.spec).model_validate_json(volume.spec.model_dump_json()))
        assert again.shape == volume.shape
        assert again.dtype == volume.dtype
        assert again.space == volume.space
        assert again.notes == volume.notes
        np.testing.assert_array_equal(again.read(Box.of_shape(truth.shape)), truth)

    def test_threads_read_at_once(self, volume, truth):
        boxes = some_boxes(truth.shape, 40, seed=1)
        with ThreadPoolExecutor(4) as pool:
            for box, block in zip(boxes, pool.map(volume.read, boxes), strict=True):
                np.testing.assert_array_equal(block, truth[box.slices])


class SinkContract:
    """Subclasses give the fixture `sink`: writable, readable, full of zeros, at least 9 x 20 x 20."""

    def _data(self, sink, box: Box, seed: int = 0) -> np.ndarray:
        channels = getattr(sink, "channels", ())
        shape = (len(channels), *box.shape) if channels else box.shape
        return np.random.default_rng(seed).integers(1, 200, shape).astype(sink.dtype)

    def test_is_a_volume_sink(self, sink):
        assert isinstance(sink, VolumeSink)

    def test_what_is_written_is_read(self, sink):
        box = Box((1, 3, 2), (6, 17, 19))
        data = self._data(sink, box)
        sink.write(box, data)
        np.testing.assert_array_equal(sink.read(box), data)
        whole = sink.read(Box.of_shape(sink.shape))
        assert np.count_nonzero(whole) == np.count_nonzero(data)

    def test_threads_write_into_one_chunk(self, sink):
        boxes = [Box((z, 0, x), (z + 1, 20, x + 5)) for z in range(9) for x in range(0, 20, 5)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda item: sink.write(item[1], self._data(sink, item[1], item[0])), enumerate(boxes)))
        for seed, box in enumerate(boxes):
            np.testing.assert_array_equal(sink.read(box), self._data(sink, box, seed))

    def test_data_of_another_shape_is_refused(self, sink):
        with pytest.raises(InvalidInput, match="shape"):
            sink.write(Box.at((0, 0, 0), (2, 2, 2)), np.zeros((2, 2, 3), sink.dtype))

    def test_a_box_that_leaves_it_is_refused(self, sink):
        box = Box((0, 0, 0), tuple(n + 1 for n in sink.shape))
        with pytest.raises(InvalidInput, match="leaves the volume"):
            sink.write(box, self._data(sink, box))
