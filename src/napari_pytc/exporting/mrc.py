"""MRC: the stack of electron tomography, with sizes in angstroms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader, ExportOptions, ExportPlan, holds_labels
from napari_pytc.exporting.optional import require
from napari_pytc.exporting.sections import n_sections, sections
from napari_pytc.exporting.target import export_target
from napari_pytc.exporting.views import Converted
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext

_TYPES = {"int8": "int8", "int16": "int16", "uint16": "uint16", "float32": "float32", "uint8": "uint16"}
"""Types that MRC holds, and the type in the file: it has no uint8."""
_ANGSTROM_NM = 0.1
_VERSION = 20141
"""MRC2014, first revision."""
_N_LINES, _LINE_LENGTH = 10, 80
_UNKNOWN_RANGE = (0.0, -1.0, -2.0, -1.0)
"""Least, largest, mean and deviation of a file that does not tell them, as MRC2014 has it: they are not consistent."""


class MrcExporter:
    """Writes (z, y, x); names of classes go into the lines of text of the header."""

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the file; see `Exporter`."""
        require("mrcfile", "MRC")
        if options.compression not in ("auto", "none"):
            raise InvalidInput(
                f"An MRC is not compressed, got {options.compression!r}.", "Leave the compression at auto."
            )
        if array.channels:
            raise InvalidInput(
                f"An MRC has one channel, got {len(array.channels)}.",
                "Export to OME-TIFF, HDF5, OME-Zarr or NIfTI, or one channel of an image alone with --channel.",
            )
        if array.dtype.name not in _TYPES:
            is_labels = holds_labels(array, options)
            types = "uint16, where no id is above 65535, or float32" if is_labels else "float32"
            raise InvalidInput(
                f"An MRC holds int8, int16, uint16 and float32, got {array.dtype.name}.",
                f"Choose the type {types} (--dtype).",
            )
        notes = [] if array.space.known else ["The voxel size is not known, so the file has none."]
        stored = np.dtype(_TYPES[array.dtype.name])
        if stored != array.dtype:
            notes.append(f"MRC has no {array.dtype.name}, so the values are stored as {stored.name}.")
        if left_out := [line for line in _lines(options) if not line.isascii() or len(line) > _LINE_LENGTH]:
            notes.append(f"The header of an MRC is ASCII; other letters are written as ?: {', '.join(left_out)}.")
        if len(_lines(options)) > _N_LINES:
            notes.append(f"The header of an MRC has {_N_LINES} lines; the names of later classes are left out.")
        return ExportPlan(stored, (array.shape,), tuple(notes))

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to an MRC; see `Exporter`."""
        plan = self.plan(array, options)
        source = array if plan.dtype == array.dtype else Converted(array, plan.dtype)
        header = _header(plan.dtype, array.shape, array.space, _lines(options))
        # Not a memory map: on a full disk it would end the process.
        with export_target(path, options.overwrite) as aside, open(aside, "xb") as file:
            file.write(header)
            for section in sections(source, options.block_bytes, ctx):
                file.write(section.astype(section.dtype.newbyteorder("<"), copy=False).tobytes())
        ctx.report(n_sections(array), n_sections(array), "sections")


def _lines(options: ExportOptions) -> list[str]:
    return [f"class {k} {name}" for k, name in enumerate(options.class_names, start=1)]


def _header(dtype: np.dtype, shape: Shape, space: VoxelSpace, lines: list[str]) -> bytes:
    from mrcfile.constants import MAP_ID, VOLUME_SPACEGROUP
    from mrcfile.dtypes import HEADER_DTYPE
    from mrcfile.utils import machine_stamp_from_byte_order, mode_from_dtype

    header = np.zeros((), HEADER_DTYPE.newbyteorder("<")).view(np.recarray)
    header.nz, header.ny, header.nx = header.mz, header.my, header.mx = shape
    header.mode = mode_from_dtype(dtype)
    header.mapc, header.mapr, header.maps = 1, 2, 3
    header.cellb.alpha = header.cellb.beta = header.cellb.gamma = 90
    header.ispg, header.map, header.nversion = VOLUME_SPACEGROUP, MAP_ID, _VERSION
    header.machst = np.frombuffer(machine_stamp_from_byte_order("<"), np.uint8)
    header.dmin, header.dmax, header.dmean, header.rms = _UNKNOWN_RANGE
    if space.known:
        edges = [n * v / _ANGSTROM_NM for n, v in zip(shape, space.voxel_size_nm, strict=True)]
        header.cella.z, header.cella.y, header.cella.x = edges
        header.origin.z, header.origin.y, header.origin.x = (v / _ANGSTROM_NM for v in space.origin_nm)
    header.nlabl = min(len(lines), _N_LINES)
    for number, line in enumerate(lines[:_N_LINES]):
        header.label[number] = line.encode("ascii", "replace")[:_LINE_LENGTH]
    return bytes(header.tobytes())
