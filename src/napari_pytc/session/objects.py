"""The object labels of a volume: ids painted on voxels, kept beside the strokes of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from psygnal import Signal

from napari_pytc.annotations.importing import ImportedObjects, import_objects
from napari_pytc.annotations.label_source import LabelSource, as_label_source
from napari_pytc.annotations.label_transform import LabelTransform, transform_of
from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.edits.annotation import object_change
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.proofreading.proofreader import Proofreader

_MOST_VOXELS = 2**24
"""Voxels of an import that an entry of the journal holds; a larger one is several, so that memory does not grow."""


@dataclass(frozen=True, slots=True)
class MarkedObjects:
    """Number of labelled objects and voxels.

    Parameters
    ----------
    n_objects, n_voxels, n_background : int
        Objects, their voxels, and voxels that belong to no object.
    highest : int
        The highest id of an object, 0 for none.
    """

    n_objects: int
    n_voxels: int
    n_background: int
    highest: int


class Objects:
    """The object labels of a volume, and the ways to change them.

    Parameters
    ----------
    store : PaintStore
        The ids on the disk, to read; 0 = not annotated, `BACKGROUND` = no object is here.
    """

    changed = Signal(Box)
    """Object labels were imported, or an undo or a redo changed them."""

    def __init__(self, state: VolumeState, store: PaintStore, proofreader: Proofreader) -> None:
        self.store = store
        self._state, self._proofreader = state, proofreader
        proofreader.changed.connect(self._on_edited)

    @property
    def revision(self) -> int:
        """Number that grows with every change; 0 without object labels, or where they are damaged."""
        try:
            return self.store.revision
        except PytcError:
            return 0

    @property
    def n_chunks(self) -> int:
        """Number of chunks with object labels; reads no voxel."""
        try:
            return len(self.store.chunks())
        except PytcError:
            return 0

    def counts(self) -> MarkedObjects:
        """Objects and voxels that are labelled; any thread, reads only chunks that changed since the last call."""
        counts = self.store.counts()
        n_background = counts.pop(BACKGROUND, 0)
        return MarkedObjects(len(counts), sum(counts.values()), n_background, max(counts, default=0))

    def writer(self) -> Callable[[Sequence[LabelPatch]], None]:
        """A function for one helper thread that takes the patches of a stroke; they are on the disk when it returns.

        As `Strokes.writer`: each call is an entry of the journal, and no signal is emitted.
        """
        self._state.check_changeable()

        def write(patches: Sequence[LabelPatch]) -> None:
            with self.store.changing():  # a session is closed between strokes, not within one
                self._state.check_changeable()
                found = [patch for patch in map(self.store.rebase, patches) if patch is not None]
                if found:
                    self._proofreader.record(object_change(*found))
            self.store.counts()

        return write

    def add(
        self,
        labels: np.ndarray | LabelSource,
        offset: Sequence[int] | None = None,
        dense: bool = False,
        transform: LabelTransform | None = None,
        report: ProgressCallback | None = None,
    ) -> ImportedObjects:
        """Add object labels, block by block: every id is an object.

        They lie where their file says: (origin of the labels - origin of the image) / voxel size. Where the project
        has objects of the same ids already, all get new ids, unless the transform keeps them.

        Parameters
        ----------
        labels : ndarray or VolumeSource
            Whole numbers or bool: 0 = not annotated, or with `dense` 0 = no object is here.
        offset : sequence of int, optional
            Voxel (z, y, x) of the image at which they begin; goes before the transform's.
        dense : bool
            As the transform's.
        transform : LabelTransform, optional
            Where they lie, what their values mean, and whether connected parts are objects.
        report : callable, optional
            Called with the number of steps done and their total.

        Returns
        -------
        ImportedObjects
            Numbers of objects and voxels that were added, where they lie, and notes on what was assumed or renumbered.

        Raises
        ------
        InvalidInput
            If the labels are no ids of objects, have voxels of another size, or reach beyond the image; nothing was
            changed.
        """
        self._state.check_writable()
        added = self.importer()(labels, transform_of(transform, offset, dense), report)
        self.changed.emit(added.box)
        return added

    def importer(
        self,
    ) -> Callable[[np.ndarray | LabelSource, LabelTransform | None, ProgressCallback | None], ImportedObjects]:
        """A function for one helper thread that does as `add`; no signal is emitted.

        All values are checked before the first is written. Where `report` raises, or the session is closed meanwhile,
        what was imported until then stays, and can be undone.
        """
        self._state.check_changeable()

        def add(
            labels: np.ndarray | LabelSource,
            transform: LabelTransform | None = None,
            report: ProgressCallback | None = None,
        ) -> ImportedObjects:
            source, how = as_label_source(labels), transform or LabelTransform()
            return import_objects(self.store, source, how, self._record_objects, _MOST_VOXELS, report)

        return add

    def _record_objects(self, blocks: list[tuple[Box, np.ndarray]]) -> None:
        with self.store.changing():  # the voxels before are read now: something may have been painted since
            self._state.check_changeable()
            found = [patch for box, ids in blocks if (patch := self.store.patch_of(box, ids)) is not None]
            if found:
                self._proofreader.record(object_change(*found, title="Import objects to learn from"))

    def _on_edited(self, change: Change) -> None:
        if change.target == "objects":
            self.changed.emit(change.box)
