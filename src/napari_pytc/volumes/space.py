"""Voxel sizes as files say them: units, and where each came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace

Lengths = tuple[float, float, float]

_NM = {
    "m": 1e9, "meter": 1e9, "metre": 1e9,
    "cm": 1e7, "centimeter": 1e7, "centimetre": 1e7,
    "mm": 1e6, "millimeter": 1e6, "millimetre": 1e6,
    "um": 1e3, "\u00b5m": 1e3, "\u03bcm": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometre": 1e3,
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0,
    "a": 0.1, "\u00e5": 0.1, "angstrom": 0.1,
    "pm": 1e-3, "picometer": 1e-3, "picometre": 1e-3,
    "inch": 2.54e7,
}  # fmt: skip


# Attributes in use in the field, (z, y, x), and how many nm their unit is where no attribute says it.
_SIZES = {"voxel_size_nm": 1.0, "resolution": 1.0, "element_size_um": 1e3}


@dataclass(frozen=True)
class FoundSpace:
    """A voxel space and the words that say where it came from."""

    space: VoxelSpace
    source: str

    @classmethod
    def nothing(cls) -> FoundSpace:
        """No file said it."""
        return cls(VoxelSpace.unknown(), "unknown")

    def replaced(self, voxel_size_nm: Lengths) -> FoundSpace:
        """The user's size; the origin stays."""
        return FoundSpace(VoxelSpace(voxel_size_nm, self.space.origin_nm), "given")


def unit_nm(unit: str | None) -> float | None:
    r"""Nanometres in a unit; none for a unit that is no length, as pixel.

    ImageJ escapes the micro sign as ``\u00B5m``.
    """
    if not unit:
        return None
    return _NM.get(unit.strip().replace("\\u00B5", "\u00b5").lower())


def found_space(size: Sequence[float], source: str, origin: Sequence[float] = (0.0, 0.0, 0.0)) -> FoundSpace:
    """The space of a size in nm (z, y, x); unknown where the numbers cannot be lengths."""
    try:
        numbers = [float(v) for v in size]
        start = [float(v) for v in origin]
        if not all(math.isfinite(v) for v in start):
            start = [0.0, 0.0, 0.0]
        return FoundSpace(VoxelSpace((numbers[0], numbers[1], numbers[2]), (start[0], start[1], start[2])), source)
    except (InvalidInput, TypeError, ValueError, IndexError):
        return FoundSpace.nothing()


def space_of_attributes(attributes: Mapping[str, Any], kind: str) -> FoundSpace:
    """The space that one of the usual attributes of HDF5 and Zarr gives: `_SIZES`, with a unit and an offset beside."""
    for key, factor in _SIZES.items():
        if key not in attributes:
            continue
        unit = attributes.get("unit", attributes.get("units"))
        scale = (unit_nm(unit) if key == "resolution" and isinstance(unit, str) else None) or factor
        offset = numbers_of(attributes.get("offset"))
        origin = [v * scale for v in offset] if len(offset) == 3 else (0.0, 0.0, 0.0)
        found = found_space(_edges(numbers_of(attributes[key]), scale), f"{kind} attribute {key}", origin)
        if found.space.known:
            return found
    return FoundSpace.nothing()


def numbers_of(value: Any) -> list[float]:
    """A number or a list of them as floats; empty where it is none."""
    if value is None:
        return []
    try:
        return [float(v) for v in np.atleast_1d(np.asarray(value, np.float64)).ravel()]
    except (TypeError, ValueError):
        return []


def _edges(numbers: list[float], factor: float) -> list[float]:
    """Edge lengths z, y, x of one, two or three numbers; one section is as thick as its pixels are wide."""
    nm = [v * factor for v in numbers]
    if len(nm) == 1:
        return nm * 3
    return [nm[0], *nm] if len(nm) == 2 else nm[-3:]
