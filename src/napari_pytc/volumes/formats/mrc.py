"""MRC files, as of electron tomography, mapped into memory a read at a time (mrcfile reads the header)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.formats.extent import check_extent
from napari_pytc.volumes.layout import layout_of
from napari_pytc.volumes.optional_packages import optional_package
from napari_pytc.volumes.space import FoundSpace, found_space, stated_origin
from napari_pytc.volumes.spec import MrcSpec

SUFFIXES = (".mrc", ".mrcs", ".rec", ".st", ".map", ".ali", ".preali")
_DTYPES = {0: "int8", 1: "int16", 2: "float32", 6: "uint16", 12: "float16"}
_OTHERS = {3: "complex int16", 4: "complex float32", 101: "4-bit"}
_ANGSTROMS_IN_NM = 10.0
_IMOD_STAMP = 1146047817
_SIGNED, _SAME_SIGN = 1, 4


@dataclass(frozen=True)
class _Layout:
    """What the header says of the array."""

    lengths: tuple[int, ...]
    axes: str
    dtype: np.dtype
    offset: int
    found: FoundSpace
    notes: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.lengths) * self.dtype.itemsize


class MrcVolume(FileVolume):
    """An MRC file (MRC2014, CCP4 or IMOD); sections that the file lacks are an error, or black where that was asked."""

    def __init__(self, spec: MrcSpec) -> None:
        self._path = existing_file(spec.path)
        self._header = _read_header(self._path)
        name = str(spec.path)
        check_extent(self._header.lengths, (), self._header.dtype.itemsize, name)
        layout = layout_of(self._header.axes, self._header.lengths, spec, name)
        notes = [*self._header.notes, *self._check_size(spec)]
        self._describe(name, layout, self._header.dtype, self._header.found, spec, notes)

    def _check_size(self, spec: MrcSpec) -> list[str]:
        held = self._path.stat().st_size - self._header.offset
        self._n_held = self._header.lengths[0]
        if held > self._header.n_bytes:
            return [f"The file has {held - self._header.n_bytes} bytes behind its voxels; they are left out."]
        if held == self._header.n_bytes:
            return []
        n, name = self._header.lengths[0], "volumes" if len(self._header.lengths) == 4 else "sections"
        self._n_held = max(0, held) // (self._header.n_bytes // n)
        if spec.missing_sections != "blank":
            raise VolumeError(
                f"{self._path} is to have {n} {name} and ends after {self._n_held}.",
                "Copy it again, or read those that are missing as black: --missing-sections blank.",
            )
        return [f"The file ends after {self._n_held} of {n} {name}; the others are black."]

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        # The map is made anew for each read, so that resident memory follows the box.
        shape = (self._n_held, *self._header.lengths[1:])
        if index[0].stop <= self._n_held:
            return np.array(self._map(shape)[index])
        data = np.zeros([s.stop - s.start for s in index], self._header.dtype)
        if index[0].start < self._n_held:
            whole = slice(index[0].start, self._n_held)
            data[: whole.stop - whole.start] = self._map(shape)[(whole, *index[1:])]
        return data

    def _map(self, shape: tuple[int, ...]) -> np.ndarray:
        try:
            return np.memmap(self._path, self._header.dtype, "r", self._header.offset, shape)
        except ValueError as error:
            raise OSError(f"the file was cut while it was open: {error}") from error


def _read_header(path: Path) -> _Layout:
    mrcfile = optional_package("mrcfile", path, "an MRC file")
    if path.stat().st_size < 1024:
        raise VolumeError(f"{path} is not a whole MRC file: its header alone has 1024 bytes.", "Copy it again.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with mrcfile.open(path, header_only=True, permissive=True) as file:
                header = file.header
        except (ValueError, OSError) as error:
            raise VolumeError(f"{path} is not an MRC file that can be read: {error}.", "Copy it again.") from error
    if header is None:
        raise VolumeError(f"{path} is not an MRC file that can be read.", "Copy it again.")
    notes = [f"Its header is unusual: {str(w.message).rstrip('.')}." for w in caught]
    imod, flags = _imod_flags(path, header)
    dtype, mode_notes = _dtype(header, path, imod, flags)
    lengths, axes, axis_notes = _axes(header, path)
    found = _space(header, axes, imod and not flags & _SAME_SIGN)
    return _Layout(lengths, axes, dtype, 1024 + int(header.nsymbt), found, (*notes, *mode_notes, *axis_notes))


def _imod_flags(path: Path, header: Any) -> tuple[bool, int]:
    """Whether IMOD or SerialEM wrote the header, and their flags."""
    with path.open("rb") as file:
        file.seek(152)
        stamp, flags = np.frombuffer(file.read(8), np.dtype(np.int32).newbyteorder(header.nx.dtype.byteorder))
    return int(stamp) == _IMOD_STAMP, int(flags)


def _dtype(header: Any, path: Path, is_imod: bool, flags: int) -> tuple[np.dtype, list[str]]:
    mode = int(header.mode)
    if mode not in _DTYPES:
        raise VolumeError(
            f"{path} holds {_OTHERS.get(mode, 'unknown')} voxels (MRC mode {mode}); read are modes 0, 1, 2, 6 and 12.",
            "Convert it, for example with IMOD: newstack -mode 6.",
        )
    if mode == 0 and is_imod and not flags & _SIGNED:
        return np.dtype(np.uint8), ["IMOD's flag says that the bytes are unsigned; they are read as uint8."]
    return np.dtype(_DTYPES[mode]).newbyteorder(header.nx.dtype.byteorder), []


def _axes(header: Any, path: Path) -> tuple[tuple[int, ...], str, list[str]]:
    """The shape and axes of the file: sections, rows, columns, and before them volumes where it is a stack of such."""
    lengths = (int(header.nz), int(header.ny), int(header.nx))
    if min(lengths) < 1:
        raise VolumeError(f"{path} claims to have {' x '.join(map(str, lengths))} voxels.", "Its header is damaged.")
    order = [int(header.maps), int(header.mapr), int(header.mapc)]
    notes: list[str] = []
    if sorted(order) != [1, 2, 3]:
        notes.append(f"The header names its axes {order[::-1]}, expected 1, 2, 3; they are taken as x, y, z.")
        order = [3, 2, 1]
    axes = "".join("xyz"[k - 1] for k in order)
    if axes != "zyx":
        notes.append(f"The header says that sections, rows and columns lie along {', '.join(axes)}.")
    sampling = int(header.mz)
    if 401 <= int(header.ispg) <= 630 and 0 < sampling < lengths[0] and lengths[0] % sampling == 0:
        return (lengths[0] // sampling, sampling, *lengths[1:]), f"t{axes}", notes
    return lengths, axes, notes


def _space(header: Any, axes: str, is_inverted: bool) -> FoundSpace:
    """Voxel size and origin; a size of 1 Angstrom is what programs write that do not know it."""
    cell = {"x": float(header.cella.x), "y": float(header.cella.y), "z": float(header.cella.z)}
    sampling = {"x": int(header.mx), "y": int(header.my), "z": int(header.mz)}
    if not all(sampling.values()) or not all(cell.values()):
        return FoundSpace.nothing("The MRC header gives no size of a voxel; it is not known.")
    # The header has single precision: 46.0 Angstrom come as 45.999996.
    angstrom = [float(f"{abs(cell[a]) / abs(sampling[a]):.6g}") for a in "zyx"]
    if all(edge == 1.0 for edge in angstrom):
        return FoundSpace.nothing(
            "The MRC header gives voxels of 1 Angstrom, as programs write that do not know the size; it is not known."
        )
    origin, place_notes = {a: float(header.origin[a]) for a in "zyx"}, []
    if any(origin.values()):
        if is_inverted:
            origin = {a: -v for a, v in origin.items()}
            place_notes.append("The origin of IMOD's header is the place of the zero in the image; its sign is turned.")
    else:
        starts = {"x": int(header.nxstart), "y": int(header.nystart), "z": int(header.nzstart)}
        # They count along columns, rows and sections.
        of_axis = dict(zip(axes.removeprefix("t")[::-1], "xyz", strict=True))
        origin = {a: starts[of_axis[a]] * size for a, size in zip("zyx", angstrom, strict=True)}
    size_nm = [v / _ANGSTROMS_IN_NM for v in angstrom]
    place = stated_origin([origin[a] / _ANGSTROMS_IN_NM for a in "zyx"])
    return found_space(size_nm, "MRC header", place, place_notes=place_notes)
