"""TIFF: a stack that ImageJ opens, a plain one where ImageJ cannot, OME-TIFF where the file's name ends so."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader, ExportOptions, ExportPlan, voxel_bytes
from napari_pytc.exporting.sections import n_sections, sections
from napari_pytc.exporting.target import export_target
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.volumes.channel_colours import channel_colour

TILE = 256
# Offsets of a classic TIFF end at 4 GiB; the size before compression decides, as compressed data may grow a little.
BIGTIFF_FROM = 2**32 - 2**28
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")


class TiffExporter:
    """Writes (z, y, x) and (c, z, y, x) page by page, channel after channel."""

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the file; see `Exporter`."""
        notes = () if array.space.known else ("The voxel size is not known, so the file has none.",)
        return ExportPlan(array.dtype, (array.shape,), notes)

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to a TIFF; see `Exporter`."""
        self.plan(array, options)
        ome = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
        big = math.prod(array.shape) * voxel_bytes(array) >= BIGTIFF_FROM
        compression = {"auto": "zlib", "none": None}.get(options.compression, options.compression)
        # A section too large for a block is cut into tiles, so that no read needs the whole of it; ImageJ has no tiles.
        tiled = math.prod(array.shape[1:]) * voxel_bytes(array) > options.block_bytes
        imagej = _imagej_reads(array, compression) and not (ome or big or tiled)
        shape = (*([len(array.channels)] if array.channels else []), *array.shape)
        with export_target(path, options.overwrite) as aside, open(aside, "xb+") as file:
            # Not a `with`: leaving one after a cancel writes on, and may hide the cancel behind a full disk.
            writer = tifffile.TiffWriter(file, bigtiff=big, imagej=imagej, ome=ome)
            writer.write(
                _tiles(array, options, ctx) if tiled else sections(array, options.block_bytes, ctx),
                shape=shape,
                dtype=array.dtype,
                photometric="minisblack",
                # Both declare the last axis to be x, also where it has length 1 and would be taken for samples.
                planarconfig="CONTIG",
                extrasamples=(),
                compression=compression,
                tile=(TILE, TILE) if tiled else None,
                buffersize=options.block_bytes,
                metadata=_metadata(array, options, ome, imagej),
                **_resolution(array, imagej),
            )
            writer.close()
        ctx.report(n_sections(array), n_sections(array), "sections")


class OmeTiffExporter(TiffExporter):
    """The same with OME-XML, which has no 64-bit whole numbers."""

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the file; see `Exporter`."""
        if array.dtype.name in ("uint64", "int64"):
            raise InvalidInput(
                f"An OME-TIFF holds whole numbers of up to 32 bits, got {array.dtype.name}.",
                "Choose the type uint32 (--dtype), where no id is above 4294967295, or a plain TIFF (.tif).",
            )
        return super().plan(array, options)


def _imagej_reads(array: ArrayReader, compression: str | None) -> bool:
    # Sections of one column: tifffile takes the axis of length 1 for samples, and drops it.
    return (
        not array.channels
        and array.shape[0] > 1
        and array.shape[2] > 1
        and array.dtype.name in _IMAGEJ_TYPES
        and compression in (None, "zlib")
    )


def _resolution(array: ArrayReader, imagej: bool) -> dict[str, Any]:
    """Pixels per length along x and y; ImageJ takes the length from its own unit, others from the tag."""
    if not array.space.known:
        return {}
    _, y, x = array.space.voxel_size_nm
    if imagej:
        return {"resolution": (1e3 / x, 1e3 / y)}
    return {"resolution": (1e7 / x, 1e7 / y), "resolutionunit": "CENTIMETER"}


def _metadata(array: ArrayReader, options: ExportOptions, ome: bool, imagej: bool) -> dict[str, Any]:
    axes = "CZYX" if array.channels else "ZYX"
    metadata: dict[str, Any] = {"axes": axes}
    size_um = [v / 1e3 for v in array.space.voxel_size_nm]
    facts = description_facts(array, options)
    if ome:
        if array.space.known:
            metadata |= {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", size_um, strict=True)}
            metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
        if array.channels:
            metadata["Channel"] = {"Name": list(array.channels), "Color": _ome_colours(array.channels)}
        if facts:
            metadata["Description"] = json.dumps(facts, ensure_ascii=False)
        return metadata
    if array.space.known:
        metadata |= {"spacing": size_um[0], "unit": "um"}
    if imagej:
        if options.class_names:
            metadata["Info"] = "\n".join(f"{k} {name}" for k, name in enumerate(options.class_names, start=1))
        if array.space.known:
            # ImageJ counts from the place that has the coordinate 0.
            places = zip("zyx", array.space.origin_nm, array.space.voxel_size_nm, strict=True)
            metadata |= {f"{axis}origin": f"{-o / v:.9g}" for axis, o, v in places if o}
        return metadata
    return metadata | facts


def _ome_colours(names: Sequence[str]) -> list[int]:
    """Colours of channels as OME-XML has them: red, green, blue and alpha in a signed number of 32 bits."""
    rgb = [int(channel_colour(place, len(names), name)[1:], 16) for place, name in enumerate(names)]
    return [int(np.array(value << 8 | 0xFF, np.uint32).view(np.int32)) for value in rgb]


def description_facts(array: ArrayReader, options: ExportOptions) -> dict[str, Any]:
    """Voxel size, place of the first voxel and names, as the JSON that descriptions of TIFFs and sections have."""
    facts: dict[str, Any] = {}
    if array.space.known:
        facts["voxel_size_nm"] = list(array.space.voxel_size_nm)
        facts["origin_nm"] = list(array.space.origin_nm)
    if array.channels:
        facts["channels"] = list(array.channels)
    if options.class_names:
        facts["class_names"] = list(options.class_names)
    return facts


def _tiles(array: ArrayReader, options: ExportOptions, ctx: JobContext) -> Iterator[np.ndarray]:
    """Tiles in the order of the file, read in strips of neighbours along x."""
    n_z, n_y, n_x = array.shape
    total = n_sections(array)
    n_strip = TILE * max(1, options.block_bytes // (TILE * TILE * voxel_bytes(array)))
    for channel in range(max(1, len(array.channels))):
        for z in range(n_z):
            ctx.report(channel * n_z + z, total, "sections")
            for y in range(0, n_y, TILE):
                for x in range(0, n_x, n_strip):
                    ctx.check()
                    box = Box((z, y, x), (z + 1, min(y + TILE, n_y), min(x + n_strip, n_x)))
                    block = array.read(box)
                    strip = (block[channel] if array.channels else block)[0]
                    for start in range(0, strip.shape[1], TILE):
                        yield np.ascontiguousarray(strip[:, start : start + TILE])
