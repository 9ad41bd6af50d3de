"""Values of a file's labels as ids of objects."""

from __future__ import annotations

from collections.abc import Mapping

import fastremap
import numpy as np

from napari_pytc.annotations.components import BlockComponents
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.annotations.special_values import BACKGROUND_WORD, NO_LABEL, UNKNOWN, ignored_notes, whole_numbers
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Tile, TileGrid

_NOTHING = np.uint64(2**64 - 1)
"""Stands for `BACKGROUND` while ids have 64 bits."""


class ObjectIds:
    """The ids that the objects of some labels get: `scan` all blocks in order, `number` once, then `apply`.

    ::

        value  0 ................ not annotated; with `dense`, or mapped to background: no object
               ignored .......... not annotated
               2^64-1 (uint64) .. as 0
               else ............. an object, whose id is the value, unless ids are too large or another object has it

    Parameters
    ----------
    transform : LabelTransform
        What values mean, and whether each connected part is an object.
    grid : TileGrid
        The blocks in which the labels are read.

    Raises
    ------
    InvalidInput
        If the transform maps a value to a name other than background.
    """

    def __init__(self, transform: LabelTransform, grid: TileGrid) -> None:
        self._transform, self._grid = transform, grid
        self._special: dict[int, np.uint64] = {0: _NOTHING if transform.dense else np.uint64(0)}
        for value, meaning in transform.values.items():
            self._special[value] = self._meaning(value, meaning)
        self._special |= dict.fromkeys(transform.ignored, np.uint64(0))
        self._counts: dict[int, int] = {}
        self._replaced: dict[int, int] = {}
        self._is_uint64 = False
        self._components = BlockComponents(grid)
        self._found: list[np.ndarray] = []
        self._values = np.zeros(0, np.uint64)
        self._ids = np.zeros(0, np.uint32)
        self._is_renumbered = False
        self._notes: list[str] = []
        self.n_voxels = 0
        self.n_background = 0

    def scan(self, tile: Tile, block: np.ndarray, present: np.ndarray | None = None) -> bool:
        """Note the objects of a block; whether it annotates a voxel.

        Parameters
        ----------
        present : ndarray of uint32, optional
            Ids that the project has there now, of which those are replaced that the labels annotate.

        Raises
        ------
        InvalidInput
            If a value is no id, and neither mapped nor ignored.
        """
        block = whole_numbers(block)
        self._is_uint64 |= block.dtype == np.uint64
        self._check_values(block, tile.write)
        for value in self._specials(block.dtype):
            self._counts[value] = self._counts.get(value, 0) + int(np.count_nonzero(block == value))
        ids = self._decoded(block)
        objects = np.where(ids == _NOTHING, np.uint64(0), ids)
        found = fastremap.unique(objects)
        self._found.append(found[found > 0])
        n_background, n_voxels = int(np.count_nonzero(ids == _NOTHING)), int(np.count_nonzero(objects))
        self.n_background += n_background
        self.n_voxels += n_voxels
        self._components.add(tile, objects)
        if present is not None and present.any():
            replaced, counts = np.unique(present[ids != 0], return_counts=True)
            for id, n in zip(replaced.tolist(), counts.tolist(), strict=True):
                self._replaced[id] = self._replaced.get(id, 0) + n
        return n_voxels + n_background > 0

    def number(self, taken: Mapping[int, int] | None = None) -> None:
        """Choose the ids, once all blocks were scanned.

        Parameters
        ----------
        taken : mapping of int to int, optional
            Voxels of each object that the project has. An object that the labels replace to its last voxel is in
            nobody's way, so that importing the same labels again gives the same ids.

        Raises
        ------
        InvalidInput
            If there is no object, or an id does not fit.
        """
        found = np.unique(np.concatenate([np.zeros(0, np.uint64), *self._found]))
        if not len(found):
            raise InvalidInput(
                "The labels hold no object: every voxel is 0, or ignored.", "Give every object an id from 1."
            )
        self._components.join()
        parts = self._components.ids
        self._notes += ignored_notes(self._counts, self._transform.ignored, self._is_uint64)
        kept = {id for id, n in (taken or {}).items() if self._replaced.get(id, 0) < n}
        highest = max(kept, default=0)
        if self._transform.components:
            self._values = parts
            self._ids = self._new_ids(len(parts), highest)
            self._is_renumbered = not np.array_equal(self._values, self._ids)
            self._notes.append(
                f"Each connected part is an object of its own: {len(parts)} of {_counted(len(found), 'id')}, numbered "
                f"from {highest + 1}."
            )
            return
        self._values = found
        self._notes += _parts_notes(found, parts)
        self._ids = self._chosen(found, kept, highest)
        self._is_renumbered = not np.array_equal(self._values, self._ids)

    def apply(self, tile: Tile, block: np.ndarray) -> np.ndarray:
        """Ids of a block that was scanned, uint32: 0 not annotated, `BACKGROUND` no object, else an object's id."""
        ids = self._decoded(whole_numbers(block))
        is_nothing = ids == _NOTHING
        ids[is_nothing] = 0
        if self._transform.components:
            numbers = np.concatenate([np.zeros(1, np.uint32), self._ids])
            found = numbers[self._components.read(tile, ids)]
        elif self._is_renumbered:
            at = np.searchsorted(self._values, ids)
            found = np.where(ids == 0, np.uint32(0), self._ids[np.minimum(at, len(self._ids) - 1)])
        else:
            found = ids.astype(np.uint32)
        found[is_nothing] = BACKGROUND
        return np.asarray(found)

    @property
    def n_objects(self) -> int:
        """Number of objects."""
        return len(self._ids)

    @property
    def original_ids(self) -> dict[int, int]:
        """The file's id of each object whose id is another one; several objects may be parts of one id."""
        if not self._is_renumbered:
            return {}
        return dict(zip(self._ids.tolist(), self._values.tolist(), strict=True))

    def notes(self) -> list[str]:
        """What was renumbered, changed or left out, a sentence each; after `number`."""
        return list(self._notes)

    def _chosen(self, found: np.ndarray, taken: set[int], highest: int) -> np.ndarray:
        """The id of each object, where ids rather than parts are objects."""
        n, largest = len(found), int(found[-1])
        common = set(found.tolist()) & taken
        if largest < OTHER and (self._transform.keep_ids or not common):
            if common:
                have = "has" if len(common) == 1 else "have"
                self._notes.append(
                    f"{_counted(len(common), 'object')} of the labels {have} an id that the project has already, and "
                    "became part of the object there."
                )
            return found.astype(np.uint32)
        if self._transform.keep_ids:
            raise InvalidInput(
                f"The labels hold the id {largest}, but an object's id is 1 to {OTHER - 1}.",
                "Nothing was changed. Let the objects be renumbered: leave out --keep-ids.",
            )
        ids = self._new_ids(n, highest)
        hint = " (--keep-ids: equal ids are one object)"
        if largest >= OTHER:
            why, hint = f"The labels' ids reach {largest}, beyond {OTHER - 1}", ""
        elif len(common) == 1:
            why = f"The project has an object {min(common)} already"
        else:
            why = f"The project has objects with {len(common)} of the labels' ids already, as {min(common)}"
        span = f"{int(ids[0])}" if n == 1 else f"{int(ids[0])} to {int(ids[-1])}"
        self._notes.append(f"{why}: the {_counted(n, 'object')} of the labels became {span}{hint}.")
        return ids

    def _new_ids(self, n: int, highest: int) -> np.ndarray:
        if highest + n >= OTHER:
            raise InvalidInput(
                f"{n} objects do not fit after the highest id in use, {highest}: an object's id is 1 to {OTHER - 1}.",
                "Nothing was changed; erase objects that are not needed.",
            )
        return np.arange(highest + 1, highest + n + 1, dtype=np.uint32)

    def _specials(self, dtype: np.dtype) -> dict[int, np.uint64]:
        """Values with a meaning of their own that labels of a type can hold."""
        info = np.iinfo(dtype)
        special = dict(self._special)
        if dtype == np.uint64:
            special = {NO_LABEL: special[0], **dict.fromkeys(UNKNOWN, np.uint64(0)), **special}
        return {value: code for value, code in special.items() if info.min <= value <= info.max}

    def _decoded(self, block: np.ndarray) -> np.ndarray:
        """Ids as uint64: 0 not annotated, `_NOTHING` no object, else an id."""
        ids = block.astype(np.uint64)
        for value, code in self._specials(block.dtype).items():
            if value or code:
                ids[block == value] = code
        return ids

    def _check_values(self, block: np.ndarray, box: Box) -> None:
        """Refuse negative ids, and the last two of uint32, which are no ids here and in no file that we know."""
        low, high = int(block.min()), int(block.max())
        if low >= 0 and (high < OTHER or block.dtype != np.uint32):
            return
        found = np.unique(block[block < 0] if low < 0 else block[block >= OTHER]).tolist()
        wrong = [value for value in found if value not in self._special]
        if wrong:
            raise InvalidInput(
                f"The labels hold the id {wrong[-1]} in {box}, but an object's id is 1 to {OTHER - 1}.",
                f"Nothing was changed. Say what it means: --ignore-value {wrong[-1]} (nothing is known there), or "
                f"--map {wrong[-1]}=background.",
            )

    @staticmethod
    def _meaning(value: int, meaning: int | str) -> np.uint64:
        if meaning == BACKGROUND_WORD:
            return _NOTHING
        if isinstance(meaning, int) and 0 <= meaning < OTHER:
            return np.uint64(meaning)
        raise InvalidInput(
            f"Values of objects are mapped to an id from 0 to {OTHER - 1}, or to background, got {value}={meaning}.",
            "For example: --map 0=background,255=0.",
        )


def _parts_notes(found: np.ndarray, parts: np.ndarray) -> list[str]:
    """A sentence on ids that fill separate parts; none where each is in one piece."""
    ids, counts = np.unique(parts, return_counts=True)
    several = int((counts > 1).sum())
    if not several:
        return []
    if len(found) == 1:
        return [f"One id in {int(counts[0])} separate parts: --components makes an object of each."]
    most = int(np.argmax(counts))
    return [
        f"{several} of {len(found)} ids are in several separate parts each, {int(ids[most])} in {int(counts[most])}: "
        "--components makes an object of each part."
    ]


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
