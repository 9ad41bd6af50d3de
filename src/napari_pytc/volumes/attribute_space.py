"""Voxel sizes, origins and axes in the attributes of HDF5, Zarr and N5, as the tools of the field write them.

=================== ============================================ =============================== ===================
attribute           written by                                   order                           unit
=================== ============================================ =============================== ===================
``voxel_size_nm``   this program                                 z, y, x                         nm
``transform``       CellMap, COSEM (``scale``, ``translate``)    its own ``axes``                its own ``units``
``voxel_size``      funlib, dacapo, gunpowder                    ``axis_names``, else z, y, x    ``units``, else nm
``resolution``      CREMI, older funlib, Paintera                that of the array               ``unit``, else nm
``pixelResolution`` BigDataViewer's N5                           x, y, z                         its ``unit``, else nm
``element_size_um`` ilastik, Fiji's HDF5                         z, y, x                         um
=================== ============================================ =============================== ===================

An ``offset`` beside the size is the origin, in the same order and unit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, texts_of, unit_nm

_SPACE = "zyx"


@dataclass(frozen=True)
class _Written:
    """Numbers of an attribute, one an axis."""

    size: list[float]
    offset: list[float]
    units: list[str]
    order: str
    """Letters of the axes that the numbers belong to; empty for the usual: z, y, x, and before them what else is."""
    unit: str | None
    """The unit that the attribute's own name or its convention sets; none where it must be named."""
    is_unit_fixed: bool = False


def space_of_attributes(attributes: Mapping[str, Any], kind: str, axes: str = "", *, is_n5: bool = False) -> FoundSpace:
    """The space that one of the usual attributes gives; unknown, with notes, where none can be understood.

    Parameters
    ----------
    attributes : mapping
        Those of an array or of a group around it.
    kind : str
        Name of the format in messages.
    axes : str
        A letter an axis of the array, the slowest first; empty where they are not named.
    is_n5 : bool
        Whether the lists follow N5's order, the fastest axis first.
    """
    notes: list[str] = []
    for key, written in _written(attributes, axes, is_n5):
        found = _space(written, f"{kind} attribute {key}")
        if found.space.known:
            return found
        notes += found.notes
    return FoundSpace.nothing(*notes)


def with_offset(attributes: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes of a group, with the array's own offset: the size may stand above and the place at the array."""
    return {**attributes, "offset": own["offset"]} if "offset" in own else attributes


def axes_of_attributes(attributes: Mapping[str, Any]) -> str:
    """A letter an axis from ``axis_names`` or the axes of a ``transform``, the slowest first; empty for none.

    Axes that are marked as not spatial, as ``c^`` of funlib, are channels where their name is no other letter.
    """
    names = texts_of(attributes.get("axis_names"))
    if not names:
        transform = _mapping(attributes.get("transform"))
        names = texts_of(transform.get("axes"))
        if str(transform.get("ordering", "C")).upper() == "F":
            names = names[::-1]
    return axis_letters(names)


def axis_letters(names: Sequence[Any]) -> str:
    """Axis names as letters where each is one of z, y, x, c, t; else nothing."""
    known = {"channel": "c", "channels": "c", "time": "t"}
    letters = ""
    for name in names:
        if not isinstance(name, str) or not name:
            return ""
        short = name.lower().rstrip("^")
        letter = known.get(short, short if len(short) == 1 else "?")
        letters += "c" if letter not in "czyxt" and name.endswith("^") else letter
    is_image = set(letters) <= set("czyxt") and {"y", "x"} <= set(letters) and len(set(letters)) == len(letters)
    return letters if is_image else ""


def _written(attributes: Mapping[str, Any], axes: str, is_n5: bool) -> list[tuple[str, _Written]]:
    """Every attribute that is there, the most explicit first."""
    units = texts_of(attributes.get("units", attributes.get("unit")))
    offset = numbers_of(attributes.get("offset"))
    array_order = axes[::-1] if is_n5 and axes else "xyz" if is_n5 else axes
    found: list[tuple[str, _Written]] = []

    def add(key: str, order: str, unit: str | None, fixed: bool = False) -> None:
        if key in attributes:
            size = numbers_of(attributes[key])
            # Beside this program's size there is always an offset.
            start = offset if key != "voxel_size_nm" or any(offset) else []
            found.append((key, _Written(size, start, [] if fixed else units, order, unit, fixed)))

    add("voxel_size_nm", _SPACE, "nm", True)
    if transform := _mapping(attributes.get("transform")):
        found.append(("transform", transform_numbers(transform)))
    add("voxel_size", axis_letters(texts_of(attributes.get("axis_names"))) or ("" if is_n5 else axes), "nm")
    add("resolution", array_order, "nm")
    if (value := attributes.get("pixelResolution")) is not None:
        own = _mapping(value)
        size = numbers_of(own.get("dimensions")) if own else numbers_of(value)
        named = texts_of(own.get("unit")) if own else units
        found.append(("pixelResolution", _Written(size, offset, named, "xyz", "nm")))
    add("element_size_um", _SPACE, "um", True)
    return found


def transform_numbers(transform: Mapping[str, Any]) -> _Written:
    """The scale and translation of CellMap's and COSEM's ``transform``."""
    size = numbers_of(transform.get("scale"))
    order = axis_letters(texts_of(transform.get("axes")))
    if not order:
        order = "xyz" if str(transform.get("ordering", "C")).upper() == "F" else _SPACE
    return _Written(size, numbers_of(transform.get("translate")), texts_of(transform.get("units")), order, None)


def space_of_transform(transform: Mapping[str, Any], source: str) -> FoundSpace:
    """The space of a ``transform`` of CellMap and COSEM."""
    return _space(transform_numbers(transform), source)


def _space(written: _Written, source: str) -> FoundSpace:
    size = _by_axis(written.size, written.order)
    if not size:
        return FoundSpace.nothing(f"{source} gives no lengths of the axes; it is left out.")
    notes: list[str] = []
    factors = _factors(written, len(written.size))
    if factors is None:
        named = ", ".join(dict.fromkeys(written.units))
        which = f"has the unit {named}, which is no length" if named else "has no unit"
        return FoundSpace.nothing(f"{source} {which}; the voxel size is not known.")
    scale = _by_axis(factors, written.order)
    if not written.is_unit_fixed and not any(written.units):
        if set(written.size) == {1.0}:
            return FoundSpace.nothing(
                f"{source} is 1 along every axis without a unit, as where nothing was set; the voxel size is not known."
            )
        notes.append(f"{source} has no unit; it is taken as {written.unit}.")
    origin: tuple[float, float, float] | None = None
    place_notes: list[str] = []
    if written.offset:
        fits = len(written.offset) in (len(written.size), sum(axis in _SPACE for axis in written.order or _SPACE))
        start = _by_axis(written.offset, written.order) if fits else {}
        if start and (len(written.offset) == 2 or (written.order and "z" not in written.order)):
            start["z"] = 0.0  # of a single section
        if start:
            origin = (start["z"] * scale["z"], start["y"] * scale["y"], start["x"] * scale["x"])
        else:
            place_notes.append(f"The offset beside {source} has {len(written.offset)} numbers; it is left out.")
    edges = [size[a] * scale[a] for a in _SPACE]
    found = found_space(edges, source, origin, notes, place_notes=place_notes)
    if notes and not found.space.known:
        return found_space(edges, f"{source}, which has no unit,")
    return found


def _factors(written: _Written, n: int) -> list[float] | None:
    """Nanometres in the unit of each number; none where a named unit is no length."""
    units = [unit for unit in written.units if unit] if len(written.units) != n else written.units
    if not any(units):
        factor = unit_nm(written.unit)
        return None if factor is None else [factor] * n
    if len(units) == 1:
        units = units * n
    if len(units) < n:
        # A channel axis in the size that the units leave out.
        units = [""] * (n - len(units)) + units
    spatial = range(n) if len(written.order) != n else [i for i, a in enumerate(written.order) if a in _SPACE]
    found = [unit_nm(unit) for unit in units[-n:]]
    if len(written.order) != n and n > 3:
        spatial = range(n - 3, n)
    if any(found[i] is None for i in spatial):
        return None
    return [factor or 1.0 for factor in found]


def _by_axis(numbers: list[float], order: str) -> dict[str, float]:
    """Numbers by z, y, x; empty where they cannot be told apart. One section is as thick as its pixels are wide."""
    spatial = "".join(a for a in order if a in _SPACE)
    if len(numbers) == 1:
        return dict.fromkeys(_SPACE, numbers[0])
    if order and len(numbers) == len(order):
        values = {a: v for a, v in zip(order, numbers, strict=True) if a in _SPACE}
    elif len(numbers) == len(spatial):
        values = dict(zip(spatial, numbers, strict=True))
    elif order[:1] == "x":
        values = dict(zip("xyz", numbers, strict=False))
    else:
        values = dict(zip(_SPACE[-len(numbers) :], numbers[-3:], strict=False)) if numbers else {}
    if set(values) == {"y", "x"}:
        values["z"] = values["y"]
    return values if set(values) == set(_SPACE) else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object, also as text; empty for anything else."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}
