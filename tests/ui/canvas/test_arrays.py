"""Volumes as napari indexes them: numpy's answers, read in sections, never as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape
from napari_pytc.ui.canvas.arrays import MOST_BYTES, Selection, VolumeArray
from napari_pytc.ui.canvas.section_cache import Section, SectionCache, SectionReader
from tests.support.arrays import VirtualArray
from tests.support.waiting import PATIENCE_S, wait_until

SHAPE = (5, 7, 6)
DATA = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)


class Source:
    """An array that notes what is read of it, and reads only while the gate is open."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.reads = data, list[Box]()
        self.gate = threading.Event()
        self.gate.set()
        self.error: VolumeError | None = None

    def read(self, box: Box) -> np.ndarray:
        assert self.gate.wait(PATIENCE_S)
        self.reads.append(box)
        if self.error is not None:
            raise self.error
        return self.data[(..., *box.slices)].copy()


@pytest.fixture
def reader() -> Iterator[SectionReader]:
    reader = SectionReader()
    yield reader
    reader.close()


def cache_of(source: Source, reader: SectionReader, **options: Any) -> SectionCache:
    z, y, x = source.data.shape[-3:]
    return SectionCache(source.read, (z, y, x), source.data.dtype, reader, **{"patience_s": PATIENCE_S, **options})


@given(key=basic_indices(SHAPE, allow_newaxis=False, min_dims=0))
def test_a_selection_is_what_numpy_selects(key: Any) -> None:
    found = Selection.of(key, SHAPE)
    assert Box.of_shape(SHAPE).contains(found.box)
    np.testing.assert_array_equal(DATA[found.box.slices][found.inside], DATA[key])
    assert found.shape == DATA[key].shape


@given(data=st.data())
def test_a_selection_takes_arrays_of_integers_as_numpy_does(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 5))
    key = tuple(np.array(data.draw(st.lists(st.integers(-m, m - 1), min_size=n, max_size=n)), dtype=int) for m in SHAPE)
    found = Selection.of(key, SHAPE)
    np.testing.assert_array_equal(DATA[found.box.slices][found.inside], DATA[key])


@pytest.mark.parametrize("key", [5, (0, 0, 0, 0), (0, "a"), (slice(None), 9), (np.array([7]), 0, 0), (..., ...), 1.5])
def test_an_index_outside_the_volume_is_an_index_error(key: Any) -> None:
    with pytest.raises(IndexError):
        Selection.of(key, SHAPE)


def test_sections_along_all_axes_and_the_voxels_beside(reader: SectionReader) -> None:
    array = VolumeArray(cache_of(Source(DATA), reader))
    assert (array.shape, array.dtype, array.ndim, array.size, len(array)) == (SHAPE, np.uint8, 3, 210, 5)
    keys: list[Any] = [
        (2, slice(None), slice(None)),
        (slice(None), 3, slice(None)),
        (slice(None), slice(None), 0),
        (slice(2, 3), slice(None), slice(None)),
        (1, 2, 3),
        (slice(1, 4, 2), slice(None, None, -1), 4),
        (slice(None),) * 3,
    ]
    for key in keys:
        np.testing.assert_array_equal(array[key], DATA[key])
    np.testing.assert_array_equal(np.asarray(array), DATA)
    np.testing.assert_array_equal(np.asarray(array[4]), DATA[4])
    np.testing.assert_array_equal(array[4][2:4, 1], DATA[4, 2:4, 1])


def test_a_section_that_is_shown_cannot_be_written_to(reader: SectionReader) -> None:
    shown = VolumeArray(cache_of(Source(DATA), reader))[2, :, :]
    with pytest.raises(ValueError, match="read-only"):
        shown[0, 0] = 1


def test_type_of_a_section_is_known_without_reading_it(reader: SectionReader) -> None:
    source = Source(DATA)
    array = VolumeArray(cache_of(source, reader))
    assert array[0].dtype == np.uint8
    assert source.reads == []


def test_planes_of_one_reading(reader: SectionReader) -> None:
    source = Source(np.stack([DATA, 255 - DATA]))
    cache = cache_of(source, reader, n_planes=2)
    first, second = VolumeArray(cache, 0), VolumeArray(cache, 1)
    np.testing.assert_array_equal(first[:, 3, :], DATA[:, 3])
    np.testing.assert_array_equal(second[:, 3, :], 255 - DATA[:, 3])
    np.testing.assert_array_equal(second[1:3, 0, 0], 255 - DATA[1:3, 0, 0])
    assert sum(box == Section(1, 3).box(SHAPE) for box in source.reads) == 1


def test_neighbours_are_read_ahead_in_the_direction_of_scrolling(reader: SectionReader) -> None:
    source = Source(np.zeros((20, 4, 4), np.uint8))
    cache = cache_of(source, reader)
    cache.get(Section(0, 9))
    cache.get(Section(0, 10))
    wait_until(lambda: {box.start[0] for box in source.reads} >= {9, 10, 11, 12, 13})
    cache.get(Section(0, 8))
    wait_until(lambda: {box.start[0] for box in source.reads} >= {7, 6, 5})
    assert 15 not in {box.start[0] for box in source.reads}


def test_what_is_not_there_in_time_is_reported_when_it_comes(reader: SectionReader) -> None:
    source, arrived = Source(DATA), threading.Event()
    source.gate.clear()
    cache = cache_of(source, reader, patience_s=0.01, on_arrival=arrived.set)
    assert not cache.get(Section(0, 2)).any()
    assert not arrived.is_set()
    source.gate.set()
    assert arrived.wait(PATIENCE_S)
    np.testing.assert_array_equal(cache.get(Section(0, 2)), DATA[2])


def test_large_sections_come_in_pieces_from_the_focus_outwards(reader: SectionReader) -> None:
    source = Source(np.broadcast_to(np.uint8(7), (2, 3000, 3000)))
    cache = cache_of(source, reader, focus=lambda: (0.0, 2500.0, 500.0))
    assert (cache.get(Section(0, 0)) == 7).all()
    pieces = [box for box in source.reads if box.start[0] == 0]
    assert len(pieces) == 9
    assert pieces[0] == Box((0, 2048, 0), (1, 3000, 1024))
    assert pieces[-1] == Box((0, 0, 2048), (1, 1024, 3000))


def test_a_section_that_is_scrolled_past_is_not_read_to_its_end(reader: SectionReader) -> None:
    source = Source(np.broadcast_to(np.uint8(7), (100, 4000, 4000)))
    source.gate.clear()
    cache = cache_of(source, reader, patience_s=0.0)
    for index in range(0, 90, 10):
        cache.get(Section(0, index))
    cache._patience_s = PATIENCE_S
    source.gate.set()
    cache.get(Section(0, 90))
    sections = [box.start[0] for box in source.reads]
    assert sections.count(90) == 16
    assert all(sections.count(index) <= 1 for index in range(0, 90, 10))


def test_memory_is_bounded(reader: SectionReader) -> None:
    shape: Shape = (4000, 300, 300)
    volume = VirtualArray(shape)
    cache = SectionCache(volume.read, shape, volume.dtype, reader, n_bytes=10 * 90_000, patience_s=PATIENCE_S)
    for index in range(0, 400, 2):
        np.testing.assert_array_equal(cache.get(Section(0, index)), volume.read(Section(0, index).box(shape))[0])
    assert cache.n_bytes <= 10 * 90_000
    assert volume.largest <= 90_000


def test_new_voxels_are_read_where_they_are_looked_at_and_old_ones_shown_until_then(reader: SectionReader) -> None:
    source, arrived = Source(DATA.copy()), threading.Event()
    cache = cache_of(source, reader, on_arrival=arrived.set)
    for index in (0, 4, 2):
        cache.get(Section(0, index))
    wait_until(lambda: len(source.reads) == 5)
    source.gate.clear()
    source.data[:] = 1
    assert not cache.renew([Box((4, 0, 0), (5, 2, 2))])
    assert cache.renew([Box((1, 0, 0), (4, 2, 2))])
    cache._patience_s = 0.01
    np.testing.assert_array_equal(cache.get(Section(0, 2)), DATA[2])
    source.gate.set()
    assert arrived.wait(PATIENCE_S)
    cache._patience_s = PATIENCE_S
    for index in (2, 4, 3, 1):
        assert (cache.get(Section(0, index)) == 1).all()
    np.testing.assert_array_equal(cache.get(Section(0, 0)), DATA[0])


def test_voxels_that_change_while_they_are_read_are_read_again(reader: SectionReader) -> None:
    reading, go_on = threading.Event(), threading.Event()
    value = [1]

    def read(box: Box) -> np.ndarray:
        found = np.full(box.shape, value[0], np.uint8)
        reading.set()
        assert go_on.wait(PATIENCE_S)
        return found

    cache = SectionCache(read, (1, 4, 4), np.dtype(np.uint8), reader, patience_s=0.0)
    cache.get(Section(0, 0))
    assert reading.wait(PATIENCE_S)
    value[0] = 2
    cache.renew([Box.of_shape((1, 4, 4))])
    go_on.set()
    cache._patience_s = PATIENCE_S
    assert (cache.get(Section(0, 0)) == 2).all()


def test_an_image_that_went_away_is_reported_and_shown_as_nothing(reader: SectionReader) -> None:
    source, received = Source(DATA), list[Any]()
    source.error = VolumeError("The image went away.")
    cache = cache_of(source, reader, on_error=received.append)
    assert not cache.get(Section(0, 2)).any()
    assert received[0] is source.error
    source.error = None
    cache.renew([Box.of_shape(SHAPE)])
    np.testing.assert_array_equal(cache.get(Section(0, 2)), DATA[2])


def test_in_3d_all_is_read_aside_and_reported_once(reader: SectionReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_pytc.ui.canvas.section_cache.PIECE", (2, 4, 4))
    source, received = Source(DATA), list[int]()
    source.gate.clear()
    cache = cache_of(source, reader, patience_s=0.0, on_arrival=lambda: received.append(len(source.reads)))
    array = VolumeArray(cache)
    assert not array[:, :, :].any()
    assert array[:, :, :].shape == SHAPE
    source.gate.set()
    wait_until(lambda: received)
    np.testing.assert_array_equal(array[:, :, :], DATA)
    assert (len(received), len(source.reads)) == (1, 12)
    before = cache.n_bytes
    wait_until(lambda: np.array_equal(array[2], DATA[2]))  # flat again: the volume is let go of
    assert before == DATA.nbytes
    assert cache.n_bytes < before + DATA[2].nbytes


def test_voxels_that_change_are_drawn_again_in_3d(reader: SectionReader) -> None:
    source, received = Source(DATA.copy()), list[None]()
    cache = cache_of(source, reader, on_arrival=lambda: received.append(None))
    array = VolumeArray(cache)
    np.testing.assert_array_equal(array[:, :, :], DATA)
    box = Box((1, 2, 3), (2, 4, 6))
    source.data[box.slices] = 255
    assert cache.renew([box])
    wait_until(lambda: received)
    np.testing.assert_array_equal(array[:, :, :], source.data)


def test_planes_in_3d(reader: SectionReader) -> None:
    source = Source(np.stack([DATA, DATA // 2]))
    cache = cache_of(source, reader, n_planes=2)
    for plane in (0, 1):
        np.testing.assert_array_equal(VolumeArray(cache, plane)[:, :, :], source.data[plane])
    assert len(source.reads) == 1


def test_a_whole_volume_is_not_read(reader: SectionReader) -> None:
    shape: Shape = (40_000, 1024, 1024)
    volume = VirtualArray(shape)
    array = VolumeArray(SectionCache(volume.read, shape, volume.dtype, reader))
    assert array.nbytes > MOST_BYTES
    assert array[:, :, :].shape == (1, 1, 1)  # what napari shows of it in 3D
    for ask in (lambda: array[:], lambda: np.asarray(array), lambda: array[:600]):
        with pytest.raises(InvalidInput, match="too many"):
            ask()
    assert volume.largest == 0
