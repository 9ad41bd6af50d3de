"""Placement of a file's labels in an image: the box that they fill there, and which of their voxels lies where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, Voxel, VoxelSpace

_SAME_SIZE = 0.01
"""Largest relative difference of voxel sizes that are taken for the same: files round them."""
_WHOLE = 0.02
"""Largest distance from a whole voxel, in voxels, that is passed over: files round origins."""


@dataclass(frozen=True)
class LabelPlacement:
    """The place of labels in an image.

    Parameters
    ----------
    box : Box
        The voxels of the image that the labels fill.
    start : tuple of int
        Voxel of the image at which the labels begin; outside of it where they reach beyond.
    indices : tuple of ndarray, optional
        Where the labels are resampled: for each voxel of the box along z, y and x the voxel of the labels that is
        nearest; None where the two grids are one.
    notes : tuple of str
        What was assumed, a sentence each.
    """

    box: Box
    start: Voxel
    indices: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    notes: tuple[str, ...] = ()


def place_labels(
    shape: Shape,
    space: VoxelSpace,
    image_shape: Shape,
    image_space: VoxelSpace,
    offset: Sequence[int] | None = None,
    resample: bool = False,
) -> LabelPlacement:
    """Place labels by what their file and the image say of voxel sizes and origins.

    ::

        first voxel = (origin of the labels - origin of the image) / voxel size

    Labels that say nothing begin at the image's first voxel, and so do those that say 0 where the image says nothing:
    many programs write 0 for what they do not know. Where voxel sizes differ and the origins lie a whole
    number of label voxels apart, the outer faces of the first voxels are taken to be as far apart, as in CREMI's files;
    else the origins are centres of voxels, as in OME-Zarr.

    Parameters
    ----------
    shape, image_shape : tuple of int
        Lengths along z, y, x of labels and image.
    space, image_space : VoxelSpace
        Voxel sizes and origins of both.
    offset : sequence of int, optional
        Voxel (z, y, x) of the image at which the labels begin; by default as their file says.
    resample : bool
        Whether labels with voxels of another size are resampled to the image's, each of its voxels taking the label
        nearest to it; else they are refused.

    Raises
    ------
    InvalidInput
        If voxel sizes differ, or the labels lie beyond the image. Of labels that reach beyond it by what their file
        says, the part inside is taken, with a note; by an offset, they are refused. Labels as large as the image begin
        at its first voxel where their origin is 0.
    """
    if offset is not None and len(offset) != 3:
        raise InvalidInput(f"An offset is three voxels along z, y, x, got {tuple(offset)}.")
    size = _edges(shape, space, image_space)
    ratio = [a / b for a, b in zip(size, image_space.voxel_size_nm, strict=True)]
    is_same = has_same_voxels(shape, space, image_space)
    if not is_same and not resample:
        raise _other_size(shape, size, image_shape, image_space)
    is_told = _is_told(space, image_space)
    start, notes = _start(shape, space, image_shape, image_space, ratio, offset)
    if not is_same:
        return _resampled(shape, image_shape, image_space, size, start, (offset, is_told), notes)
    whole: Voxel = (round(start[0]), round(start[1]), round(start[2]))
    box = _inside(Box.at(whole, shape), image_shape, (offset, is_told), notes)
    off = [abs(s - w) for s, w in zip(start, whole, strict=True)]
    if max(off) > _WHOLE:
        notes.append(
            f"The labels begin between voxels of the image, at {_numbers(start)} (z, y, x); they were put at "
            f"{_numbers(whole)}, so that they lie up to {max(off):.2g} of a voxel beside their place."
        )
    return LabelPlacement(box, whole, None, tuple(notes))


def has_same_voxels(shape: Shape, space: VoxelSpace, image_space: VoxelSpace) -> bool:
    """Whether labels have voxels of the image's size, or of an unknown one; parameters as of `place_labels`."""
    size = _edges(shape, space, image_space)
    return all(abs(a / b - 1) <= _SAME_SIZE for a, b in zip(size, image_space.voxel_size_nm, strict=True))


def _is_told(space: VoxelSpace, image_space: VoxelSpace) -> bool:
    """Whether the labels' file says where they lie: an origin of 0 does only where the image has an origin, too."""
    return space.known and space.is_placed and (any(space.origin_nm) or image_space.is_placed)


def _edges(shape: Shape, space: VoxelSpace, image_space: VoxelSpace) -> list[float]:
    """Edges of a label voxel in nm; the image's where the file gives none, and along z for a single section."""
    if not space.known:
        return list(image_space.voxel_size_nm)
    z, y, x = space.voxel_size_nm
    return [image_space.voxel_size_nm[0] if shape[0] == 1 else z, y, x]


def _start(
    shape: Shape,
    space: VoxelSpace,
    image_shape: Shape,
    image_space: VoxelSpace,
    ratio: Sequence[float],
    offset: Sequence[int] | None,
) -> tuple[list[float], list[str]]:
    """Voxel of the image at which the labels begin, and what was assumed."""
    told = [
        (a - b) / edge
        for a, b, edge in zip(space.origin_nm, image_space.origin_nm, image_space.voxel_size_nm, strict=True)
    ]
    is_told = _is_told(space, image_space)
    if offset is not None:
        notes = []
        if is_told and any(abs(t - o) > _WHOLE for t, o in zip(told, offset, strict=True)):
            notes.append(
                f"The labels' file says that they begin at voxel {_numbers(told)} (z, y, x) of the image; they were "
                f"put at {_numbers(offset)}, as the offset says."
            )
        return [float(o) for o in offset], notes
    is_whole = all(abs(n * r - m) < max(1.0, r) for n, r, m in zip(shape, ratio, image_shape, strict=True))
    is_elsewhere = any(abs(t) > _WHOLE for t in told)
    if is_told and is_whole and is_elsewhere and not any(space.origin_nm):  # as programs write that know no place
        return [0.0, 0.0, 0.0], [
            f"The labels' file says the origin 0, which is voxel {_numbers(told)} (z, y, x) of the image; as they are "
            "as large as the image, they were put at its first voxel (--offset Z,Y,X puts them elsewhere)."
        ]
    if is_told or is_whole:
        return (told if is_told else [0.0, 0.0, 0.0]), []
    where = f"labels of {_lengths(shape)} voxels"
    fits = all(s > -1 and s + n * r < m + 1 for s, n, r, m in zip(told, shape, ratio, image_shape, strict=True))
    if space.known and any(image_space.origin_nm) and fits:
        return told, [
            f"The {where} have the origin 0, or say none; they were put there, at voxel {_numbers(told)} (z, y, x) of "
            "the image, as no offset is given (--offset Z,Y,X)."
        ]
    if space.known and space.is_placed:
        return [0.0, 0.0, 0.0], [
            f"The {where} have the origin 0, as files do that know no place; they were put at the first voxel of the "
            f"image of {_lengths(image_shape)}, 0,0,0, as no offset is given (--offset Z,Y,X)."
        ]
    return [0.0, 0.0, 0.0], [
        f"The {where} do not say where they lie in the image of {_lengths(image_shape)}; they were put at its first "
        "voxel, 0,0,0, as no offset is given (--offset Z,Y,X)."
    ]


def _resampled(
    shape: Shape,
    image_shape: Shape,
    image_space: VoxelSpace,
    size: Sequence[float],
    start: Sequence[float],
    source: tuple[Sequence[int] | None, bool],
    notes: list[str],
) -> LabelPlacement:
    """The placement of labels whose voxels have other edges, `size` in nm."""
    edges = image_space.voxel_size_nm
    ratio = [a / b for a, b in zip(size, edges, strict=True)]
    # In voxels of the image, counted from the outer face of its first one.
    face = [
        s if source[0] is not None or _is_whole(s / r) else s + 0.5 - r / 2 for s, r in zip(start, ratio, strict=True)
    ]
    low = [math.ceil(f - 0.5 - 1e-6) for f in face]
    high = [math.ceil(f + n * r - 0.5 - 1e-6) for f, n, r in zip(face, shape, ratio, strict=True)]
    # What a coarse voxel covers beyond the image's last one is no error.
    high = [min(h, m) if h - m < max(1.0, r) else h for h, m, r in zip(high, image_shape, ratio, strict=True)]
    low = [max(v, 0) if -v < max(1.0, r) else v for v, r in zip(low, ratio, strict=True)]
    covered = Box.at(low, [max(0, h - v) for v, h in zip(low, high, strict=True)])
    box = _inside(covered, image_shape, source, notes)
    z, y, x = (
        np.clip(np.floor((np.arange(v, h) + 0.5 - f) / r + 1e-6), 0, n - 1).astype(np.int64)
        for v, h, f, r, n in zip(box.start, box.stop, face, ratio, shape, strict=True)
    )
    note = (
        f"The labels' voxels of {_size_text(size)} were resampled to those of the image, {_size_text(edges)}: each "
        "took the nearest label."
    )
    return LabelPlacement(box, covered.start, (z, y, x), (*notes, note))


def _other_size(shape: Shape, size: Sequence[float], image_shape: Shape, image_space: VoxelSpace) -> InvalidInput:
    edges = image_space.voxel_size_nm
    covered = [n * a / b for n, a, b in zip(shape, size, edges, strict=True)]
    hint = "Resample them (the nearest label) with --resample, or, if the file is wrong, give the right size with "
    hint += f"--voxel-size {','.join(f'{v:g}' for v in edges)}."
    if shape == image_shape and any(c > 1.5 * m for c, m in zip(covered, image_shape, strict=True)):
        hint = f"They are as many as the image's, so that the file may be wrong: {hint[0].lower()}{hint[1:]}"
    return InvalidInput(
        f"The labels have voxels of {_size_text(size)}, the image has voxels of {_size_text(edges)} (z, y, x).", hint
    )


def _inside(box: Box, image_shape: Shape, source: tuple[Sequence[int] | None, bool], notes: list[str]) -> Box:
    """The part of a box that lies in the image, with a note where that is not all of it.

    It is refused unless the labels' file says where they lie. `source` is the offset that was given, and whether the
    file does.
    """
    offset, is_told = source
    inside = box.intersect(Box.of_shape(image_shape))
    if inside == box and not box.is_empty:
        return box
    if offset is None and is_told and not inside.is_empty:
        notes.append(
            f"The labels fill {box} by what their file says, and reach beyond the image of {_lengths(image_shape)} "
            f"voxels; what lies in it, {inside}, was taken."
        )
        return inside
    by = "" if offset is None else f" at offset {','.join(map(str, offset))}"
    raise InvalidInput(
        f"Labels of {_lengths(box.shape)} voxels{by} do not lie within the volume of {_lengths(image_shape)}: they "
        f"would fill {box}.",
        "Say with --offset Z,Y,X at which voxel of the image they begin.",
    )


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) <= _WHOLE


def _lengths(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _size_text(size: Sequence[float]) -> str:
    return f"{' x '.join(f'{v:.4g}' for v in size)} nm"


def _numbers(values: Sequence[float]) -> str:
    return ",".join(f"{v:.6g}" for v in values)
