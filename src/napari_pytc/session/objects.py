"""Objects to learn from: ids painted on voxels, kept beside the strokes of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from psygnal import Signal

from napari_pytc.annotations.importing import ArrayLabels, LabelReader, Report
from napari_pytc.annotations.objects import ObjectStore
from napari_pytc.annotations.said import BACKGROUND, OTHER
from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.edits.scribble import object_change
from napari_pytc.session.core import SessionCore

_BLOCK: Shape = (32, 512, 512)
_MOST_VOXELS = 2**24
"""Voxels of an import that an entry of the journal holds; a larger one is several, so that memory does not grow."""


@dataclass(frozen=True, slots=True)
class MarkedObjects:
    """How much is marked to learn single objects from.

    Parameters
    ----------
    n_objects, n_voxels, n_background : int
        Objects, voxels of them, and voxels that are said to be of none.
    highest : int
        The highest id of an object, 0 for none.
    """

    n_objects: int
    n_voxels: int
    n_background: int
    highest: int


class ObjectMarking(SessionCore):
    """The part of a session that marks objects to learn from."""

    objects_changed = Signal(Box)
    """Objects to learn from were imported, or an undo or a redo changed them."""

    @property
    def objects(self) -> ObjectStore:
        """The objects to learn from, to read; 0 = not annotated, `BACKGROUND` = no object is here."""
        return self._documents.objects

    @property
    def objects_revision(self) -> int:
        """Grows with every change of the objects to learn from; 0 without any, or where they are damaged."""
        try:
            return self.objects.revision
        except PytcError:
            return 0

    @property
    def n_object_chunks(self) -> int:
        """How many chunks hold objects to learn from; reads no voxel."""
        try:
            return len(self.objects.chunks())
        except PytcError:
            return 0

    def marked_objects(self) -> MarkedObjects:
        """How much is marked; any thread, reads what changed since it was asked last."""
        counts = self.objects.counts()
        n_background = counts.pop(BACKGROUND, 0)
        return MarkedObjects(len(counts), sum(counts.values()), n_background, max(counts, default=0))

    def object_writer(self) -> Callable[[Box, np.ndarray], None]:
        """A function for one helper thread that replaces the ids of a box; they are on the disk when it returns.

        As `stroke_writer`: each call is an entry of the journal, and no signal is emitted.
        """
        self._check_changeable()

        def write(box: Box, labels: np.ndarray) -> None:
            with self.objects.changing():  # a session is closed between strokes, not within one
                self._check_changeable()
                patch = self.objects.painted(box, labels, np.ones(labels.shape, bool))
                if patch is not None:
                    self.proofreader().record(object_change(patch))
            self.objects.counts()

        return write

    def annotate_objects(
        self,
        labels: np.ndarray | LabelReader,
        offset: Sequence[int] = (0, 0, 0),
        dense: bool = False,
        report: Report | None = None,
    ) -> dict[str, int]:
        """Add objects to learn from, block by block: every id is an object.

        Parameters
        ----------
        labels : ndarray or VolumeSource
            Integers: 0 = not annotated, or with `dense` 0 = no object is here. An id that was used before names the
            same object as then.
        offset : sequence of int
            Voxel (z, y, x) of the image at which they begin.
        report : callable, optional
            Called with the number of steps done and their total.

        Returns
        -------
        dict
            How many ``objects``, ``voxels`` of them and voxels of ``background`` were added.

        Raises
        ------
        InvalidInput
            If the labels are no ids of objects or reach beyond the image; nothing was changed.
        """
        self.check_writable()
        reader = ArrayLabels(labels) if isinstance(labels, np.ndarray) else labels
        added = self.object_importer()(reader, offset, dense, report)
        self.objects_changed.emit(Box.at(offset, reader.shape))
        return added

    def object_importer(
        self,
    ) -> Callable[[LabelReader, Sequence[int], bool, Report | None], dict[str, int]]:
        """A function for one helper thread that does as `annotate_objects`; no signal is emitted.

        All values are checked before the first is written. Where `report` raises, or the session is closed meanwhile,
        what was imported until then stays, and can be undone.
        """
        self._check_changeable()

        def add(
            labels: LabelReader, offset: Sequence[int] = (0, 0, 0), dense: bool = False, report: Report | None = None
        ) -> dict[str, int]:
            target, tell = _target(self.objects.shape, labels, offset), report or (lambda done, total: None)
            counts, occupied = _look_through(labels, target, dense, tell)
            done, n_blocks = 0, len(TileGrid(target, _BLOCK))
            for group in _grouped(occupied):
                blocks = [(box, labels.read(box.relative_to(target.start)).astype(np.uint32)) for box in group]
                self._record_objects(blocks, dense)
                done += len(group)
                tell(n_blocks + done, n_blocks + len(occupied))
            return counts

        return add

    def _record_objects(self, blocks: list[tuple[Box, np.ndarray]], dense: bool) -> None:
        with self.objects.changing():  # what was there is looked at now: something may have been painted since
            self._check_changeable()
            patches = [self._imported(box, ids, dense) for box, ids in blocks]
            found = [patch for patch in patches if patch is not None]
            if found:
                self.proofreader().record(object_change(*found, title="Import objects to learn from"))

    def _imported(self, box: Box, ids: np.ndarray, dense: bool) -> LabelPatch | None:
        if dense:
            ids = np.where(ids == 0, np.uint32(BACKGROUND), ids)
        return self.objects.painted(box, ids)

    def _on_edited(self, change: Change) -> None:
        super()._on_edited(change)
        if change.target == "objects":
            self.objects_changed.emit(change.box)


def _look_through(labels: LabelReader, target: Box, dense: bool, tell: Report) -> tuple[dict[str, int], list[Box]]:
    """What will be added, and in which blocks; raises where an id is none."""
    grid = TileGrid(target, _BLOCK)
    ids: set[int] = set()
    occupied: list[Box] = []
    n_voxels = 0
    for tile in grid:
        block = labels.read(tile.write.relative_to(target.start))
        found = _ids(block, tile.write)
        ids.update(found)
        n_voxels += int(np.count_nonzero(block))
        if found or dense:
            occupied.append(tile.write)
        tell(tile.index + 1, 2 * len(grid))
    if not ids:
        raise InvalidInput("The labels hold no object: every voxel is 0.", "Give every object an id from 1.")
    n_background = target.size - n_voxels if dense else 0
    return {"objects": len(ids), "voxels": n_voxels, "background": n_background}, occupied


def _grouped(boxes: Sequence[Box]) -> list[list[Box]]:
    """Boxes in groups of at most as many voxels as an entry of the journal holds."""
    groups: list[list[Box]] = []
    n_voxels = _MOST_VOXELS
    for box in boxes:
        if n_voxels + box.size > _MOST_VOXELS:
            groups.append([])
            n_voxels = 0
        groups[-1].append(box)
        n_voxels += box.size
    return groups


def _target(shape: Shape, labels: LabelReader, offset: Sequence[int]) -> Box:
    if labels.dtype.kind not in "iub":
        raise InvalidInput(
            f"Objects are whole numbers (0 = not annotated, else an id), got {labels.dtype}.",
            "Convert them to an integer type, for example uint32.",
        )
    if len(offset) != 3:
        raise InvalidInput(f"An offset is three voxels along z, y, x, got {tuple(offset)}.")
    target = Box.at(offset, labels.shape)
    if target.is_empty or not Box.of_shape(shape).contains(target):
        raise InvalidInput(
            f"Objects of {' x '.join(map(str, labels.shape))} voxels at offset {','.join(map(str, offset))} do not lie "
            f"within the volume of {' x '.join(map(str, shape))}.",
            "Say with --offset Z,Y,X at which voxel of the image they begin.",
        )
    return target


def _ids(block: np.ndarray, box: Box) -> list[int]:
    found = [int(value) for value in np.unique(block)]
    wrong = next((value for value in (found[0], found[-1]) if not 0 <= value < OTHER), None)
    if wrong is not None:
        raise InvalidInput(
            f"The labels hold the id {wrong} in {box}, but an object's id is 1 to {OTHER - 1}.",
            "Nothing was changed; renumber the objects from 1, for example with fastremap.renumber.",
        )
    return [value for value in found if value]
