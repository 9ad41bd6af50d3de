"""TIFF: a stack that ImageJ opens, a plain one where ImageJ cannot, OME-TIFF where the name asks for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tifffile

from napari_pytc.exporting.aside import written_aside
from napari_pytc.exporting.base import ArrayReader, ExportOptions
from napari_pytc.exporting.blocks import voxel_bytes
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext

TILE = 256
# Offsets of a classic TIFF end at 4 GiB; the size before compression decides, as compressed data may grow a little.
BIGTIFF_FROM = 2**32 - 2**28
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")


class TiffExporter:
    """Writes (z, y, x) and (c, z, y, x) page by page, channel after channel."""

    suffixes: ClassVar[tuple[str, ...]] = (".ome.tif", ".ome.tiff", ".tif", ".tiff")

    def export(self, labels: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to a TIFF; see `Exporter`."""
        ome = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
        big = math.prod(labels.shape) * voxel_bytes(labels) >= BIGTIFF_FROM
        compression = {"auto": "zlib", "none": None}.get(options.compression, options.compression)
        # A section too large for a block is cut into tiles, so that no read needs the whole of it; ImageJ has no tiles.
        tiled = math.prod(labels.shape[1:]) * voxel_bytes(labels) > options.block_bytes
        imagej = _imagej_reads(labels, compression) and not (ome or big or tiled)
        shape = (*([len(labels.channels)] if labels.channels else []), *labels.shape)
        with written_aside(path, options.overwrite) as aside, open(aside, "xb+") as file:
            # Not a `with`: leaving one after a cancel writes on, and may hide the cancel behind a full disk.
            writer = tifffile.TiffWriter(file, bigtiff=big, imagej=imagej, ome=ome)
            writer.write(
                _tiles(labels, options, ctx) if tiled else _pages(labels, options, ctx),
                shape=shape,
                dtype=labels.dtype,
                photometric="minisblack",
                # Both say that the last axis is x, also where it has length 1 and would be taken for samples.
                planarconfig="CONTIG",
                extrasamples=(),
                compression=compression,
                tile=(TILE, TILE) if tiled else None,
                buffersize=options.block_bytes,
                metadata=_metadata(labels, options, ome, imagej),
                **_resolution(labels, imagej),
            )
            writer.close()
        ctx.report(_n_sections(labels), _n_sections(labels), "sections")


def _imagej_reads(labels: ArrayReader, compression: str | None) -> bool:
    # Sections of one column: tifffile takes the axis of length 1 for samples, and drops it.
    return (
        not labels.channels
        and labels.shape[0] > 1
        and labels.shape[2] > 1
        and labels.dtype.name in _IMAGEJ_TYPES
        and compression in (None, "zlib")
    )


def _resolution(labels: ArrayReader, imagej: bool) -> dict[str, Any]:
    """Pixels per length along x and y; ImageJ takes the length from its own unit, others from the tag."""
    if not labels.space.known:
        return {}
    _, y, x = labels.space.voxel_size_nm
    if imagej:
        return {"resolution": (1e3 / x, 1e3 / y)}
    return {"resolution": (1e7 / x, 1e7 / y), "resolutionunit": "CENTIMETER"}


def _metadata(labels: ArrayReader, options: ExportOptions, ome: bool, imagej: bool) -> dict[str, Any]:
    axes = "CZYX" if labels.channels else "ZYX"
    metadata: dict[str, Any] = {"axes": axes}
    size_um = [v / 1e3 for v in labels.space.voxel_size_nm]
    if ome:
        if labels.space.known:
            metadata |= {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", size_um, strict=True)}
            metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
        if labels.channels:
            metadata["Channel"] = {"Name": list(labels.channels)}
        return metadata
    if labels.space.known:
        metadata |= {"spacing": size_um[0], "unit": "um"}
    if imagej:
        if options.class_names:
            metadata["Info"] = "\n".join(f"{k} {name}" for k, name in enumerate(options.class_names, start=1))
        return metadata
    if labels.space.known:
        metadata["voxel_size_nm"] = list(labels.space.voxel_size_nm)
    if labels.channels:
        metadata["channels"] = list(labels.channels)
    if options.class_names:
        metadata["class_names"] = list(options.class_names)
    return metadata


def _n_sections(labels: ArrayReader) -> int:
    return len(_channel_indices(labels)) * labels.shape[0]


def _channel_indices(labels: ArrayReader) -> range:
    return range(max(1, len(labels.channels)))


def _read_channel(labels: ArrayReader, channel: int, box: Box) -> np.ndarray:
    block = labels.read(box)
    return block[channel] if labels.channels else block


def _pages(labels: ArrayReader, options: ExportOptions, ctx: JobContext) -> Iterator[np.ndarray]:
    """Sections in the order of the file, read in slabs."""
    n_z, n_y, n_x = labels.shape
    total = _n_sections(labels)
    n_slab = max(1, options.block_bytes // (n_y * n_x * voxel_bytes(labels)))
    for channel in _channel_indices(labels):
        for z in range(0, n_z, n_slab):
            ctx.check()
            slab = _read_channel(labels, channel, Box((z, 0, 0), (min(z + n_slab, n_z), n_y, n_x)))
            for i, section in enumerate(slab):
                ctx.check()
                ctx.report(channel * n_z + z + i, total, "sections")
                yield np.ascontiguousarray(section)


def _tiles(labels: ArrayReader, options: ExportOptions, ctx: JobContext) -> Iterator[np.ndarray]:
    """Tiles in the order of the file, read in strips of neighbours along x."""
    n_z, n_y, n_x = labels.shape
    total = _n_sections(labels)
    n_strip = TILE * max(1, options.block_bytes // (TILE * TILE * voxel_bytes(labels)))
    for channel in _channel_indices(labels):
        for z in range(n_z):
            ctx.report(channel * n_z + z, total, "sections")
            for y in range(0, n_y, TILE):
                for x in range(0, n_x, n_strip):
                    ctx.check()
                    box = Box((z, y, x), (z + 1, min(y + TILE, n_y), min(x + n_strip, n_x)))
                    strip = _read_channel(labels, channel, box)[0]
                    for start in range(0, strip.shape[1], TILE):
                        yield np.ascontiguousarray(strip[:, start : start + TILE])
