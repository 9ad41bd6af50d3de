"""Stacks of files with a description: OME, ImageJ, LSM, STK and what else tifffile understands."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import tifffile

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.formats.tiff.stack import TiffStack, frame_of, odd_page_error, page_axes
from napari_pytc.volumes.layout import guess_note

# tifffile mends the pages of these, or takes them from an index, so that they are not what the file has.
_MENDED = ("lsm", "mmstack", "ndtiff", "eer", "scanimage", "nih", "mdgel")
# An aborted acquisition may have named so many sections more than it took, and so many times its pages.
_MOST_MISSING, _MOST_TIMES = 20_000, 20
# ImageJ shows no more; tifffile calls a stack's sections channels unless told otherwise.
_MOST_IMAGEJ_CHANNELS = 7


def check_planes(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuse an OME description of far more sections than the file has pages, for which tifffile makes long lists."""
    if not tiff.is_ome:
        return
    for pixels in re.findall(r"<(?:\w+:)?Pixels\s[^>]*>", tiff.ome_metadata or ""):
        sizes = [int(n) for n in re.findall(r"\bSize[ZCT]\s*=\s*[\"'](\d+)[\"']", pixels)]
        n_files = len(set(re.findall(r"FileName\s*=\s*[\"']([^\"']*)[\"']", tiff.ome_metadata or ""))) or 1
        if math.prod(sizes) > _MOST_MISSING + _MOST_TIMES * n_files * len(tiff.pages):
            raise _absurd(path, math.prod(sizes), len(tiff.pages))


def ome_channel_names(xml: str, number: str) -> tuple[str, ...]:
    """Names of the channels of an image of an OME description, in their order; "" for one without a name.

    Parameters
    ----------
    number : str
        Its place among the images, as a number.
    """
    images = re.findall(r"<(?:\w+:)?Image[\s>].*?</(?:\w+:)?Image>", xml, re.DOTALL)
    if not number.isdigit() or int(number) >= len(images):
        return ()
    names = []
    for tag in re.findall(r"<(?:\w+:)?Channel\s[^>]*>", images[int(number)]):
        name = re.search(r"\bName\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", tag)
        names.append(unescape(name[1] or name[2] or "") if name else "")
    return tuple(names)


def _absurd(path: Path, n_named: int, n_pages: int) -> VolumeError:
    return VolumeError(
        f"The description of {path} names {n_named} sections, and the file has {n_pages}.",
        "It is damaged: copy or download it again, or save it anew.",
    )


def check_alike(tiff: tifffile.TiffFile, path: Path) -> None:
    """Raise the error of the first page of another frame than page 0, where tifffile only says that one differs."""
    first = tiff.pages.first
    for index in range(1, len(tiff.pages)):
        page = tiff.pages.get(index, aspage=True)
        if frame_of(page) != frame_of(first):
            raise odd_page_error(path, index, page, first)


def described_stack(tiff: tifffile.TiffFile, series: Any, name: str) -> TiffStack:
    """A series that tifffile made of a file's metadata."""
    keyframe, notes = series.keyframe, []
    lengths = tuple(int(n) for n in series.shape)
    axes, note = volume_axes(series.axes, lengths)
    notes += [note] if note else []
    n_inner = len(keyframe.shape)
    if lengths[-n_inner:] != tuple(keyframe.shape):
        raise VolumeError(
            f"{tiff.filename} has pages of shape {keyframe.shape} in a series of shape {lengths}.",
            "Save it again as an ImageJ or OME TIFF.",
        )
    axes = axes[: len(axes) - n_inner] + page_axes(keyframe, axes[len(axes) - n_inner :])
    if tiff.is_imagej and axes == "cyx" and lengths[0] > _MOST_IMAGEJ_CHANNELS:
        axes = "zyx"
        notes.append(f"What the file calls {lengths[0]} channels is taken as sections; --axes cyx reads channels.")
    n_pages, offset = math.prod(lengths[: len(lengths) - n_inner]), _mapped_offset(series)
    if offset is None and n_pages > _MOST_MISSING + _MOST_TIMES * len(tiff.pages) and not series.is_multifile:
        raise _absurd(Path(tiff.filehandle.path), n_pages, len(tiff.pages))
    n_spare = _n_spare(tiff, series, n_pages)
    if n_spare:
        notes.append(f"The file has {n_spare} more pages than its description names; they are left out.")
    missing = frozenset() if offset is not None else _missing(tiff, series, n_pages)
    return TiffStack(axes, lengths, keyframe, _SeriesPages(series), name, missing, offset, tuple(notes))


@dataclass(frozen=True)
class _SeriesPages:
    """Pages of a series, each as the file has it."""

    series: Any

    def __call__(self, number: int) -> Any:
        try:
            page = self.series[number]
        except IndexError:
            return None
        except RuntimeError:  # of another width than the keyframe
            page = self.series.keyframe
            return page.parent.pages.get(page.index + number, aspage=True)
        if page is None or isinstance(page, tifffile.TiffPage) or page.is_virtual or self.series.kind in _MENDED:
            return page
        file = page.parent.filehandle
        was_closed = file.closed  # of one of several files
        if was_closed:
            file.open()
        try:
            return page.aspage()
        finally:
            if was_closed:
                file.close()


def _missing(tiff: tifffile.TiffFile, series: Any, n_pages: int) -> frozenset[int]:
    n_here = len(tiff.pages) - series.keyframe.index if series.kind == "shaped" else len(series)
    is_listed = series.kind in ("ome", "mmstack", "ndtiff")
    return frozenset(n for n in range(n_pages) if n >= n_here or (is_listed and series[n] is None))


def _n_spare(tiff: tifffile.TiffFile, series: Any, n_pages: int) -> int:
    """Number of pages that the description of a file with one image leaves out."""
    if series.kind not in ("ome", "imagej") or len(tiff.series) > 1 or series.is_multifile or len(tiff.pages) == 1:
        return 0
    return max(0, len(tiff.pages) - n_pages)


def _mapped_offset(series: Any) -> int | None:
    """Offset of a series stored as one uncompressed piece; None where it is not, or where that is not known cheaply.

    Of a plain file with a directory for each page this would read every directory, so its pages are looked at one by
    one when they are read.
    """
    page = series.keyframe
    if not page.is_final or series.is_multifile or not (page.is_imagej or page.is_shaped or len(series) == 1):
        return None
    offset = series.dataoffset
    return None if offset is None else int(offset)


def volume_axes(axes: str, lengths: Sequence[int]) -> tuple[str, str]:
    """Tifffile's letters as z, y, x, c, s, t, and a note where they are guessed.

    An unnamed axis is z, a second one before it c.
    """
    letters = axes.lower()
    free, is_doubtful = [a for a in "zc" if a not in letters], False
    for i in reversed([i for i, letter in enumerate(letters) if letter in "iqr"]):
        if free:
            letters = letters[:i] + free.pop(0) + letters[i + 1 :]
            is_doubtful |= letters[i] == "c" and lengths[i] > 1
    return letters, guess_note(letters, lengths) if is_doubtful else ""
