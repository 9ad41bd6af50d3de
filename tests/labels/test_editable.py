from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.editable import EditableLabels
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import LabelStore
from tests.support.faults import file_size_limit

SHAPE = (10, 40, 50)
CHUNK = (4, 16, 16)
LAST = 2**32 - 2


def make(folder: Path, shape: Shape = SHAPE, cache_bytes: int = 2**20) -> tuple[EditableLabels, np.ndarray]:
    labels = np.random.default_rng(0).integers(0, 6, shape).astype(np.uint32)
    base = LabelStore.create(folder / "base.zarr", shape, np.uint32, VoxelSpace(), CHUNK)
    base.write(Box.of_shape(shape), labels)
    LabelStore.create(folder / "edits.zarr", shape, np.uint32, VoxelSpace(), CHUNK)
    return reopen(folder, cache_bytes), labels


def reopen(folder: Path, cache_bytes: int = 2**20, writable: bool = True) -> EditableLabels:
    base = LabelStore.open(folder / "base.zarr", writable=False)
    return EditableLabels(base, LabelStore.open(folder / "edits.zarr", writable), cache_bytes)


def patch_of(labels: EditableLabels, box: Box, new: np.ndarray) -> LabelPatch:
    patch = LabelPatch.between(box, labels.read(box), new)
    assert patch is not None
    return patch


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0, 20_000, 2**20]))
def test_it_is_an_array_with_a_memory(tmp_path_factory: pytest.TempPathFactory, seed: int, cache_bytes: int):
    folder = tmp_path_factory.mktemp("labels")
    rng = np.random.default_rng(seed)
    labels, expected = make(folder, cache_bytes=cache_bytes)
    decoded = expected.copy()
    for _ in range(6):
        start = [int(rng.integers(0, n)) for n in SHAPE]
        stop = [int(rng.integers(a + 1, n + 1)) for a, n in zip(start, SHAPE, strict=True)]
        box = Box(tuple(start), tuple(stop))
        assert np.array_equal(labels.read(box), expected[box.slices])
        action = rng.integers(0, 4)
        if action == 0:
            labels.flush()
            assert labels.dirty_bytes == 0
        elif action == 1:
            labels.flush()
            labels = reopen(folder, cache_bytes)
        else:
            new = rng.choice(np.array([0, 3, LAST], np.uint32), box.shape)
            patch = LabelPatch.between(box, labels.read(box), new)
            assert (patch is None) == np.array_equal(new, expected[box.slices])
            if patch is not None:
                labels.apply(patch)
            expected[box.slices] = new
    assert np.array_equal(labels.read(Box.of_shape(SHAPE)), expected)
    changed = np.zeros(SHAPE, bool)
    for box in labels.edited_boxes():
        changed[box.slices] = True
    assert changed[expected != decoded].all()
    assert np.array_equal(labels.read_base(Box.of_shape(SHAPE)), decoded)


def test_what_is_undone_leaves_no_trace_on_the_disk(tmp_path: Path):
    labels, _ = make(tmp_path)
    patch = patch_of(labels, Box((0, 0, 0), (3, 20, 20)), np.full((3, 20, 20), 9, np.uint32))
    labels.apply(patch)
    labels.flush()
    assert len(LabelStore.open(tmp_path / "edits.zarr").chunks()) == 4
    labels.apply(patch.inverse())
    labels.flush()
    assert LabelStore.open(tmp_path / "edits.zarr").chunks() == []


def test_memory_stays_within_its_bound(tmp_path: Path):
    labels, _ = make(tmp_path, cache_bytes=3 * 4 * 16 * 16 * 4)
    labels.read(Box.of_shape(SHAPE))
    assert labels._chunks.n_bytes <= 3 * 4 * 16 * 16 * 4
    labels.apply(patch_of(labels, Box((0, 0, 0), (1, 1, 1)), np.full((1, 1, 1), 9, np.uint32)))
    assert labels.dirty_bytes == 4 * 16 * 16 * 4
    labels.read(Box.of_shape(SHAPE))
    assert labels.read(Box((0, 0, 0), (1, 1, 1)))[0, 0, 0] == 9


def test_a_volume_of_one_section(tmp_path: Path):
    labels, expected = make(tmp_path, (1, 33, 7))
    assert np.array_equal(labels.read(Box.of_shape((1, 33, 7))), expected)
    labels.apply(patch_of(labels, Box((0, 30, 5), (1, 33, 7)), np.full((1, 3, 2), 8, np.uint32)))
    labels.flush()
    assert (reopen(tmp_path).read(Box((0, 30, 5), (1, 33, 7))) == 8).all()


@pytest.mark.slow
def test_threads_read_while_one_changes(tmp_path: Path):
    labels, _ = make(tmp_path, cache_bytes=20_000)
    box = Box((0, 0, 0), (10, 20, 20))
    failures: list[np.ndarray] = []
    done = threading.Event()
    labels.apply(patch_of(labels, box, np.full(box.shape, 7, np.uint32)))

    def look() -> None:
        while not done.is_set():
            found = labels.read(box)
            if len(np.unique(found)) != 1:
                failures.append(found)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for value in range(8, 40):
        labels.apply(patch_of(labels, box, np.full(box.shape, value, np.uint32)))
        if value % 8 == 0:
            labels.flush()
    done.set()
    for reader in readers:
        reader.join()
    assert not failures


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
def test_a_full_disk_keeps_what_is_not_written_in_memory(tmp_path: Path):
    labels, _ = make(tmp_path)
    noise = np.random.default_rng(1).integers(0, LAST, SHAPE).astype(np.uint32)
    labels.apply(patch_of(labels, Box.of_shape(SHAPE), noise))
    with file_size_limit(200), pytest.raises(VolumeError, match="disk is full"):
        labels.flush()
    assert labels.dirty_bytes > 0
    assert np.array_equal(labels.read(Box.of_shape(SHAPE)), noise)
    labels.flush()
    assert np.array_equal(reopen(tmp_path).read(Box.of_shape(SHAPE)), noise)


def test_what_cannot_be_is_refused(tmp_path: Path):
    labels, _ = make(tmp_path)
    with pytest.raises(InvalidInput, match="does not lie within"):
        labels.read(Box((0, 0, 0), (11, 1, 1)))
    one = Box((0, 0, 0), (1, 1, 1))
    with pytest.raises(InvalidInput, match="is uint32"):
        labels.apply(LabelPatch(one, np.ones((1, 1, 1), bool), np.zeros(1, np.uint8), np.ones(1, np.uint8)))
    other = LabelStore.create(tmp_path / "other.zarr", (3, 3, 3), np.uint32, VoxelSpace())
    with pytest.raises(InvalidInput, match="same shape"):
        EditableLabels(LabelStore.open(tmp_path / "base.zarr"), other)
    labels = reopen(tmp_path, writable=False)
    labels.apply(patch_of(labels, one, np.full((1, 1, 1), 9, np.uint32)))
    with pytest.raises(VolumeError, match="reading only"):
        labels.flush()
