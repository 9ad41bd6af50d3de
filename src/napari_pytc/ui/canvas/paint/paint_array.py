"""Strokes and object labels as an array that napari's Labels layer paints into."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.geometry import Box, ChunkIndex, Shape, hull_of
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.ui.canvas.arrays import LazyArray, Selection, check_size

CACHE_BYTES = 96 * 2**20
MOST_STROKE = 64 * 2**20
"""Voxels of the box around a stroke that is one patch; one that reaches further has a patch in each chunk."""


class StrokeStore(Protocol):
    """Storage of strokes on disk, such as a `PaintStore`."""

    @property
    def shape(self) -> Shape:
        """Shape of the volume."""

    @property
    def chunk_shape(self) -> Shape:
        """Shape of the pieces on disk."""

    def chunks(self) -> Sequence[Any]:
        """The chunks on disk, each with its `box`; all else is 0."""

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""


@dataclass(eq=False)
class _Chunk:
    """A chunk in memory.

    `changes` counts what was painted into it, `saved` how many of these are on disk; `before` are its labels before the
    stroke that is being painted, None where that did not reach it yet.
    """

    box: Box
    data: np.ndarray
    changes: int = 0
    saved: int = 0
    before: np.ndarray | None = None

    @property
    def is_saved(self) -> bool:
        return self.saved == self.changes


@dataclass(frozen=True)
class Stroke:
    """Voxels painted between two cuts.

    Parameters
    ----------
    box : Box
        Around all that was painted.
    patches : tuple of LabelPatch
        The voxels whose label changed: one patch, several where the stroke reaches far, none where nothing differs.
    """

    box: Box
    patches: tuple[LabelPatch, ...]
    chunks: tuple[tuple[_Chunk, int], ...]


class PaintArray(LazyArray):
    """Labels of a volume: chunks are read when they are looked at, and changed in memory.

    Changed chunks stay in memory until `mark_saved`; of the others as many as `n_bytes` allow. Where nothing was
    painted there is no chunk, neither on disk nor in memory. All that is read is a copy. Safe from several threads.

    Parameters
    ----------
    store : StrokeStore
        The store on the disk; never written to.
    on_change : callable
        Called after every change.
    dtype : dtype
        Of the store's labels.
    """

    def __init__(
        self,
        store: StrokeStore,
        on_change: Callable[[], object] = lambda: None,
        n_bytes: int = CACHE_BYTES,
        dtype: np.dtype | type = np.uint8,
    ) -> None:
        self.shape: Shape = store.shape
        self.dtype = np.dtype(dtype)
        self._store, self._on_change = store, on_change
        self._chunk_shape = store.chunk_shape
        # Chunks that are not saved are pinned.
        self._chunks: ByteBoundedCache[ChunkIndex, _Chunk] = ByteBoundedCache(n_bytes, lambda chunk: chunk.data.nbytes)
        self._lock = threading.RLock()
        self._on_disk = self._look()
        self._touched: Box | None = None  # around what was changed since the last `cut`
        self._protected: Callable[[], Sequence[Box]] = tuple
        self._on_refused: Callable[[Box], object] = lambda box: None

    @property
    def n_bytes(self) -> int:
        """Bytes held in memory."""
        return self._chunks.n_bytes

    @property
    def is_saved(self) -> bool:
        """Whether all that was painted is on disk."""
        with self._lock:
            return all(chunk.is_saved for chunk in self._chunks.values())

    def protect(self, boxes: Callable[[], Sequence[Box]], on_refused: Callable[[Box], object]) -> None:
        """Leave the labels in some boxes as they are, whatever is painted.

        Parameters
        ----------
        boxes : callable
            Gives the boxes of the moment.
        on_refused : callable
            Called with each box in which a label would have changed.
        """
        self._protected, self._on_refused = boxes, on_refused

    def read(self, selection: Selection) -> Any:
        """A copy of the labels of a selection."""
        check_size(selection.box, self.dtype.itemsize)
        return self._gather(selection.box)[selection.inside]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Change labels; of the disk only the chunks that are changed in part are read."""
        selection = Selection.of(key, self.shape)
        if selection.box.is_empty:
            return
        check_size(selection.box, self.dtype.itemsize)
        labels = np.asarray(value)
        protected = [box for box in self._protected() if box.overlaps(selection.box)]
        with self._lock:
            if not protected and all(isinstance(part, int) or _is_plain(part) for part in selection.inside):
                self._scatter(selection.box, np.broadcast_to(labels, selection.shape).reshape(selection.box.shape))
            else:
                block = self._gather(selection.box)
                before = block.copy() if protected else block
                block[selection.inside] = labels
                places = {
                    box: box.intersect(selection.box).relative_to(selection.box.start).slices for box in protected
                }
                # All are compared before any is put right: boxes may overlap.
                protected = [box for box, at in places.items() if not np.array_equal(block[at], before[at])]
                for box in protected:
                    block[places[box]] = before[places[box]]
                self._scatter(selection.box, block)
            self._touched = selection.box if self._touched is None else self._touched.hull(selection.box)
        self._on_change()
        for box in protected:
            self._on_refused(box)

    def cut(self) -> Stroke | None:
        """The stroke that was painted since the last cut, with the labels before and after it; None without one."""
        with self._lock:
            box, self._touched = self._touched, None
            if box is None:
                return None
            chunks, patches = [], []
            for chunk in self._chunks.values():
                if chunk.before is not None:
                    common = chunk.box.intersect(box)
                    inside = common.relative_to(chunk.box.start).slices
                    patch = LabelPatch.between(common, chunk.before[inside], chunk.data[inside])
                    patches += [] if patch is None else [patch]
                    chunks.append((chunk, chunk.changes))
                    chunk.before = None
            if patches and hull_of(patch.box for patch in patches).size <= MOST_STROKE:
                patches = [LabelPatch.joined(patches)]
            return Stroke(box, tuple(patches), tuple(chunks))

    def take_in(self, patch: LabelPatch) -> None:
        """Others changed these voxels on the disk, as an undo does: show them, and keep what is not saved."""
        with self._lock:
            chunks = self._chunks.values()
            patch.apply_to_chunks({chunk.box: chunk.data for chunk in chunks})
            patch.apply_to_chunks({chunk.box: chunk.before for chunk in chunks if chunk.before is not None})
            self._on_disk = self._look()

    def mark_saved(self, stroke: Stroke) -> None:
        """A stroke is on disk; what was painted since it was cut is still unsaved."""
        with self._lock:
            for chunk, changes in stroke.chunks:
                chunk.saved = max(chunk.saved, changes)
                place = self._place(chunk.box.start)
                self._on_disk.add(place)
                if chunk.is_saved:
                    self._chunks.unpin(place)

    def forget(self, box: Box | None = None) -> None:
        """Read again what others changed on disk, in a box or everywhere; what is not saved stays."""
        with self._lock:
            for place, chunk in self._chunks.items():
                if chunk.is_saved and (box is None or chunk.box.overlaps(box)):
                    self._chunks.drop(place)
            self._on_disk = self._look()

    def _look(self) -> set[ChunkIndex]:
        return {self._place(found.box.start) for found in self._store.chunks()}

    def _place(self, voxel: Sequence[int]) -> ChunkIndex:
        z, y, x = (v // n for v, n in zip(voxel, self._chunk_shape, strict=True))
        return (z, y, x)

    def _box(self, place: ChunkIndex) -> Box:
        start = [p * n for p, n in zip(place, self._chunk_shape, strict=True)]
        stop = [min(s + n, m) for s, n, m in zip(start, self._chunk_shape, self.shape, strict=True)]
        return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]

    def _gather(self, box: Box) -> np.ndarray:
        """Labels of a box."""
        found = np.zeros(box.shape, self.dtype)
        if box.is_empty:
            return found
        low, high = self._place(box.start), self._place([s - 1 for s in box.stop])
        with self._lock:
            # Strokes are few, also where the box is large.
            absent = [p for p in self._on_disk if p not in self._chunks and _within(p, low, high)]
            if len(absent) * Box.of_shape(self._chunk_shape).size * self.dtype.itemsize > self._chunks.most_bytes:
                found = self._store.read(box)  # too much to keep
            else:
                self._load(absent)
            for place, chunk in self._chunks.items():
                if _within(place, low, high):
                    both = chunk.box.intersect(box)
                    found[both.relative_to(box.start).slices] = chunk.data[both.relative_to(chunk.box.start).slices]
                    self._chunks.find(place)  # used now
            self._chunks.evict()
        return found

    def _scatter(self, box: Box, labels: np.ndarray) -> None:
        low, high = self._place(box.start), self._place([s - 1 for s in box.stop])
        in_z, in_y, in_x = (range(a, b + 1) for a, b in zip(low, high, strict=True))
        places = list(product(in_z, in_y, in_x))
        self._load([p for p in places if p not in self._chunks and p in self._on_disk])
        for place in places:
            chunk = self._chunks.find(place)
            if chunk is None:
                area = self._box(place)
                chunk = _Chunk(area, np.zeros(area.shape, self.dtype))
            if chunk.before is None:
                chunk.before = chunk.data.copy()
            both = chunk.box.intersect(box)
            chunk.data[both.relative_to(chunk.box.start).slices] = labels[both.relative_to(box.start).slices]
            chunk.changes += 1
            self._chunks.put(place, chunk, pinned=True, evict=False)
        self._chunks.evict()

    def _load(self, places: Sequence[ChunkIndex]) -> None:
        for run in _runs(sorted(places)):
            hull = Box(self._box(run[0]).start, self._box(run[-1]).stop)
            block = self._store.read(hull)
            for place in run:
                area = self._box(place)
                chunk = _Chunk(area, np.ascontiguousarray(block[area.relative_to(hull.start).slices]))
                self._chunks.put(place, chunk, evict=False)


def _is_plain(part: Any) -> bool:
    return isinstance(part, slice) and part.step == 1


def _within(place: ChunkIndex, low: ChunkIndex, high: ChunkIndex) -> bool:
    return low[0] <= place[0] <= high[0] and low[1] <= place[1] <= high[1] and low[2] <= place[2] <= high[2]


def _runs(places: Sequence[ChunkIndex]) -> Iterator[list[ChunkIndex]]:
    """Sorted places in runs along x."""
    run: list[ChunkIndex] = []
    for place in places:
        if run and place != (*run[-1][:2], run[-1][2] + 1):
            yield run
            run = []
        run.append(place)
    if run:
        yield run
