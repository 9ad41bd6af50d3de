from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.source import AnnotationSource
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace

SHAPE = (40, 300, 300)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def store(tmp_path: Path) -> AnnotationStore:
    return AnnotationStore.create(tmp_path / "annotations.zarr", SHAPE, VoxelSpace((40.0, 4.0, 4.0)))


def test_paint_changes_only_what_is_masked(store: AnnotationStore):
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


def test_labels_without_a_mask_erase_nothing(store: AnnotationStore):
    box = Box((0, 0, 0), (1, 1, 4))
    store.paint(box, np.array([[[1, 1, 0, 0]]], np.uint8))
    store.paint(box, np.array([[[0, 2, 2, 0]]], np.uint8))
    assert store.read(box).tolist() == [[[1, 2, 2, 0]]]
    store.write(box, np.array([[[0, 3, 0, 0]]], np.uint8))
    assert store.read(box).tolist() == [[[0, 3, 0, 0]]]


def test_it_is_an_annotation_source(store: AnnotationStore):
    source: AnnotationSource = store
    assert source.boxes() == []
    store.paint(Box((17, 129, 290), (18, 131, 300)), 1)
    (entry,) = source.boxes()
    assert entry.box == Box((16, 128, 256), (32, 256, 300))
    assert abs(entry.changed - time.time()) < 60
    assert source.revision == 1


def test_counts_follow_the_strokes(store: AnnotationStore):
    assert store.counts() == {}
    store.paint(Box((0, 0, 0), (1, 2, 5)), 1)
    store.paint(Box((0, 200, 200), (1, 202, 205)), 3)
    assert store.counts() == {1: 10, 3: 10}
    store.paint(Box((0, 0, 0), (1, 1, 5)), 0, np.ones((1, 1, 5), bool))
    assert store.counts() == {1: 5, 3: 10}
    assert AnnotationStore.open(store.folder, writable=False).counts() == {1: 5, 3: 10}


def test_counts_read_only_what_changed(store: AnnotationStore, monkeypatch: pytest.MonkeyPatch):
    for y in (0, 128, 256):
        store.paint(Box((0, y, 0), (1, y + 1, 1)), 1)
    store.counts()
    read: list[Box] = []
    monkeypatch.setattr(
        store._labels, "read", lambda box, read=read, real=store._labels.read: read.append(box) or real(box)
    )
    assert store.counts() == {1: 3}
    assert read == []
    AnnotationStore.open(store.folder).paint(Box((0, 128, 5), (1, 129, 6)), 2)
    assert store.counts() == {1: 3, 2: 1}
    assert [box.start for box in read] == [(0, 128, 0)]


@pytest.mark.parametrize(
    ("labels", "mask"),
    [(256, None), (-1, None), (np.ones((1, 1, 3), np.uint8), None), (1, np.ones((2, 1, 1), bool))],
)
def test_what_is_no_stroke_is_refused(store: AnnotationStore, labels: np.ndarray | int, mask: np.ndarray | None):
    with pytest.raises(InvalidInput):
        store.paint(Box((0, 0, 0), (1, 1, 2)), labels, mask)
    assert store.revision == 0


def test_other_labels_are_no_annotations(tmp_path: Path):
    from napari_pytc.labels.store import LabelStore

    LabelStore.create(tmp_path / "segments.zarr", SHAPE, np.uint32, VoxelSpace())
    with pytest.raises(InvalidInput, match="uint8"):
        AnnotationStore.open(tmp_path / "segments.zarr")


PAINTER = """
import sys
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import Box
store = AnnotationStore.open(sys.argv[1])
for n in range(100_000):
    z, y, x = n % 40, (n // 40) * 7 % 290, (n * 13) % 290
    store.paint(Box((z, y, x), (z + 1, y + 1, x + 6)), 1 + n % 3)
    print(n, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_moment_keeps_every_acknowledged_stroke(store: AnnotationStore, seed: int):
    painter = subprocess.Popen([sys.executable, "-c", PAINTER, str(store.folder)], stdout=subprocess.PIPE, text=True)
    assert painter.stdout is not None
    first = painter.stdout.readline()
    time.sleep(float(np.random.default_rng(seed).uniform(0.02, 0.5)))
    painter.kill()
    done = [int(line) for line in [first, *painter.stdout.read().split("\n")] if line.strip()]
    painter.stdout.close()
    assert painter.wait() == (-signal.SIGKILL if sys.platform != "win32" else 1)
    again = AnnotationStore.open(store.folder)
    found = again.read(WHOLE)
    expected = np.zeros(SHAPE, np.uint8)
    for n in done:
        z, y, x = n % 40, (n // 40) * 7 % 290, (n * 13) % 290
        expected[z, y, x : x + 6] = 1 + n % 3
    n = len(done)  # the stroke in flight may be there or not
    z, y, x = n % 40, (n // 40) * 7 % 290, (n * 13) % 290
    found[z, y, x : x + 6] = expected[z, y, x : x + 6] = 0
    assert len(done) >= 1
    assert np.array_equal(found, expected)
    assert again.revision >= len(done)
    before = again.revision
    again.paint(Box((0, 0, 0), (1, 1, 1)), 1)
    assert again.revision == before + 1
