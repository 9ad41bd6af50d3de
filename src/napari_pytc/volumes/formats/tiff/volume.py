"""TIFF stacks (tifffile): OME, ImageJ, BigTIFF, compressed or not, in strips or tiles."""

from __future__ import annotations

import logging
import math
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import tifffile

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.formats.tiff.choice import choose_stack
from napari_pytc.volumes.formats.tiff.described import ome_channel_names
from napari_pytc.volumes.formats.tiff.pages import READ_ERRORS, PageReader, SegmentCache, segment_cache
from napari_pytc.volumes.formats.tiff.space import tiff_space
from napari_pytc.volumes.formats.tiff.stack import LOOKED_AT, TiffStack, frame_of, odd_page_error
from napari_pytc.volumes.layout import AxisLayout, layout_of
from napari_pytc.volumes.missing import missing_note
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import TiffSpec

# tifffile logs what it then raises or what is checked here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
_MOST_PAGES = 1024


class TiffVolume(FileVolume):
    """A stack of pages of a TIFF file; only the strips and tiles of a box are read.

    ::

        stack axes   C Z | Y X      leading axes count pages, trailing ones lie within a page
        index        1 z0:z1 | y0:y1 x0:x1

    Each page is checked when it is first read: it may be compressed and cut into strips unlike the others, but another
    size or type is an error, or blank where missing sections are.
    """

    spec: TiffSpec

    def __init__(self, spec: TiffSpec, cache: SegmentCache | None = None) -> None:
        self._path, self._is_blank = spec.path, spec.missing_sections == "blank"
        self._tiff = open_tiff(spec.path)
        self._closing = weakref.finalize(self, self._tiff.close)
        self._lock = threading.Lock()
        try:
            with understood(spec.path):
                self._set_up(spec, cache)
        except VolumeError:
            self.close()
            raise

    def _set_up(self, spec: TiffSpec, cache: SegmentCache | None) -> None:
        self._stack = stack = choose_stack(self._tiff, spec)
        name = str(spec.path) if spec.series is None else f"{spec.path}:{spec.series}"
        self._whole = layout_of(stack.axes, stack.lengths, spec, name)
        self._n_outer = len(stack.lengths) - len(stack.keyframe.shape)
        layout, self._sections, note = _without_missing(stack, self._whole, self._n_outer, spec)
        self._cache = segment_cache() if cache is None else cache
        self._reader = PageReader(stack.keyframe, self._cache)
        self._pages: ByteBoundedCache[int, tuple[Any, PageReader]] = ByteBoundedCache(
            _MOST_PAGES, size_of=lambda entry: 1
        )
        _check_whole(self._tiff, stack, self._n_outer, spec.path)
        if self._is_blank and math.prod(stack.lengths[: self._n_outer]) > LOOKED_AT:
            note.append("Sections that turn out to have another size or type than the others are read as blank.")
        found = self.space_of(layout.shape[0])
        names = ome_channel_names(self._tiff.ome_metadata or "", stack.name) if self._tiff.is_ome else ()
        self._describe(name, layout, stack.dtype, found, spec, (*stack.notes, *note), names)
        self._stored = stack.dtype.newbyteorder(self._tiff.byteorder)

    def with_channel(self, channel: int) -> Self:
        """Another channel of the same file, which must have the same sections."""
        other = super().with_channel(channel)
        _, sections, notes = _without_missing(
            self._stack, replace(self._whole, channel=channel), self._n_outer, other.spec
        )
        if sections != self._sections:
            raise VolumeError(
                f"Channels {self.layout.channel} and {channel} of {self.name} lack different sections.",
                "Use one of them, or read what is missing as blank with --missing-sections blank.",
            )
        other.notes = tuple(dict.fromkeys((*self.notes, *notes)))
        return other

    @property
    def palette(self) -> np.ndarray | None:
        """Colours of the numbers in the file, (3, n); None where it has no palette."""
        return self._stack.keyframe.colormap

    def space_of(self, n_sections: int) -> FoundSpace:
        """The voxel size that the file gives for so many sections: one alone needs no thickness to be known."""
        return tiff_space(self._tiff, self._stack, n_sections)

    def release_file(self) -> None:
        """Load the pages' descriptions and close the file, which reads open anew; for files of few pages."""
        for number in range(math.prod(self._stack.lengths[: self._n_outer])):
            self._pages.get(number, partial(self._opened_page, number))
        self.close()

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        try:
            if self._stack.offset is not None:
                return self._fetch_mapped(index, self._stack.offset)
            return self._fetch_pages(index)
        except READ_ERRORS as error:
            raise OSError(str(error)) from error

    def _fetch_mapped(self, index: tuple[slice, ...], offset: int) -> np.ndarray:
        """A map made anew for each read, so that resident memory follows the box and a cut file is an error."""
        path = self._tiff.filehandle.path
        return np.array(np.memmap(path, self._stored, "r", offset, self._stack.lengths)[index])

    def _fetch_pages(self, index: tuple[slice, ...]) -> np.ndarray:
        outer, inner = index[: self._n_outer], index[self._n_outer :]
        data = np.empty([s.stop - s.start for s in index], self._stack.dtype)
        counts, axes = self._stack.lengths[: self._n_outer], self._stack.axes
        for where in np.ndindex(*(s.stop - s.start for s in outer)):
            at = [s.start + w for s, w in zip(outer, where, strict=True)]
            if self._sections is not None:
                at = [self._sections[n] if axes[k] == "z" else n for k, n in enumerate(at)]
            number = int(np.ravel_multi_index(at, counts)) if at else 0
            section = at[axes.index("z")] if "z" in axes[: self._n_outer] else number
            self._read_page(number, section, inner, data[where])
        return data

    def _read_page(self, number: int, section: int, inner: tuple[slice, ...], out: np.ndarray) -> None:
        with self._lock:
            page, reader = self._pages.get(number, partial(self._opened_page, number))
        if page is None:
            out[...] = 0
        elif reader is self._reader:
            reader.read(page, inner, out)
        elif frame_of(page) != frame_of(self._stack.keyframe) or not _same_palette(page, self._stack.keyframe):
            if not self._is_blank:
                raise odd_page_error(self._path, section, page, self._stack.keyframe)
            out[...] = 0
        else:  # its colours may lie in another order
            order = [self._stack.keyframe.axes.index(a) for a in page.axes]
            turned = np.empty([out.shape[k] for k in order], out.dtype)
            reader.read(page, tuple(inner[k] for k in order), turned)
            out[...] = turned.transpose(np.argsort(order))

    def _opened_page(self, number: int) -> tuple[Any, PageReader]:
        """A page, None where it is missing, and what reads it."""
        page, keyframe = self._stack.page(number), self._stack.keyframe
        is_like = page is None or page is keyframe or page.hash == keyframe.hash
        if is_like and (page is None or _same_palette(page, keyframe)):
            return page, self._reader
        return page, PageReader(page, self._cache)


def open_tiff(path: Path) -> tifffile.TiffFile:
    """The file, or an error that describes what is wrong with it."""
    existing_file(path)
    with understood(path):
        return tifffile.TiffFile(path)


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn what tifffile raises for a damaged file into an error of that file."""
    try:
        yield
    except READ_ERRORS as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise VolumeError(
            f"{path} is not a whole TIFF: {reason}.", "Copy or download it again, or save it anew."
        ) from error


def _same_palette(page: Any, keyframe: Any) -> bool:
    """Whether the numbers in two pages mean the same colours."""
    theirs, ours = getattr(page, "colormap", None), keyframe.colormap
    return theirs is None or ours is None or np.array_equal(theirs, ours)


def _without_missing(
    stack: TiffStack, layout: AxisLayout, n_outer: int, spec: TiffSpec
) -> tuple[AxisLayout, list[int] | None, list[str]]:
    """The layout without the sections that the file lacks, the numbers of those that it has, and a note on the others.

    The numbers are None where none is missing or where they are read as blank.
    """
    if not stack.missing:
        return layout, None, []
    axes, counts = stack.axes[:n_outer], stack.lengths[:n_outer]
    picked = {"c": layout.channel, "t": layout.time}
    n_z = counts[axes.index("z")] if "z" in axes else 1
    pages = [int(np.ravel_multi_index([z if a == "z" else picked.get(a, 0) for a in axes], counts)) for z in range(n_z)]
    there = [z for z, number in enumerate(pages) if number not in stack.missing]
    if not there:
        raise VolumeError(
            f"{spec.path} holds no section of channel {layout.channel} and time point {layout.time}; "
            f"{len(stack.missing)} of the {math.prod(counts)} pages that its description names are not in it.",
            "Choose another with --channel or --time, or write the file again.",
        )
    lost, is_blank = sorted(set(range(n_z)) - set(there)), spec.missing_sections == "blank"
    note = [missing_note(lost, n_z, is_blank, there[-1])] if lost else []
    if is_blank or not lost:
        return layout, None, note
    lengths = tuple(len(there) if a == "z" else n for a, n in zip(layout.axes, layout.lengths, strict=True))
    return replace(layout, lengths=lengths), there, note


def _check_whole(tiff: tifffile.TiffFile, stack: TiffStack, n_outer: int, path: Path) -> None:
    """Refuse a file that ends before its pages or their voxels do."""
    n_file = tiff.filehandle.size
    if stack.offset is not None:
        _check_link(tiff, _link_after(tiff, tiff.pages.first), path)
        end = stack.offset + math.prod(stack.lengths) * stack.dtype.itemsize
    else:
        # Every directory counts here, and tifffile, which has read them all, has the place of the last link.
        _check_link(tiff, tiff.pages.next_page_offset, path, last=True)
        numbers = range(math.prod(stack.lengths[:n_outer]) - 1, -1, -1)
        last = stack.page(next((n for n in numbers if n not in stack.missing), 0))
        same = last is not None and last.parent is tiff
        end = (
            max((o + n for o, n in zip(last.dataoffsets, last.databytecounts, strict=False)), default=0) if same else 0
        )
    if end > n_file:
        raise VolumeError(
            f"{path} is truncated: it has {n_file} bytes, and its voxels end at {end}.", "Copy or download it again."
        )


def _link_after(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Offset, in the file, of the link from a page's directory to the next one."""
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
