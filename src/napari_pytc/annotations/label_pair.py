"""Two label volumes to compare: brought to the same voxels and the same numbers of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import fastremap
import numpy as np

from napari_pytc.annotations.importing import named_classes, source_notes
from napari_pytc.annotations.label_source import LabelSource, whole_numbered
from napari_pytc.annotations.special_values import NO_LABEL, UNKNOWN, whole_numbers
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, Voxel, VoxelSpace

_SAME = 0.01
_MOST_CLASSES = 255


@dataclass(frozen=True)
class ComparedLabels:
    """Labels in the voxels and numbers in which they are compared.

    Parameters
    ----------
    source : LabelSource
        The labels as their file has them.
    shape : tuple of int
        Lengths of the volume in whose voxels they are read.
    offset : tuple of int
        Voxel of that volume at which they begin.
    values : mapping of int to int
        Numbers that are others in the comparison.
    """

    source: LabelSource
    shape: Shape
    offset: Voxel
    values: Mapping[int, int]

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box, which lies within what they cover."""
        block = whole_numbers(self.source.read(box.relative_to(self.offset)))
        info = np.iinfo(block.dtype)
        table = {value: number for value, number in self.values.items() if info.min <= value <= info.max}
        if any(number > info.max for number in table.values()):
            block = block.astype(np.uint64 if block.dtype.kind == "u" else np.int64)
        return np.asarray(fastremap.remap(block, table, preserve_missing_labels=True))


@dataclass(frozen=True)
class LabelPair:
    """Prediction and truth, ready to be compared.

    Parameters
    ----------
    predicted, truth : ComparedLabels
        Both in voxels of the truth.
    box : Box
        The voxels that both cover.
    names : dict of int to str
        Names of the classes; empty where no file has any.
    notes : tuple of str
        What was assumed or changed, a sentence each.
    """

    predicted: ComparedLabels
    truth: ComparedLabels
    box: Box
    names: dict[int, str]
    notes: tuple[str, ...]


def comparable(source: LabelSource, values: Mapping[int, int] | None = None) -> ComparedLabels:
    """Labels as they are compared with something else than labels; `values` as of `pair_labels`."""
    return ComparedLabels(whole_numbered(source), source.shape, (0, 0, 0), _changed(values))


def pair_labels(
    predicted: LabelSource, truth: LabelSource, values: Mapping[int, int] | None = None, classes: bool = True
) -> LabelPair:
    """Bring two label volumes to the same voxels and numbers.

    Volumes of one shape are compared voxel by voxel, others where they overlap by what their files say of origin and
    voxel size; an origin that is not said is 0, which a note tells. 2^64-1, CREMI's sign for no label, is 0.

    Parameters
    ----------
    values : mapping of int to int, optional
        Numbers that are others in the comparison, in both volumes, as 255 -> 1.
    classes : bool
        Whether the values are classes, whose numbers follow the names that the files have for them.

    Raises
    ------
    InvalidInput
        If their shapes differ, and the files do not say of which size the voxels are, of several, or of no place that
        both cover.
    """
    offset, box, notes = _overlap(predicted, truth)
    changed = _changed(values)
    moved: dict[int, int] = {}
    names: dict[int, str] = {}
    if classes:
        ours, theirs = dict(named_classes(predicted)), dict(named_classes(truth))
        moved, names = _moved(ours, theirs)
        if bool(ours) != bool(theirs):
            which = ("prediction", "truth") if ours else ("truth", "prediction")
            text = ", ".join(f"{value} {name}" for value, name in sorted((ours or theirs).items()))
            notes.append(
                f"The file of the {which[0]} names its classes ({text}), that of the {which[1]} does not: their "
                "numbers were compared as they are (--map makes others of them)."
            )
        if moved:
            text = ", ".join(f"{value} ({ours[value]}) became {number}" for value, number in sorted(moved.items()))
            notes.append(f"Numbers of the prediction's classes follow the names in the files: {text}.")
    return LabelPair(
        ComparedLabels(whole_numbered(predicted), truth.shape, offset, {**moved, **changed}),
        ComparedLabels(whole_numbered(truth), truth.shape, (0, 0, 0), changed),
        box,
        names,
        tuple(dict.fromkeys([*source_notes(predicted), *source_notes(truth), *notes])),
    )


def _changed(values: Mapping[int, int] | None) -> dict[int, int]:
    return {NO_LABEL: 0, **dict.fromkeys(UNKNOWN, 0), **(values or {})}


def _overlap(predicted: LabelSource, truth: LabelSource) -> tuple[Voxel, Box, list[str]]:
    """Where the prediction begins in voxels of the truth, the box that both cover, and what was assumed."""
    whole, ours, theirs = Box.of_shape(truth.shape), predicted.space, truth.space
    is_known = ours.known and theirs.known
    is_same_size = is_known and all(
        abs(a / b - 1) <= _SAME for a, b in zip(ours.voxel_size_nm, theirs.voxel_size_nm, strict=True)
    )
    z, y, x = _voxels_apart(ours, theirs)
    start: Voxel = (round(z), round(y), round(x))
    if predicted.shape == truth.shape:
        notes = []
        if is_known and not is_same_size:
            notes.append(
                f"The files say that the prediction has voxels of {_text(ours.voxel_size_nm)} nm, the truth of "
                f"{_text(theirs.voxel_size_nm)} nm; they were compared voxel by voxel."
            )
        elif is_same_size and start != (0, 0, 0):
            notes.append(
                f"The files say that the prediction begins {_text(start)} voxels (z, y, x) from the truth; they were "
                "compared voxel by voxel, as they have one shape."
            )
        return (0, 0, 0), whole, notes
    box = Box.at(start, predicted.shape).intersect(whole)
    if not is_same_size or box.is_empty:
        why = "" if not is_known else "the files say of no place that both cover"
        if is_known and not is_same_size:
            why = f"voxels are of {_text(ours.voxel_size_nm)} and {_text(theirs.voxel_size_nm)} nm"
        raise InvalidInput(
            f"Prediction and truth must have one shape, got {tuple(predicted.shape)} and {tuple(truth.shape)}"
            f"{f'; {why}' if why else ''}.",
            "Compare volumes of the same voxels, or files that say where they lie, such as HDF5 and OME-Zarr exports.",
        )
    by = "by the origins in their files"
    if not any(ours.origin_nm) and not any(theirs.origin_nm) and not (ours.is_placed and theirs.is_placed):
        # Exports of a part that begins at the first voxel say 0 as well as files that know no place.
        by = "if both begin at the same voxel, as their files have the origin 0, or say none"
    return start, box, [f"The volumes overlap in {box} of the truth {by}; only that was compared."]


def _voxels_apart(ours: VoxelSpace, theirs: VoxelSpace) -> tuple[float, ...]:
    return tuple((a - b) / v for a, b, v in zip(ours.origin_nm, theirs.origin_nm, theirs.voxel_size_nm, strict=True))


def _moved(ours: Mapping[int, str], theirs: Mapping[int, str]) -> tuple[dict[int, int], dict[int, str]]:
    """Numbers of the prediction's classes that are others in the truth, and the names of all."""
    if not ours or not theirs:
        return {}, dict(theirs or ours)
    numbers, names = {name: number for number, name in theirs.items()}, dict(theirs)
    moved: dict[int, int] = {}
    for value, name in ours.items():
        number = numbers.get(name)
        if number is None:  # a class that the truth has not, which must not count as another
            number = value if value not in names else next(k for k in range(1, _MOST_CLASSES + 1) if k not in names)
            names[number] = name
        if number != value:
            moved[value] = number
    return moved, names


def _text(values: tuple[float, ...]) -> str:
    return ",".join(f"{v:.6g}" for v in values)
