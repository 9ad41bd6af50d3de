"""Series of numbered files in a folder: which belong together, their order, and the numbers that are missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.missing import missing_note

_DIGITS = re.compile(r"(\d+)")
_MOST_BLANKS_A_FILE = 20
_MOST_LISTED = 8


@dataclass(frozen=True)
class SectionSeries:
    """Files whose names differ in one number.

    Parameters
    ----------
    pattern : str
        Their names without the suffix, ``*`` for the number; what stands behind the colon to pick them.
    files : tuple of Path
        In the order of the number.
    numbers : tuple of int
        The number of each file; empty where the names have none, or several that vary.
    """

    pattern: str
    files: tuple[Path, ...]
    numbers: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What stands behind the colon to pick the files."""
        return f"{self.pattern}{self.files[0].suffix}"

    @property
    def text(self) -> str:
        """Pattern and number of files for people."""
        return f"{self.name} ({len(self.files)} file{'s' if len(self.files) > 1 else ''})"


def image_files(folder: Path, suffix: str) -> list[Path]:
    """The files with a suffix in natural order of their names: 2 before 10."""
    found = [p for p in folder.iterdir() if p.suffix.lower() == suffix.lower() and not p.name.startswith(".")]
    return sorted(found, key=natural)


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """Order by the numbers in a name, then by its letters."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _DIGITS.split(path.name.lower())]


def matches(path: Path, pattern: str) -> bool:
    """Whether a pattern, of either case, with or without the suffix, fits a name; an empty one fits all."""
    names, pattern = (path.stem.lower(), path.name.lower()), pattern.lower()
    return not pattern or any(fnmatchcase(name, pattern) or name == pattern for name in names)


def find_series(files: Iterable[Path]) -> list[SectionSeries]:
    """Files by their names without numbers; of those with several numbers that vary, by the one that varies least.

    ::

        raw_0000 raw_0001 mask_0000 mask_0001      ->  raw_*, mask_*
        s_000_ch0 s_000_ch1 s_001_ch0 s_001_ch1    ->  s_*_ch0, s_*_ch1
    """
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in files:
        groups.setdefault(tuple(_DIGITS.split(path.stem.lower())[::2]), []).append(path)
    return [series for group in groups.values() for series in _series_of_names(group)]


def _series_of_names(files: list[Path]) -> list[SectionSeries]:
    parts = [_DIGITS.split(path.stem) for path in files]
    numbers = [[int(digits) for digits in part[1::2]] for part in parts]
    n_values = [len(set(column)) for column in zip(*numbers, strict=True)]
    varying = [k for k, n in enumerate(n_values) if n > 1]
    if not varying:
        return [SectionSeries(_pattern(parts[0], []), (path,)) for path in files]
    own = next((k for k in reversed(varying) if n_values[k] == len(files)), None)
    if own is not None:
        pairs = sorted(zip((row[own] for row in numbers), files, strict=True), key=lambda pair: pair[0])
        return [
            SectionSeries(_pattern(parts[0], varying), tuple(p for _, p in pairs), tuple(number for number, _ in pairs))
        ]
    if len(varying) == 1:  # 1.png and 01.png
        return [SectionSeries(_pattern(parts[0], varying), tuple(sorted(files, key=natural)))]
    fixed = min(varying, key=lambda k: n_values[k])
    by_value: dict[int, list[Path]] = {}
    for path, row in zip(files, numbers, strict=True):
        by_value.setdefault(row[fixed], []).append(path)
    return [series for part in by_value.values() for series in _series_of_names(part)]


def _pattern(parts: Sequence[str], varying: Sequence[int]) -> str:
    """A name in parts, letters and digits by turns, with ``*`` for the digits that vary."""
    return "".join(
        "*" if k % 2 and k // 2 in varying else re.sub(r"([\[?*])", r"[\1]", part) for k, part in enumerate(parts)
    )


def choose_series(folder: Path, suffix: str) -> SectionSeries:
    """The only series of numbered files in a folder; files without a number beside it are left out.

    Raises
    ------
    VolumeError
        If there are several; the message lists them.
    """
    series = find_series(image_files(folder, suffix))
    numbered = [one for one in series if one.numbers]
    candidates = numbered or series
    if len(candidates) == 1:
        return candidates[0]
    listing = ", ".join(one.text for one in candidates[:_MOST_LISTED])
    more = f" and {len(candidates) - _MOST_LISTED} more" if len(candidates) > _MOST_LISTED else ""
    raise VolumeError(
        f"{folder} holds {len(candidates)} series of sections: {listing}{more}.",
        f"Name one: {folder}:{candidates[0].pattern}; {folder}:* takes all in the order of their names. Series that "
        "are channels of one image are brought together in the window, as layers that are selected.",
    )


def place_sections(series: SectionSeries, is_blank: bool, folder: Path) -> tuple[tuple[Path | None, ...], list[str]]:
    """The file of each section, None for one that is missing and shall be blank, and notes on what is missing.

    Raises
    ------
    VolumeError
        If far more sections are missing than there are.
    """
    numbers = series.numbers
    if len(numbers) < 2:
        return series.files, []
    steps = Counter(b - a for a, b in pairwise(numbers))
    step, n_alike = min(steps.items(), key=lambda item: (-item[1], item[0]))
    places, odd = zip(*(divmod(number - numbers[0], step) for number in numbers), strict=True)
    if len(steps) > 1 and (any(odd) or 2 * n_alike < len(numbers) - 1):
        return series.files, [
            f"The numbers of {series.text} are irregular, so that it is not known whether sections are missing."
        ]
    n_sections = places[-1] + 1
    n_missing = n_sections - len(numbers)
    if not n_missing:
        return series.files, []
    if n_missing > _MOST_BLANKS_A_FILE * len(numbers):
        if is_blank:
            raise VolumeError(
                f"{folder} has {len(numbers)} sections numbered {numbers[0]} to {numbers[-1]}, so that {n_missing} "
                "would be blank.",
                "Leave out --missing-sections blank, or move the files with other numbers away.",
            )
        return series.files, [
            f"Of the numbers {numbers[0]} to {numbers[-1]} only {len(numbers)} have a section; the gaps are closed."
        ]
    there = dict(zip(places, series.files, strict=True))
    lost = [numbers[0] + step * place for place in range(n_sections) if place not in there]
    note = missing_note(lost, n_sections, is_blank, numbers[-1])
    files = tuple(there.get(place) for place in range(n_sections)) if is_blank else series.files
    return files, [note]
