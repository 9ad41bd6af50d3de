"""SWC: skeletons as text, a node a line.

::

    # segment: 17
    # columns: number type x y z radius parent
    1 0 400 80 1200 25 -1
    2 0 400 88 1240 25 1

Numbers of nodes go on through a file, type 0 is undefined, and -1 is the parent of a root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.units import SUFFIX, SkeletonUnit

_NM = {"nm": 1.0, "um": 1000.0}
_UNIT_NAMES = {"nm": "nm", "nanometer": "nm", "nanometre": "nm", "um": "um", "µm": "um", "μm": "um", "micron": "um",
               "micrometer": "um", "micrometre": "um", "voxel": "voxels", "voxels": "voxels", "pixel": "voxels",
               "pixels": "voxels"}  # fmt: skip
_SEGMENT = re.compile(r"#\s*segment:\s*(\d+)\s*$")
_UNIT = re.compile(r"#\s*units?\s*[:=]\s*([\w]+)", re.IGNORECASE)
_N_COLUMNS = 7
_NUMBERS_BELOW = 2**63
_LONGEST_NUMBER = 40


def write_swc(
    skeletons: Iterable[Skeleton], file: IO[str], space: VoxelSpace, unit: SkeletonUnit = "nm", writer: str = ""
) -> int:
    """Write skeletons to a text file, one after the other; returns how many.

    The head says the unit, the voxel size and the origin of the volume; a line before the nodes of each skeleton says
    its segment.

    Parameters
    ----------
    space : VoxelSpace
        Voxel size and origin of the volume that the skeletons are of.
    unit : "nm", "um" or "voxels"
        The unit to write; voxels where the voxel size is not known.
    writer : str
        Name and version of the program.
    """
    size, origin = (" ".join(f"{v:.9g}" for v in values) for values in (space.voxel_size_nm, space.origin_nm))
    file.write(f"# SWC{f' written by {writer}' if writer else ''}\n# unit: {unit}\n")
    if space.known:
        file.write(f"# voxel size z y x (nm): {size}\n# origin z y x (nm): {origin}\n")
    else:
        file.write("# voxel size: not known\n")
    file.write("# columns: number type x y z radius parent\n")
    scale, shift = _scale(space, unit)
    n_before = n_skeletons = 0
    for skeleton in skeletons:
        order, parents = skeleton.rooted()
        numbers = np.empty(skeleton.n_nodes + 1, np.int64)
        numbers[order] = np.arange(1, skeleton.n_nodes + 1) + n_before
        numbers[-1] = -1  # the parent of a root
        places = (skeleton.nodes_nm - shift) / scale
        radii = skeleton.radii_nm / scale.min()
        file.write(f"# segment: {skeleton.segment}\n")
        file.writelines(
            f"{numbers[k]} 0 {places[k, 2]:.9g} {places[k, 1]:.9g} {places[k, 0]:.9g} {radii[k]:.6g} "
            f"{numbers[parents[k]]}\n"
            for k in order.tolist()
        )
        n_before += skeleton.n_nodes
        n_skeletons += 1
    return n_skeletons


def read_skeletons(
    path: str | Path, space: VoxelSpace, unit: SkeletonUnit | None = None
) -> tuple[list[Skeleton], list[str]]:
    """Read an SWC file, or all of a folder.

    A file of this program holds skeletons of several segments; another is one skeleton, whose segment is the number
    that the file's name is or ends in, else the next that is free.

    Parameters
    ----------
    space : VoxelSpace
        Voxel size and origin of the volume, for files in voxels.
    unit : "nm", "um" or "voxels", optional
        The unit of the files; by default what they say, else um, which the SWC format has.

    Returns
    -------
    skeletons : list of Skeleton
        In the order of their segments.
    notes : list of str
        What was assumed, a sentence each.

    Raises
    ------
    InvalidInput
        If there is no such file, or one is no SWC.
    """
    path = Path(path)
    paths = swc_files(path) if path.is_dir() else [path]
    if not paths:
        raise InvalidInput(f"The folder {path} holds no skeletons (*{SUFFIX}).", "Name a folder of SWC files.")
    found: list[_File] = [_File(one) for one in paths]
    taken: dict[int, Path] = {}
    skeletons: list[Skeleton] = []
    unsaid: list[Path] = []
    unnamed: list[Path] = []
    apart: list[str] = []
    for one in found:
        if one.unit is None and unit is None:
            unsaid.append(one.path)
        its_unit: SkeletonUnit = unit or one.unit or "um"
        if its_unit != "voxels" and not space.known:
            raise InvalidInput(
                f"{one.path.name} is in {its_unit}, but the voxel size of the volume is not known.",
                "Say it with --voxel-size, or --unit voxels if the file is in voxels.",
            )
        scale, shift = _scale(space, its_unit)
        for segment, rows in one.skeletons(taken):
            if one.is_of_one and one.number is None:
                unnamed.append(one.path)
            if segment in taken:
                raise InvalidInput(
                    f"Skeletons must be of different segments, but {taken[segment].name} and {one.path.name} both have "
                    f"one of {segment}.",
                    "Give the files other numbers, or make one file of them.",
                )
            taken[segment] = one.path
            skeletons.append(one.skeleton(segment, rows, scale, shift))
            if one.is_of_one and skeletons[-1].n_parts > 1:
                apart.append(f"{one.path.name} has {skeletons[-1].n_parts} roots, which were taken for one segment.")
    notes = []
    if unsaid:
        notes.append(
            f"{_files(unsaid)} {'say' if len(unsaid) > 1 else 'says'} no unit: micrometres were assumed, as the SWC "
            "format has (--unit says another)."
        )
    if unnamed and len(paths) > 1:
        notes.append(f"{_files(unnamed)} {'name' if len(unnamed) > 1 else 'names'} no segment: numbers were given.")
    notes += apart[:1] + ([f"So were the roots of {len(apart) - 1} more files."] if len(apart) > 1 else [])
    return sorted(skeletons, key=lambda skeleton: skeleton.segment), notes


def swc_files(folder: Path) -> list[Path]:
    """SWC files of a folder by their suffix, in capitals or not."""
    return sorted(one for one in folder.glob("*") if one.suffix.lower() == SUFFIX)


def _scale(space: VoxelSpace, unit: SkeletonUnit) -> tuple[np.ndarray, np.ndarray]:
    """Nanometres of a unit along z, y, x, and the position of its origin in nm."""
    if unit == "voxels":
        return np.asarray(space.voxel_size_nm), np.asarray(space.origin_nm)
    return np.full(3, _NM[unit]), np.zeros(3)


def _files(paths: list[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"


class _File:
    """The lines of an SWC file, checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unit: SkeletonUnit | None = None
        self.is_of_one = True
        rows: list[list[float]] = []
        self._numbers: dict[int, int] = {}
        self._lines: list[int] = []
        self._starts: list[tuple[int, int]] = []
        try:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidInput(f"The skeletons {path} cannot be read: {reason}.", "Name an SWC file.") from error
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.strip()
            if words.startswith("#"):
                self._read_comment(words, len(rows))
            elif words:
                row = self._row(number, words)
                if int(row[0]) in self._numbers:
                    raise self._broken(number, f"there are two nodes of number {int(row[0])}")
                self._numbers[int(row[0])] = len(rows)
                self._lines.append(number)
                rows.append(row)
        if not rows:
            raise InvalidInput(f"{path.name} holds no node of a skeleton.", "Name an SWC file with nodes.")
        if self._starts and self._starts[0][1]:
            raise self._broken(self._lines[0], "nodes come before the line of the first segment")
        self._rows = np.array(rows)
        self._parents = self._find_parents()
        ending = re.search(r"(\d+)$", path.stem)
        self.number = self._segment(ending.group(1), "name") if ending else None

    def skeletons(self, taken: dict[int, Path]) -> list[tuple[int, slice]]:
        """Segments and their rows."""
        if not self._starts:
            number = self.number
            if number is None:
                number = next(k for k in range(1, len(taken) + 2) if k not in taken)
            return [(number, slice(0, len(self._rows)))]
        stops = [*(start for _, start in self._starts[1:]), len(self._rows)]
        return [(segment, slice(start, stop)) for (segment, start), stop in zip(self._starts, stops, strict=True)]

    def skeleton(self, segment: int, rows: slice, scale: np.ndarray, shift: np.ndarray) -> Skeleton:
        """The skeleton of some rows."""
        parents = self._parents[rows] - rows.start
        children = np.flatnonzero(self._parents[rows] >= 0)
        n = rows.stop - rows.start
        if len(children) and not ((parents[children] >= 0) & (parents[children] < n)).all():
            raise self._broken(self._lines[rows.start], f"an edge leaves the skeleton of segment {segment}")
        nodes = self._rows[rows, 4:1:-1] * scale + shift
        radii = np.maximum(self._rows[rows, 5], 0) * scale.min()
        found = Skeleton(segment, nodes, np.column_stack([parents[children], children]), radii)
        if not found.is_forest:
            raise self._broken(self._lines[rows.start], f"edges of segment {segment} make a circle")
        return found

    def _read_comment(self, text: str, n_rows: int) -> None:
        if match := _SEGMENT.match(text):
            self._starts.append((self._segment(match.group(1), "head"), n_rows))
            self.is_of_one = False
        elif match := _UNIT.match(text):
            known = _UNIT_NAMES.get(match.group(1).lower().removesuffix("s"), _UNIT_NAMES.get(match.group(1).lower()))
            if known is None:
                raise InvalidInput(
                    f"The unit of {self.path.name} must be nm, um or voxels, got {match.group(1)!r}.",
                    "Say it with --unit, and take the line out of the file.",
                )
            self.unit = known  # type: ignore[assignment]

    def _segment(self, digits: str, place: str) -> int:
        found = int(digits[:_LONGEST_NUMBER])
        if len(digits) > _LONGEST_NUMBER or found >= _NUMBERS_BELOW:
            raise InvalidInput(
                f"Segments of skeletons have numbers below 2^63; the {place} of {self.path.name} says {digits[:40]}.",
                "Give it a smaller number.",
            )
        return found

    def _row(self, number: int, words: str) -> list[float]:
        fields = words.split()
        if len(fields) != _N_COLUMNS:
            raise self._broken(number, f"a node has {_N_COLUMNS} columns, got {len(fields)}")
        try:
            values = [float(field) for field in fields]
        except ValueError:
            raise self._broken(number, f"columns are numbers, got {words!r}") from None
        if not np.isfinite(values).all() or values[0] != int(values[0]) or values[6] != int(values[6]):
            raise self._broken(number, f"a node has finite numbers, got {words!r}")
        if not max(abs(values[0]), abs(values[6])) < _NUMBERS_BELOW:
            raise self._broken(number, f"nodes have numbers below 2^63, got {words!r}")
        return values

    def _find_parents(self) -> np.ndarray:
        parents = np.full(len(self._rows), -1)
        for row, parent in enumerate(self._rows[:, 6].astype(int).tolist()):
            if parent < 0:
                continue
            if parent not in self._numbers or self._numbers[parent] == row:
                raise self._broken(self._lines[row], f"the parent {parent} is no other node of the file")
            parents[row] = self._numbers[parent]
        return parents

    def _broken(self, line: int, reason: str) -> InvalidInput:
        return InvalidInput(
            f"{self.path.name} is no SWC file: {reason} (line {line}).",
            "A line has number, type, x, y, z, radius and parent of a node.",
        )
