"""TIFF stacks (tifffile): OME, ImageJ, BigTIFF, compressed or not, in strips or tiles."""

from __future__ import annotations

import logging
import math
import struct
import threading
import weakref
from pathlib import Path

import numpy as np
import tifffile

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.decode_cache import DecodeCache
from napari_pytc.volumes.layout import layout_of
from napari_pytc.volumes.spec import TiffSpec
from napari_pytc.volumes.tiff_pages import READ_ERRORS, PageReader
from napari_pytc.volumes.tiff_space import tiff_space

# tifffile logs what it then raises or what is checked here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
# ImageJ shows no more; tifffile calls a stack's sections channels unless it is told otherwise.
_MOST_IMAGEJ_CHANNELS = 7


class TiffVolume(FileVolume):
    """A series of pages of a TIFF file; only the strips and tiles of a box are read.

    ::

        series axes  C Z | Y X      leading axes count pages, trailing ones lie within a page
        index        1 z0:z1 | y0:y1 x0:x1
    """

    def __init__(self, spec: TiffSpec, cache: DecodeCache | None = None) -> None:
        self._tiff = open_tiff(spec.path)
        self._closing = weakref.finalize(self, self._tiff.close)
        self._lock = threading.Lock()
        try:
            self._series = _series(self._tiff, spec)
            name = str(spec.path) if spec.series == 0 else f"{spec.path}:{spec.series}"
            lengths = tuple(int(n) for n in self._series.shape)
            axes = volume_axes(self._series.axes)
            if self._tiff.is_imagej and axes == "cyx" and lengths[0] > _MOST_IMAGEJ_CHANNELS:
                axes = "zyx"
            layout = layout_of(axes, lengths, spec.channel, name)
            self._reader = PageReader(self._series.keyframe, cache or DecodeCache())
            self._mapped = _mapped_offset(self._series)
            _check_whole(self._tiff, self._series, self._mapped, spec.path)
            dtype = np.dtype(self._series.dtype)
            self._describe(name, layout, dtype, tiff_space(self._tiff, spec.series, layout.shape[0]), spec)
        except READ_ERRORS as error:
            self.close()
            raise _damaged(spec.path, error) from error
        except VolumeError:
            self.close()
            raise
        self._stored = dtype.newbyteorder(self._tiff.byteorder)

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        try:
            if self._mapped is not None:
                return self._fetch_mapped(index)
            return self._fetch_pages(index)
        except READ_ERRORS as error:
            raise OSError(str(error)) from error

    def _fetch_mapped(self, index: tuple[slice, ...]) -> np.ndarray:
        """A map made anew for each read, so that resident memory follows the box and a cut file is an error."""
        path, shape = self._tiff.filehandle.path, self._series.shape
        return np.array(np.memmap(path, self._stored, "r", self._mapped or 0, tuple(shape))[index])

    def _fetch_pages(self, index: tuple[slice, ...]) -> np.ndarray:
        n_inner = len(self._series.keyframe.shape)
        n_outer = len(index) - n_inner
        outer, inner = index[:n_outer], index[n_outer:]
        data = np.empty([s.stop - s.start for s in index], self.dtype)
        counts = self._series.shape[:n_outer]
        for where in np.ndindex(*(s.stop - s.start for s in outer)):
            at = [s.start + w for s, w in zip(outer, where, strict=True)]
            number = int(np.ravel_multi_index(at, counts)) if at else 0
            with self._lock:
                page = self._series[number]
            if page is None:
                data[where] = 0
                continue
            self._reader.read(page, inner, data[where])
        return data


def open_tiff(path: Path) -> tifffile.TiffFile:
    """The file, or an error that says what is wrong with it."""
    existing_file(path)
    try:
        return tifffile.TiffFile(path)
    except READ_ERRORS as error:
        raise _damaged(path, error) from error


def volume_axes(axes: str) -> str:
    """Tifffile's letters as z, y, x, c, s, t: an unnamed axis is z, a second one before it c."""
    letters = axes.lower()
    unnamed = [i for i, letter in enumerate(letters) if letter in "iqr"]
    free = [a for a in "zc" if a not in letters]
    for i in reversed(unnamed):
        if free:
            letters = letters[:i] + free.pop(0) + letters[i + 1 :]
    return letters


def _series(tiff: tifffile.TiffFile, spec: TiffSpec) -> tifffile.TiffPageSeries:
    series = tiff.series
    if not series:
        raise VolumeError(f"{spec.path} has no images.", "It may be truncated; copy or download it again.")
    if spec.series >= len(series):
        raise VolumeError(f"{spec.path} has {len(series)} series, so there is none of number {spec.series}.")
    chosen = series[spec.series]
    if tuple(chosen.shape[-len(chosen.keyframe.shape) :]) != tuple(chosen.keyframe.shape):
        raise VolumeError(
            f"{spec.path} has pages of shape {chosen.keyframe.shape} in a series of shape {chosen.shape}.",
            "Save it again as an ImageJ or OME TIFF.",
        )
    return chosen


def _mapped_offset(series: tifffile.TiffPageSeries) -> int | None:
    """Where the whole series lies in one uncompressed piece; none where it does not or is not known cheaply.

    Of a plain file with a directory for each page this would read every directory, so its pages are looked at one by
    one when they are read.
    """
    page = series.keyframe
    if not page.is_final or series.is_multifile or not (page.is_imagej or page.is_shaped or len(series) == 1):
        return None
    offset = series.dataoffset
    return None if offset is None else int(offset)


def _check_whole(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, mapped: int | None, path: Path) -> None:
    """Refuse a file that ends before its pages or their voxels do."""
    n_file = tiff.filehandle.size
    if mapped is not None:
        _check_link(tiff, _link_after(tiff, tiff.pages.first), path)
        end = mapped + math.prod(series.shape) * np.dtype(series.dtype).itemsize
    else:
        # Every directory counts here, and tifffile, which has walked them all, knows where the last link is.
        _check_link(tiff, tiff.pages.next_page_offset, path, last=True)
        last = series[len(series) - 1]
        same = last is not None and last.parent is tiff
        end = (
            max((o + n for o, n in zip(last.dataoffsets, last.databytecounts, strict=False)), default=0) if same else 0
        )
    if end > n_file:
        raise VolumeError(
            f"{path} is truncated: it has {n_file} bytes, and its voxels end at {end}.", "Copy or download it again."
        )


def _link_after(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Where the directory of a page says where the next one is."""
    file, form = tiff.filehandle, tiff.tiff
    file.seek(page.offset)
    (n_tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    return int(page.offset + form.tagnosize + n_tags * form.tagsize)


def _check_link(tiff: tifffile.TiffFile, at: int, path: Path, last: bool = False) -> None:
    """Directories are a chain; in a cut file a link points behind the end, and tifffile stops there with a log line."""
    file, form = tiff.filehandle, tiff.tiff
    file.seek(at)
    link = file.read(form.offsetsize)
    behind = struct.unpack(form.offsetformat, link)[0] if len(link) == form.offsetsize else file.size
    if (behind != 0) if last else (behind >= file.size):
        raise VolumeError(
            f"{path} is truncated: it ends before its sections do.", "Copy or download it again, or save it anew."
        )


def _damaged(path: Path, error: Exception) -> VolumeError:
    return VolumeError(f"{path} is not a whole TIFF: {error}.", "Copy or download it again, or save it anew.")
