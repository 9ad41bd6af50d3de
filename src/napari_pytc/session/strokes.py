"""The strokes of a volume: painted, imported, and recorded in its journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from psygnal import Signal

from napari_pytc.annotations.importing import ImportedClasses, import_classes
from napari_pytc.annotations.label_source import LabelSource, as_label_source
from napari_pytc.annotations.label_transform import LabelTransform, transform_of
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box, Shape, VoxelSpace, hull_of
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change
from napari_pytc.session.held_out import HeldOutBoxes
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.proofreading.proofreader import Proofreader

_MOST_VOXELS = 2**26
"""Voxels of an import that an entry of the journal holds; a larger one is several, so that memory does not grow."""


class Strokes:
    """The strokes of a volume, and the ways to change them.

    Parameters
    ----------
    store : PaintStore
        The strokes on the disk, to read; change them with `paint` and `add`.
    """

    changed = Signal(Box)
    """Strokes in a box were painted, imported, or changed by an undo or a redo."""
    refused = Signal(Box)
    """`paint` left out the voxels of this held-out box."""

    def __init__(self, state: VolumeState, store: PaintStore, proofreader: Proofreader, held_out: HeldOutBoxes) -> None:
        self.store = store
        self._state, self._proofreader, self._held_out = state, proofreader, held_out
        proofreader.changed.connect(self._on_edited)

    def paint(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> None:
        """Annotate some voxels of a box, as `PaintStore.paint`; on the disk when it returns.

        Voxels in protected held-out boxes are left as they are; `refused` is emitted for these boxes.
        """
        self._state.check_writable()
        self._check_labels(labels)
        with self.store.changing():
            patch, refused = self.store.patch_of(box, labels, mask), []
            if patch is not None and any(held.overlaps(patch.box) for held in self._held_out.protected):
                changed = np.broadcast_to(labels, box.shape) != 0 if mask is None else np.asarray(mask, bool)
                kept = np.array(changed)
                for held in self._held_out.protected:
                    inside = held.intersect(box).relative_to(box.start).slices
                    if changed[inside].any():
                        refused.append(held)
                        kept[inside] = False
                patch = self.store.patch_of(box, labels, kept)
            self._record(patch)
        self.changed.emit(box)
        for held in refused:
            self.refused.emit(held)

    def writer(self) -> Callable[[Sequence[LabelPatch]], None]:
        """A function for one helper thread that takes the patches of a stroke; they are on the disk when it returns.

        Each call is an entry of the journal, of the same patches; where voxels were changed since they were painted,
        with what is there now as `before`. One that changes nothing is none. The caller leaves out protected
        held-out boxes, at the moment of painting: a box may have been held out since.
        It raises a `PytcError` where the disk refuses, a label is no class, or the session is closed or read-only. No
        signal is emitted, since the caller painted the strokes. Counts are brought up to date in the same thread, so
        that `counts` is cheap afterwards.
        """
        self._state.check_changeable()

        def write(patches: Sequence[LabelPatch]) -> None:
            with self.store.changing():  # a session is closed between strokes, not within one
                self._state.check_changeable()
                for patch in patches:
                    self._check_labels(patch.after)
                self._record(*(self.store.rebase(patch) for patch in patches))
            self.store.counts()

        return write

    def add(
        self,
        labels: np.ndarray | LabelSource,
        offset: Sequence[int] | None = None,
        transform: LabelTransform | None = None,
        report: ProgressCallback | None = None,
    ) -> ImportedClasses:
        """Add labels of any size to what is annotated, block by block; 0 leaves a voxel as it is.

        They lie where their file says: (origin of the labels - origin of the image) / voxel size.

        Parameters
        ----------
        labels : ndarray or VolumeSource
            Whole numbers or bool: 0 = not annotated, k = k-th class, or the class that their file names so. All are
            checked before anything is written.
        offset : sequence of int, optional
            Voxel (z, y, x) of the image at which they begin; goes before the transform's.
        transform : LabelTransform, optional
            Where they lie and what their values mean.
        report : callable, optional
            Called with the number of steps done and their total.

        Returns
        -------
        ImportedClasses
            Number of labelled voxels by name of the class, where they lie, and notes on what was assumed.

        Raises
        ------
        InvalidInput
            If the labels are no classes of the project, have voxels of another size, or reach beyond the image.
        """
        self._state.check_writable()
        added = self.importer()(labels, transform_of(transform, offset), report)
        self.changed.emit(added.box)
        return added

    def importer(
        self,
    ) -> Callable[[np.ndarray | LabelSource, LabelTransform | None, ProgressCallback | None], ImportedClasses]:
        """A function for one helper thread that does as `add`; no signal is emitted.

        A session that is closed meanwhile ends it with a `ProjectError`; what was imported until then stays.
        """
        self._state.check_changeable()

        def add(
            labels: np.ndarray | LabelSource,
            transform: LabelTransform | None = None,
            report: ProgressCallback | None = None,
        ) -> ImportedClasses:
            strokes = _JournalledStrokes(self.store, self._record_import)
            names = [c.name for c in self._state.project.description.classes]
            added = import_classes(strokes, as_label_source(labels), names, transform, report)
            strokes.finish()
            return added

        return add

    def counts(self) -> dict[str, int]:
        """Number of annotated voxels in all, by name of the class; any thread."""
        counts = self.store.counts()
        return {c.name: counts.get(c.id, 0) for c in self._state.project.description.classes}

    def _on_edited(self, change: Change) -> None:
        if change.target == "annotations":
            self.changed.emit(change.box)

    def _record(self, *patches: LabelPatch | None, title: str = "") -> None:
        """Make a change of strokes, as one entry of the journal; nothing to do where there is none."""
        found = tuple(patch for patch in patches if patch is not None)
        if found:
            box = hull_of(patch.box for patch in found)
            drawn = np.unique(np.concatenate([np.unique(patch.after) for patch in found]))
            title = title or _title([self._state.project.description.classes[k - 1].name for k in drawn.tolist() if k])
            edit = {"kind": "scribble", "box": str(box)}
            self._proofreader.record(Change(edit, title, box, patches=found, target="annotations"))

    def _record_import(self, painted: list[tuple[Box, np.ndarray]]) -> None:
        # The voxels before are read now: strokes may have been painted since the labels were read.
        with self.store.changing():
            self._state.check_changeable()
            patches = [self.store.patch_of(box, labels) for box, labels in painted]
            self._record(*patches, title="Import strokes")

    def _check_labels(self, labels: np.ndarray | int) -> None:
        self._state.project.check_label(int(np.max(labels, initial=0)))


class _JournalledStrokes:
    """Strokes as `import_classes` sees them; what it paints becomes one entry of the journal, or several large ones."""

    def __init__(self, store: PaintStore, record: Callable[[list[tuple[Box, np.ndarray]]], None]) -> None:
        self._record = record
        self._painted: list[tuple[Box, np.ndarray]] = []
        self.shape: Shape = store.shape
        self.chunk_shape: Shape = store.chunk_shape
        self.space: VoxelSpace = store.space

    def paint(self, box: Box, labels: np.ndarray) -> None:
        """Add labels; 0 leaves a voxel as it is."""
        self._painted.append((box, labels))
        if sum(labels.size for _, labels in self._painted) >= _MOST_VOXELS:
            self.finish()

    def finish(self) -> None:
        """Make what was collected."""
        painted, self._painted = self._painted, []
        self._record(painted)


def _title(classes: Sequence[str]) -> str:
    return f"Paint {', '.join(classes)}" if classes else "Erase strokes"
