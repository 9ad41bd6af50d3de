"""Voxel sizes of TIFF files: OME-XML, ImageJ, the resolution tags."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, unit_nm

_CENTIMETRE_NM = 1e7


def tiff_space(tiff: tifffile.TiffFile, series: int, n_z: int) -> FoundSpace:
    """The voxel size that a file gives, by the most explicit source first.

    Parameters
    ----------
    series : int
        Which image of an OME file.
    n_z : int
        Number of sections: a single one needs no thickness to have a known pixel size.
    """
    if tiff.is_ome and tiff.ome_metadata:
        found = _ome_space(tiff.ome_metadata, series, n_z)
        if found.space.known:
            return found
    page = tiff.pages.first
    if tiff.is_imagej:
        return _imagej_space(tiff.imagej_metadata or {}, page, n_z)
    described = _description(page)
    size = numbers_of(described.get("voxel_size_nm"))
    if len(size) == 3:
        return found_space(size, "TIFF description")
    return _tag_space(described, page, n_z)


def _ome_space(xml: str, series: int, n_z: int) -> FoundSpace:
    try:
        pixels = ElementTree.fromstring(xml).findall("{*}Image/{*}Pixels")
    except ElementTree.ParseError:
        return FoundSpace.nothing()
    if not pixels:
        return FoundSpace.nothing()
    attributes = pixels[min(series, len(pixels) - 1)].attrib
    edges: list[float] = []
    for axis in "ZYX":
        value = numbers_of(attributes.get(f"PhysicalSize{axis}"))
        factor = unit_nm(attributes.get(f"PhysicalSize{axis}Unit", "\u00b5m"))
        edges.append(value[0] * factor if value and factor else 0.0)
    if edges[0] == 0 and n_z == 1:
        edges[0] = edges[2]
    return found_space(edges, "OME PhysicalSize")


def _imagej_space(metadata: dict[str, Any], page: Any, n_z: int) -> FoundSpace:
    """ImageJ's own unit measures the resolution tags and the spacing; a spacing of 1 is not written."""
    unit = unit_nm(metadata.get("unit")) or unit_nm(metadata.get("yunit"))
    pixel = _pixels(page)
    if unit is None or pixel is None:
        return FoundSpace.nothing()
    default = pixel[1] if n_z == 1 else 1.0 if metadata.get("images", 1) > 1 else None
    spacing = numbers_of(metadata.get("spacing", default))
    if not spacing:
        return FoundSpace.nothing()
    return found_space([abs(spacing[0]) * unit, pixel[0] * unit, pixel[1] * unit], "ImageJ spacing and resolution")


def _tag_space(described: dict[str, Any], page: Any, n_z: int) -> FoundSpace:
    """Resolution tags in centimetres with a spacing beside; inches are printers' and say nothing of the tissue."""
    unit = page.tags.get("ResolutionUnit")
    pixel = _pixels(page)
    if pixel is None or unit is None or int(unit.value) != 3:
        return FoundSpace.nothing()
    y, x = (edge * _CENTIMETRE_NM for edge in pixel)
    spacing, factor = numbers_of(described.get("spacing")), unit_nm(described.get("unit"))
    if spacing and factor:
        return found_space([abs(spacing[0]) * factor, y, x], "TIFF spacing and resolution")
    return found_space([x, y, x], "TIFF resolution") if n_z == 1 else FoundSpace.nothing()


def _pixels(page: Any) -> tuple[float, float] | None:
    """Edges of a pixel along y and x in the tag's unit."""
    edges: list[float] = []
    for name in ("YResolution", "XResolution"):
        tag = page.tags.get(name)
        if tag is None or not isinstance(tag.value, tuple) or 0 in tag.value:
            return None
        edges.append(tag.value[1] / tag.value[0])
    return edges[0], edges[1]


def _description(page: Any) -> dict[str, Any]:
    """The JSON that tifffile writes into the description, empty where it is another text."""
    try:
        described = json.loads(page.description)
    except ValueError:
        return {}
    return described if isinstance(described, dict) else {}
