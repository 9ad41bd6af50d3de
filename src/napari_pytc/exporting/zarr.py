"""OME-Zarr 0.5, so that other tools open it too."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.aside import written_aside
from napari_pytc.exporting.base import ArrayReader, ExportOptions
from napari_pytc.exporting.blocks import chunk_blocks
from napari_pytc.jobs.context import JobContext
from napari_pytc.volumes.zarr_output import create_ome_zarr


class ZarrExporter:
    """Writes (z, y, x) and (c, z, y, x) block by block, each chunk once."""

    suffixes: ClassVar[tuple[str, ...]] = (".zarr",)

    def export(self, labels: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to an OME-Zarr; see `Exporter`."""
        if options.compression not in ("auto", "zstd"):
            raise InvalidInput(
                f"OME-Zarr is compressed with zstd here, got {options.compression!r}.", "Leave the compression at auto."
            )
        with written_aside(path, options.overwrite) as aside:
            output = create_ome_zarr(
                aside,
                labels.shape,
                labels.dtype,
                labels.space,
                channels=labels.channels or None,
                attributes={"class_names": list(options.class_names)} if options.class_names else None,
            )
            grid = chunk_blocks(labels, output.chunk_shape, options.block_bytes)
            for tile in grid:
                ctx.check()
                ctx.report(tile.index, len(grid), "blocks")
                output.write(tile.write, labels.read(tile.write))
        ctx.report(len(grid), len(grid), "blocks")
