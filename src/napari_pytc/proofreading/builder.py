"""Builder of changes for edits: voxels, moves and notes, with the refusals that all edits share."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_pytc.errors import InvalidEdit, InvalidInput
from napari_pytc.geometry import Box, TileGrid, hull_of
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change, Move, Note, SegmentState
from napari_pytc.proofreading.document import LabelDocument

LARGEST_ID = 2**32 - 2
_TILE = (64, 256, 256)


class ChangeBuilder:
    """Collects what an edit changes; the document stays as it is.

    Later steps see earlier ones: `supervoxels` and `owners` return values as if the change were made. Locked
    segments are refused here, whatever the edit: none may lose or gain a voxel or a supervoxel, and the only thing that
    can be noted of one is that it is unlocked.

    Parameters
    ----------
    edit : dict
        The edit as JSON.
    title : str
        One line for people.
    """

    def __init__(self, document: LabelDocument, edit: dict[str, Any], title: str) -> None:
        self.title = title
        self._document, self._edit = document, edit
        self._first_id = self._next_id = document.next_id
        self._patches: list[LabelPatch] = []
        self._moves: list[Move] = []
        self._moved: dict[int, int] = {}
        self._notes: list[Note] = []
        self._states: dict[int, SegmentState] = {}
        self._fresh: list[int] = []
        self._gained: dict[int, int] = {}
        self._segments: set[int] = set()

    def new_supervoxel(self) -> int:
        """An id for a supervoxel that is to come; give it voxels with `relabel` and a segment with `move`.

        Raises
        ------
        InvalidEdit
            If all ids of uint32 are used.
        """
        self._fresh.append(self._new_id())
        return self._fresh[-1]

    def new_segment(self) -> int:
        """An id for a segment that is to come; errors as in `new_supervoxel`."""
        return self._new_id()

    def supervoxels(self, box: Box) -> np.ndarray:
        """Supervoxels of a box after what was collected so far."""
        labels = self._document.supervoxels(box)
        for patch in self._patches:
            patch.apply_to(labels, box.start)
        return labels

    def owners(self, supervoxels: np.ndarray) -> np.ndarray:
        """Segments of supervoxels after what was collected so far, the deleted ones included."""
        ids, inverse = np.unique(np.asarray(supervoxels, np.uint32), return_inverse=True)
        segments = self._document.owners(ids)
        if self._moved:
            for at, supervoxel in enumerate(ids.tolist()):
                segments[at] = self._moved.get(supervoxel, segments[at])
        return segments[inverse].reshape(np.shape(supervoxels))

    def relabel(self, box: Box, mask: np.ndarray, supervoxel: int) -> None:
        """Give the voxels of a mask (bool, ``box.shape``) to a supervoxel, or to the background with 0."""
        self.set_voxels(box, np.where(mask, np.uint32(supervoxel), self.supervoxels(box)))

    def set_voxels(self, box: Box, labels: np.ndarray) -> None:
        """Replace the supervoxels of a box.

        Raises
        ------
        InvalidEdit
            If a locked segment would lose or gain a voxel.
        """
        if labels.shape != box.shape or not np.can_cast(labels.dtype, np.uint32):
            raise InvalidInput(f"Voxels of {box} are uint32 of its shape, got {labels.dtype} of {labels.shape}.")
        before, after = self.supervoxels(box), labels.astype(np.uint32, copy=False)
        # In pieces, because a patch keeps a bit for every voxel around what changes.
        for tile in TileGrid(box, _TILE):
            inside = tile.write.relative_to(box.start).slices
            patch = LabelPatch.between(tile.write, before[inside], after[inside])
            if patch is not None:
                self._add(patch)

    def move(self, supervoxels: np.ndarray | list[int], segment: int) -> None:
        """Give supervoxels to a segment.

        Raises
        ------
        InvalidEdit
            If this segment or one of theirs is locked.
        """
        ids = np.unique(np.asarray(supervoxels, np.uint32))
        before = self.owners(ids)
        moving = before != segment
        if moving.any():
            ids, before = ids[moving], before[moving]
            self._touch([*np.unique(before).tolist(), segment])
            self._moved.update(dict.fromkeys(ids.tolist(), segment))
            self._moves.append(Move(ids, before, np.full(len(before), segment, np.uint32)))

    def note(self, segment: int, state: SegmentState) -> None:
        """Note a segment's state.

        Raises
        ------
        InvalidEdit
            If it is locked, unless this unlocks it.
        """
        noted = self._states.get(segment, self._document.note(segment))
        present = self._document.state(segment) if noted is None else noted
        if present == state:
            return
        if state.locked or not present.locked:
            self._touch([segment])
        self._segments.add(segment)
        self._states[segment] = state
        self._notes.append(Note(segment, noted, state))

    def build(self) -> Change:
        """The change.

        Raises
        ------
        InvalidEdit
            If nothing would change.
        """
        self._drop_empty()
        if not (self._patches or self._moves or self._notes):
            raise InvalidEdit(f"{self.title} would change nothing.")
        boxes = [patch.box for patch in self._patches]
        boxes += [self._document.box_of(move.supervoxels) for move in self._moves]
        boxes += [self._document.box(note.segment) for note in self._notes]
        return Change(
            edit=self._edit,
            title=self.title,
            box=hull_of(boxes),
            segments=tuple(sorted(self._segments - {0})),
            patches=tuple(self._patches),
            moves=tuple(self._moves),
            notes=tuple(self._notes),
            next_id=(self._first_id, self._next_id),
        )

    def _new_id(self) -> int:
        if self._next_id > LARGEST_ID:
            raise InvalidEdit(
                f"All {LARGEST_ID} ids of this segmentation are used.",
                "Export the segments and begin a new segmentation with them.",
            )
        self._next_id += 1
        return self._next_id - 1

    def _add(self, patch: LabelPatch) -> None:
        labels = np.unique(np.concatenate([np.unique(patch.before), np.unique(patch.after)]))
        self._touch(np.unique(self.owners(labels)).tolist())
        for values, sign in ((patch.before, -1), (patch.after, 1)):
            for label, n in zip(*np.unique(values, return_counts=True), strict=True):
                self._gained[int(label)] = self._gained.get(int(label), 0) + sign * int(n)
        self._patches.append(patch)

    def _touch(self, segments: list[int]) -> None:
        for segment in segments:
            state = self._states.get(segment)
            if state.locked if state is not None else self._document.is_locked(segment):
                raise InvalidEdit(f"Segment {segment} is locked as done.", "Unlock it first.")
        self._segments.update(segments)

    def _drop_empty(self) -> None:
        """Supervoxels without a voxel belong to no segment, so that a segment is there as long as it has voxels."""
        self._gained.pop(0, None)
        ids = np.array(sorted({*self._gained, *self._fresh}), np.uint32)
        if not len(ids):
            return
        sizes = self._document.sizes(ids) + np.array([self._gained.get(int(k), 0) for k in ids], np.int64)
        owners = self.owners(ids)
        if (homeless := ids[(sizes > 0) & (owners == 0) & np.isin(ids, self._fresh)]).size:
            raise InvalidInput(f"Supervoxel {homeless[0]} got voxels but no segment.")
        self.move(ids[(sizes == 0) & (owners != 0)], 0)
