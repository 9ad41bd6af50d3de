"""Voxel sizes of files: units, sizes that a microscope can have, and the source of each."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace

Lengths = tuple[float, float, float]
"""Along z, y, x."""

SMALLEST_EDGE_NM = 0.05
"""Edges below are finer than any microscope resolves; they come from numbers in another unit."""
LARGEST_EDGE_NM = 1e5
"""Edges above, 100 um, are those of a printer or a screen."""

_NM = {
    "m": 1e9, "meter": 1e9, "metre": 1e9,
    "cm": 1e7, "centimeter": 1e7, "centimetre": 1e7,
    "mm": 1e6, "millimeter": 1e6, "millimetre": 1e6,
    "um": 1e3, "\u03bcm": 1e3, "\u03bc": 1e3, "micron": 1e3, "micrometer": 1e3, "micrometre": 1e3,
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0,
    "a": 0.1, "\u00e5": 0.1, "angstrom": 0.1, "\u00e5ngstrom": 0.1, "\u00e5ngstr\u00f6m": 0.1, "angstroem": 0.1,
    "pm": 1e-3, "picometer": 1e-3, "picometre": 1e-3,
}  # fmt: skip


@dataclass(frozen=True)
class FoundSpace:
    """A voxel space, a description of its source, and what was assumed or left out on the way to it.

    Parameters
    ----------
    notes : tuple of str
        Sentences on the size.
    place_notes : tuple of str
        Sentences on place and orientation, which hold whatever the size is.
    """

    space: VoxelSpace
    source: str
    notes: tuple[str, ...] = ()
    place_notes: tuple[str, ...] = ()

    @classmethod
    def nothing(cls, *notes: str, place_notes: Sequence[str] = ()) -> FoundSpace:
        """An unknown voxel size, and why it is unknown."""
        return cls(VoxelSpace.unknown(), "unknown", notes, tuple(place_notes))

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes on size, place and orientation."""
        return (*self.notes, *self.place_notes)

    def replaced(self, voxel_size_nm: Lengths) -> FoundSpace:
        """The user's size; the origin and the notes on it stay, and those on the size that it replaces go."""
        space = VoxelSpace(voxel_size_nm, self.space.origin_nm, is_placed=self.space.is_placed)
        return FoundSpace(space, "given", (), self.place_notes)


def unit_nm(unit: object) -> float | None:
    r"""Nanometres in a unit, short, spelled out or plural; none for a unit that is no length of tissue.

    Pixels and inches have none: an inch is a unit of printers and stands in image files by default. ImageJ escapes the
    micro sign as ``\u00B5m``.
    """
    if isinstance(unit, bytes):
        unit = unit.decode("utf-8", "replace")
    if not isinstance(unit, str):
        return None
    # NFKC makes one of the two micro signs and one of the two signs of the Angstrom.
    name = unicodedata.normalize("NFKC", unit.strip().replace("\\u00B5", "\u00b5")).lower()
    return _NM.get(name) or (_NM.get(name[:-1]) if len(name) > 3 and name.endswith("s") else None)


def found_space(
    size: Sequence[float],
    source: str,
    origin: Sequence[float] | None = None,
    notes: Sequence[str] = (),
    *,
    place_notes: Sequence[str] = (),
    is_own: bool = False,
) -> FoundSpace:
    """The space of a size in nm (z, y, x), and of an origin where the file says one.

    It is unknown, with a note, where the numbers cannot be lengths or lie outside `SMALLEST_EDGE_NM` to
    `LARGEST_EDGE_NM`; of files that this program wrote (`is_own`) they may lie outside, for a user may say so.
    """
    try:
        numbers = [float(v) for v in size]
        start = None if origin is None else [float(v) for v in origin]
        space = VoxelSpace((numbers[0], numbers[1], numbers[2]))
    except (InvalidInput, TypeError, ValueError, IndexError):
        return FoundSpace.nothing(
            *notes, f"{source} gives no lengths; the voxel size is not known.", place_notes=place_notes
        )
    if not is_own and not all(SMALLEST_EDGE_NM <= edge <= LARGEST_EDGE_NM for edge in space.voxel_size_nm):
        return FoundSpace.nothing(
            *notes,
            f"{source} would make voxels of {' x '.join(f'{v:g}' for v in space.voxel_size_nm)} nm, outside of 0.05 nm "
            "to 100 um; the voxel size counts as not known.",
            place_notes=place_notes,
        )
    if start is not None and (len(start) != 3 or not all(math.isfinite(v) for v in start)):
        place_notes, start = (*place_notes, f"{source} comes with an origin that is no place; it is left out."), None
    if start is not None:
        space = VoxelSpace(space.voxel_size_nm, (start[0], start[1], start[2]), is_placed=True)
    return FoundSpace(space, source, tuple(notes), tuple(place_notes))


def stated_origin(origin: Sequence[float]) -> list[float] | None:
    """The origin in a format whose files always have one: 0 along all axes is where nothing was said."""
    return list(origin) if any(origin) else None


def numbers_of(value: Any) -> list[float]:
    """A number or a list of them as floats, also written as text or JSON; empty where it is none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    if value is None:
        return []
    try:
        return [float(v) for v in np.atleast_1d(np.asarray(value, np.float64)).ravel()]
    except (TypeError, ValueError):
        return []


def texts_of(value: Any) -> list[str]:
    """A text or a list of them, as bytes, in an array, as JSON or behind one another with commas; empty for none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        if value.strip().startswith("["):
            try:
                value = json.loads(value.replace("'", '"'))
            except ValueError:
                return []
        else:
            return [part.strip() for part in value.split(",")]
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if not isinstance(value, list | tuple):
        return []
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) if v is not None else "" for v in value]
