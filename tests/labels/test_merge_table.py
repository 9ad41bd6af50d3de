from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.labels.merge_table import MergeTable

LAST = 2**32 - 2


def decoded(n: int = 30, n_segments: int = 8, seed: int = 0) -> np.ndarray:
    table = np.random.default_rng(seed).integers(1, n_segments + 1, n + 1).astype(np.uint32)
    table[0] = 0
    return table


def check(table: MergeTable, expected: dict[int, int]) -> None:
    ids = np.array(list(expected), np.uint32)
    assert np.array_equal(table.lookup(ids), [expected[int(k)] for k in ids])
    segments = set(expected.values()) - {0}
    assert set(table.segments().tolist()) == segments
    for segment in (*segments, 77_777):
        members = sorted(k for k, value in expected.items() if value == segment)
        assert table.members(segment).tolist() == members
        assert table.n_members(segment) == len(members)
    assert table.members(0).size == table.n_members(0) == 0


@given(st.data())
def test_it_is_a_plain_table_whatever_is_moved(data: st.DataObject):
    base = decoded()
    table = MergeTable(base)
    expected = dict(enumerate(base.tolist()))
    ids = [*range(1, 31), 31, 32, 1000, LAST - 1, LAST]
    for _ in range(data.draw(st.integers(0, 8))):
        supervoxels = data.draw(st.lists(st.sampled_from(ids), min_size=1, max_size=12, unique=True))
        after = data.draw(st.lists(st.integers(0, 9), min_size=len(supervoxels), max_size=len(supervoxels)))
        for _ in range(data.draw(st.integers(1, 2))):
            table.move(np.array(supervoxels, np.uint32), np.array(after, np.uint32))
        expected |= dict(zip(supervoxels, after, strict=True))
        if data.draw(st.booleans()):
            check(table, expected)
    check(table, expected)
    again = MergeTable(base)
    again.load_overrides(*table.overrides())
    check(again, expected)
    assert np.array_equal(base, decoded())


def test_a_mapped_table_is_never_written_to(tmp_path: Path):
    base = decoded()
    np.save(tmp_path / "segments.npy", base)
    for mode in ("r", "c"):
        table = MergeTable(np.load(tmp_path / "segments.npy", mmap_mode=mode))
        table.move(np.arange(1, 20, dtype=np.uint32), np.full(19, 5, np.uint32))
        assert int(table.lookup(np.array([3], np.uint32))[0]) == 5
    assert np.array_equal(np.load(tmp_path / "segments.npy"), base)


def test_lookup_keeps_the_shape_and_unknown_ids_have_no_segment():
    table = MergeTable(decoded())
    labels = np.array([[[0, 1], [30, LAST]]], np.uint32)
    found = table.lookup(labels)
    assert found.shape == labels.shape
    assert found.dtype == np.uint32
    assert found[0, 1, 1] == found[0, 0, 0] == int(table.lookup(np.array([31], np.uint32))[0]) == 0


def test_undo_and_redo_for_ever_take_no_memory():
    base = np.repeat(np.arange(1, 3, dtype=np.uint32), 500)
    base[0] = 0
    table = MergeTable(base)
    moved = table.members(2)
    for _ in range(300):
        table.move(moved, np.full(len(moved), 1, np.uint32))
        table.move(moved, np.full(len(moved), 2, np.uint32))
    assert sum(map(len, table._joined[1])) < 70 * len(moved)
    assert table.members(2).tolist() == moved.tolist()
