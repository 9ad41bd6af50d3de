"""Sections of volumes, read ahead by a thread of their own and kept up to a number of bytes."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape, TileGrid

logger = logging.getLogger(__name__)

PIECE: Shape = (64, 1024, 1024)
"""What is read at once, cut to the section's thickness: 1 MB of uint8 in plane, 64 sections across."""
PATIENCE_S = 0.02
"""How long the window waits for a section before it shows what is there."""
LOOK_S = 1.0
"""How often the idle thread looks whether the interpreter is ending."""
_AHEAD = (1, 2, -1, 3)


@dataclass(frozen=True)
class Section:
    """A plane of a volume: all voxels whose index along an axis is this one. `WHOLE` is all of it."""

    axis: int
    index: int

    def box(self, shape: Shape) -> Box:
        """Its voxels in a volume of this shape."""
        if self == WHOLE:
            return Box.of_shape(shape)
        start, stop = [0, 0, 0], list(shape)
        start[self.axis], stop[self.axis] = self.index, self.index + 1
        return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]

    def beside(self, step: int) -> Section:
        """The section some steps further."""
        return Section(self.axis, self.index + step)

    def lengths(self, shape: Shape) -> tuple[int, ...]:
        """Of an array of its voxels."""
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
    thread) when more of the section that was asked for last is there; of `WHOLE`, slow to draw, when all of it is.

    Parameters
    ----------
    read : callable
        Voxels of a box, ``(*box.shape)`` or ``(planes, *box.shape)``; called in the reader's thread.
    shape, dtype :
        Of the volume.
    reader : SectionReader
        The thread that reads.
    n_planes : int
        How many planes `read` gives for each voxel; 0 for none.
    n_bytes : int
        How much is kept; the section that is shown is kept whatever its size.
    patience_s : float
        How long `get` waits for a section that is not there.
    on_arrival, on_error : callable
        Called in the reader's thread.
    focus : callable, optional
        The voxel whose surroundings are read first; asked in the thread that calls `get`.
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
        self._most, self._n_bytes, self._patience_s = n_bytes, 0, patience_s
        self._reader, self._on_arrival, self._on_error, self._focus = reader, on_arrival, on_error, focus
        self._entries: OrderedDict[Section, _Entry] = OrderedDict()
        self._wanted: Section | None = None
        self._direction = 1
        self._middle: Sequence[float] = [n / 2 for n in shape]
        reader.add(self)

    @property
    def n_bytes(self) -> int:
        """Bytes held now."""
        return self._n_bytes

    def get(self, section: Section) -> np.ndarray:
        """A section as far as it is there, ``(planes,) + shape without its axis``; not to be written to.

        For 3D display it is also asked for `WHOLE`; once the display is flat again, that is let go of.
        """
        with self._reader.condition:
            if self._wanted is not None and self._wanted != section and self._wanted.axis == section.axis:
                self._direction = 1 if section.index > self._wanted.index else -1
            if self._wanted == WHOLE != section and WHOLE in self._entries:
                self._forget(WHOLE)
            self._wanted = section
            if self._focus is not None:
                self._middle = self._focus()
            entry = self._entry(section)
            entry.is_shown_incomplete = False
            self._reader.condition.notify_all()
        if not entry.whole.wait(self._patience_s):
            with self._reader.condition:
                entry.is_shown_incomplete = bool(entry.missing)
        shown = entry.data.view()
        shown.flags.writeable = False
        return shown

    def peek(self, voxel: Shape) -> np.ndarray | None:
        """What is held of a voxel, ``(planes,)`` or a number; None where nothing is. Never waits."""
        with self._reader.condition:
            for axis in range(3):
                entry = self._entries.get(Section(axis, voxel[axis]))
                if entry is not None and not any(piece.contains_point(voxel) for piece in entry.missing):
                    place: tuple[Any, ...] = tuple(v for a, v in enumerate(voxel) if a != axis)
                    return np.array(entry.data[(..., *place)])
        return None

    def renew(self, boxes: Sequence[Box]) -> bool:
        """Voxels on disk changed: read those that are shown again, forget the others; whether some are shown.

        What was there is shown until the new voxels have come.
        """
        now = time.monotonic()
        with self._reader.condition:
            for section in list(self._entries):
                place = section.box(self.shape)
                touched = [box for box in boxes if box.overlaps(place)]
                if touched and section != self._wanted:
                    self._forget(section)
                elif touched:
                    entry = self._entries[section]
                    for piece in self._pieces(section):
                        if any(piece.overlaps(box) for box in touched):
                            entry.missing[piece] = now
                    entry.is_shown_incomplete = True
                    entry.whole.clear()
                    self._reader.condition.notify_all()
            wanted = self._entries.get(self._wanted) if self._wanted is not None else None
            return wanted is not None and bool(wanted.missing)

    def close(self) -> None:
        """Read no more for it."""
        self._reader.remove(self)
        with self._reader.condition:
            self._entries.clear()
            self._n_bytes = 0

    # ---- called by the reader

    def next_piece(self, ahead: bool) -> tuple[Section, Box] | None:
        """What to read next: of the section that was asked for, or of those beside it."""
        if self._wanted is None:
            return None
        steps = [d * self._direction for d in _AHEAD] if ahead else [0]
        room = self._most // 2
        for step in steps:
            section = self._wanted.beside(step)
            if not 0 <= section.index < self.shape[section.axis] or (ahead and self._wanted == WHOLE):
                continue
            if ahead:
                room -= section.box(self.shape).size * self.dtype.itemsize * max(1, sum(self._planes))
                if room < 0:
                    return None
            entry = self._entry(section, touch=False)
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
            entry = self._entries.get(section)
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

    def _entry(self, section: Section, touch: bool = True) -> _Entry:
        entry = self._entries.get(section)
        if entry is None:
            data = np.zeros((*self._planes, *section.lengths(self.shape)), self.dtype)
            entry = _Entry(data, dict.fromkeys(self._pieces(section), 0.0))
            self._entries[section] = entry
            self._n_bytes += entry.data.nbytes
        if touch:
            self._entries.move_to_end(section)
        for old in list(self._entries):
            if self._n_bytes <= self._most:
                break
            if old not in (section, self._wanted):
                self._forget(old)
        return entry

    def _forget(self, section: Section) -> None:
        self._n_bytes -= self._entries.pop(section).data.nbytes

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
