"""The strokes as an array that napari's Labels layer paints into."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.ui.arrays import LazyArray, Selection, check_size

CACHE_BYTES = 96 * 2**20


class StrokeStore(Protocol):
    """Where strokes lie on disk; an `AnnotationStore` is one."""

    @property
    def shape(self) -> Shape:
        """Of the volume."""

    @property
    def chunk_shape(self) -> Shape:
        """Of the pieces on disk."""

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""


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
    """Labels of a volume, uint8: chunks are read when they are looked at, and changed in memory.

    Changed chunks stay in memory until `mark_saved`; of the others as many as `n_bytes` allow. All that is read is a
    copy. Safe from several threads.

    Parameters
    ----------
    store : StrokeStore
        What is on disk; read only.
    on_change : callable
        Called after every change.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, store: StrokeStore, on_change: Callable[[], object] = lambda: None, n_bytes: int = CACHE_BYTES
    ) -> None:
        self.shape: Shape = store.shape
        self._store, self._on_change, self._most = store, on_change, n_bytes
        self._chunks: OrderedDict[Box, _Chunk] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.RLock()

    @property
    def n_bytes(self) -> int:
        """Bytes held in memory."""
        return self._n_bytes

    @property
    def is_saved(self) -> bool:
        """Whether all that was painted is on disk."""
        with self._lock:
            return all(chunk.is_saved for chunk in self._chunks.values())

    def read(self, selection: Selection) -> Any:
        """A copy of the labels of a selection."""
        check_size(selection.box, 1)
        return self._gather(selection.box)[selection.inside]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Change labels; what is not touched is not read, but for the rest of a chunk."""
        selection = Selection.of(key, self.shape)
        if selection.box.is_empty:
            return
        check_size(selection.box, 1)
        labels = np.asarray(value)
        with self._lock:
            if all(isinstance(part, int) or _is_plain(part) for part in selection.inside):
                self._scatter(selection.box, np.broadcast_to(labels, selection.shape).reshape(selection.box.shape))
            else:
                block = self._gather(selection.box)
                block[selection.inside] = labels
                self._scatter(selection.box, block)
        self._on_change()

    def snapshots(self) -> Iterator[Snapshot]:
        """Copies of what is not saved, one after the other; neighbours in one box, so that writes are few."""
        with self._lock:
            unsaved = sorted((c for c in self._chunks.values() if not c.is_saved), key=lambda chunk: chunk.box)
        for run in _runs(unsaved):
            with self._lock:
                snapshot = _snapshot(run)
            yield snapshot

    def mark_saved(self, snapshot: Snapshot) -> None:
        """A snapshot is on disk; what was painted since it was taken is still unsaved."""
        with self._lock:
            for chunk, changes in snapshot.chunks:
                chunk.saved = max(chunk.saved, changes)
            self._forget_old()

    def forget(self, box: Box | None = None) -> None:
        """Read again what others changed on disk, in a box or everywhere; what is not saved stays."""
        with self._lock:
            for place, chunk in list(self._chunks.items()):
                if chunk.is_saved and (box is None or place.overlaps(box)):
                    self._drop(place)

    def _places(self, box: Box) -> Iterator[Box]:
        chunk_shape = self._store.chunk_shape
        volume = Box.of_shape(self.shape)
        for tile in TileGrid(box.aligned(chunk_shape), chunk_shape):
            yield tile.write.intersect(volume)

    def _gather(self, box: Box) -> np.ndarray:
        """Labels of a box. Where most of it is not in memory it is read in one go, which the disk does side by side."""
        if box.is_empty:
            return np.zeros(box.shape, np.uint8)
        with self._lock:
            places = list(self._places(box))
            absent = [place for place in places if place not in self._chunks]
            if len(absent) * self._chunk_bytes > self._most // 2:
                found = self._store.read(box)  # too much to keep
            else:
                self._load(absent)
                found = np.empty(box.shape, np.uint8)
            for place in places:
                chunk = self._chunks.get(place)
                if chunk is not None:
                    both = place.intersect(box)
                    found[both.relative_to(box.start).slices] = chunk.data[both.relative_to(place.start).slices]
                    self._chunks.move_to_end(place)
            self._forget_old(places)
        return found

    def _scatter(self, box: Box, labels: np.ndarray) -> None:
        places = list(self._places(box))
        self._load([p for p in places if p not in self._chunks and not box.contains(p)])
        for place in places:
            both = place.intersect(box)
            new = labels[both.relative_to(box.start).slices]
            chunk = self._chunks.get(place)
            if chunk is None:  # replaced altogether
                chunk = self._keep(place, np.empty(place.shape, np.uint8))
            chunk.data[both.relative_to(place.start).slices] = new
            chunk.changes += 1
            self._chunks.move_to_end(place)
        self._forget_old()

    def _load(self, places: Sequence[Box]) -> None:
        for run in _runs_of_boxes(sorted(places)):
            hull = Box(run[0].start, run[-1].stop)
            block = self._store.read(hull)
            for place in run:
                self._keep(place, np.ascontiguousarray(block[place.relative_to(hull.start).slices]))

    def _keep(self, place: Box, data: np.ndarray) -> _Chunk:
        chunk = self._chunks[place] = _Chunk(place, data)
        self._n_bytes += data.nbytes
        return chunk

    def _forget_old(self, but: Sequence[Box] = ()) -> None:
        if self._n_bytes <= self._most:
            return
        for place, chunk in list(self._chunks.items()):
            if chunk.is_saved and place not in but:
                self._drop(place)
                if self._n_bytes <= self._most:
                    return

    def _drop(self, place: Box) -> None:
        self._n_bytes -= self._chunks.pop(place).data.nbytes

    @property
    def _chunk_bytes(self) -> int:
        return Box.of_shape(self._store.chunk_shape).size


def _is_plain(part: Any) -> bool:
    return isinstance(part, slice) and part.step == 1


def _snapshot(run: Sequence[_Chunk]) -> Snapshot:
    box = Box(run[0].box.start, run[-1].box.stop)
    labels = np.concatenate([chunk.data for chunk in run], axis=2)
    return Snapshot(box, labels, tuple((chunk, chunk.changes) for chunk in run))


def _runs(chunks: Sequence[_Chunk]) -> Iterator[list[_Chunk]]:
    by_box = {chunk.box: chunk for chunk in chunks}
    for run in _runs_of_boxes([chunk.box for chunk in chunks]):
        yield [by_box[box] for box in run]


def _runs_of_boxes(boxes: Sequence[Box]) -> Iterator[list[Box]]:
    """Boxes of a sorted grid in runs along x."""
    run: list[Box] = []
    for box in boxes:
        if run and (run[-1].stop[2] != box.start[2] or run[-1].start[:2] != box.start[:2]):
            yield run
            run = []
        run.append(box)
    if run:
        yield run
