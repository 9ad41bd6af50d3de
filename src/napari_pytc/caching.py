"""Caches with a bound in bytes, of any values and of the chunks of a volume."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Tile, TileGrid

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def nbytes_of(value: Any) -> int:
    """Bytes of an array or tensor."""
    return int(value.nbytes)


@dataclass(frozen=True)
class CacheStatistics:
    """Look-ups and contents of a cache.

    Parameters
    ----------
    n_hits, n_misses : int
        Look-ups of entries that were there, and that were not.
    n_evicted : int
        Entries that left because of the bound.
    n_entries, n_bytes : int
        Present entries, and their bytes.
    """

    n_hits: int
    n_misses: int
    n_evicted: int
    n_entries: int
    n_bytes: int


class ByteBoundedCache(Generic[K, V]):
    """Least recently used entries, up to a number of bytes; safe from several threads.

    The newest entry stays whatever its size: without that, each small read from a section larger than the bound would
    decode the whole section again. Pinned entries, such as changes that are not on the disk yet, stay, too, and count.

    Parameters
    ----------
    most_bytes : int
        The bound.
    size_of : callable, optional
        Bytes of a value, by default its ``nbytes``; ``lambda value: 1`` bounds the number of entries instead.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[V], int] = nbytes_of) -> None:
        self.most_bytes = most_bytes
        self._size_of = size_of
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._pinned: dict[K, V] = {}
        self._in_work: dict[K, threading.Event] = {}
        self._n_bytes = self._n_hits = self._n_misses = self._n_evicted = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._pinned)

    def __contains__(self, key: K) -> bool:
        with self._lock:
            return key in self._entries or key in self._pinned

    @property
    def n_bytes(self) -> int:
        """Bytes held now."""
        return self._n_bytes

    @property
    def statistics(self) -> CacheStatistics:
        """Hits, misses and contents."""
        with self._lock:
            return CacheStatistics(self._n_hits, self._n_misses, self._n_evicted, len(self), self._n_bytes)

    def items(self) -> list[tuple[K, V]]:
        """All entries, the pinned ones last; their order of use is left alone."""
        with self._lock:
            return [*self._entries.items(), *self._pinned.items()]

    def values(self) -> list[V]:
        """All values, as `items`."""
        return [value for _, value in self.items()]

    def find(self, key: K) -> V | None:
        """The value of a key, None where it is not (or no longer) held."""
        with self._lock:
            found = self._find(key)
            if found is None:
                self._n_misses += 1
            else:
                self._n_hits += 1
            return found

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made if it is not held.

        Of several threads that request a key one makes the value and the others wait for it. Where `make` raises, its
        caller gets the error and a thread that waits tries in its turn.
        """
        while True:
            with self._lock:
                found = self._find(key)
                if found is not None:
                    self._n_hits += 1
                    return found
                made = self._in_work.get(key)
                if made is None:
                    self._n_misses += 1
                    made = self._in_work[key] = threading.Event()
                    break
            made.wait()
        try:
            value = make()
            with self._lock:
                if self._in_work.get(key) is made:  # else it was dropped meanwhile, and this value is stale
                    self._put(key, value)
                    self._evict()
            return value
        finally:
            with self._lock:
                if self._in_work.get(key) is made:
                    del self._in_work[key]
            made.set()

    def put(self, key: K, value: V, *, pinned: bool = False, evict: bool = True) -> None:
        """Hold a value in place of the key's former one.

        Parameters
        ----------
        pinned : bool
            Whether it stays until `unpin`, whatever the bound.
        evict : bool
            Whether older entries beyond the bound leave now; without, at the next `evict`.
        """
        with self._lock:
            self._put(key, value, pinned)
            if evict:
                self._evict()

    def unpin(self, key: K) -> None:
        """Let the bound apply to an entry again."""
        with self._lock:
            if key in self._pinned:
                self._entries[key] = self._pinned.pop(key)
                self._evict()

    def evict(self) -> None:
        """Let the entries beyond the bound go, the longest unused first."""
        with self._lock:
            self._evict()

    def drop(self, key: K) -> None:
        """Forget an entry, also one that is being made; nothing where there is none."""
        with self._lock:
            self._in_work.pop(key, None)
            self._remove(key)

    def clear(self) -> None:
        """Forget all entries, pinned ones and those being made, too."""
        with self._lock:
            self._in_work.clear()
            self._entries.clear()
            self._pinned.clear()
            self._n_bytes = 0

    # The methods below are called with the lock held.

    def _find(self, key: K) -> V | None:
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        return self._pinned.get(key)

    def _put(self, key: K, value: V, pinned: bool = False) -> None:
        self._remove(key)
        (self._pinned if pinned else self._entries)[key] = value
        self._n_bytes += self._size_of(value)

    def _remove(self, key: K) -> None:
        for entries in (self._entries, self._pinned):
            if key in entries:
                self._n_bytes -= self._size_of(entries.pop(key))

    def _evict(self) -> None:
        while self._n_bytes > self.most_bytes and len(self._entries) > 1:
            self._n_bytes -= self._size_of(self._entries.popitem(last=False)[1])
            self._n_evicted += 1


class ChunkCache:
    """A volume read in the chunks of a grid, which are held up to a number of bytes; safe from several threads.

    ::

        grid  +------+------+------+     the box needs four chunks, each of which is loaded once
              |   +--+---+  |      |     and serves the next boxes, too
              +---+--+---+--+------+
              |   +--+---+  |      |
              +------+------+------+

    Parameters
    ----------
    grid : TileGrid
        The chunks; `load` returns a tile's `write` box.
    load : callable
        Voxels of a tile, ``tile.write.shape``.
    dtype : dtype
        Of the voxels.
    most_bytes : int
        Bound of what is held.
    leading : tuple of int
        Lengths of axes before z, y and x, as of channels; `load` returns them, too.
    """

    def __init__(
        self,
        grid: TileGrid,
        load: Callable[[Tile], np.ndarray],
        dtype: np.dtype | type,
        most_bytes: int,
        leading: tuple[int, ...] = (),
    ) -> None:
        self.grid = grid
        self._load, self._dtype, self._leading = load, np.dtype(dtype), leading
        self._chunks: ByteBoundedCache[int, np.ndarray] = ByteBoundedCache(most_bytes)

    @property
    def statistics(self) -> CacheStatistics:
        """Hits, misses and contents."""
        return self._chunks.statistics

    def read(self, box: Box) -> np.ndarray:
        """A copy of the voxels of a box within the grid's box."""
        if not self.grid.box.contains(box):
            raise InvalidInput(f"The box {box} does not lie within {self.grid.box}.")
        found = np.empty((*self._leading, *box.shape), self._dtype)
        for tile in self._overlapping(box):
            chunk = self._chunks.get(tile.index, lambda tile=tile: self._load(tile))  # type: ignore[misc]
            common = tile.write.intersect(box)
            into, out = common.relative_to(box.start), common.relative_to(tile.write.start)
            found[(..., *into.slices)] = chunk[(..., *out.slices)]
        return found

    def drop(self, box: Box | None = None) -> None:
        """Load the chunks of a box anew when they are read next, by default all."""
        if box is None:
            self._chunks.clear()
            return
        for tile in self._overlapping(box):
            self._chunks.drop(tile.index)

    def _overlapping(self, box: Box) -> Iterator[Tile]:
        return (self.grid[index] for index in self.grid.overlapping(box))
