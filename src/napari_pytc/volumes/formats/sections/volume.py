"""Folders of numbered sections, one TIFF, PNG or JPEG file a section; a single image is a folder of one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Self

import numpy as np

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.export_mark import space_of_series
from napari_pytc.volumes.formats.sections.images import (
    SUFFIXES,
    TIFF_SUFFIXES,
    SectionImage,
    SectionKind,
    TiffSection,
    open_section,
    png_header,
)
from napari_pytc.volumes.formats.sections.series import (
    SectionSeries,
    choose_series,
    find_series,
    image_files,
    matches,
    place_sections,
)
from napari_pytc.volumes.formats.tiff.pages import segment_cache
from napari_pytc.volumes.layout import layout_of
from napari_pytc.volumes.missing import numbers_text
from napari_pytc.volumes.space import FoundSpace
from napari_pytc.volumes.spec import ReadOptions, SectionsSpec

# Of a TIFF the description of its page is kept, of others little more than their size.
_MOST_KNOWN, _TIFF_COST = 8192, 8
# Sections that are looked at when the folder is opened, of TIFF by their directories; the others when they are read.
_N_PNG_SAMPLES, _N_TIFF_SAMPLES = 64, 16
_OTHER_IMAGES = (
    ".bmp", ".gif", ".webp", ".jp2", ".j2k", ".ppm", ".pgm", ".dm3", ".dm4", ".czi", ".lif", ".nd2", ".oib", ".raw",
)  # fmt: skip


class SectionsVolume(FileVolume):
    """One file a section, in the order of their numbers (2 before 10); the first gives size and type of all.

    Colours are mixed to grey unless a channel is given. Each section is checked when it is first read: one of another
    size or type is an error, or blank where missing sections are.
    """

    reads_channels_together = False

    def __init__(self, spec: SectionsSpec) -> None:
        self._path, self._is_blank = spec.path, spec.missing_sections == "blank"
        self._read_options = spec.read_options
        self._files, notes = _sections(spec)
        self._cache = segment_cache()
        self._known: ByteBoundedCache[Path, SectionImage] = ByteBoundedCache(_MOST_KNOWN, size_of=_cost)
        first_file = next(path for path in self._files if path is not None)
        first = self._section(first_file)
        self._kind: SectionKind = first.kind
        found = FoundSpace.nothing()
        if isinstance(first, TiffSection):
            found = first.space_found(len(self._files))
        exported = space_of_series(spec.path, first_file)
        found = exported if exported.space.known else found
        lengths = (len(self._files), *first.kind.plane)
        options = ReadOptions(axes=spec.axes, time=spec.time)
        layout = layout_of("zyx", lengths, options, str(spec.path))
        notes += self._check_samples(spec.suffix.lower() in TIFF_SUFFIXES)
        self._describe(str(spec.path), layout, first.kind.dtype, found, spec, (*notes, *first.notes))
        self._colours = colours = first.layout
        self._describe_channels(colours.n_channels, colours.image_channels, colours.colour_names)

    @property
    def shown_channel(self) -> int:
        """The colour of each section."""
        return self.spec.channel if isinstance(self.spec.channel, int) else self._colours.channel

    @property
    def is_mixed(self) -> bool:
        """Whether the colours of each section are mixed to grey."""
        return self.spec.channel is None and self._colours.n_mixed > 1 and self._colours.are_colours

    def with_channel(self, channel: int) -> Self:
        """Another colour of the same sections, which share their decoded images."""
        other = super().with_channel(channel)
        other._read_options = other.spec.read_options
        other._known = ByteBoundedCache(_MOST_KNOWN, size_of=_cost)
        return other

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        sections, rows, columns = index
        data = np.zeros([s.stop - s.start for s in index], self.dtype)
        for number, out in zip(range(sections.start, sections.stop), data, strict=True):
            path = self._files[number]
            section = None if path is None else self._checked(number, path)
            if section is not None:
                out[...] = section.read(rows, columns)
        return data

    def _checked(self, number: int, path: Path) -> SectionImage | None:
        """A section like the first, or None for one that is unlike it and shall be blank."""
        section = self._section(path)
        if section.kind.fits(self._kind):
            return section
        if self._is_blank:
            return None
        raise VolumeError(
            f"Section {number}, {path}, has {section.kind.text(self._kind)}; the first has "
            f"{self._kind.text(section.kind)}.",
            "Give all sections the same size and type, or read it as blank with --missing-sections blank.",
        )

    def _check_samples(self, is_tiff: bool) -> list[str]:
        """Check sections that are spread over the folder, as far as that is quick, and note which are blank."""
        n = min(len(self._files), _N_TIFF_SAMPLES if is_tiff else _N_PNG_SAMPLES)
        first, blank = b"", []
        for number in np.linspace(0, len(self._files) - 1, n).astype(int).tolist():
            if (path := self._files[number]) is None:
                continue
            header = b"" if is_tiff else png_header(path)
            first = first or header
            if (is_tiff or header != first) and self._checked(number, path) is None:
                blank.append(number)
        if 2 * len(blank) > n:
            raise VolumeError(
                f"Most sections of {self._path} have another size or type than the first, {self._files[0]}.",
                "Move the first away, or give all sections the same size and type.",
            )
        which = "Section" if len(blank) == 1 else "Sections"
        notes = []
        if blank:
            notes.append(f"{which} {numbers_text(blank)} read as blank: of another size or type than the first.")
        if self._is_blank and n < len(self._files):
            notes.append("Sections that turn out to have another size or type than the first are read as blank, too.")
        return notes

    def _section(self, path: Path) -> SectionImage:
        return self._known.get(path, lambda: open_section(path, self._read_options, self._cache))

    def close(self) -> None:
        """Forget what is known of the files, none of which is open."""
        self._known.clear()


def _cost(section: SectionImage) -> int:
    return _TIFF_COST if isinstance(section, TiffSection) else 1


def _sections(spec: SectionsSpec) -> tuple[tuple[Path | None, ...], list[str]]:
    """The file of each section, None for a blank one, and notes on what is missing or left out."""
    folder = spec.path
    if folder.is_file():
        return (folder,), []
    if not folder.is_dir():
        raise VolumeError(
            f"There is no folder {folder}.", "Check the path, or tell the project where the image moved to."
        )
    listed = image_files(folder, spec.suffix)
    files = [path for path in listed if matches(path, spec.pattern)]
    if not files:
        names = f"{spec.pattern}{spec.suffix}" if spec.pattern else spec.suffix
        raise VolumeError(f"{folder} has no {names} files any more.", "Tell the project where the image moved to.")
    notes = []
    series = find_series(files)
    if len(series) > 1 or (len(files) > 1 and not series[0].numbers):
        notes.append(
            f"{len(files)} files are read in the order of their names, as one stack: "
            f"{', '.join(one.text for one in series[:8])}{' and more' if len(series) > 8 else ''}."
        )
        series = [SectionSeries(spec.pattern, tuple(files))]
    placed, gaps = place_sections(series[0], spec.missing_sections == "blank", folder)
    read = set(files)
    others = [path.name for path in listed if path not in read]
    if others:
        shown = ", ".join(others[:3]) + (" and so on" if len(others) > 3 else "")
        which = "another file is" if len(others) == 1 else f"{len(others)} other files are"
        notes.append(f"Read is {spec.pattern}{spec.suffix}; {which} left out: {shown}.")
    return placed, [*notes, *gaps]


def choose_sections(place: Path, wanted: str | None) -> tuple[str, str]:
    """Suffix and pattern of the sections that a path and the text behind its colon name.

    Parameters
    ----------
    place : Path
        A folder, or an image that is one section.
    wanted : str, optional
        A suffix, as ``.png``, or a pattern of names, as ``raw_*``; without it the folder must hold one series.

    Raises
    ------
    VolumeError
        If there are no sections, or several kinds or series of them and none was named; the message lists them.
    """
    if place.is_file():
        if wanted is not None:
            raise VolumeError(f"{place} is a single image, got {wanted!r}.", "Leave out what is behind the colon.")
        return place.suffix.lower(), ""
    counts = Counter(p.suffix.lower() for p in place.iterdir() if p.is_file() and not p.name.startswith("."))
    found = {suffix: counts[suffix] for suffix in SUFFIXES if counts[suffix]}
    listing = ", ".join(f"{n} {suffix}" for suffix, n in found.items())
    pattern = ""
    if wanted is not None:
        named = "." + wanted.lower().removeprefix(".")
        if named in SUFFIXES:
            if named not in found:
                raise VolumeError(f"{place} has no {named} files; it has {listing or 'no sections'}.")
            found = {named: found[named]}
        else:
            pattern = wanted
            found = {s: n for s, n in found.items() if any(matches(path, pattern) for path in image_files(place, s))}
            if not found:
                raise VolumeError(
                    f"{place} has no sections named {pattern}; it has {listing or 'none'}.",
                    "Behind the colon of a folder stands a suffix, as .png, or a pattern of names, as raw_*.",
                )
    if not found:
        raise _no_sections(place, counts)
    if len(found) > 1:
        raise VolumeError(
            f"{place} holds sections of several kinds: {listing}.", f"Name one: {place}:{next(iter(found))}."
        )
    suffix = next(iter(found))
    return suffix, pattern or choose_series(place, suffix).pattern


def _no_sections(place: Path, counts: Counter[str]) -> VolumeError:
    others = {suffix: counts[suffix] for suffix in _OTHER_IMAGES if counts[suffix]}
    if others:
        return VolumeError(
            f"{place} holds {', '.join(f'{n} {suffix}' for suffix, n in others.items())} files, which are not read.",
            "Convert them to TIFF or PNG, for example in Fiji with Process > Batch > Convert.",
        )
    return VolumeError(
        f"{place} holds neither sections (TIFF, PNG, JPEG) nor a Zarr, N5 or precomputed volume.",
        "Give the folder that holds them directly.",
    )
