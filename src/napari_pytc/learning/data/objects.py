"""Object labels to learn from, sparse or dense, without those in hidden boxes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import fastremap
import numpy as np

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER, ObjectRelations
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.labels.store import StoredChunk
from napari_pytc.learning.data.regions import AnnotatedChunk, disjoint, without

SOMETHING_ELSE, UNLABELLED, NO_OBJECT = -1, 0, 1
"""Labels in a patch: something else than the objects, not annotated, and background; objects are 2, 3, and so on."""
AT_BORDER, INSIDE = 1, 2
"""Kinds of voxels that are drawn: beside something else, and amid the same."""
_BESIDE = (1, 3)
"""Distances along an axis, in voxels, at which something else makes a voxel one `AT_BORDER`."""


class ObjectSource(Protocol):
    """Ids of objects on the voxels of a volume, as a `LabelStore` has them."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels, those of the volume."""

    def chunks(self) -> list[StoredChunk]:
        """The disjoint chunks that were written; all else is 0."""

    def read(self, box: Box) -> np.ndarray:
        """Ids of a box within the volume, uint32: 0 = not annotated, `BACKGROUND` = no object here, `OTHER`."""


class UnannotatedObjects:
    """An `ObjectSource` in which nothing is labelled."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def chunks(self) -> list[StoredChunk]:
        """None."""
        return []

    def read(self, box: Box) -> np.ndarray:
        """Nothing but 0."""
        return np.zeros(box.shape, np.uint32)


class ObjectLabels:
    """The object labels of a volume as a training may see them.

    Parameters
    ----------
    source : ObjectSource
        All that is annotated.
    hidden : sequence of Box
        Boxes that are not read but to score.
    relations : ObjectRelations, optional
        Ids that are known to be different objects; by default all are.
    scored : sequence of Box, optional
        The part of the hidden boxes that is scored, by default all.
    """

    def __init__(
        self,
        source: ObjectSource,
        hidden: Sequence[Box] = (),
        relations: ObjectRelations | None = None,
        scored: Sequence[Box] | None = None,
    ) -> None:
        self._scored = tuple(hidden if scored is None else scored)
        self._source = source
        self._relations = relations
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
        """Labels as `renumbered`, and which of them are known to be different objects, as for `instance_targets`.

        ::

            apart   0 . . . .      0 unlabelled, 1 background, 2 and 3 objects, and at the end what is something else:
                    1 . . 1 1 .    here 2 and 3 were cut from one another, and 3 is known as a whole
                    2 . 1 . 1 .
                    3 . 1 1 . 1
                   -1 . . . 1 .
        """
        labels, _, apart = self.ids_and_numbers(box)
        return labels, apart

    def ids_and_numbers(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """As `numbered`, with the id of each number between the two."""
        labels, ids = numbered_ids(self.labels(box))
        return labels, ids, None if self._relations is None else self._relations.apart(ids)

    def truth(self, box: Box) -> np.ndarray:
        """Ids of a box within the volume, also in hidden boxes: for scores alone."""
        return self._source.read(box)

    def kinds(self, box: Box) -> np.ndarray:
        """The kind of each voxel of a box as the middle of a patch: `AT_BORDER`, `INSIDE`, or 0 for none."""
        return _border_kinds(self.labels(box))

    @cached_property
    def chunks(self) -> list[AnnotatedChunk]:
        """The chunks with labels to learn from; counts are of `AT_BORDER` and `INSIDE`."""
        found = []
        for chunk in self._source.chunks():
            counts = np.bincount(self.kinds(chunk.box).ravel(), minlength=3)[1:]
            if counts.any():
                found.append(AnnotatedChunk(chunk.box, (int(counts[0]), int(counts[1])), chunk.changed))
        return found

    def scored_tiles(self, tile_shape: Shape) -> list[Box]:
        """Boxes of at most `tile_shape` inside the scored part of the hidden boxes that hold labels."""
        found = []
        written = [chunk.box for chunk in self._source.chunks()]
        for hidden in disjoint(self._scored):
            for tile in TileGrid(hidden.intersect(self._whole), tile_shape):
                touched = any(tile.write.overlaps(box) for box in written)
                if touched and self.truth(tile.write).any():
                    found.append(tile.write)
        return found

    def check(self, volume: Shape) -> list[str]:
        """Refuse labels that nothing can be learnt from; return warnings for the user.

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
        if not ids and any(self.truth(chunk.box).any() for chunk in self._source.chunks()):
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
    return numbered_ids(ids)[0]


def numbered_ids(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _border_kinds(ids: np.ndarray) -> np.ndarray:
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
