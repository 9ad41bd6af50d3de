"""Part of a TIFF page: which strips or tiles it needs, read, decoded and put in place."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any, BinaryIO

import numpy as np
import tifffile

from napari_pytc.volumes.decode_cache import DecodeCache

# What tifffile and imagecodecs raise for damaged files.
READ_ERRORS = (tifffile.TiffFileError, OSError, ValueError, RuntimeError, KeyError, IndexError, struct.error)
_N_THREADS = min(4, os.cpu_count() or 1)
_Range = tuple[int, int]


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
        The page that says how all are stored.
    cache : DecodeCache
        Where decoded segments are kept.
    """

    def __init__(self, keyframe: Any, cache: DecodeCache) -> None:
        self._cache = cache
        self._axes = keyframe.axes
        planes, depth, height, width, samples = keyframe.shaped
        if keyframe.is_tiled:
            self._segment = (1, keyframe.tiledepth, keyframe.tilelength, keyframe.tilewidth)
        else:
            self._segment = (1, 1, min(keyframe.rowsperstrip, height), width)
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
                if decoded is not None:
                    self._place(number, decoded, ranges, view)

    def _normalised(self, index: tuple[slice, ...], out: np.ndarray) -> tuple[np.ndarray, list[_Range]]:
        """The output and the index as (plane, depth, y, x, sample), which is how tifffile sees every page."""
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

    def _decoded(
        self, page: Any, file: BinaryIO, path: str, ranges: list[_Range]
    ) -> Iterator[tuple[int, np.ndarray | None]]:
        missing: list[tuple[int, bytes]] = []
        for number in self._numbers(ranges):
            kept = self._cache.get((path, page.offset, number))
            if kept is not None:
                yield number, kept
            elif page.databytecounts[number] and page.dataoffsets[number]:
                missing.append((number, _bytes(file, page.dataoffsets[number], page.databytecounts[number])))

        def decode(item: tuple[int, bytes]) -> tuple[int, np.ndarray | None]:
            number, data = item
            array = page.keyframe.decode(data, number, jpegtables=page.jpegtables)[0]
            if array is not None:
                # Decoders may answer with a view of their whole output.
                array = np.ascontiguousarray(array)
                self._cache.put((path, page.offset, number), array)
            return number, array

        if len(missing) < 4 or _N_THREADS == 1:
            yield from map(decode, missing)
            return
        with ThreadPoolExecutor(_N_THREADS) as pool:
            yield from pool.map(decode, missing)

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
    file.seek(offset)
    data = file.read(count)
    if len(data) != count:
        raise OSError(f"the file ends at byte {offset + len(data)}, before the voxels do")
    return data
