from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.segment_index import SegmentIndex

SHAPE = (6, 9, 10)
N = 5


def index_of(labels: np.ndarray) -> SegmentIndex:
    boxes = np.zeros((N + 1, 6), np.int32)
    for k in range(1, N + 1):
        places = np.argwhere(labels == k)
        if len(places):
            boxes[k] = [*places.min(axis=0), *(places.max(axis=0) + 1)]
    sizes = np.bincount(labels.ravel(), minlength=N + 1)[: N + 1].astype(np.uint64)
    return SegmentIndex(sizes, boxes)


@given(st.integers(0, 10_000), st.integers(0, 6))
def test_sizes_are_exact_and_boxes_never_too_small(seed: int, n_patches: int):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, N + 1, SHAPE).astype(np.uint32)
    index = index_of(labels)
    ids = np.array([1, 2, 3, 4, 5, 6, 4_000_000_000], np.uint32)
    for _ in range(n_patches):
        start = [int(rng.integers(0, n)) for n in SHAPE]
        stop = [int(rng.integers(a + 1, n + 1)) for a, n in zip(start, SHAPE, strict=True)]
        box = Box(tuple(start), tuple(stop))
        new = rng.choice(np.r_[0, ids].astype(np.uint32), box.shape)
        patch = LabelPatch.between(box, labels[box.slices], new)
        if patch is None:
            continue
        index.apply(patch)
        if rng.random() < 0.3:
            index.apply(patch.inverse())
        else:
            labels[box.slices] = new
    assert index.sizes(ids).tolist() == [np.count_nonzero(labels == k) for k in ids]
    for k in ids:
        places = np.argwhere(labels == k)
        if len(places):
            assert index.box([k]).contains(Box(tuple(places.min(axis=0)), tuple(places.max(axis=0) + 1)))
        else:
            assert index.box([k]).is_empty
    assert index.size(ids) == np.count_nonzero(labels)
    again = index_of(np.zeros(SHAPE, np.uint32))
    again.load_overrides(*index.overrides())
    touched = index.touched
    assert np.array_equal(again.sizes(touched), index.sizes(touched))
    assert np.array_equal(again.boxes(touched), index.boxes(touched))


def test_a_box_is_exact_as_long_as_nothing_is_lost():
    index = index_of(np.zeros(SHAPE, np.uint32))
    box = Box((1, 2, 3), (2, 5, 7))
    patch = LabelPatch.between(box, np.zeros(box.shape, np.uint32), np.full(box.shape, 9, np.uint32))
    assert patch is not None
    index.apply(patch)
    assert index.box([9]) == box
    assert index.size([9]) == box.size
    assert index.touched.tolist() == [9]
