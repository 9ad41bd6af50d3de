"""Which files of a folder are one stack, their order, and which are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.formats.sections.series import SectionSeries, find_series, matches, place_sections


def _found(names: list[str]) -> dict[str, tuple[list[str], list[int]]]:
    series = find_series(Path(name) for name in sorted(names))
    return {one.pattern: ([path.name for path in one.files], list(one.numbers)) for one in series}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["s2.png", "s10.png", "s1.png"], {"s*": ["s1.png", "s2.png", "s10.png"]}),
        (["0001.tif", "0002.tif"], {"*": ["0001.tif", "0002.tif"]}),
        (["em4nm_1.png", "em4nm_2.png"], {"em4nm_*": ["em4nm_1.png", "em4nm_2.png"]}),
        (["raw_1.png", "raw_2.png", "mask_1.png"], {"raw_*": ["raw_1.png", "raw_2.png"], "mask_1": ["mask_1.png"]}),
        (["a_01_05.png", "a_02_06.png"], {"a_*_*": ["a_01_05.png", "a_02_06.png"]}),
        (
            ["z0_c0.png", "z0_c1.png", "z1_c0.png", "z1_c1.png", "z2_c0.png", "z2_c1.png"],
            {"z*_c0": ["z0_c0.png", "z1_c0.png", "z2_c0.png"], "z*_c1": ["z0_c1.png", "z1_c1.png", "z2_c1.png"]},
        ),
        (["only.png"], {"only": ["only.png"]}),
        (["s[1]_1.png", "s[1]_2.png"], {"s[[]1]_*": ["s[1]_1.png", "s[1]_2.png"]}),
        (["S_1.png", "s_2.png"], {"S_*": ["S_1.png", "s_2.png"]}),
    ],
)
def test_files_that_differ_in_one_number_are_a_series(names: list[str], expected: dict[str, list[str]]) -> None:
    assert {pattern: files for pattern, (files, _) in _found(names).items()} == expected


def test_each_pattern_picks_its_own_files_and_no_others() -> None:
    names = [f"z{z}_c{c}{end}" for z in range(3) for c in range(2) for end in (".png", "[x].png")]
    for series in find_series(map(Path, sorted(names))):
        assert [name for name in sorted(names) if matches(Path(name), series.pattern)] == [p.name for p in series.files]
        assert matches(series.files[0], series.pattern.upper() + ".PNG")


def test_two_files_of_one_number_have_none() -> None:
    assert _found(["1.png", "01.png", "2.png"]) == {"*": (["01.png", "1.png", "2.png"], [])}


def _series(numbers: list[int]) -> SectionSeries:
    return SectionSeries("s*", tuple(Path(f"s{number}.png") for number in numbers), tuple(numbers))


@pytest.mark.parametrize(
    ("numbers", "lost", "note"),
    [
        ([1, 2, 3, 6, 7], [3, 4], "2 of 7 sections are missing: sections 4, 5;"),
        ([0, 10, 20, 40, 50], [3], "1 of 6 sections are missing: section 30;"),
        ([5, 6, 7, 8], [], ""),
        ([0, 4, 8], [], ""),
        ([3], [], ""),
        ([0, 1, 2, 6, 7, 8, 9, 12], [3, 4, 5, 10, 11], "5 of 13 sections are missing: sections 3 to 5, 10, 11;"),
    ],
)
def test_gaps_are_counted_by_the_usual_step(numbers: list[int], lost: list[int], note: str) -> None:
    series = _series(numbers)
    closed, said = place_sections(series, False, Path("a"))
    assert closed == series.files
    assert [text.startswith(note) for text in said] == ([True] if note else [])
    blank, said = place_sections(series, True, Path("a"))
    assert [z for z, path in enumerate(blank) if path is None] == lost
    assert [path for path in blank if path is not None] == list(series.files)
    assert all("read as blank" in text for text in said)


def test_irregular_numbers_say_nothing_of_gaps() -> None:
    numbers = np.cumsum([1, 5, 3, 8, 2, 9]).tolist()
    for is_blank in (False, True):
        files, notes = place_sections(_series(numbers), is_blank, Path("a"))
        assert files == _series(numbers).files
        assert "irregular" in notes[0]


def test_a_gap_of_a_million_is_not_filled() -> None:
    series = _series([1, 2, 3, 1_000_003])
    assert "only 4 have a section" in place_sections(series, False, Path("a"))[1][0]
    with pytest.raises(VolumeError, match="so that 999999 would be blank"):
        place_sections(series, True, Path("a"))
