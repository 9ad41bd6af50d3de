"""Facts that this program's exports leave in a folder whose files cannot say them: voxel size, place, names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, stated_origin

MARK = "export.json"
"""File in a folder of files that an export wrote."""
WRITER = "napari-pytc export"


def read_mark(folder: Path) -> dict[str, Any]:
    """What an export noted in a folder; empty where none wrote it."""
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("written_by") == WRITER else {}


def space_of_series(folder: Path, first: Path) -> FoundSpace:
    """Voxel size and place of a series of sections that an export wrote.

    Parameters
    ----------
    first : Path
        The first section that is there, whose number says where along z it lies.
    """
    mark = read_mark(folder)
    size, origin = numbers_of(mark.get("voxel_size_nm")), numbers_of(mark.get("origin_nm"))
    if len(size) != 3:
        return FoundSpace.nothing()
    if len(origin) != 3:
        return found_space(size, MARK, is_own=True)
    exact = origin[0] / size[0]
    was_first = round(exact) if exact >= 0 and abs(exact - round(exact)) < 1e-3 else 0
    digits = re.findall(r"\d+", first.stem)
    z = origin[0] + ((int(digits[-1]) if digits else was_first) - was_first) * size[0]
    return found_space(size, MARK, stated_origin((z, *origin[1:])), is_own=True)
