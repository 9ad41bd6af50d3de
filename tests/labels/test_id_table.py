"""A table of ids is a dictionary that defaults to 0, whatever is mapped, changed, or far beyond its base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.labels.id_table import IdTable

LAST = 2**32 - 2
BASE = np.arange(100, 120, dtype=np.uint32)
IDS = [*range(len(BASE)), 20, 21, 500, LAST - 1, LAST]


def rows_of(base: np.ndarray) -> np.ndarray:
    """A base with a row of three values an id."""
    return np.stack([base, base + 1, base + 2], axis=1).astype(np.int32)


@given(st.data(), st.booleans())
def test_it_is_a_dictionary_that_defaults_to_zero(data: st.DataObject, with_rows: bool) -> None:
    base = rows_of(BASE) if with_rows else BASE
    table = IdTable(base)
    zero = np.zeros(base.shape[1:], base.dtype)
    expected = dict(enumerate(base))
    changed: set[int] = set()
    for _ in range(data.draw(st.integers(0, 6))):
        ids = data.draw(st.lists(st.sampled_from(IDS), unique=True, max_size=8))
        values = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 9, (len(ids), *base.shape[1:]))
        table.set(np.array(ids, np.uint32), values.astype(base.dtype))
        expected |= dict(zip(ids, values.astype(base.dtype), strict=True))
        changed |= set(ids)
    found = table.get(np.array(IDS, np.uint32))
    np.testing.assert_array_equal(found, np.stack([expected.get(k, zero) for k in IDS]))
    assert found.dtype == base.dtype
    ids, values = table.overrides()
    assert ids.tolist() == sorted(changed)
    np.testing.assert_array_equal(values, table.get(ids))
    assert table.ids_beyond.tolist() == sorted(k for k in changed if k >= len(BASE))


@given(st.data())
def test_overrides_set_on_a_fresh_table_give_the_same_table(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1))
    table, again = IdTable(BASE), IdTable(BASE)
    table.set(np.array(ids, np.uint32), np.arange(len(ids), dtype=np.uint32))
    again.set(*table.overrides())
    everywhere = np.array(IDS, np.uint32)
    np.testing.assert_array_equal(again.get(everywhere), table.get(everywhere))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4)])
@pytest.mark.parametrize("with_rows", [False, True])
def test_values_take_the_shape_of_the_ids(shape: tuple[int, ...], with_rows: bool) -> None:
    base = rows_of(BASE) if with_rows else BASE
    ids = np.full(shape, 7, np.uint32)
    found = IdTable(base).get(ids)
    assert found.shape == (*shape, *base.shape[1:])
    np.testing.assert_array_equal(found, np.broadcast_to(base[7], found.shape))


def test_values_of_ids_within_and_beyond_the_base_come_in_one_array() -> None:
    table = IdTable(BASE)
    table.set(np.array([LAST], np.uint32), np.array([5], np.uint32))
    ids = np.array([[0, LAST], [LAST - 1, 19]], np.uint32)
    assert table.get(ids).tolist() == [[100, 5], [0, 119]]


def test_the_array_it_was_made_of_is_left_alone() -> None:
    base = BASE.copy()
    table = IdTable(base)
    table.set(np.array([3], np.uint32), np.array([0], np.uint32))
    np.testing.assert_array_equal(base, BASE)
    assert table.base[3] == 0


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_a_mapped_file_is_never_written_to(tmp_path: Path, mode: str) -> None:
    np.save(tmp_path / "base.npy", BASE)
    table = IdTable(np.load(tmp_path / "base.npy", mmap_mode=mode))
    table.set(np.array([1, 2, 30], np.uint32), np.array([7, 8, 9], np.uint32))
    assert table.get(np.array([1, 2, 30, 4], np.uint32)).tolist() == [7, 8, 9, 104]
    np.testing.assert_array_equal(np.load(tmp_path / "base.npy"), BASE)


def test_two_tables_of_one_file_do_not_see_each_others_changes(tmp_path: Path) -> None:
    np.save(tmp_path / "base.npy", rows_of(BASE))
    one, other = (IdTable(np.load(tmp_path / "base.npy", mmap_mode="r")) for _ in range(2))
    one.set(np.array([4], np.uint32), np.array([[1, 2, 3]], np.int32))
    assert one.get(np.array([4])).tolist() == [[1, 2, 3]]
    assert other.get(np.array([4])).tolist() == [[104, 105, 106]]


def test_a_part_of_a_mapped_file_that_does_not_lie_together_is_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "base.npy", rows_of(BASE))
    column = np.load(tmp_path / "base.npy", mmap_mode="r")[:, 1]
    table = IdTable(column)
    assert table.get(np.array([0, 19])).tolist() == [101, 120]
    table.set(np.array([0], np.uint32), np.array([3], np.int32))
    assert table.get(np.array([0, 1])).tolist() == [3, 102]


def test_setting_an_id_twice_keeps_the_last_value_and_one_entry() -> None:
    table = IdTable(BASE)
    for value in (3, 4, 5):
        table.set(np.array([2, 999], np.uint32), np.array([value, value], np.uint32))
    ids, values = table.overrides()
    assert (ids.tolist(), values.tolist()) == ([2, 999], [5, 5])
    assert len(table.values_beyond) == 1


def test_a_value_set_back_to_what_it_was_still_counts_as_set() -> None:
    table = IdTable(BASE)
    table.set(np.array([2], np.uint32), BASE[2:3])
    assert table.overrides()[0].tolist() == [2]
