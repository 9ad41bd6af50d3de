"""Neuroglancer precomputed: an image or a segmentation in chunks with a pyramid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader, ExportOptions, ExportPlan, holds_labels, pyramid_method
from napari_pytc.exporting.chunk_sink import ChunkSink, open_chunks
from napari_pytc.exporting.pyramid import PyramidLevel, pyramid_levels, write_pyramid
from napari_pytc.exporting.target import export_target, write_mark
from napari_pytc.exporting.views import Converted
from napari_pytc.geometry import Shape
from napari_pytc.jobs.context import JobContext
from napari_pytc.volumes.kvstore import kvstore_spec

CHUNK_SHAPE: Shape = (64, 64, 64)
_IMAGES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
_PROPERTIES = "segment_properties"


class PrecomputedExporter:
    """Writes images raw, and labels as ``compressed_segmentation`` of uint32 or uint64 ids."""

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the folder; see `Exporter`."""
        if options.compression != "auto":
            raise InvalidInput(
                f"Precomputed volumes are written as Neuroglancer has them, got compression {options.compression!r}.",
                "Leave the compression at auto.",
            )
        if not array.space.known:
            raise InvalidInput(
                "Neuroglancer needs a voxel size, but that of the volume is not known.",
                "Give the voxel size when the project is made (--voxel-size Z,Y,X), or export to OME-Zarr.",
            )
        if array.dtype.name == "int64" or (array.dtype.name not in _IMAGES and not holds_labels(array, options)):
            raise InvalidInput(
                f"Precomputed volumes hold {', '.join(_IMAGES)}, got {array.dtype.name}.",
                f"Choose the type {'uint64' if holds_labels(array, options) else 'float32'} (--dtype).",
            )
        notes = []
        dtype = _stored_type(array, options)
        if dtype != array.dtype:
            notes.append(f"Labels are stored as {dtype.name}: Neuroglancer has no segmentation of {array.dtype}.")
        offset, is_whole = _voxel_offset(array)
        if not is_whole:
            notes.append(
                f"The volume begins at {_numbers(array.space.origin_nm)} nm, which is no whole number of voxels; it is "
                f"placed at voxel {_numbers(offset)} (z, y, x)."
            )
        return ExportPlan(dtype, tuple(level.shape for level in _levels(array, options)), tuple(notes))

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to a folder; see `Exporter`."""
        plan = self.plan(array, options)
        levels = _levels(array, options)
        is_labels = holds_labels(array, options)
        source = array if plan.dtype == array.dtype else Converted(array, plan.dtype)
        with export_target(path, options.overwrite) as aside:
            aside.mkdir()
            sinks = [_create_scale(aside, source, level, is_labels) for level in levels]
            if is_labels:
                _write_names(aside, options)
            write_mark(aside, {"class_names": list(options.class_names), "channels": list(array.channels)})
            write_pyramid(source, sinks, levels, pyramid_method(array, options), options.block_bytes, ctx)


def _levels(array: ArrayReader, options: ExportOptions) -> Sequence[PyramidLevel]:
    levels = pyramid_levels(array.shape, array.space, _voxel_offset(array)[0])
    return levels if options.pyramid else levels[:1]


def _stored_type(array: ArrayReader, options: ExportOptions) -> np.dtype:
    if holds_labels(array, options):
        return np.dtype(np.uint64 if array.dtype.itemsize == 8 else np.uint32)
    return array.dtype


def _voxel_offset(array: ArrayReader) -> tuple[tuple[int, int, int], bool]:
    """Voxels from the origin to the first one, and whether they are a whole number of them."""
    exact = [o / v for o, v in zip(array.space.origin_nm, array.space.voxel_size_nm, strict=True)]
    z, y, x = (round(n) for n in exact)
    return (z, y, x), bool(np.allclose(exact, (z, y, x), rtol=0, atol=1e-3))


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _create_scale(folder: Path, array: ArrayReader, level: PyramidLevel, is_labels: bool) -> ChunkSink:
    chunk: Shape = tuple(min(c, n) for c, n in zip(CHUNK_SHAPE, level.shape, strict=True))  # type: ignore[assignment]
    resolution = [v * f for v, f in zip(array.space.voxel_size_nm, level.factors, strict=True)]
    scale: dict[str, Any] = {
        "key": "_".join(f"{v:g}" for v in reversed(resolution)),
        "size": list(reversed(level.shape)),
        "resolution": list(reversed(resolution)),
        "voxel_offset": list(reversed(level.offset)),
        "chunk_size": list(reversed(chunk)),
        "encoding": "compressed_segmentation" if is_labels else "raw",
    }
    if is_labels:
        scale["compressed_segmentation_block_size"] = [8, 8, 8]
    opened = open_chunks(
        folder,
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": kvstore_spec(str(folder)),
            "multiscale_metadata": {
                "type": "segmentation" if is_labels else "image",
                "data_type": array.dtype.name,
                "num_channels": max(1, len(array.channels)),
            },
            "scale_metadata": scale,
        },
    )
    zyx = opened[ts.d[:].translate_to[0]].T
    return ChunkSink(folder, zyx if array.channels else zyx[0], chunk, array.space, array.channels)


def _write_names(folder: Path, options: ExportOptions) -> None:
    """Names of the classes as Neuroglancer's properties of segments, which its list of segments shows."""
    if not options.class_names or options.name != "classes":
        return
    ids = [str(k) for k in range(1, len(options.class_names) + 1)]
    names = {"id": "label", "type": "label", "values": list(options.class_names)}
    properties = {"@type": "neuroglancer_segment_properties", "inline": {"ids": ids, "properties": [names]}}
    (folder / _PROPERTIES).mkdir()
    (folder / _PROPERTIES / "info").write_text(json.dumps(properties), encoding="utf-8")
    info = json.loads((folder / "info").read_text(encoding="utf-8"))
    (folder / "info").write_text(json.dumps({**info, _PROPERTIES: _PROPERTIES}), encoding="utf-8")
