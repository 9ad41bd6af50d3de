from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.annotations.source import AnnotationSource
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import LabelStore
from tests.support.waiting import PATIENCE_S

SHAPE = (40, 300, 300)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def store(tmp_path: Path) -> PaintStore:
    return PaintStore.create(tmp_path / "annotations.zarr", SHAPE, VoxelSpace((40.0, 4.0, 4.0)))


def test_paint_changes_only_what_is_masked(store: PaintStore):
    box = Box((1, 10, 10), (3, 20, 20))
    store.paint(box, 1)
    mask = np.zeros(box.shape, bool)
    mask[0, :5] = True
    store.paint(box, 2, mask)
    store.paint(box, 0, np.arange(10)[None, None, :].repeat(10, 1).repeat(2, 0) == 9)
    expected = np.ones(box.shape, np.uint8)
    expected[mask] = 2
    expected[..., 9] = 0
    assert np.array_equal(store.read(box), expected)
    assert store.read(WHOLE).sum() == expected.sum()


def test_labels_without_a_mask_erase_nothing(store: PaintStore):
    box = Box((0, 0, 0), (1, 1, 4))
    store.paint(box, np.array([[[1, 1, 0, 0]]], np.uint8))
    store.paint(box, np.array([[[0, 2, 2, 0]]], np.uint8))
    assert store.read(box).tolist() == [[[1, 2, 2, 0]]]
    store.write(box, np.array([[[0, 3, 0, 0]]], np.uint8))
    assert store.read(box).tolist() == [[[0, 3, 0, 0]]]


def test_it_is_an_annotation_source(store: PaintStore):
    source: AnnotationSource = store
    assert source.chunks() == []
    store.paint(Box((17, 129, 290), (18, 131, 300)), 1)
    (entry,) = source.chunks()
    assert entry.box == Box((16, 128, 256), (32, 256, 300))
    assert abs(entry.changed - time.time()) < 3600
    assert source.revision == 1


def test_counts_follow_the_strokes(store: PaintStore):
    assert store.counts() == {}
    store.paint(Box((0, 0, 0), (1, 2, 5)), 1)
    store.paint(Box((0, 200, 200), (1, 202, 205)), 3)
    assert store.counts() == {1: 10, 3: 10}
    store.paint(Box((0, 0, 0), (1, 1, 5)), 0, np.ones((1, 1, 5), bool))
    assert store.counts() == {1: 5, 3: 10}
    assert PaintStore.open(store.folder, writable=False).counts() == {1: 5, 3: 10}


def test_counts_read_only_what_changed(store: PaintStore, monkeypatch: pytest.MonkeyPatch):
    for y in (0, 128, 256):
        store.paint(Box((0, y, 0), (1, y + 1, 1)), 1)
    store.counts()
    read: list[Box] = []
    monkeypatch.setattr(
        store._labels, "read", lambda box, read=read, real=store._labels.read: read.append(box) or real(box)
    )
    assert store.counts() == {1: 3}
    assert read == []
    PaintStore.open(store.folder).paint(Box((0, 128, 5), (1, 129, 6)), 2)
    assert store.counts() == {1: 3, 2: 1}
    assert [box.start for box in read] == [(0, 128, 0)]


@pytest.mark.parametrize(
    ("labels", "mask"),
    [(256, None), (-1, None), (np.ones((1, 1, 3), np.uint8), None), (1, np.ones((2, 1, 1), bool))],
)
def test_what_is_no_stroke_is_refused(store: PaintStore, labels: np.ndarray | int, mask: np.ndarray | None):
    with pytest.raises(InvalidInput):
        store.paint(Box((0, 0, 0), (1, 1, 2)), labels, mask)
    assert store.revision == 0


def test_other_labels_are_no_annotations(tmp_path: Path):
    LabelStore.create(tmp_path / "segments.zarr", SHAPE, np.uint32, VoxelSpace())
    with pytest.raises(InvalidInput, match="uint8"):
        PaintStore.open(tmp_path / "segments.zarr")


def patch(box: Box, before: int, after: int, dtype: type = np.uint8) -> LabelPatch:
    n = box.size
    return LabelPatch(box, np.ones(box.shape, bool), np.full(n, before, dtype), np.full(n, after, dtype))


def reads_of(store: PaintStore, monkeypatch: pytest.MonkeyPatch) -> list[Box]:
    """The boxes that are read from the disk from now on."""
    read: list[Box] = []
    real = LabelStore.read
    monkeypatch.setattr(LabelStore, "read", lambda labels, box: read.append(box) or real(labels, box))
    return read


def test_patches_are_written_and_taken_back(store: PaintStore):
    box = Box((14, 120, 120), (18, 140, 140))  # across chunks
    first, second = patch(box, 0, 1), patch(Box((15, 125, 125), (16, 130, 130)), 1, 2)
    store.apply([first, second])
    expected = np.zeros(SHAPE, np.uint8)
    expected[box.slices] = 1
    expected[second.box.slices] = 2
    assert np.array_equal(store.read(WHOLE), expected)
    store.apply([first, second])
    assert np.array_equal(store.read(WHOLE), expected)
    store.apply([second.inverse(), first.inverse()])
    assert not store.read(WHOLE).any()
    assert store.chunks() == []


def test_a_patch_touches_only_chunks_that_change(store: PaintStore):
    box = Box((0, 0, 0), (1, 200, 200))
    mask = np.zeros(box.shape, bool)
    mask[0, 5, 5] = mask[0, 190, 190] = True
    store.apply([LabelPatch(box, mask, np.zeros(2, np.uint8), np.ones(2, np.uint8))])
    assert [chunk.box.start for chunk in store.chunks()] == [(0, 0, 0), (0, 128, 128)]
    assert store.revision == 1


def test_a_patch_on_other_labels_than_it_was_painted_on_is_rebased(store: PaintStore):
    box = Box((3, 3, 3), (4, 5, 6))
    painted = patch(box, 0, 1)
    assert store.rebase(painted) is painted
    store.paint(Box((3, 3, 3), (4, 4, 6)), 2)
    rebased = store.rebase(painted)
    assert rebased is not None
    assert (rebased.before.tolist(), rebased.after.tolist()) == ([2, 2, 2, 0, 0, 0], [1] * 6)
    store.apply([rebased])
    assert store.rebase(painted) is None
    store.apply([rebased.inverse()])
    assert store.read(box).tolist() == [[[2, 2, 2], [0, 0, 0]]]


def test_strokes_into_chunks_just_written_read_nothing(store: PaintStore, monkeypatch: pytest.MonkeyPatch):
    read = reads_of(store, monkeypatch)
    box = Box((3, 3, 3), (4, 4, 40))
    for label in range(1, 5):
        painted = store.rebase(patch(box, label - 1, label))
        assert painted is not None
        store.apply([painted])
    assert len(read) == 1
    PaintStore.open(store.folder).paint(box, 9)  # somebody else
    assert store.rebase(patch(box, 4, 5)).before.tolist() == [9] * 37  # type: ignore[union-attr]
    assert len(read) == 3  # his own, and ours


def test_a_full_disk_leaves_labels_as_they_were(store: PaintStore, monkeypatch: pytest.MonkeyPatch):
    store.apply([patch(Box((0, 0, 0), (1, 4, 4)), 0, 1)])
    before = store.read(WHOLE)
    real, calls = LabelStore.write_boxes, []

    def full(labels: LabelStore, boxes: dict[Box, np.ndarray]) -> None:
        calls.append(boxes)
        if len(calls) == 1:  # one chunk is written, the other is not
            real(labels, dict(list(boxes.items())[:1]))
            raise VolumeError("The disk is full.")
        real(labels, boxes)

    monkeypatch.setattr(LabelStore, "write_boxes", full)
    with pytest.raises(VolumeError, match="full"):
        store.apply([patch(Box((0, 100, 0), (1, 150, 4)), 0, 3)])
    assert np.array_equal(store.read(WHOLE), before)
    store.apply([patch(Box((0, 100, 0), (1, 150, 4)), 0, 3)])
    assert store.counts() == {1: 16, 3: 200}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32], ids=["strokes", "objects"])
def test_random_patches_there_and_back(tmp_path: Path, dtype: type):
    """A store made by its first label, as an array in memory has it after every patch and on the way back."""
    shape = (20, 150, 140)
    store = PaintStore(tmp_path / "labels.zarr", shape, VoxelSpace(), dtype)
    rng = np.random.default_rng(0)
    array, done, states = np.zeros(shape, dtype), [], []
    largest = np.iinfo(dtype).max
    for k in range(25):
        start = [int(rng.integers(0, n - 8)) for n in shape]
        box = Box(tuple(start), tuple(a + int(rng.integers(1, 9)) for a in start))
        mask = rng.random(box.shape) < 0.4
        found = store.patch_of(box, np.full(box.shape, rng.choice([0, 1, 2, largest]), dtype), mask)
        states.append(array.copy())
        if found is not None:
            done.append((found, len(states) - 1))
            found.apply_to(array, (0, 0, 0))
            store.apply([found])
        assert np.array_equal(store.read(Box.of_shape(shape)), array)
        if k % 10 == 9:
            store = PaintStore.open(tmp_path / "labels.zarr", dtype=dtype)
    ids, counts = np.unique(array[array > 0], return_counts=True)
    assert store.counts() == dict(zip(ids.tolist(), counts.tolist(), strict=True))
    for found, state in reversed(done):
        store.apply([found.inverse()])
        assert np.array_equal(store.read(Box.of_shape(shape)), states[state])


def test_object_labels_are_on_the_disk_with_the_first_one(tmp_path: Path):
    store = PaintStore(tmp_path / "objects.zarr", SHAPE, VoxelSpace(), np.uint32)
    assert not store.exists
    assert (store.revision, store.chunks(), store.counts()) == (0, [], {})
    assert store.read(Box((0, 0, 0), (1, 2, 3))).dtype == np.uint32
    assert not (tmp_path / "objects.zarr").exists()
    box = Box((0, 0, 0), (1, 1, 2))
    with pytest.raises(VolumeError, match="reading only"):
        PaintStore(tmp_path / "objects.zarr", SHAPE, VoxelSpace(), np.uint32, writable=False).write(
            box, np.ones(box.shape, np.uint32)
        )
    store.write(box, np.full(box.shape, 70_000, np.uint32))
    assert store.exists
    assert store.counts() == {70_000: 2}
    assert LabelStore.open(store.folder).attributes == {"holds": "objects"}


def test_stores_of_one_journal_share_a_lock(store: PaintStore, tmp_path: Path):
    objects = PaintStore(tmp_path / "objects.zarr", SHAPE, VoxelSpace(), np.uint32, lock=store.lock)
    entered = threading.Event()
    with store.changing():
        box = Box((0, 0, 0), (1, 1, 1))
        thread = threading.Thread(target=lambda: (objects.write(box, np.ones((1, 1, 1), np.uint32)), entered.set()))
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(PATIENCE_S)
    thread.join()


PAINTER = """
import sys
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box
store = PaintStore.open(sys.argv[1])
for n in range(100_000):
    z, y, x = n % 40, (n // 40) * 7 % 290, (n * 13) % 290
    store.paint(Box((z, y, x), (z + 1, y + 1, x + 6)), 1 + n % 3)
    print(n, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_moment_keeps_every_acknowledged_stroke(store: PaintStore, seed: int):
    painter = subprocess.Popen([sys.executable, "-c", PAINTER, str(store.folder)], stdout=subprocess.PIPE, text=True)
    assert painter.stdout is not None
    first = painter.stdout.readline()
    time.sleep(float(np.random.default_rng(seed).uniform(0.02, 0.5)))
    painter.kill()
    done = [int(line) for line in [first, *painter.stdout.read().split("\n")] if line.strip()]
    painter.stdout.close()
    assert painter.wait() == (-signal.SIGKILL if sys.platform != "win32" else 1)
    reopened = PaintStore.open(store.folder)
    found = reopened.read(WHOLE)
    expected = np.zeros(SHAPE, np.uint8)
    for n in done:
        z, y, x = n % 40, (n // 40) * 7 % 290, (n * 13) % 290
        expected[z, y, x : x + 6] = 1 + n % 3
    n = len(done)  # the stroke in flight may be there or not
    z, y, x = n % 40, (n // 40) * 7 % 290, (n * 13) % 290
    found[z, y, x : x + 6] = expected[z, y, x : x + 6] = 0
    assert len(done) >= 1
    assert np.array_equal(found, expected)
    assert reopened.revision >= len(done)
    before = reopened.revision
    reopened.paint(Box((0, 0, 0), (1, 1, 1)), 1)
    assert reopened.revision == before + 1
