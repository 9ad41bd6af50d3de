from __future__ import annotations

import errno
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.importing import import_classes
from napari_pytc.annotations.label_source import ArrayLabels
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace

SHAPE = (40, 300, 300)
WHOLE = Box.of_shape(SHAPE)
CLASSES = ("a", "b", "c")


@pytest.fixture
def store(tmp_path: Path) -> PaintStore:
    return PaintStore.create(tmp_path / "annotations.zarr", SHAPE, VoxelSpace())


class HugeLabels:
    """Labels far larger than memory: a few planted voxels in nothing."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self.space = VoxelSpace.unknown()
        self.planted = {(1, 5, 7): 2, (shape[0] - 1, shape[1] - 1, shape[2] - 1): 1}
        self.largest = 0

    def read(self, box: Box) -> np.ndarray:
        self.largest = max(self.largest, box.size)
        block = np.zeros(box.shape, np.uint8)
        for place, label in self.planted.items():
            if box.contains_point(place):
                block[tuple(p - s for p, s in zip(place, box.start, strict=True))] = label
        return block


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, bool])
@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 17, 130)])
def test_labels_arrive_where_they_belong(store: PaintStore, dtype: type, offset: tuple[int, int, int]):
    labels = np.random.default_rng(0).integers(0, 2 if dtype is bool else 4, (20, 140, 150)).astype(dtype)
    added = import_classes(store, ArrayLabels(labels), CLASSES, LabelTransform(offset=offset))
    expected = np.zeros(SHAPE, np.uint8)
    expected[Box.at(offset, labels.shape).slices] = labels
    assert np.array_equal(store.read(WHOLE), expected)
    assert list(added.counts.values()) == np.bincount(expected.ravel(), minlength=4)[1:].tolist()
    assert store.counts() == {k: n for k, n in enumerate(added.counts.values(), 1) if n}
    assert (added.box, added.notes) == (Box.at(offset, labels.shape), ())


def test_a_section_is_a_volume_of_one(store: PaintStore):
    import_classes(store, ArrayLabels(np.ones((300, 300), np.uint8)), ["a"], LabelTransform(offset=(7, 0, 0)))
    assert store.counts() == {1: 90_000}
    assert store.read(Box((7, 0, 0), (8, 300, 300))).all()


def test_zeros_leave_strokes_alone(store: PaintStore):
    store.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    labels = np.zeros((1, 1, 4), np.uint8)
    labels[..., 0] = 2
    import_classes(store, ArrayLabels(labels), CLASSES[:2])
    assert store.read(Box((0, 0, 0), (1, 1, 4))).tolist() == [[[2, 1, 1, 1]]]


@pytest.mark.parametrize("value", [3, 255, -1, 70_000])
def test_a_value_that_is_no_class_is_refused_before_anything_is_written(store: PaintStore, value: int):
    labels = np.ones(SHAPE, np.int32)
    labels[-1, -1, -1] = value
    with pytest.raises(InvalidInput, match=rf"value {value} .* 2 classes \(1 a, 2 b\)"):
        import_classes(store, ArrayLabels(labels), CLASSES[:2])
    assert store.revision == 0
    assert store.chunks() == []


def test_fractions_are_refused(store: PaintStore):
    labels = np.ones((2, 2, 2), np.float32)
    labels[1, 1, 1] = 0.25
    for wrong in (0.25, np.nan, np.inf, 2.0**25):
        labels[1, 1, 1] = wrong
        with pytest.raises(InvalidInput, match=rf"whole numbers.*float32 labels hold {wrong:g} in".replace("+", r"\+")):
            import_classes(store, ArrayLabels(labels), CLASSES)
    assert store.chunks() == []
    with pytest.raises(InvalidInput, match=r"whole numbers.*complex64"):
        import_classes(store, ArrayLabels(labels.astype(np.complex64)), CLASSES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_that_are_whole_numbers_are_labels(store: PaintStore, dtype: type):
    labels = np.zeros((2, 2, 2), dtype)
    labels[0], labels[1, 0] = 2, 1
    added = import_classes(store, ArrayLabels(labels), CLASSES, LabelTransform(offset=(0, 0, 0)))
    assert added.counts == {"a": 2, "b": 4, "c": 0}


@pytest.mark.parametrize("offset", [(39, 0, 0), (0, 299, 0), (-1, 0, 0), (0, 0, 400)])
def test_labels_beyond_the_volume_are_refused(store: PaintStore, offset: tuple[int, int, int]):
    with pytest.raises(InvalidInput, match="do not lie within") as caught:
        import_classes(store, ArrayLabels(np.ones((2, 2, 2), np.uint8)), CLASSES, LabelTransform(offset=offset))
    assert "--offset" in caught.value.hint
    assert store.chunks() == []


def test_labels_with_too_few_axes_are_refused():
    with pytest.raises(InvalidInput, match="axes"):
        ArrayLabels(np.ones(3, np.uint8))


@pytest.mark.slow
def test_memory_is_that_of_a_block_and_empty_blocks_leave_no_trace(tmp_path: Path):
    shape = (256, 2048, 4096)
    store = PaintStore.create(tmp_path / "a.zarr", shape, VoxelSpace())
    labels = HugeLabels(shape)
    tracemalloc.start()
    try:
        assert import_classes(store, labels, CLASSES[:2]).counts == {"a": 1, "b": 1}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert labels.largest <= 128 * 2**20
    assert peak < 600 * 2**20
    assert len(store.chunks()) == 2


def test_progress_ends_at_the_total(store: PaintStore):
    steps: list[tuple[int, int]] = []
    labels = ArrayLabels(np.ones(SHAPE, np.uint8))
    import_classes(store, labels, ["a"], report=lambda done, total: steps.append((done, total)))
    shares = [done / total for done, total in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_disk_that_fills_up_keeps_earlier_strokes_and_the_import_can_be_repeated(
    store: PaintStore, monkeypatch: pytest.MonkeyPatch
):
    store.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    labels = np.zeros(SHAPE, np.uint8)
    labels[30:] = 2

    class FullDisk:
        def exception(self) -> OSError:
            return OSError(errno.ENOSPC, "No space left on device")

    class FullArray:
        def __init__(self, array: object) -> None:
            self._array = array

        def __getitem__(self, index: object) -> FullArray:
            return FullArray(self._array[index])

        def read(self) -> object:
            return self._array.read()

        def write(self, data: np.ndarray) -> FullDisk:
            return FullDisk()

    with monkeypatch.context() as patch:
        patch.setattr(store._labels, "_array", FullArray(store._labels._array))
        with pytest.raises(VolumeError, match="disk is full"):
            import_classes(store, ArrayLabels(labels), CLASSES[:2])
    assert store.counts() == {1: 4}
    import_classes(store, ArrayLabels(labels), CLASSES[:2])
    assert store.counts() == {1: 4, 2: 10 * 300 * 300}
