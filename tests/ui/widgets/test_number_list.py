"""Whole numbers that the user types with commas between."""

from __future__ import annotations

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.ui.widgets.number_list import whole_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", ()), ("  ", ()), ("7", (7,)), ("1, 255", (1, 255)), ("1;2 ; 3,", (1, 2, 3)), ("-1,0", (-1, 0))],
)
def test_numbers_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert whole_numbers(text, "Values") == numbers


@pytest.mark.parametrize("text", ["a", "1, b", "1.5", "1 2"])
def test_anything_else_is_refused_with_what_it_is_for(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        whole_numbers(f" {text} ", "Ignored values")
    assert caught.value.message == f"Ignored values are whole numbers with commas between, got {text!r}."
    assert caught.value.hint == "For example 1, 255."
