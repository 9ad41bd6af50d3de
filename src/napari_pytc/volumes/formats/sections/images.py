"""Sections of a folder: one image file each, TIFF, PNG or JPEG, with what must be the same in all of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import imagecodecs
import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.base import existing_file
from napari_pytc.volumes.formats.tiff.pages import SegmentCache
from napari_pytc.volumes.formats.tiff.volume import TiffVolume
from napari_pytc.volumes.layout import AxisLayout, dtype_notes, layout_of, read_dtype
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import ReadOptions, TiffSpec

TIFF_SUFFIXES = (".tif", ".tiff", ".btf")
SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")
_PNG = b"\x89PNG\r\n\x1a\n"
_DEPTH, _COLOUR_TYPE, _HEADER = 24, 25, 33
"""Places of the bit depth and the colour type in a PNG, and the end of its header."""
_GREY, _PALETTE = 0, 3


@dataclass(frozen=True)
class SectionKind:
    """What must be the same in all sections.

    Parameters
    ----------
    plane : tuple of int
        Rows and columns.
    dtype : np.dtype
        Type as which pixels are read.
    n_channels : int
        Number of colours or channels.
    palette : bytes
        The palette that gives indices their meaning; empty where there is none.
    """

    plane: tuple[int, int]
    dtype: np.dtype
    n_channels: int
    palette: bytes = b""

    def fits(self, other: SectionKind) -> bool:
        """Whether sections of both kinds make one stack; of two palettes one may have more colours behind."""
        n = min(len(self.palette), len(other.palette))
        return (self.plane, self.dtype, self.n_channels, self.palette[:n], bool(self.palette)) == (
            other.plane, other.dtype, other.n_channels, other.palette[:n], bool(other.palette),
        )  # fmt: skip

    def text(self, other: SectionKind) -> str:
        """What it is, for people, beside another."""
        if self.palette and other.palette and self.palette != other.palette:
            return "another palette, in which numbers mean other colours"
        plural = "s" if self.n_channels > 1 else ""
        colours = f", {self.n_channels} colour{plural}" if self.n_channels != other.n_channels else ""
        palette = ", a palette" if self.palette and not other.palette else ""
        return f"{self.plane[0]} x {self.plane[1]} pixels of {self.dtype}{colours}{palette}"


class SectionImage(Protocol):
    """An image file that is a section; no file stays open between reads."""

    kind: SectionKind
    layout: AxisLayout
    notes: tuple[str, ...]

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Part of the section, (y, x)."""


class TiffSection:
    """A section in a TIFF."""

    def __init__(self, path: Path, options: ReadOptions, cache: SegmentCache) -> None:
        spec = TiffSpec(path=path, channel=options.channel, labels=options.labels)
        self._volume = TiffVolume(spec, cache)
        n, height, width = self._volume.shape
        if n != 1:
            self._volume.close()
            raise VolumeError(
                f"{path} holds {n} sections; in a folder of sections each file has one.", "Open the file itself."
            )
        self._space = self._volume.space_of(1), self._volume.space_of(2)
        self._volume.release_file()
        palette = self._volume.palette
        self.kind = SectionKind(
            (height, width),
            self._volume.dtype,
            self._volume.n_channels,
            b"" if palette is None else np.ascontiguousarray(palette.T).tobytes(),
        )
        self.layout = self._volume.layout
        self.notes = self._volume.notes

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Part of the section, (y, x)."""
        return self._volume.read(Box((0, rows.start, columns.start), (1, rows.stop, columns.stop)))[0]

    def space_found(self, n_sections: int) -> FoundSpace:
        """The voxel size that the file gives, as one of so many sections."""
        return self._space[n_sections > 1]


class DecodedSection:
    """A section in a PNG or JPEG, which is decoded as a whole."""

    def __init__(self, path: Path, options: ReadOptions, cache: SegmentCache) -> None:
        self._path, self._options, self._cache = path, options, cache
        pixels, palette, notes = _decode(path, options.labels)
        cache.put(path, pixels)
        height, width = pixels.shape[:2]
        self.layout = _layout(pixels, options, path)
        kind = read_dtype(pixels.dtype, str(path))
        self.kind = SectionKind((height, width), kind, self.layout.n_channels, palette)
        self.notes = (*notes, *self.layout.notes, *dtype_notes(pixels.dtype))

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Part of the section, (y, x)."""
        pixels = self._cache.get(self._path, lambda: _decode(self._path, self._options.labels)[0])
        box = Box((0, rows.start, columns.start), (1, rows.stop, columns.stop))
        return self.layout.arrange(pixels[self.layout.index(box)], box.shape)[0]


def open_section(path: Path, options: ReadOptions, cache: SegmentCache) -> SectionImage:
    """The section in a file."""
    if path.suffix.lower() in TIFF_SUFFIXES:
        return TiffSection(path, options, cache)
    return DecodedSection(path, options, cache)


def png_header(path: Path) -> bytes:
    """Size, depth and colours of a PNG as its header has them; empty for other files. Reads 33 bytes."""
    head = _bytes(path, _HEADER)
    return head if head.startswith(_PNG) else b""


def _bytes(path: Path, n: int = -1) -> bytes:
    """The first bytes of a file, by default all."""
    try:
        with open(existing_file(path), "rb") as file:
            return file.read(n)
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror}.", "Check its permissions and its disk.") from error


def _layout(pixels: np.ndarray, options: ReadOptions, path: Path) -> AxisLayout:
    wanted = ReadOptions(channel=options.channel, labels=options.labels)
    return layout_of("yx" if pixels.ndim == 2 else "yxs", pixels.shape, wanted, str(path))


def _decode(path: Path, is_labels: bool) -> tuple[np.ndarray, bytes, tuple[str, ...]]:
    """The pixels of a PNG or JPEG, its palette where they are indices into one, and notes.

    Of labels the indices of a palette are read, and grey of few bits is not stretched to 0 to 255.
    """
    data = _bytes(path)
    is_png = data.startswith(_PNG)
    colour_type, depth = (data[_COLOUR_TYPE], data[_DEPTH]) if is_png and len(data) > _HEADER else (-1, 8)
    try:
        if is_labels and colour_type == _PALETTE:
            with Image.open(io.BytesIO(data)) as image:  # imagecodecs looks the colours up
                palette = bytes(image.getpalette() or ())
                note = "The indices of the palette are the labels, whatever their colours."
                return np.asarray(image), palette, (note,)
        pixels = np.asarray(imagecodecs.png_decode(data) if is_png else imagecodecs.jpeg_decode(data))
    except (ValueError, RuntimeError, OSError, UnidentifiedImageError) as error:
        raise VolumeError(f"{path} is not a whole image: {error}.", "Copy it again, or leave it out.") from error
    if colour_type == _GREY and depth < 8:
        if is_labels:
            return pixels // (255 // (2**depth - 1)), b"", ()
        return pixels, b"", (f"Grey of {depth} bits is stretched to 0 to 255.",)
    if is_labels and not is_png:
        return pixels, b"", ("JPEG changes values where they meet, so that labels may be wrong there; PNG does not.",)
    return pixels, b"", ()
