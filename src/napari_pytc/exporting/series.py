"""A folder of numbered sections: one PNG or TIFF each."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader, ExportOptions, ExportPlan, holds_labels
from napari_pytc.exporting.sections import n_sections, sections
from napari_pytc.exporting.target import export_target, write_mark
from napari_pytc.exporting.tiff import description_facts
from napari_pytc.files import sync_file
from napari_pytc.jobs.context import JobContext

_PNG_LEVEL = 3
"""Of zlib: the default of 6 takes twice the time for files that are hardly smaller."""


class SeriesExporter(ABC):
    """Writes (z, y, x), a file a section, named by the section's number in the whole volume.

    Voxel size, place and names are in ``export.json`` of the folder.
    """

    suffix: ClassVar[str]

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the folder; see `Exporter`."""
        if array.channels:
            raise InvalidInput(
                f"A series of sections has one channel, got {len(array.channels)}.",
                "Export to OME-TIFF, HDF5 or OME-Zarr, or one channel of an image alone with --channel.",
            )
        self.check(array, options)
        notes = []
        if array.space.known and any(array.space.origin_nm[1:]):
            notes.append(
                "A series of sections has no place along y and x; where it began is noted in export.json of the folder."
            )
        return ExportPlan(array.dtype, (array.shape,), tuple(notes))

    @abstractmethod
    def check(self, array: ArrayReader, options: ExportOptions) -> None:
        """Refuse voxels that the files cannot hold."""

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to a folder; see `Exporter`."""
        self.plan(array, options)
        first = _first_number(array)
        n_digits = max(4, len(str(first + array.shape[0] - 1)))
        facts = description_facts(array, options)
        # Sections are compressed by all cores, but only so many wait that they take no more than a block.
        section_bytes = array.shape[1] * array.shape[2] * array.dtype.itemsize
        n_waiting = max(1, min(2 * (os.cpu_count() or 1), options.block_bytes // section_bytes))
        with export_target(path, options.overwrite) as aside:
            aside.mkdir()
            waiting: deque[Future[None]] = deque()
            with ThreadPoolExecutor(os.cpu_count() or 1, "export") as pool:
                try:
                    for number, section in enumerate(sections(array, options.block_bytes, ctx), start=first):
                        file = aside / f"{number:0{n_digits}}{self.suffix}"
                        waiting.append(pool.submit(self._write_durably, file, section, options, facts))
                        if len(waiting) >= n_waiting:
                            waiting.popleft().result()
                    while waiting:
                        waiting.popleft().result()
                finally:
                    for future in waiting:
                        future.cancel()
            write_mark(aside, {"files": rf"\d+\{self.suffix}", **facts})
        ctx.report(n_sections(array), n_sections(array), "sections")

    def _write_durably(self, file: Path, section: np.ndarray, options: ExportOptions, facts: dict[str, Any]) -> None:
        self.write(file, section, options, facts)
        sync_file(file)

    @abstractmethod
    def write(self, file: Path, section: np.ndarray, options: ExportOptions, facts: dict[str, Any]) -> None:
        """Write a section (y, x) to a file."""


class PngSeriesExporter(SeriesExporter):
    """PNGs of 8 or 16 bits, grey."""

    suffix = ".png"

    def check(self, array: ArrayReader, options: ExportOptions) -> None:
        """Refuse what is not uint8 or uint16."""
        if options.compression != "auto":
            raise InvalidInput(f"A PNG has one compression, got {options.compression!r}.", "Leave it at auto.")
        if array.dtype.name not in ("uint8", "uint16"):
            is_labels = holds_labels(array, options)
            way = "the type uint16 (--dtype), where no id is above 65535, or " if is_labels else ""
            raise InvalidInput(
                f"A PNG holds uint8 or uint16, got {array.dtype.name}.",
                f"Choose {way}a TIFF series (--format tif-series).",
            )

    def write(self, file: Path, section: np.ndarray, options: ExportOptions, facts: dict[str, Any]) -> None:
        """Write a PNG."""
        info = PngImagePlugin.PngInfo()
        info.add_text("Software", "napari-pytc")
        Image.fromarray(section).save(file, format="PNG", compress_level=_PNG_LEVEL, pnginfo=info)


class TiffSeriesExporter(SeriesExporter):
    """TIFFs of any type, with voxel size, place and names as JSON in the description."""

    suffix = ".tif"

    def check(self, array: ArrayReader, options: ExportOptions) -> None:
        """Take any type."""

    def write(self, file: Path, section: np.ndarray, options: ExportOptions, facts: dict[str, Any]) -> None:
        """Write a TIFF of one page."""
        size_nm = facts.get("voxel_size_nm")
        resolution = {} if size_nm is None else {
            "resolution": (1e7 / size_nm[2], 1e7 / size_nm[1]), "resolutionunit": "CENTIMETER"
        }  # fmt: skip
        tifffile.imwrite(
            file,
            section,
            photometric="minisblack",
            compression={"auto": "zlib", "none": None}.get(options.compression, options.compression),
            metadata={"axes": "YX", **facts},
            **resolution,
        )


def _first_number(array: ArrayReader) -> int:
    """Number of the first section in the whole volume, as far as its place says it."""
    if not array.space.known:
        return 0
    exact = array.space.origin_nm[0] / array.space.voxel_size_nm[0]
    return round(exact) if exact >= 0 and abs(exact - round(exact)) < 1e-3 else 0
