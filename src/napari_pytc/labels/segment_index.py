"""Sizes and boxes of supervoxels, kept up to date without reading the volume."""

from __future__ import annotations

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.labels.id_table import IdTable
from napari_pytc.labels.patches import LabelPatch


class SegmentIndex:
    """Voxels and box of every supervoxel, brought up to date from patches.

    A box grows with its supervoxel and does not shrink with it: it may be larger than needed, never smaller.

    Parameters
    ----------
    sizes : ndarray of uint64
        Voxels of supervoxels 0, 1, ...
    boxes : ndarray of int32
        Their boxes, shape (n + 1, 6): start z, y, x, stop z, y, x.
    """

    def __init__(self, sizes: np.ndarray, boxes: np.ndarray) -> None:
        self._sizes, self._boxes = IdTable(sizes), IdTable(boxes)
        self._touched: set[int] = set()
        self._touched_sorted: np.ndarray | None = None

    @property
    def touched(self) -> np.ndarray:
        """Supervoxels that patches gave voxels or took them from, sorted, uint32."""
        if self._touched_sorted is None:
            self._touched_sorted = np.array(sorted(self._touched), np.uint32)
        return self._touched_sorted

    def sizes(self, supervoxels: np.ndarray) -> np.ndarray:
        """Voxels of each supervoxel, int64."""
        return self._sizes.get(np.asarray(supervoxels, np.uint32)).astype(np.int64)

    def boxes(self, supervoxels: np.ndarray) -> np.ndarray:
        """Boxes of supervoxels, int32, shape (n, 6): start z, y, x, stop z, y, x; all 0 for one without voxels."""
        return self._boxes.get(np.asarray(supervoxels, np.uint32))

    def size(self, supervoxels: np.ndarray) -> int:
        """Voxels of some supervoxels together."""
        return int(self.sizes(supervoxels).sum())

    def box(self, supervoxels: np.ndarray) -> Box:
        """The box around some supervoxels; empty if none has a voxel."""
        supervoxels = np.asarray(supervoxels, np.uint32)
        rows = self.boxes(supervoxels[self.sizes(supervoxels) > 0])
        if not len(rows):
            return Box((0, 0, 0), (0, 0, 0))
        return Box(tuple(rows[:, :3].min(axis=0)), tuple(rows[:, 3:].max(axis=0)))

    def apply(self, patch: LabelPatch) -> None:
        """Take over a patch that was written."""
        counts: dict[int, int] = {}
        for labels, sign in ((patch.before, -1), (patch.after, 1)):
            for label, n in zip(*np.unique(labels, return_counts=True), strict=True):
                counts[int(label)] = counts.get(int(label), 0) + sign * int(n)
        counts.pop(0, None)
        if not counts.keys() <= self._touched:
            self._touched.update(counts)
            self._touched_sorted = None
        if counts:
            ids = np.array(list(counts), np.uint32)
            sizes = self.sizes(ids) + np.array(list(counts.values()), np.int64)
            self._sizes.set(ids, np.maximum(sizes, 0).astype(self._sizes.base.dtype))
        ids, rows = boxes_of_labels(patch)
        if len(ids):
            former = self._boxes.get(ids)
            is_new = np.any(former[:, 3:] <= former[:, :3], axis=1, keepdims=True)
            hull = np.concatenate(
                [np.minimum(former[:, :3], rows[:, :3]), np.maximum(former[:, 3:], rows[:, 3:])], axis=1
            )
            self._boxes.set(ids, np.where(is_new, rows, hull).astype(self._boxes.base.dtype))

    def overrides(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Supervoxels that patches touched, their sizes and boxes, for saving."""
        ids = self.touched
        return ids, self._sizes.get(ids), self._boxes.get(ids)

    def load_overrides(self, supervoxels: np.ndarray, sizes: np.ndarray, boxes: np.ndarray) -> None:
        """Take over the result of `overrides`."""
        self._touched.update(supervoxels.tolist())
        self._touched_sorted = None
        self._sizes.set(supervoxels, sizes)
        self._boxes.set(supervoxels, boxes)


def boxes_of_labels(patch: LabelPatch) -> tuple[np.ndarray, np.ndarray]:
    """The labels, without 0, that a patch writes, and their boxes; shapes (n,) and (n, 6)."""
    labels = patch.after
    if not len(labels) or not labels.any():
        return np.zeros(0, np.uint32), np.zeros((0, 6), np.int32)
    if (labels == labels[0]).all():
        return labels[:1].astype(np.uint32), np.array([[*patch.box.start, *patch.box.stop]], np.int32)
    order = np.argsort(labels, kind="stable")
    ids, first = np.unique(labels[order], return_index=True)
    rows = np.empty((len(ids), 6), np.int32)
    for axis, where in enumerate(np.nonzero(patch.mask)):
        places = where[order] + patch.box.start[axis]
        rows[:, axis] = np.minimum.reduceat(places, first)
        rows[:, axis + 3] = np.maximum.reduceat(places, first) + 1
    shown = np.flatnonzero(ids)
    return ids[shown].astype(np.uint32), rows[shown]
