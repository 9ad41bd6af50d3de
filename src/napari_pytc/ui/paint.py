"""Strokes, and objects to learn from, as an array that napari's Labels layer paints into."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.ui.arrays import LazyArray, Selection, check_size

CACHE_BYTES = 96 * 2**20
MOST_STROKE = 64 * 2**20
"""Voxels of the box around a stroke that is kept whole; one that reaches further is kept in pieces."""


class StrokeStore(Protocol):
    """Where strokes lie on disk; an `AnnotationStore` and an `ObjectStore` are ones."""

    @property
    def shape(self) -> Shape:
        """Of the volume."""

    @property
    def chunk_shape(self) -> Shape:
        """Of the pieces on disk."""

    def boxes(self) -> Sequence[Any]:
        """The chunks on disk, each with its `box`; all else is 0."""

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""


Place = tuple[int, int, int]
"""A chunk's place in the grid of chunks."""


@dataclass(eq=False)
class _Chunk:
    """A chunk in memory. `changes` counts what was painted into it, `saved` how many of these are on disk."""

    box: Box
    data: np.ndarray
    changes: int = 0
    saved: int = 0

    @property
    def is_saved(self) -> bool:
        return self.saved == self.changes


@dataclass(frozen=True)
class Snapshot:
    """Labels of a box as they were at one moment, to be written."""

    box: Box
    labels: np.ndarray
    chunks: tuple[tuple[_Chunk, int], ...]


class ScribbleArray(LazyArray):
    """Labels of a volume: chunks are read when they are looked at, and changed in memory.

    Changed chunks stay in memory until `mark_saved`; of the others as many as `n_bytes` allow. Where nothing was
    painted there is no chunk, neither on disk nor in memory. All that is read is a copy. Safe from several threads.

    Parameters
    ----------
    store : StrokeStore
        What is on disk; read only.
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
        self._store, self._on_change, self._most = store, on_change, n_bytes
        self._chunk_shape = store.chunk_shape
        self._chunks: OrderedDict[Place, _Chunk] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.RLock()
        self._on_disk = self._look()
        self._touched: Box | None = None  # around what was changed since the last `cut`
        self._protected: Callable[[], Sequence[Box]] = tuple
        self._on_refused: Callable[[Box], object] = lambda box: None

    @property
    def n_bytes(self) -> int:
        """Bytes held in memory."""
        return self._n_bytes

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
                # All are asked before any is put right: boxes may overlap.
                protected = [box for box, at in places.items() if not np.array_equal(block[at], before[at])]
                for box in protected:
                    block[places[box]] = before[places[box]]
                self._scatter(selection.box, block)
            self._touched = selection.box if self._touched is None else self._touched.hull(selection.box)
        self._on_change()
        for box in protected:
            self._on_refused(box)

    def cut(self) -> list[Snapshot]:
        """A stroke: what was painted since the last cut, in one copy of the box around it if that is not too large."""
        with self._lock:
            box, self._touched = self._touched, None
            if box is None:
                return []
            if box.size > MOST_STROKE:
                return list(self.snapshots())
            chunks = [chunk for chunk in self._chunks.values() if not chunk.is_saved and chunk.box.overlaps(box)]
            return [Snapshot(box, self._gather(box), tuple((chunk, chunk.changes) for chunk in chunks))]

    def take_in(self, patch: LabelPatch) -> None:
        """Others changed these voxels on the disk, as an undo does: show them, and keep what is not saved."""
        with self._lock:
            for chunk in self._chunks.values():
                patch.apply_to(chunk.data, chunk.box.start)
            self._on_disk = self._look()

    def snapshots(self) -> Iterator[Snapshot]:
        """Copies of what is not saved, one after the other; neighbours in one box, so that writes are few."""
        with self._lock:
            unsaved = sorted(place for place, chunk in self._chunks.items() if not chunk.is_saved)
        for run in _runs(unsaved):
            with self._lock:
                chunks = [self._chunks[place] for place in run]
                labels = np.concatenate([chunk.data for chunk in chunks], axis=2)
                box = Box(chunks[0].box.start, chunks[-1].box.stop)
                snapshot = Snapshot(box, labels, tuple((chunk, chunk.changes) for chunk in chunks))
            yield snapshot

    def mark_saved(self, snapshot: Snapshot) -> None:
        """A snapshot is on disk; what was painted since it was taken is still unsaved."""
        with self._lock:
            for chunk, changes in snapshot.chunks:
                chunk.saved = max(chunk.saved, changes)
                self._on_disk.add(self._place(chunk.box.start))
            self._forget_old()

    def forget(self, box: Box | None = None) -> None:
        """Read again what others changed on disk, in a box or everywhere; what is not saved stays."""
        with self._lock:
            for place, chunk in list(self._chunks.items()):
                if chunk.is_saved and (box is None or chunk.box.overlaps(box)):
                    self._drop(place)
            self._on_disk = self._look()

    def _look(self) -> set[Place]:
        return {self._place(found.box.start) for found in self._store.boxes()}

    def _place(self, voxel: Sequence[int]) -> Place:
        z, y, x = (v // n for v, n in zip(voxel, self._chunk_shape, strict=True))
        return (z, y, x)

    def _box(self, place: Place) -> Box:
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
            if len(absent) * Box.of_shape(self._chunk_shape).size * self.dtype.itemsize > self._most:
                found = self._store.read(box)  # too much to keep
            else:
                self._load(absent)
            for place in [p for p in self._chunks if _within(p, low, high)]:
                chunk = self._chunks[place]
                both = chunk.box.intersect(box)
                found[both.relative_to(box.start).slices] = chunk.data[both.relative_to(chunk.box.start).slices]
                self._chunks.move_to_end(place)
            self._forget_old()
        return found

    def _scatter(self, box: Box, labels: np.ndarray) -> None:
        low, high = self._place(box.start), self._place([s - 1 for s in box.stop])
        in_z, in_y, in_x = (range(a, b + 1) for a, b in zip(low, high, strict=True))
        places = list(product(in_z, in_y, in_x))
        self._load([p for p in places if p not in self._chunks and p in self._on_disk])
        for place in places:
            chunk = self._chunks.get(place)
            if chunk is None:
                area = self._box(place)
                chunk = self._keep(place, area, np.zeros(area.shape, self.dtype))
            both = chunk.box.intersect(box)
            chunk.data[both.relative_to(chunk.box.start).slices] = labels[both.relative_to(box.start).slices]
            chunk.changes += 1
            self._chunks.move_to_end(place)
        self._forget_old()

    def _load(self, places: Sequence[Place]) -> None:
        for run in _runs(sorted(places)):
            hull = Box(self._box(run[0]).start, self._box(run[-1]).stop)
            block = self._store.read(hull)
            for place in run:
                area = self._box(place)
                self._keep(place, area, np.ascontiguousarray(block[area.relative_to(hull.start).slices]))

    def _keep(self, place: Place, box: Box, data: np.ndarray) -> _Chunk:
        chunk = self._chunks[place] = _Chunk(box, data)
        self._n_bytes += data.nbytes
        return chunk

    def _forget_old(self) -> None:
        if self._n_bytes <= self._most:
            return
        for place, chunk in list(self._chunks.items()):
            if chunk.is_saved:
                self._drop(place)
                if self._n_bytes <= self._most:
                    return

    def _drop(self, place: Place) -> None:
        self._n_bytes -= self._chunks.pop(place).data.nbytes


def _is_plain(part: Any) -> bool:
    return isinstance(part, slice) and part.step == 1


def _within(place: Place, low: Place, high: Place) -> bool:
    return low[0] <= place[0] <= high[0] and low[1] <= place[1] <= high[1] and low[2] <= place[2] <= high[2]


def _runs(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Sorted places in runs along x."""
    run: list[Place] = []
    for place in places:
        if run and place != (*run[-1][:2], run[-1][2] + 1):
            yield run
            run = []
        run.append(place)
    if run:
        yield run
