"""Bounded caches: what stays, what leaves, and that a value is made once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.caching import ByteBoundedCache, ChunkCache
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Tile, TileGrid
from tests.support.waiting import PATIENCE_S, wait_until


def array(n_bytes: int) -> np.ndarray:
    return np.zeros(n_bytes, np.uint8)


def test_the_longest_unused_entries_leave_first():
    cache = ByteBoundedCache[str, np.ndarray](1000)
    for key in "abc":
        cache.put(key, array(300))
    assert cache.find("a") is not None  # used again, so "b" is the oldest now
    cache.put("d", array(300))
    assert [key for key in "abcd" if key in cache] == ["a", "c", "d"]
    assert cache.n_bytes == 900
    assert cache.statistics.n_evicted == 1


def test_an_entry_larger_than_the_bound_stays_until_the_next_one_comes():
    cache = ByteBoundedCache[str, np.ndarray](1000)
    cache.put("small", array(10))
    assert cache.get("large", lambda: array(5000)).nbytes == 5000
    assert "large" in cache
    assert "small" not in cache
    cache.put("next", array(10))
    assert "large" not in cache
    assert cache.n_bytes == 10


def test_a_value_put_in_place_of_another_counts_once():
    cache = ByteBoundedCache[str, np.ndarray](1000)
    cache.put("a", array(800))
    cache.put("a", array(20))
    cache.put("a", array(30), pinned=True)
    assert (cache.n_bytes, len(cache)) == (30, 1)


def test_pinned_entries_stay_beyond_the_bound_until_they_are_unpinned():
    cache = ByteBoundedCache[int, np.ndarray](1000)
    for key in range(5):
        cache.put(key, array(400), pinned=True)
    cache.put(9, array(400))
    assert len(cache) == 6
    assert cache.n_bytes == 2400
    for key in range(5):
        cache.unpin(key)
    assert cache.n_bytes <= 1000
    assert [key for key, _ in cache.items()] == [3, 4]
    cache.unpin(100)  # nothing of that name: nothing happens


def test_eviction_waits_where_it_is_asked_to():
    cache = ByteBoundedCache[int, np.ndarray](1000)
    for key in range(5):
        cache.put(key, array(400), evict=False)
    assert len(cache) == 5
    cache.evict()
    assert [key for key, _ in cache.items()] == [3, 4]


def test_the_number_of_entries_can_be_bounded_instead():
    cache = ByteBoundedCache[int, str](3, size_of=lambda name: 1)
    for key in range(10):
        cache.put(key, "x" * key)
    assert [key for key, _ in cache.items()] == [7, 8, 9]


def test_dropped_and_cleared_entries_are_made_again():
    cache = ByteBoundedCache[str, np.ndarray](1000)
    made: list[str] = []

    def get(key: str) -> None:
        cache.get(key, lambda: made.append(key) or array(10))  # type: ignore[func-returns-value]

    for key in "ab":
        get(key)
    cache.drop("a")
    cache.drop("never there")
    for key in "ab":
        get(key)
    assert made == ["a", "b", "a"]
    cache.put("p", array(10), pinned=True)
    cache.clear()
    assert (len(cache), cache.n_bytes) == (0, 0)
    get("b")
    assert made == ["a", "b", "a", "b"]


def test_statistics_count_what_was_asked():
    cache = ByteBoundedCache[str, np.ndarray](1000)
    cache.get("a", lambda: array(7))
    cache.get("a", lambda: array(7))
    assert cache.find("b") is None
    found = cache.statistics
    assert (found.n_hits, found.n_misses, found.n_evicted, found.n_entries, found.n_bytes) == (1, 2, 0, 1, 7)


def test_of_many_threads_one_makes_a_value():
    cache = ByteBoundedCache[int, np.ndarray](10**6)
    made: list[int] = []
    start = threading.Barrier(8)

    def ask(_: int) -> list[int]:
        start.wait()
        return [id(cache.get(key, lambda key=key: made.append(key) or array(100))) for key in range(50)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(made) == list(range(50))
    assert all(answer == answers[0] for answer in answers)


def test_values_of_different_keys_are_made_side_by_side():
    cache = ByteBoundedCache[str, np.ndarray](1000)
    both = threading.Barrier(2, timeout=PATIENCE_S)
    with ThreadPoolExecutor(2) as pool:  # a maker that held the lock would keep the other from the barrier
        list(pool.map(lambda key: cache.get(key, lambda: (both.wait() and array(1)) or array(1)), "ab"))
    assert len(cache) == 2


def test_where_making_fails_the_caller_gets_the_error_and_the_next_thread_tries():
    cache = ByteBoundedCache[str, np.ndarray](1000)
    making, may_fail = threading.Event(), threading.Event()

    def fail() -> np.ndarray:
        making.set()
        may_fail.wait(PATIENCE_S)
        raise OSError("offline")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", fail)
        making.wait(PATIENCE_S)
        second = pool.submit(cache.get, "a", lambda: array(5))
        may_fail.set()
        with pytest.raises(OSError, match="offline"):
            first.result(PATIENCE_S)
        assert second.result(PATIENCE_S).nbytes == 5
    assert "a" in cache


@pytest.mark.parametrize("forget", [lambda cache: cache.drop("a"), lambda cache: cache.clear()])
def test_a_value_that_was_dropped_while_it_was_made_is_not_held(forget):
    cache = ByteBoundedCache[str, np.ndarray](1000)
    making, may_end = threading.Event(), threading.Event()

    def make() -> np.ndarray:
        making.set()
        may_end.wait(PATIENCE_S)
        return array(1)

    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(cache.get, "a", make)
        making.wait(PATIENCE_S)
        forget(cache)
        new = cache.get("a", lambda: array(2))
        may_end.set()
        assert old.result(PATIENCE_S).nbytes == 1
    assert new.nbytes == 2
    assert cache.find("a") is new


@given(
    bound=st.integers(1, 60),
    steps=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 30), st.booleans(), st.booleans())),
)
def test_bytes_are_those_of_the_entries_and_only_pinned_ones_or_the_newest_exceed_the_bound(bound, steps):
    cache = ByteBoundedCache[int, np.ndarray](bound)
    pinned: set[int] = set()
    for key, size, pin, drop in steps:
        if drop:
            cache.drop(key)
            pinned.discard(key)
            continue
        cache.put(key, array(size), pinned=pin)
        pinned = pinned | {key} if pin else pinned - {key}
        held = dict(cache.items())
        assert key in held
        assert pinned <= set(held)
        assert cache.n_bytes == sum(value.nbytes for value in held.values())
        assert cache.n_bytes <= bound or len(set(held) - pinned) <= 1


VOLUME = np.random.default_rng(0).integers(0, 255, (9, 20, 17), np.uint8)


def chunks(most_bytes: int = 10**6) -> tuple[ChunkCache, list[int]]:
    loaded: list[int] = []

    def load(tile: Tile) -> np.ndarray:
        loaded.append(tile.index)
        return VOLUME[tile.write.slices]

    return ChunkCache(TileGrid(Box.of_shape(VOLUME.shape), (4, 8, 8)), load, np.uint8, most_bytes), loaded


@given(data=st.data(), most_bytes=st.sampled_from([1, 600, 10**6]))
def test_boxes_read_through_chunks_are_those_of_the_volume(data, most_bytes):
    cache, _ = chunks(most_bytes)
    for _ in range(4):
        ranges = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in VOLUME.shape]
        box = Box(tuple(a for a, _ in ranges), tuple(b for _, b in ranges))
        np.testing.assert_array_equal(cache.read(box), VOLUME[box.slices])


def test_a_chunk_is_loaded_once_until_it_is_dropped():
    cache, loaded = chunks()
    whole, corner = Box.of_shape(VOLUME.shape), Box((0, 0, 0), (1, 1, 1))
    for _ in range(3):
        cache.read(whole)
    assert sorted(loaded) == list(range(len(cache.grid)))
    cache.drop(corner)
    cache.read(whole)
    assert loaded.count(0) == 2
    assert len(loaded) == len(cache.grid) + 1
    cache.drop()
    cache.read(corner)
    assert loaded.count(0) == 3
    assert cache.statistics.n_entries == 1


def test_what_is_read_is_a_copy():
    cache, _ = chunks()
    box = Box((0, 0, 0), (2, 2, 2))
    cache.read(box)[...] = 0
    np.testing.assert_array_equal(cache.read(box), VOLUME[box.slices])


def test_threads_that_read_the_same_chunks_load_them_once():
    cache, loaded = chunks()
    whole = Box.of_shape(VOLUME.shape)
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(cache.read, [whole] * 12):
            np.testing.assert_array_equal(found, VOLUME)
    assert len(loaded) == len(cache.grid)


def test_chunks_leave_when_the_bound_is_met():
    cache, _ = chunks(most_bytes=600)
    for box in (tile.write for tile in cache.grid):
        cache.read(box)
        assert cache.statistics.n_bytes <= 600


def test_a_box_beyond_the_volume_is_refused():
    cache, loaded = chunks()
    with pytest.raises(InvalidInput, match="does not lie within"):
        cache.read(Box((0, 0, 0), (10, 1, 1)))
    assert loaded == []


def test_a_thread_that_waits_for_a_value_gets_it_even_where_it_does_not_stay():
    cache = ByteBoundedCache[str, np.ndarray](10)
    making, may_end = threading.Event(), threading.Event()

    def make() -> np.ndarray:
        making.set()
        may_end.wait(PATIENCE_S)
        return array(8)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", make)
        making.wait(PATIENCE_S)
        second = pool.submit(cache.get, "a", make)
        may_end.set()
        wait_until(first.done)
        cache.put("b", array(9))
        assert second.result(PATIENCE_S).nbytes == 8
