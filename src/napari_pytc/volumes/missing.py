"""Missing sections of a stack: which they are, and the note on what is done about them."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_RANGES = 6


def numbers_text(numbers: Sequence[int]) -> str:
    """Numbers in order for people, runs of them shortened.

    Examples
    --------
    >>> numbers_text([4, 5, 6, 7, 9])
    '4 to 7, 9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    parts = [" to ".join(map(str, run)) if run[-1] - run[0] != 1 else ", ".join(map(str, run)) for run in runs]
    more = [f"and {len(parts) - _MOST_RANGES} more"] if len(parts) > _MOST_RANGES else []
    return ", ".join(parts[:_MOST_RANGES] + more)


def missing_note(numbers: Sequence[int], n_sections: int, is_blank: bool, last: int) -> str:
    """The note on sections that are missing.

    Parameters
    ----------
    numbers : sequence of int
        Their numbers, in the counting of the file or folder.
    n_sections : int
        Number of sections with them.
    is_blank : bool
        Whether they are read as blank; else the gap is closed.
    last : int
        Number of the last section that is there.
    """
    subject = f"section {numbers_text(numbers)}" if len(numbers) == 1 else f"sections {numbers_text(numbers)}"
    missing = f"{len(numbers)} of {n_sections} sections are missing: {subject}; "
    if is_blank:
        return f"{missing}they are read as blank."
    if min(numbers) > last:
        return f"{missing}they are left out, or blank with --missing-sections blank."
    return (
        f"{missing}the gap is closed, so that later sections lie lower than their numbers say; with --missing-sections "
        "blank they keep their places."
    )
