"""Strokes in memory: what a numpy array would hold, of chunks that are read when they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import StoredChunk
from napari_pytc.ui.canvas.paint.paint_array import PaintArray

SHAPE: Shape = (7, 10, 9)
CHUNK_BYTES = 4 * 4 * 4


class MemoryStore:
    """A store in memory of small chunks that notes what is read of it."""

    chunk_shape: Shape = (4, 4, 4)

    def __init__(self, shape: Shape = SHAPE, seed: int | None = 0) -> None:
        self.shape = shape
        self.reads: list[Box] = []
        self.data = np.zeros(shape, np.uint8)
        if seed is not None:
            self.data[:] = np.random.default_rng(seed).integers(0, 3, shape)

    def chunks(self) -> list[StoredChunk]:
        grid = TileGrid(Box.of_shape(self.data.shape), self.chunk_shape)
        return [StoredChunk(tile.write, 0.0) for tile in grid if self.data[tile.write.slices].any()]

    def read(self, box: Box) -> np.ndarray:
        self.reads.append(box)
        return self.data[box.slices].copy()

    def save(self, array: PaintArray) -> None:
        stroke = array.cut()
        if stroke is not None:
            for patch in stroke.patches:
                assert np.array_equal(self.data[patch.box.slices][patch.mask], patch.before)
                patch.apply_to(self.data, (0, 0, 0))
            array.mark_saved(stroke)


@pytest.mark.slow
@given(
    strokes=st.lists(st.tuples(basic_indices(SHAPE, allow_newaxis=False), st.integers(0, 5), st.booleans())),
    looks=st.lists(basic_indices(SHAPE, allow_newaxis=False)),
    n_chunks=st.integers(0, 20),
)
def test_it_holds_what_numpy_would(strokes: list[tuple[Any, int, bool]], looks: list[Any], n_chunks: int) -> None:
    store = MemoryStore()
    array, expected = PaintArray(store, n_bytes=n_chunks * CHUNK_BYTES), store.data.copy()
    for key, label, is_saved in strokes:
        array[key] = label
        expected[key] = label
        if is_saved:
            store.save(array)
    for key in looks:
        np.testing.assert_array_equal(array[key], expected[key])
    np.testing.assert_array_equal(np.asarray(array), expected)
    store.save(array)
    np.testing.assert_array_equal(store.data, expected)
    assert array.is_saved
    assert array.n_bytes <= max(1, n_chunks) * CHUNK_BYTES  # the newest chunk stays


def test_arrays_of_labels_and_of_indices_as_naparis_tools_and_undo_use_them() -> None:
    store = MemoryStore()
    array, expected = PaintArray(store), store.data.copy()
    region = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    where = (np.array([0, 6, 3]), np.array([9, 0, 5]), np.array([8, 8, 1]))
    for target in (array, expected):
        target[2:3, 3:5, 3:6] = region
        target[where] = np.array([7, 8, 9])
        target[4, :, 2] = 5
        target[0, 0, 0] = 6
    np.testing.assert_array_equal(array[where], [7, 8, 9])
    np.testing.assert_array_equal(array[:, :, :], expected)
    assert array[np.int64(0), np.int64(0), np.int64(0)].item() == 6


def test_what_is_read_is_a_copy() -> None:
    array = PaintArray(MemoryStore())
    for key in [(2, slice(None), slice(None)), (slice(0, 4), slice(0, 4), slice(0, 4))]:
        array[key][...] = 99
    assert np.asarray(array).max() < 99


def test_only_chunks_that_are_looked_at_are_read_and_each_once() -> None:
    store = MemoryStore((40, 40, 40), seed=None)
    store.data[3, 9, 10:15] = 3
    array = PaintArray(store)
    assert not array[0:3, :, 20].any()
    array[20, 20, 20] = 1
    assert array[0].dtype == np.uint8
    assert store.reads == []
    array[3:4, 9:11, 10:13] = 1
    array[3:4, 9:11, 10:13] = 2
    assert array[3, :, :].sum() == 12 + 6
    assert store.reads == [Box((0, 8, 8), (4, 12, 16))]


@pytest.mark.slow
def test_unsaved_chunks_stay_in_memory_and_saved_ones_make_room() -> None:
    store = MemoryStore((8, 400, 400), seed=None)
    array = PaintArray(store, n_bytes=10 * CHUNK_BYTES)
    for k in range(40):
        array[1, 8 * k, 8 * k] = 3
    assert array.n_bytes == 40 * CHUNK_BYTES
    assert not array.is_saved
    store.save(array)
    assert array.n_bytes <= 10 * CHUNK_BYTES
    assert [array[1, 8 * k, 8 * k] for k in range(40)] == [3] * 40
    assert array.n_bytes <= 10 * CHUNK_BYTES


def test_a_stroke_goes_on_while_it_is_saved() -> None:
    store = MemoryStore()
    array = PaintArray(store)
    array[1, 1, 1] = 4
    stroke = array.cut()
    assert stroke is not None
    array[1, 1, 2] = 5
    (patch,) = stroke.patches
    assert patch.box == Box((1, 1, 1), (2, 2, 2))
    patch.apply_to(store.data, (0, 0, 0))
    array.mark_saved(stroke)
    assert not array.is_saved
    array.forget()
    assert (array[1, 1, 1], array[1, 1, 2]) == (4, 5)
    store.save(array)
    assert (array.is_saved, store.data[1, 1, 2]) == (True, 5)


def test_a_stroke_over_several_chunks_is_one_patch() -> None:
    store = MemoryStore((4, 8, 100), seed=None)
    array = PaintArray(store)
    array[1, 1, 3:] = 2
    array[1, 6, 90:] = 2
    array[1, 6, 90:] = 3
    stroke = array.cut()
    assert stroke is not None
    (patch,) = stroke.patches
    expected = np.zeros(store.shape, np.uint8)
    expected[1, 1, 3:], expected[1, 6, 90:] = 2, 3
    whole = LabelPatch.between(Box.of_shape(store.shape), np.zeros_like(expected), expected)
    assert whole is not None
    assert patch.to_bytes() == whole.to_bytes()
    assert array.cut() is None


def test_a_stroke_that_changes_nothing_has_no_patch() -> None:
    array = PaintArray(MemoryStore(seed=None))
    array[1, 1, :] = 2
    array[1, 1, :] = 0
    stroke = array.cut()
    assert stroke is not None
    assert (stroke.box, stroke.patches) == (Box((1, 1, 0), (2, 2, 9)), ())
    assert not array.is_saved
    array.mark_saved(stroke)
    assert array.is_saved


@pytest.mark.slow
@given(
    strokes=st.lists(
        st.lists(st.tuples(basic_indices(SHAPE, allow_newaxis=False), st.integers(0, 5)), max_size=3), max_size=6
    )
)
def test_patches_of_strokes_lead_there_and_back(strokes: list[list[tuple[Any, int]]]) -> None:
    """Each patch has the labels before and after its stroke, whenever it reaches the disk."""
    store = MemoryStore()
    first = store.data.copy()
    array = PaintArray(store)
    states, patches = [first], []
    for stroke in strokes:
        for key, label in stroke:
            array[key] = label
        cut = array.cut()
        patches += [] if cut is None else [*cut.patches]
        states.append(np.asarray(array).copy())
    disk = first.copy()
    for patch in patches:
        assert np.array_equal(disk[patch.box.slices][patch.mask], patch.before)
        patch.apply_to(disk, (0, 0, 0))
    np.testing.assert_array_equal(disk, states[-1])
    for patch in reversed(patches):
        patch.inverse().apply_to(disk, (0, 0, 0))
    np.testing.assert_array_equal(disk, first)


def test_what_others_change_on_disk_is_read_again_and_unsaved_strokes_stay() -> None:
    store = MemoryStore()
    array = PaintArray(store)
    np.asarray(array)
    array[0, 0, 0] = 9
    store.data[:] = 1
    array.forget(Box((0, 0, 0), (4, 10, 9)))
    assert array[0, 0, 0] == 9
    assert (array[0, 4:, :] == 1).all()
    assert not (array[6, :, :] == 1).all()
    array.forget()
    assert (array[6, :, :] == 1).all()


def test_on_change_is_called_after_the_change() -> None:
    seen: list[int] = []
    array = PaintArray(MemoryStore(), lambda: seen.append(int(array[1, 1, 1])))
    array[1, 1, 1] = 7
    assert seen == [7]


def test_a_huge_volume_is_neither_read_nor_filled_as_a_whole() -> None:
    store = MemoryStore((1, 1, 1))
    store.shape = (40_000, 1024, 1024)
    array = PaintArray(store)
    for ask in (lambda: array[:], lambda: np.asarray(array), lambda: array.__setitem__(slice(None), 1)):
        with pytest.raises(InvalidInput, match="too many"):
            ask()
    assert store.reads == []


def test_strokes_of_a_project_on_disk(tmp_path: Path) -> None:
    store = PaintStore.create(tmp_path / "a.zarr", (20, 200, 300), VoxelSpace())
    array = PaintArray(store)
    array[15:17, 120:140, 250] = 2
    stroke = array.cut()
    assert stroke is not None
    store.apply(stroke.patches)
    array.mark_saved(stroke)
    assert store.counts() == {2: 40}
    assert PaintArray(PaintStore.open(tmp_path / "a.zarr"))[16, 130, :].sum() == 2


def test_what_others_changed_is_shown_also_where_strokes_are_not_saved_yet(tmp_path: Path) -> None:
    store = PaintStore.create(tmp_path / "strokes.zarr", (4, 70, 70), VoxelSpace())
    array = PaintArray(store)
    array[1, 5, 5:9] = 2
    before, after = np.zeros((1, 1, 4), np.uint8), np.full((1, 1, 4), 3, np.uint8)
    patch = LabelPatch.between(Box((1, 5, 7), (2, 6, 11)), before, after)
    assert patch is not None
    array.take_in(patch)
    np.testing.assert_array_equal(array[1, 5, 5:12], [2, 2, 3, 3, 3, 3, 0])
    assert not array.is_saved
    stroke = array.cut()
    assert stroke is not None
    assert [p.box for p in stroke.patches] == [Box((1, 5, 5), (2, 6, 7))], "what others changed is no part of a stroke"
