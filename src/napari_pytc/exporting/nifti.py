"""NIfTI: one file, compressed or not, with its place in space in micrometres."""

from __future__ import annotations

import gzip
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader, ExportOptions, ExportPlan
from napari_pytc.exporting.optional import require
from napari_pytc.exporting.sections import n_sections, sections
from napari_pytc.exporting.target import export_target
from napari_pytc.exporting.tiff import description_facts
from napari_pytc.jobs.context import JobContext

_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
_MOST_NIFTI1 = 32767
_GZIP_LEVEL = 2
"""A single thread compresses; level 6 takes three times as long and saves a tenth."""
_COMMENT = 6
"""Code of a header extension that is text."""
_VECTOR = "vector"


class NiftiExporter:
    """Writes x, y, z in the file's order, which is z, y, x as arrays are here; channels are NIfTI's fifth axis."""

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the file; see `Exporter`."""
        require("nibabel", "NIfTI")
        if options.compression != "auto":
            raise InvalidInput(
                f"Whether a NIfTI is compressed is said by its suffix, .nii.gz or .nii, got {options.compression!r}.",
                "Leave the compression at auto.",
            )
        if array.dtype.name not in _TYPES:
            raise InvalidInput(
                f"A NIfTI holds {', '.join(_TYPES)}, got {array.dtype.name}.", "Choose the type float32 (--dtype)."
            )
        notes = []
        if array.space.known:
            notes.append(
                "The voxel size is in micrometres; a program that expects millimetres shows 1000 times the size."
            )
        else:
            notes.append("The voxel size is not known: the file has voxels of edge 1 without a unit.")
        if max(array.shape) > _MOST_NIFTI1:
            notes.append(f"An axis is longer than {_MOST_NIFTI1} voxels, so the file is a NIfTI-2.")
        return ExportPlan(array.dtype, (array.shape,), tuple(notes))

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to a NIfTI; see `Exporter`."""
        self.plan(array, options)
        header = _header(array, options)
        is_compressed = path.name.lower().endswith(".gz")
        with export_target(path, options.overwrite) as aside, open(aside, "xb") as plain:
            # The name and the time would make two exports of one volume differ.
            packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, plain, mtime=0) if is_compressed else nullcontext(plain)
            with packed as file:
                header.write_to(file)
                for section in sections(array, options.block_bytes, ctx):
                    file.write(section.astype(section.dtype.newbyteorder("<"), copy=False).tobytes())
        ctx.report(n_sections(array), n_sections(array), "sections")


def _header(array: ArrayReader, options: ExportOptions) -> Any:
    import nibabel
    from nibabel.nifti1 import Nifti1Extension

    kind = nibabel.Nifti2Header if max(array.shape) > _MOST_NIFTI1 else nibabel.Nifti1Header
    header = kind(endianness="<")
    header.set_data_dtype(array.dtype)
    n_z, n_y, n_x = array.shape
    header.set_data_shape((n_x, n_y, n_z, 1, len(array.channels)) if array.channels else (n_x, n_y, n_z))
    affine = np.eye(4)
    if array.space.known:
        size_um = [v / 1e3 for v in reversed(array.space.voxel_size_nm)]
        affine[:3, 3] = [v / 1e3 for v in reversed(array.space.origin_nm)]
        header.set_xyzt_units("micron", "unknown")
        header["pixdim"][1:4] = size_um
        affine[range(3), range(3)] = size_um
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner")
    if array.channels:
        header.set_intent(_VECTOR)
    header["descrip"] = b"napari-pytc"
    facts = description_facts(array, options)
    if facts:
        header.extensions.append(Nifti1Extension(_COMMENT, json.dumps(facts).encode()))
    header["vox_offset"] = header.single_vox_offset + header.extensions.get_sizeondisk()
    header.set_slope_inter(1, 0)
    return header
