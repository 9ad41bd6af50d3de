"""Sections of volumes, read ahead by a thread of their own and kept up to a number of bytes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape, TileGrid

logger = logging.getLogger(__name__)

PIECE: Shape = (64, 1024, 1024)
"""Voxels that are read at once, cut to the section's thickness: 1 MB of uint8 in plane, 64 sections across."""
PATIENCE_S = 0.02
"""Time that the window waits for a section before it shows an incomplete one."""
LOOK_S = 1.0
"""Interval at which the idle thread checks whether the interpreter is ending."""
_AHEAD = (1, 2, -1, 3)


@dataclass(frozen=True)
class Section:
    """A plane of a volume: all voxels whose index along an axis is this one. `WHOLE` is all of it."""

    axis: int
    index: int

    def box(self, shape: Shape) -> Box:
        """The section's box in a volume of this shape."""
        if self == WHOLE:
            return Box.of_shape(shape)
        start, stop = [0, 0, 0], list(shape)
        start[self.axis], stop[self.axis] = self.index, self.index + 1
        return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]

    def beside(self, step: int) -> Section:
        """The section some steps further."""
        return Section(self.axis, self.index + step)

    def lengths(self, shape: Shape) -> tuple[int, ...]:
        """Shape of an array of the section's voxels."""
        return tuple(n for axis, n in enumerate(shape) if axis != self.axis)


WHOLE = Section(-1, 0)
"""The volume, for 3D display."""


@dataclass
class _Entry:
    """A section in memory; `missing` are the pieces still to be read, each with the time when it was found missing."""

    data: np.ndarray
    missing: dict[Box, float]
    is_shown_incomplete: bool = False
    whole: threading.Event = field(default_factory=threading.Event)


class SectionCache:
    """The sections of a volume that were looked at lately, and those beside the one looked at.

    ``get`` never blocks for long: what has not been read in time is 0, and `on_arrival` is called (in the reader's
    thread) when more of the section that was requested last is there; of `WHOLE`, slow to draw, when all of it is.

    Parameters
    ----------
    read : callable
        Voxels of a box, ``(*box.shape)`` or ``(planes, *box.shape)``; called in the reader's thread.
    shape, dtype :
        Of the volume.
    reader : SectionReader
        The thread that reads.
    n_planes : int
        Number of planes that `read` gives for each voxel; 0 for none.
    n_bytes : int
        Most bytes to keep; the section that is shown is kept whatever its size.
    patience_s : float
        Time that `get` waits for a section that is not there.
    on_arrival, on_error : callable
        Called in the reader's thread.
    focus : callable, optional
        Gives the voxel whose surroundings are read first; called in the thread that calls `get`.
    """

    def __init__(
        self,
        read: Callable[[Box], np.ndarray],
        shape: Shape,
        dtype: np.dtype,
        reader: SectionReader,
        *,
        n_planes: int = 0,
        n_bytes: int = 256 * 2**20,
        patience_s: float = PATIENCE_S,
        on_arrival: Callable[[], object] = lambda: None,
        on_error: Callable[[PytcError], object] = lambda error: None,
        focus: Callable[[], Sequence[float]] | None = None,
    ) -> None:
        self.read, self.shape, self.dtype = read, shape, dtype
        self._planes = (n_planes,) if n_planes else ()
        self._patience_s = patience_s
        self._reader, self._on_arrival, self._on_error, self._focus = reader, on_arrival, on_error, focus
        # The section that is shown is pinned.
        self._entries: ByteBoundedCache[Section, _Entry] = ByteBoundedCache(n_bytes, lambda entry: entry.data.nbytes)
        self._wanted: Section | None = None
        self._direction = 1
        self._middle: Sequence[float] = [n / 2 for n in shape]
        reader.add(self)

    @property
    def n_bytes(self) -> int:
        """Bytes held now."""
        return self._entries.n_bytes

    def get(self, section: Section) -> np.ndarray:
        """A section as far as it is there, ``(planes,) + shape without its axis``; not to be written to.

        For 3D display `WHOLE` is requested too; once the display is flat again, that is let go of.
        """
        with self._reader.condition:
            if self._wanted is not None and self._wanted != section and self._wanted.axis == section.axis:
                self._direction = 1 if section.index > self._wanted.index else -1
            if self._wanted is not None and self._wanted != section:
                self._entries.unpin(self._wanted)
                if self._wanted == WHOLE:
                    self._entries.drop(WHOLE)
            self._wanted = section
            if self._focus is not None:
                self._middle = self._focus()
            entry = self._entry(section, pinned=True)
            entry.is_shown_incomplete = False
            self._reader.condition.notify_all()
        if not entry.whole.wait(self._patience_s):
            with self._reader.condition:
                entry.is_shown_incomplete = bool(entry.missing)
        shown = entry.data.view()
        shown.flags.writeable = False
        return shown

    def peek(self, voxel: Shape) -> np.ndarray | None:
        """Cached values of a voxel, ``(planes,)`` or a number; None where none are cached. Never waits."""
        with self._reader.condition:
            for axis in range(3):
                entry = self._entries.find(Section(axis, voxel[axis]))
                if entry is not None and not any(piece.contains_point(voxel) for piece in entry.missing):
                    place: tuple[Any, ...] = tuple(v for a, v in enumerate(voxel) if a != axis)
                    return np.array(entry.data[(..., *place)])
        return None

    def renew(self, boxes: Sequence[Box]) -> bool:
        """Voxels on disk changed: read those that are shown again, forget the others; whether some are shown.

        The old voxels are shown until the new ones have come.
        """
        now = time.monotonic()
        with self._reader.condition:
            for section, entry in self._entries.items():
                place = section.box(self.shape)
                touched = [box for box in boxes if box.overlaps(place)]
                if touched and section != self._wanted:
                    self._entries.drop(section)
                elif touched:
                    for piece in self._pieces(section):
                        if any(piece.overlaps(box) for box in touched):
                            entry.missing[piece] = now
                    entry.is_shown_incomplete = True
                    entry.whole.clear()
                    self._reader.condition.notify_all()
            wanted = self._entries.find(self._wanted) if self._wanted is not None else None
            return wanted is not None and bool(wanted.missing)

    def close(self) -> None:
        """Read no more for it."""
        self._reader.remove(self)
        with self._reader.condition:
            self._entries.clear()

    # ---- called by the reader

    def next_piece(self, ahead: bool) -> tuple[Section, Box] | None:
        """The piece to read next: of the section that was requested, or of those beside it."""
        if self._wanted is None:
            return None
        steps = [d * self._direction for d in _AHEAD] if ahead else [0]
        room = self._entries.most_bytes // 2
        for step in steps:
            section = self._wanted.beside(step)
            if not 0 <= section.index < self.shape[section.axis] or (ahead and self._wanted == WHOLE):
                continue
            if ahead:
                room -= section.box(self.shape).size * self.dtype.itemsize * max(1, sum(self._planes))
                if room < 0:
                    return None
            entry = self._entry(section)
            if entry.missing:
                return section, next(iter(entry.missing))
        return None

    def fetch(self, section: Section, piece: Box) -> None:
        """Read a piece and put it where it belongs."""
        started = time.monotonic()
        try:
            block = self.read(piece)
        except PytcError as error:
            block = np.zeros((*self._planes, *piece.shape), self.dtype)
            self._on_error(error)
        with self._reader.condition:
            entry = self._entries.find(section)
            if entry is None:
                return
            place: list[Any] = list(piece.relative_to(section.box(self.shape).start).slices)
            if section != WHOLE:
                del place[section.axis]
                block = block.take(0, axis=len(self._planes) + section.axis)
            entry.data[(..., *place)] = block
            if entry.missing.get(piece, started) <= started:  # else it changed on disk while it was read
                entry.missing.pop(piece, None)
            if not entry.missing:
                entry.whole.set()
            tell = entry.is_shown_incomplete and section == self._wanted and (section != WHOLE or not entry.missing)
        if tell:
            self._on_arrival()

    def _entry(self, section: Section, pinned: bool = False) -> _Entry:
        entry = self._entries.find(section)
        if entry is None:
            data = np.zeros((*self._planes, *section.lengths(self.shape)), self.dtype)
            entry = _Entry(data, dict.fromkeys(self._pieces(section), 0.0))
            self._entries.put(section, entry, pinned=pinned)
        elif pinned:
            self._entries.put(section, entry, pinned=True)
        return entry

    def _pieces(self, section: Section) -> list[Box]:
        """The pieces of a section, the nearest to the focus first."""
        shape = list(PIECE)
        if section != WHOLE:
            shape[section.axis] = 1
        pieces = [tile.write for tile in TileGrid(section.box(self.shape), tuple(shape))]  # type: ignore[arg-type]
        pieces.sort(key=lambda p: sum((c - m) ** 2 for c, m in zip(p.centre, self._middle, strict=True)))
        return pieces


class SectionReader:
    """The one thread that reads sections for all caches; it starts with the first and ends with `close`."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self._caches: list[SectionCache] = []
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def add(self, cache: SectionCache) -> None:
        """Read for a cache; earlier ones come first."""
        with self.condition:
            self._caches.append(cache)
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._work, name="napari-pytc-sections")
                self._thread.start()

    def remove(self, cache: SectionCache) -> None:
        """Read no more for a cache."""
        with self.condition:
            if cache in self._caches:
                self._caches.remove(cache)

    def close(self) -> None:
        """End the thread after the piece it is at."""
        with self.condition:
            self._is_closing = True
            self.condition.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self.condition:
                while (task := self._next()) is None and not self._is_over():
                    self.condition.wait(LOOK_S)
                if task is None or self._is_over():
                    return
            cache, section, piece = task
            cache.fetch(section, piece)

    def _is_over(self) -> bool:
        # At its end the interpreter waits for this thread, whoever forgot to close it.
        return self._is_closing or not threading.main_thread().is_alive()

    def _next(self) -> tuple[SectionCache, Section, Box] | None:
        for ahead in (False, True):
            for cache in self._caches:
                if (found := cache.next_piece(ahead)) is not None:
                    return cache, *found
        return None
