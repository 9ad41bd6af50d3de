"""OME-Zarr 0.5 (Zarr 3) and 0.4 (Zarr 2) with a pyramid; of labels with a group ``labels`` and their colours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.base import ArrayReader, ExportOptions, ExportPlan, holds_labels, pyramid_method
from napari_pytc.exporting.chunk_sink import ChunkSink, open_chunks, tensorstore_errors
from napari_pytc.exporting.pyramid import PyramidLevel, pyramid_levels, write_pyramid
from napari_pytc.exporting.target import export_target
from napari_pytc.files import sync_file, sync_folder
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.context import JobContext
from napari_pytc.volumes.kvstore import kvstore_spec
from napari_pytc.volumes.ome_metadata import ome_attributes, versioned
from napari_pytc.volumes.statistics import sample_statistics

CHUNK_SHAPE: Shape = (32, 128, 128)
_N_SAMPLES = 16
"""Blocks that are looked at for the contrast of an image with several channels."""
_LEVEL = 1
"""Of zstd: higher ones are slower and hardly smaller on labels and on noise."""


class ZarrExporter:
    """Writes (z, y, x) and (c, z, y, x) block by block, each chunk once.

    ::

        image            labels
        out.zarr         out.zarr                   (the levels by their paths, so that the folder opens as it is)
          0/ 1/ ...        labels/                  (lists "segments")
                             segments/              (levels, colours, names)
                               0/ 1/ ...
    """

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the folder; see `Exporter`."""
        if options.compression not in ("auto", "zstd"):
            raise InvalidInput(
                f"OME-Zarr is compressed with zstd here, got {options.compression!r}.", "Leave the compression at auto."
            )
        return ExportPlan(array.dtype, tuple(level.shape for level in _levels(array, options)))

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to an OME-Zarr; see `Exporter`."""
        self.plan(array, options)
        levels = _levels(array, options)
        is_labels = holds_labels(array, options)
        inside = f"labels/{options.name}/" if is_labels else ""
        with export_target(path, options.overwrite) as aside:
            aside.mkdir()
            sinks = [
                _create_level(aside, f"{inside}{number}", array, level, options.ome)
                for number, level in enumerate(levels)
            ]
            write_pyramid(array, sinks, levels, pyramid_method(array, options), options.block_bytes, ctx)
            own = {"channels": list(array.channels), "attributes": _attributes(options)}
            _write_groups(aside, path, array, levels, options, own)


def _levels(array: ArrayReader, options: ExportOptions) -> Sequence[PyramidLevel]:
    levels = pyramid_levels(array.shape, array.space)
    return levels if options.pyramid else levels[:1]


def _attributes(options: ExportOptions) -> dict[str, Any]:
    return {"class_names": list(options.class_names)} if options.class_names else {}


def _create_level(folder: Path, inside: str, array: ArrayReader, level: PyramidLevel, version: str) -> ChunkSink:
    chunk: Shape = tuple(min(c, n) for c, n in zip(CHUNK_SHAPE, level.shape, strict=True))  # type: ignore[assignment]
    n_channels = len(array.channels)
    shape = [n_channels, *level.shape] if n_channels else list(level.shape)
    chunks = [1, *chunk] if n_channels else list(chunk)
    axes = list("czyx" if n_channels else "zyx")
    kind = np.dtype(array.dtype)
    if version == "0.4":
        driver, metadata = (
            "zarr",
            {
                "shape": shape,
                "chunks": chunks,
                "dtype": kind.newbyteorder("<").str,
                "fill_value": 0,
                "order": "C",
                "dimension_separator": "/",
                "compressor": {"id": "zstd", "level": _LEVEL},
                "filters": None,
            },
        )
    else:
        endian = {"configuration": {"endian": "little"}} if kind.itemsize > 1 else {}
        driver, metadata = (
            "zarr3",
            {
                "shape": shape,
                "data_type": kind.name,
                "dimension_names": axes,
                "fill_value": 0,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
                "codecs": [{"name": "bytes", **endian}, {"name": "zstd", "configuration": {"level": _LEVEL}}],
            },
        )
    opened = open_chunks(folder, {"driver": driver, "kvstore": kvstore_spec(str(folder), inside), "metadata": metadata})
    return ChunkSink(folder, opened, chunk, array.space, array.channels)


def _write_groups(
    folder: Path,
    path: Path,
    array: ArrayReader,
    levels: Sequence[PyramidLevel],
    options: ExportOptions,
    own: dict[str, Any],
) -> None:
    """Write the metadata of the groups, last: a folder without it is no OME-Zarr."""
    kind = np.dtype(array.dtype)
    white = float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
    inside = f"labels/{options.name}/" if holds_labels(array, options) else ""
    ranges = _ranges(array) if options.content == "image" and array.channels and options.name == "image" else ()

    def attributes(prefix: str, name: str, labels: dict[str, Any] | None = None) -> dict[str, Any]:
        return ome_attributes(
            name,
            array.space,
            array.channels,
            white,
            own,
            levels=[(f"{prefix}{number}", level.factors) for number, level in enumerate(levels)],
            version=options.ome,
            labels=labels,
            ranges=ranges,
        )

    with tensorstore_errors(folder):
        if inside:
            _write_group(folder / inside, attributes("", options.name, _image_label(options)), options.ome)
            _write_group(folder / "labels", versioned({"labels": [options.name]}, options.ome), options.ome)
        name = path.name.removesuffix(".zarr").removesuffix(".ome")
        _write_group(folder, attributes(inside, name), options.ome)


@dataclass(frozen=True)
class _Channel:
    """A channel of an array, to be sampled; all channels share the blocks that were read."""

    array: ArrayReader
    number: int
    blocks: dict[Box, np.ndarray]

    @property
    def shape(self) -> Shape:
        return self.array.shape

    def read(self, box: Box) -> np.ndarray:
        if box not in self.blocks:
            self.blocks[box] = self.array.read(box)
        return self.blocks[box][self.number]


def _ranges(array: ArrayReader) -> tuple[tuple[float, float], ...]:
    """Values of each channel of an image that are black and full, from samples; empty where none is finite."""
    blocks: dict[Box, np.ndarray] = {}
    channels = [_Channel(array, number, blocks) for number in range(len(array.channels))]
    try:
        found = [sample_statistics(channel, n_blocks=_N_SAMPLES) for channel in channels]
    except VolumeError:
        return ()
    return tuple((one.low, one.high if one.high > one.low else one.low + 1) for one in found)


def _image_label(options: ExportOptions) -> dict[str, Any]:
    """Colours and names of labels, and the way to the image that they are of."""
    found: dict[str, Any] = {"source": {"image": "../../"}}
    if options.colours:
        found["colors"] = [
            {"label-value": label, "rgba": [*(int(colour[k : k + 2], 16) for k in (1, 3, 5)), 255 if label else 0]}
            for label, colour in options.colours.items()
        ]
    if options.class_names and options.name == "classes":
        names = dict(enumerate(options.class_names, start=1))
        # Either names the same labels, or a validator objects.
        found["properties"] = [
            {"label-value": label, "class": names.get(label, "")} for label in options.colours or names
        ]
    return found


def _write_group(folder: Path, attributes: dict[str, Any], version: str) -> None:
    files: dict[str, Any] = {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": attributes}}
    if version == "0.4":
        files = {".zgroup": {"zarr_format": 2}, ".zattrs": attributes}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
        sync_file(folder / name)
    sync_folder(folder)
