"""Voxel sizes of TIFF files: OME-XML, ImageJ, the resolution tags."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_pytc.volumes.formats.tiff.stack import TiffStack
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, stated_origin, unit_nm

_CENTIMETRE_NM = 1e7


def tiff_space(tiff: tifffile.TiffFile, stack: TiffStack, n_z: int) -> FoundSpace:
    """The voxel size that a file gives, by the most explicit source first.

    Parameters
    ----------
    stack : TiffStack
        The image of the file whose size it is.
    n_z : int
        Number of sections: a single one needs no thickness to have a known pixel size.
    """
    found = FoundSpace.nothing()
    if tiff.is_ome and tiff.ome_metadata:
        found = _ome_space(tiff.ome_metadata, stack, n_z)
        if found.space.known:
            return found
    page = stack.keyframe
    described = _description(page)
    size = numbers_of(described.get("voxel_size_nm"))
    if tiff.is_lsm:
        sizes = tiff.lsm_metadata or {}
        edges = [1e9 * v for axis in "ZYX" for v in numbers_of(sizes.get(f"VoxelSize{axis}"))]
        other = found_space(edges, "LSM voxel size")
    elif tiff.is_imagej:
        other = _imagej_space(tiff.imagej_metadata or {}, page, n_z)
    elif len(size) == 3:
        other = found_space(size, "TIFF description", _own_origin(described))
    else:
        other = _tag_space(described, page, n_z)
    return other if other.space.known else FoundSpace.nothing(*found.notes, *other.notes)


def _ome_space(xml: str, stack: TiffStack, n_z: int) -> FoundSpace:
    try:
        pixels = ElementTree.fromstring(xml).findall("{*}Image/{*}Pixels")
    except ElementTree.ParseError:
        return FoundSpace.nothing()
    if not pixels:
        return FoundSpace.nothing()
    # tifffile leaves images without data out, so that numbers may differ: of the same size is the right one.
    plane = (str(stack.keyframe.imagewidth), str(stack.keyframe.imagelength))
    number = min(int(stack.name), len(pixels) - 1)
    alike = [p for p in pixels if (p.get("SizeX"), p.get("SizeY")) == plane]
    chosen = pixels[number] if pixels[number] in alike or not alike else alike[0]
    attributes = chosen.attrib
    edges: list[float] = []
    for axis in "ZYX":
        value = numbers_of(attributes.get(f"PhysicalSize{axis}"))
        unit = attributes.get(f"PhysicalSize{axis}Unit", "\u00b5m")
        factor = unit_nm(unit)
        if value and factor is None:
            return FoundSpace.nothing(_no_length(f"PhysicalSize{axis} of the OME metadata", unit))
        edges.append(value[0] * factor if value and factor else 0.0)
    if not any(edges):
        return FoundSpace.nothing()
    if edges[0] == 0 and n_z == 1:
        edges[0] = edges[2]
    return found_space(edges, "OME PhysicalSize", _own_origin(ome_description(xml, pixels.index(chosen))))


def ome_description(xml: str, number: int = 0) -> dict[str, Any]:
    """The JSON that this program writes into an image's description, empty where it is another text."""
    try:
        images = ElementTree.fromstring(xml).findall("{*}Image")
        text = images[number].findtext("{*}Description") if number < len(images) else None
        described = json.loads(text or "{}")
    except (ElementTree.ParseError, ValueError):
        return {}
    return described if isinstance(described, dict) else {}


def _own_origin(described: dict[str, Any]) -> list[float] | None:
    """The place of the first voxel that this program's descriptions have; None in others, and for 0."""
    origin = numbers_of(described.get("origin_nm"))
    return stated_origin(origin) if len(origin) == 3 else None


def _no_length(what: str, unit: object) -> str:
    return f"{what} is in {unit}, which is no length of tissue; the voxel size is not known."


def _imagej_space(metadata: dict[str, Any], page: Any, n_z: int) -> FoundSpace:
    """ImageJ's own unit measures the resolution tags and the spacing; a spacing of 1 is not written."""
    named = metadata.get("unit") or metadata.get("yunit")
    unit, pixel = unit_nm(named), _pixels(page)
    if unit is None or pixel is None:
        return FoundSpace.nothing(*([_no_length("ImageJ's scale", named)] if named and unit is None else []))
    default = pixel[1] if n_z == 1 else 1.0 if metadata.get("images", 1) > 1 else None
    spacing = numbers_of(metadata.get("spacing", default))
    if not spacing:
        return FoundSpace.nothing()
    size = [abs(spacing[0]) * unit, pixel[0] * unit, pixel[1] * unit]
    # ImageJ counts voxels from the place that has the coordinate 0.
    zeros = [numbers_of(metadata.get(f"{axis}origin")) for axis in "zyx"]
    origin = [-zero[0] * edge if zero else 0.0 for zero, edge in zip(zeros, size, strict=True)] if any(zeros) else None
    notes = []
    if n_z > 1 and "spacing" not in metadata:
        notes.append(f"ImageJ's file gives no distance of sections; 1 {named} is taken, as ImageJ does.")
    return found_space(size, "ImageJ spacing and resolution", origin, notes)


def _tag_space(described: dict[str, Any], page: Any, n_z: int) -> FoundSpace:
    """Resolution tags in centimetres with a spacing beside; inches are meant for printers, not tissue."""
    unit = page.tags.get("ResolutionUnit")
    pixel = _pixels(page)
    if pixel is None or unit is None or int(unit.value) != 3:
        is_inch = pixel is not None and unit is not None and int(unit.value) == 2
        return FoundSpace.nothing(
            *([_no_length("The resolution", "pixels an inch, as for a printer")] if is_inch else [])
        )
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
