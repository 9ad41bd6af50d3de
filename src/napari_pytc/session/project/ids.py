"""Ids of models, predictions and segmentations: folder names that are free and sort by age."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime


def new_id(stem: str, taken: Callable[[str], bool]) -> str:
    """Return the stem, with the first of -2, -3, ... that is free where it is taken."""
    name, number = stem, 1
    while taken(name):
        number += 1
        name = f"{stem}-{number}"
    return name


def model_stem(recipe: str, now: datetime) -> str:
    """Date, time and recipe as the beginning of an id, which sorts by age."""
    return f"{now:%Y%m%d-%H%M}-{plain(recipe)}"


def plain(text: str) -> str:
    """Text as part of a folder's name on any system."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "custom"


def natural_key(name: str) -> list[tuple[int, str]]:
    """A key that sorts -10 after -9."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
