"""Objects to learn from: ids painted on voxels, sparse or dense, without what lies in hidden boxes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import fastremap
import numpy as np

from napari_pytc.annotations.said import BACKGROUND, OTHER, Said
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.learning.places import AnnotatedChunk, disjoint, without

SOMETHING_ELSE, UNLABELLED, NO_OBJECT = -1, 0, 1
"""Labels in a patch: none of the objects, not annotated, and background; objects are 2, 3, and so on."""
AT_BORDER, INSIDE = 1, 2
"""Kinds of places that are drawn: beside something else, and amid the same."""
_BESIDE = (1, 3)
"""How far along an axis something else is looked for, in voxels."""


class ObjectSource(Protocol):
    """Ids of objects on the voxels of a volume, as a `LabelStore` has them."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels, those of the volume."""

    def boxes(self) -> list[tuple[Box, float]]:
        """The disjoint chunks that were written and when each last changed; all else is 0."""

    def read(self, box: Box) -> np.ndarray:
        """Ids of a box within the volume, uint32: 0 = not annotated, `BACKGROUND` = no object here, `OTHER`."""


class Unannotated:
    """An `ObjectSource` in which nothing is labelled."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def boxes(self) -> list[tuple[Box, float]]:
        """None."""
        return []

    def read(self, box: Box) -> np.ndarray:
        """Nothing but 0."""
        return np.zeros(box.shape, np.uint32)


class ObjectLabels:
    """The objects of a volume as a training may see them.

    Parameters
    ----------
    source : ObjectSource
        All that is annotated.
    hidden : sequence of Box
        Boxes that are not read but to score.
    said : Said, optional
        Which ids are known to be different objects; by default all are.
    """

    def __init__(self, source: ObjectSource, hidden: Sequence[Box] = (), said: Said | None = None) -> None:
        self._source = source
        self._said = said
        self._hidden = tuple(hidden)
        self._whole = Box.of_shape(source.shape)

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""
        return self._source.shape

    def labels(self, box: Box) -> np.ndarray:
        """Ids of a box within the volume to learn from, uint32; 0, not annotated, in hidden boxes."""
        if not any(hidden.overlaps(box) for hidden in self._hidden):
            return self._source.read(box)
        found = np.zeros(box.shape, np.uint32)
        for part in without([box], self._hidden):
            found[part.relative_to(box.start).slices] = self._source.read(part)
        return found

    def numbered(self, box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels as `renumbered`, and which of them are said to be different objects, as `instance_targets` takes it.

        ::

            apart   0 . . . .      0 unlabelled, 1 background, 2 and 3 objects, and at the end what is something else:
                    1 . . 1 1 .    here 2 and 3 were cut from one another, and 3 is known as a whole
                    2 . 1 . 1 .
                    3 . 1 1 . 1
                   -1 . . . 1 .
        """
        labels, ids = _numbers(self.labels(box))
        return labels, None if self._said is None else self._said.apart(ids)

    def truth(self, box: Box) -> np.ndarray:
        """Ids of a box within the volume, also in hidden boxes: for scores alone."""
        return self._source.read(box)

    def places(self, box: Box) -> np.ndarray:
        """Which voxels may be the middle of a patch: 0, `AT_BORDER` or `INSIDE`."""
        return _places(self.labels(box))

    @cached_property
    def chunks(self) -> list[AnnotatedChunk]:
        """The chunks with labels to learn from; counts are of `AT_BORDER` and `INSIDE`."""
        found = []
        for box, changed in self._source.boxes():
            counts = np.bincount(self.places(box).ravel(), minlength=3)[1:]
            if counts.any():
                found.append(AnnotatedChunk(box, (int(counts[0]), int(counts[1])), changed))
        return found

    def scored_tiles(self, tile_shape: Shape) -> list[Box]:
        """Boxes of at most `tile_shape` inside the hidden boxes that hold labels."""
        found = []
        written = [box for box, _ in self._source.boxes()]
        for hidden in disjoint(self._hidden):
            for tile in TileGrid(hidden.intersect(self._whole), tile_shape):
                touched = any(tile.write.overlaps(box) for box in written)
                if touched and self.truth(tile.write).any():
                    found.append(tile.write)
        return found

    def check(self, volume: Shape) -> list[str]:
        """Refuse what cannot be learnt from; return what the user should know all the same.

        Raises
        ------
        ModelError
            Without labels of two objects, or of one and the background, outside the hidden boxes.
        """
        if self._source.shape != tuple(volume):
            raise ModelError(
                f"The objects are of a volume of {_lengths(self._source.shape)} voxels, the image has "
                f"{_lengths(volume)}.",
                "Annotate the objects of this image again.",
            )
        ids: set[int] = set()
        for chunk in self.chunks:
            ids.update(int(n) for n in fastremap.unique(self.labels(chunk.box)) if n)
            if len(ids) > 1:
                break
        if not ids and any(self.truth(box).any() for box, _ in self._source.boxes()):
            raise ModelError(
                "All annotated objects lie in held-out boxes, which training must not see.",
                "Annotate objects outside them, or hold out less.",
            )
        if len(ids) < 2:
            raise ModelError(
                "Learning instances needs labels of at least two objects, or of one and the background, got "
                f"{'the background alone' if BACKGROUND in ids else 'one object' if ids else 'none'}.",
                "Paint another object, best beside the first, or give dense labels: "
                "napari-pytc annotate PROJECT LABELS --instances.",
            )
        if not sum(chunk.counts[0] for chunk in self.chunks):
            return [
                f"No two labels lie within {max(_BESIDE)} voxels of one another: paint on both sides of a border, so "
                "that what keeps objects apart can be learnt."
            ]
        return []


def renumbered(ids: np.ndarray) -> np.ndarray:
    """Ids of a patch as small numbers, int32: `SOMETHING_ELSE`, `UNLABELLED`, `NO_OBJECT`, then objects from 2 on."""
    return _numbers(ids)[0]


def _numbers(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids as small numbers, and the id of each number; the last is `OTHER`."""
    small, numbers = fastremap.renumber(np.ascontiguousarray(ids), start=2, preserve_zero=True)
    found = small.astype(np.int32)
    names = np.zeros(max(NO_OBJECT, *numbers.values(), 0) + 2, np.int64)
    for id, number in numbers.items():
        names[number] = id
    for id, number in ((BACKGROUND, NO_OBJECT), (OTHER, SOMETHING_ELSE)):
        if id in numbers:
            found[found == numbers[id]] = number
            names[numbers[id]] = 0
    names[NO_OBJECT], names[SOMETHING_ELSE] = BACKGROUND, OTHER
    return found, names


def _places(ids: np.ndarray) -> np.ndarray:
    labelled = ids != 0
    beside = np.zeros(ids.shape, bool)
    for axis in range(3):
        for step in _BESIDE:
            if ids.shape[axis] > step:
                low, high = _ends(axis, step)
                differs = (ids[low] != ids[high]) & labelled[low] & labelled[high]
                beside[low] |= differs
                beside[high] |= differs
    return np.where(beside, np.uint8(AT_BORDER), np.uint8(INSIDE)) * labelled


def _ends(axis: int, step: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of all voxels but the last `step` along an axis, and of all but the first."""
    before = (slice(None),) * axis
    return (*before, slice(None, -step)), (*before, slice(step, None))


def _lengths(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
