"""Boxes of TIFF pages: the strips or tiles of a box are read, decoded and put in place."""

from __future__ import annotations

import math
import os
import struct
import threading
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any, BinaryIO

import numpy as np
import psutil
import tifffile

from napari_pytc.caching import ByteBoundedCache

# What tifffile, imagecodecs and NumPy raise for damaged files, whose tags may have any value and type.
READ_ERRORS = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    TypeError,
    struct.error,
)
_LARGEST_SEGMENT = 2**32
"""Bytes of a decoded strip or tile; one that claims to be larger is damaged."""
_N_THREADS = min(4, os.cpu_count() or 1)
_MOST_CACHE_BYTES = 512 * 2**20
_Range = tuple[int, int]
SegmentCache = ByteBoundedCache[Hashable, np.ndarray]
"""Decoded strips, tiles and images of files, by path and place in it."""


def segment_cache(most_bytes: int | None = None) -> SegmentCache:
    """A cache of decoded segments: by default 512 MiB, or a sixteenth of the machine's memory where that is less."""
    if most_bytes is None:
        most_bytes = min(_MOST_CACHE_BYTES, psutil.virtual_memory().total // 16)
    return ByteBoundedCache(most_bytes)


class PageReader:
    """Reads boxes of the pages of one series, all of which are stored alike.

    ::

        page  +------+------+------+     segments (tiles, or strips as wide as the page) are numbered row by row;
              |   +--+---+  |      |     the box needs four of them, which are decoded unless the cache has them
              +---+--+---+--+------+
              |   +--+---+  |      |
              +------+------+------+

    Parameters
    ----------
    keyframe : tifffile.TiffPage
        The page that describes how all are stored.
    cache : SegmentCache
        The cache of decoded segments.
    """

    def __init__(self, keyframe: Any, cache: SegmentCache) -> None:
        self._cache = cache
        self._axes = keyframe.axes
        planes, depth, height, width, samples = keyframe.shaped
        if keyframe.is_tiled:
            self._segment = (1, keyframe.tiledepth, keyframe.tilelength, keyframe.tilewidth)
        else:
            self._segment = (1, 1, min(keyframe.rowsperstrip, height), width)
        n_bytes = math.prod(self._segment) * samples * np.dtype(keyframe.dtype).itemsize
        if min(self._segment) < 1 or n_bytes > _LARGEST_SEGMENT:
            raise ValueError(f"strips or tiles of {' x '.join(map(str, self._segment[1:]))} pixels cannot be")
        self._lengths = (planes, depth, height, width)
        self._grid = tuple(-(-n // s) for n, s in zip(self._lengths, self._segment, strict=True))
        self._samples = samples

    def read(self, page: Any, index: tuple[slice, ...], out: np.ndarray) -> None:
        """Fill `out` with an index into the page's axes; the file is opened anew, so threads do not meet."""
        path = page.parent.filehandle.path
        if page.keyframe.is_final and page.dataoffsets and page.dataoffsets[0]:
            dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
            out[...] = np.memmap(path, dtype, "r", page.dataoffsets[0], tuple(page.shape))[index]
            return
        view, ranges = self._normalised(index, out)
        with open(path, "rb", buffering=0) as file:
            for number, decoded in self._decoded(page, file, path, ranges):
                self._place(number, decoded, ranges, view)

    def _normalised(self, index: tuple[slice, ...], out: np.ndarray) -> tuple[np.ndarray, list[_Range]]:
        """The output and the index as (plane, depth, y, x, sample), the axes that tifffile gives every page."""
        ranges: list[_Range] = [(0, 1)] * 5
        for letter, part in zip(self._axes, index, strict=True):
            ranges[self._axis(letter)] = (part.start, part.stop)
        view = out.reshape([stop - start for start, stop in ranges])
        view[...] = 0
        return view, ranges

    def _axis(self, letter: str) -> int:
        if letter == "S":
            return 0 if self._axes.startswith("S") and not self._axes.endswith("S") else 4
        return {"Z": 1, "Y": 2, "X": 3}[letter]

    def _numbers(self, ranges: list[_Range]) -> Iterator[int]:
        needed = [
            range(start // size, (stop - 1) // size + 1)
            for (start, stop), size in zip(ranges[:4], self._segment, strict=True)
        ]
        for where in product(*needed):
            yield int(np.ravel_multi_index(where, self._grid))

    def _decoded(self, page: Any, file: BinaryIO, path: str, ranges: list[_Range]) -> Iterator[tuple[int, np.ndarray]]:
        """The segments that the ranges need; those without bytes in the file are left out."""
        reading = threading.Lock()

        def decode(number: int) -> np.ndarray:
            with reading:
                data = _bytes(file, page.dataoffsets[number], page.databytecounts[number])
            # Decoders may return a view of their whole output.
            return np.ascontiguousarray(page.keyframe.decode(data, number, jpegtables=page.jpegtables)[0])

        def get(number: int) -> tuple[int, np.ndarray]:
            return number, self._cache.get((path, page.offset, number), lambda: decode(number))

        numbers = [n for n in self._numbers(ranges) if page.databytecounts[n] and page.dataoffsets[n]]
        n_missing = sum((path, page.offset, number) not in self._cache for number in numbers)
        if n_missing < 4 or _N_THREADS == 1:
            yield from map(get, numbers)
            return
        with ThreadPoolExecutor(_N_THREADS) as pool:
            yield from pool.map(get, numbers)

    def _place(self, number: int, decoded: np.ndarray, ranges: list[_Range], view: np.ndarray) -> None:
        """Copy the common part of a segment (depth, y, x, sample) and the box."""
        plane, *at = (int(v) for v in np.unravel_index(number, self._grid))
        target: list[Any] = [plane - ranges[0][0]]
        source: list[slice] = []
        for where, size, length, (start, stop) in zip(at, self._segment[1:], decoded.shape, ranges[1:4], strict=False):
            first = where * size
            low, high = max(first, start), min(first + length, stop)
            target.append(slice(low - start, high - start))
            source.append(slice(low - first, high - first))
        source.append(slice(*ranges[4]))
        view[tuple(target)] = decoded[tuple(source)]


def _bytes(file: BinaryIO, offset: int, count: int) -> bytes:
    if offset + count > os.fstat(file.fileno()).st_size:
        raise OSError(f"the file ends before byte {offset + count}, where its voxels should")
    file.seek(offset)
    data = file.read(count)
    if len(data) != count:
        raise OSError(f"the file ends at byte {offset + len(data)}, before the voxels do")
    return data
