"""Whole numbers that the user types with commas between."""

from __future__ import annotations

from napari_pytc.errors import InvalidInput


def whole_numbers(text: str, what: str) -> tuple[int, ...]:
    """Read whole numbers with commas or semicolons between; none of an empty text.

    Parameters
    ----------
    what : str
        Name of the numbers, for the message.

    Raises
    ------
    InvalidInput
        If a word is none.
    """
    words = [word.strip() for word in text.replace(";", ",").split(",") if word.strip()]
    try:
        return tuple(int(word) for word in words)
    except ValueError as error:
        raise InvalidInput(
            f"{what} are whole numbers with commas between, got {text.strip()!r}.", "For example 1, 255."
        ) from error
