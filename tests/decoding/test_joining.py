from __future__ import annotations

import numpy as np

from napari_pytc.decoding.joining import opposite, overlapping_pairs, slabs, touching_pairs
from napari_pytc.geometry import Box, TileGrid


def test_slabs_lie_beyond_each_face_within_the_next_block() -> None:
    grid = TileGrid(Box((0, 0, 0), (8, 10, 12)), (8, 5, 4), (3, 3, 6))
    found = dict(slabs(grid[1], grid))  # the second of three along x, the first of two along y
    assert found == {
        "high1": Box((0, 5, 4), (8, 8, 8)),
        "low2": Box((0, 0, 0), (8, 5, 4)),
        "high2": Box((0, 0, 8), (8, 5, 12)),
    }
    assert dict(slabs(grid[0], grid))[opposite("low2")] == Box((0, 0, 4), (8, 5, 8))


def test_labels_touch_over_faces_edges_and_corners() -> None:
    labels = np.zeros((2, 2, 2), np.uint32)
    labels[0, 0, 0], labels[1, 1, 1], labels[0, 1, 1] = 1, 2, 3
    assert touching_pairs(labels, 6).tolist() == [[2, 3]]
    assert touching_pairs(labels, 18).tolist() == [[1, 3], [2, 3]]
    assert touching_pairs(labels, 26).tolist() == [[1, 2], [1, 3], [2, 3]]


def test_labels_that_are_mostly_the_same_are_one() -> None:
    low = np.array([1, 1, 1, 1, 2, 2, 2, 0], np.uint32)
    high = np.array([5, 5, 5, 6, 6, 6, 7, 7], np.uint32)
    contact = np.array([[1, 5], [2, 6], [2, 7]], np.uint32)
    assert overlapping_pairs(low, high, contact).tolist() == [[1, 5]]
    assert overlapping_pairs(low, high, contact[1:]).tolist() == []
    assert overlapping_pairs(low, np.zeros_like(high), contact).tolist() == []
