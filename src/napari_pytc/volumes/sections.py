"""Folders of numbered sections, one TIFF, PNG or JPEG file a section; a single image is a folder of one."""

from __future__ import annotations

import re
import threading
from collections import Counter, OrderedDict
from pathlib import Path

import imagecodecs
import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.decode_cache import DecodeCache
from napari_pytc.volumes.layout import AxisLayout, layout_of
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import SectionsSpec, TiffSpec
from napari_pytc.volumes.tiff import TiffVolume, open_tiff
from napari_pytc.volumes.tiff_space import tiff_space

_TIFF = (".tif", ".tiff", ".btf")
SUFFIXES = (*_TIFF, ".png", ".jpg", ".jpeg")
_DIGITS = re.compile(r"(\d+)")
_MOST_OPEN = 32


class SectionsVolume(FileVolume):
    """One file a section, in natural order of the names (2 before 10); the first says shape and type of all.

    Colour images whose colours are the same in the first section are read as grey.
    """

    def __init__(self, spec: SectionsSpec) -> None:
        self._files = section_files(spec.path, spec.suffix)
        self._tiff = spec.suffix.lower() in _TIFF
        self._cache = DecodeCache()
        self._open: OrderedDict[Path, TiffVolume] = OrderedDict()
        self._lock = threading.Lock()
        first, found = self._files[0], FoundSpace.nothing()
        self._channel = self._chosen(first, spec.channel)
        if self._tiff:
            section = self._tiff_section(first)
            (_, *self._plane), dtype, n_channels = section.shape, section.dtype, section.n_channels
            with open_tiff(first) as tiff:
                found = tiff_space(tiff, 0, len(self._files))
        else:
            image = self._image(first)
            layout = _layout(image, self._channel, first)
            (_, *self._plane), dtype, n_channels = layout.shape, image.dtype, layout.n_channels
        layout = layout_of("zyx", (len(self._files), *self._plane), None, str(spec.path))
        self._describe(str(spec.path), layout, dtype, found, spec)
        self.n_channels = n_channels

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        sections, rows, columns = index
        data = np.empty([s.stop - s.start for s in index], self.dtype)
        for out, path in zip(data, self._files[sections], strict=True):
            if self._tiff:
                section = self._tiff_section(path)
                self._same(path, section.shape[1:], section.dtype)
                out[...] = section.read(Box((0, rows.start, columns.start), (1, rows.stop, columns.stop)))[0]
            else:
                image = self._image(path)
                self._same(path, image.shape[:2], image.dtype)
                layout = _layout(image, self._channel, path)
                box = Box((0, rows.start, columns.start), (1, rows.stop, columns.stop))
                out[...] = layout.arrange(image[layout.index(box)], box.shape)[0]
        return data

    def _same(self, path: Path, plane: tuple[int, ...], dtype: np.dtype) -> None:
        if list(plane) != self._plane or dtype != self.dtype:
            raise VolumeError(
                f"{path} has {' x '.join(map(str, plane))} pixels of {dtype}; the first section has "
                f"{' x '.join(map(str, self._plane))} of {self.dtype}.",
                "Give all sections the same size and type.",
            )

    def _chosen(self, first: Path, wanted: int | None) -> int | None:
        """The channel: the one asked for, or 0 of an image that is grey in several colours."""
        if wanted is not None:
            return wanted
        colours = self._tiff_colours(first) if self._tiff else self._image(first)
        return 0 if colours.ndim == 3 and _is_grey(colours) else None

    def _tiff_colours(self, path: Path) -> np.ndarray:
        """A section as (y, x, colour)."""
        section = TiffVolume(TiffSpec(path=path, channel=0), self._cache)
        colours = [section.read(Box.of_shape(section.shape))[0]] if section.n_channels > 1 else []
        for channel in range(1, section.n_channels):
            section = TiffVolume(TiffSpec(path=path, channel=channel), self._cache)
            colours.append(section.read(Box.of_shape(section.shape))[0])
        return np.stack(colours, axis=-1) if colours else np.zeros((1, 1), section.dtype)

    def _tiff_section(self, path: Path) -> TiffVolume:
        with self._lock:
            section = self._open.pop(path, None)
        if section is None:
            section = TiffVolume(TiffSpec(path=path, channel=self._channel), self._cache)
            if section.shape[0] != 1:
                raise VolumeError(
                    f"{path} holds {section.shape[0]} sections; in a folder of sections each file has one.",
                    "Open the file itself.",
                )
        with self._lock:
            # A volume that leaves is closed when the last thread that reads it lets go of it.
            self._open[path] = section
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        return section

    def _image(self, path: Path) -> np.ndarray:
        kept = self._cache.get(path)
        if kept is None:
            kept = _decode(path)
            self._cache.put(path, kept)
        return kept

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for section in self._open.values():
                section.close()
            self._open.clear()


def _decode(path: Path) -> np.ndarray:
    data = existing_file(path).read_bytes()
    decode = imagecodecs.png_decode if data.startswith(b"\x89PNG") else imagecodecs.jpeg_decode
    try:
        return np.asarray(decode(data))
    except (ValueError, RuntimeError) as error:
        raise VolumeError(f"{path} is not a whole image: {error}.", "Copy it again, or leave it out.") from error


def _layout(image: np.ndarray, channel: int | None, path: Path) -> AxisLayout:
    return layout_of("yx" if image.ndim == 2 else "yxs", image.shape, channel, str(path))


def _is_grey(colours: np.ndarray) -> bool:
    """Whether the colours (y, x, colour) are the same; a second of two or a fourth of four is transparency."""
    n_colours = int(colours.shape[-1])
    n = {2: 1, 4: 3}.get(n_colours, n_colours)
    return all(np.array_equal(colours[..., 0], colours[..., c]) for c in range(1, n))


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Order by the numbers in a name, then by its letters."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _DIGITS.split(path.name.lower())]


def section_files(folder: Path, suffix: str) -> list[Path]:
    """The sections of a folder in natural order, or the one image that the path itself is."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise VolumeError(
            f"There is no folder {folder}.", "Check the path, or tell the project where the image moved to."
        )
    files = [p for p in folder.iterdir() if p.suffix.lower() == suffix.lower() and not p.name.startswith(".")]
    if not files:
        raise VolumeError(f"{folder} has no {suffix} files any more.", "Tell the project where the image moved to.")
    return sorted(files, key=_natural)


def choose_suffix(place: Path, wanted: str | None) -> str:
    """The suffix of a folder's sections: the only one, or the one named behind the colon as ``.png``."""
    if place.is_file():
        return place.suffix.lower()
    counts = Counter(p.suffix.lower() for p in place.iterdir() if p.is_file() and not p.name.startswith("."))
    found = {suffix: counts[suffix] for suffix in SUFFIXES if counts[suffix]}
    listing = ", ".join(f"{n} {suffix}" for suffix, n in found.items())
    if wanted is not None:
        suffix = "." + wanted.lower().removeprefix(".")
        if suffix not in found:
            raise VolumeError(f"{place} has no {suffix} files; it has {listing or 'no sections'}.")
        return suffix
    if not found:
        raise VolumeError(
            f"{place} holds neither sections (TIFF, PNG, JPEG) nor a Zarr, N5 or precomputed volume.",
            "Give the folder that holds them directly.",
        )
    if len(found) > 1:
        raise VolumeError(
            f"{place} holds sections of several kinds: {listing}.", f"Name one: {place}:{next(iter(found))}."
        )
    return next(iter(found))
