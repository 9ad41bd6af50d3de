"""Missing sections: their numbers for people, and what is done about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.volumes.missing import missing_note, numbers_text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([4], "4"),
        ([4, 5], "4, 5"),
        ([4, 5, 6], "4 to 6"),
        ([4, 5, 6, 7, 9], "4 to 7, 9"),
        ([1, 3, 5, 7, 9, 11], "1, 3, 5, 7, 9, 11"),
        ([1, 3, 5, 7, 9, 11, 13, 14], "1, 3, 5, 7, 9, 11, and 1 more"),
    ],
)
def test_runs_are_shortened(numbers: list[int], text: str) -> None:
    assert numbers_text(numbers) == text


@given(st.sets(st.integers(0, 30), max_size=10))
def test_the_text_has_all_numbers_where_it_is_not_cut(numbers: set[int]) -> None:
    text = numbers_text(sorted(numbers))
    if "more" in text:
        return
    found: set[int] = set()
    for part in filter(None, text.split(", ")):
        first, _, last = part.partition(" to ")
        found |= set(range(int(first), int(last or first) + 1))
    assert found == numbers


def test_a_gap_that_is_closed_is_told_with_the_way_to_keep_it() -> None:
    note = missing_note([4, 5], 12, is_blank=False, last=11)
    assert note == (
        "2 of 12 sections are missing: sections 4, 5; the gap is closed, so that later sections lie lower than their "
        "numbers say; with --missing-sections blank they keep their places."
    )


def test_sections_behind_the_last_one_move_nothing() -> None:
    note = missing_note([8, 9, 10, 11], 12, is_blank=False, last=7)
    assert note.endswith("sections 8 to 11; they are left out, or blank with --missing-sections blank.")


def test_blank_sections_are_told() -> None:
    assert missing_note([4], 12, is_blank=True, last=11) == (
        "1 of 12 sections are missing: section 4; they are read as blank."
    )
