"""Strokes and held-out boxes: what a user teaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_pytc.annotations.importing import ArrayLabels, LabelReader, Report, import_labels
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import Box, Shape, hull_of
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change
from napari_pytc.session.truth import HoldingOut

_MOST_VOXELS = 2**26
"""Voxels of an import that an entry of the journal holds; a larger one is several, so that memory does not grow."""


class StrokeEditing(HoldingOut):
    """The part of a session that changes strokes and held-out boxes."""

    def paint(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> None:
        """Annotate some voxels of a box, as `AnnotationStore.paint`; on the disk when it returns.

        Voxels in `protected` boxes are left as they are, which `painting_refused` tells.
        """
        self.check_writable()
        self._check_labels(labels)
        with self._annotations.changing():
            patch, refused = self._annotations.painted(box, labels, mask), []
            if patch is not None and any(held.overlaps(patch.box) for held in self.protected):
                changed = np.broadcast_to(labels, box.shape) != 0 if mask is None else np.asarray(mask, bool)
                kept = np.array(changed)
                for held in self.protected:
                    inside = held.intersect(box).relative_to(box.start).slices
                    if changed[inside].any():
                        refused.append(held)
                        kept[inside] = False
                patch = self._annotations.painted(box, labels, kept)
            self._record(patch)
        self.annotated.emit(box)
        for held in refused:
            self.painting_refused.emit(held)

    def stroke_writer(self) -> Callable[[Box, np.ndarray], None]:
        """A function for one helper thread that replaces the labels of a box; they are on the disk when it returns.

        Each call is an entry of the journal, with the voxels that differ from what was there; one that changes nothing
        is none. Whoever paints leaves out what is `protected`, at the moment of painting: a box may have been held out
        since.
        It raises a `PytcError` where the disk refuses, a label is no class, or the session is closed or read-only. No
        signal is emitted: whoever paints knows. Counts are brought up to date in the same thread, so that
        `annotated_voxels` is cheap afterwards.
        """
        self._check_changeable()

        def write(box: Box, labels: np.ndarray) -> None:
            with self._annotations.changing():  # a session is closed between strokes, not within one
                self._check_changeable()
                self._check_labels(labels)
                mask = np.ones(labels.shape, bool)
                self._record(self._annotations.painted(box, labels, mask))
            self._annotations.counts()

        return write

    def annotate(
        self, labels: np.ndarray | LabelReader, offset: Sequence[int] = (0, 0, 0), report: Report | None = None
    ) -> dict[str, int]:
        """Add labels of any size to what is annotated, block by block; 0 leaves a voxel as it is.

        Parameters
        ----------
        labels : ndarray or VolumeSource
            Integers: 0 = not annotated, k = k-th class. All are checked before anything is written.
        offset : sequence of int
            Voxel (z, y, x) of the image at which they begin.
        report : callable, optional
            Called with the number of steps done and their total.

        Returns
        -------
        dict
            How many voxels were labelled, by name of the class.

        Raises
        ------
        InvalidInput
            If the labels are no classes of the project or reach beyond the image.
        """
        self.check_writable()
        counts = self.label_importer()(labels, offset, report)
        self.annotated.emit(Box.at(offset, _reader(labels).shape))
        return counts

    def label_importer(self) -> Callable[[np.ndarray | LabelReader, Sequence[int], Report | None], dict[str, int]]:
        """A function for one helper thread that does as `annotate`; no signal is emitted, whoever imports knows.

        A session that is closed meanwhile ends it with a `ProjectError`; what was imported until then stays.
        """
        self._check_changeable()

        def add(
            labels: np.ndarray | LabelReader, offset: Sequence[int] = (0, 0, 0), report: Report | None = None
        ) -> dict[str, int]:
            strokes = _JournalledStrokes(self._annotations, self._record_import)
            counts = import_labels(strokes, _reader(labels), len(self.classes), offset, report)  # type: ignore[arg-type]
            strokes.finish()
            return {c.name: counts.get(c.id, 0) for c in self.classes}

        return add

    def annotated_voxels(self) -> dict[str, int]:
        """How many voxels are annotated in all, by name of the class; any thread."""
        counts = self._annotations.counts()
        return {c.name: counts.get(c.id, 0) for c in self.classes}

    def _record(self, *patches: LabelPatch | None, title: str = "") -> None:
        """Make a change of strokes, as one entry of the journal; nothing to do where there is none."""
        found = tuple(patch for patch in patches if patch is not None)
        if found:
            box = hull_of(patch.box for patch in found)
            drawn = np.unique(np.concatenate([np.unique(patch.after) for patch in found]))
            title = title or _title([self.classes[k - 1].name for k in drawn.tolist() if k])
            edit = {"kind": "scribble", "box": str(box)}
            self.proofreader().record(Change(edit, title, box, patches=found, target="annotations"))

    def _record_import(self, painted: list[tuple[Box, np.ndarray]]) -> None:
        # What was there is looked at now: strokes may have been painted since the labels were read.
        with self._annotations.changing():
            self._check_changeable()
            patches = [self._annotations.painted(box, labels) for box, labels in painted]
            self._record(*patches, title="Import strokes")

    def _check_labels(self, labels: np.ndarray | int) -> None:
        self._check_label(int(np.max(labels, initial=0)))


class _JournalledStrokes:
    """Strokes as `import_labels` sees them; what it paints becomes one entry of the journal, or several large ones."""

    def __init__(self, store: AnnotationStore, record: Callable[[list[tuple[Box, np.ndarray]]], None]) -> None:
        self._record = record
        self._painted: list[tuple[Box, np.ndarray]] = []
        self.shape: Shape = store.shape
        self.chunk_shape: Shape = store.chunk_shape

    def paint(self, box: Box, labels: np.ndarray) -> None:
        """Add labels; 0 leaves a voxel as it is."""
        self._painted.append((box, labels))
        if sum(labels.size for _, labels in self._painted) >= _MOST_VOXELS:
            self.finish()

    def finish(self) -> None:
        """Make what was collected."""
        painted, self._painted = self._painted, []
        self._record(painted)


def _reader(labels: np.ndarray | LabelReader) -> LabelReader:
    return ArrayLabels(labels) if isinstance(labels, np.ndarray) else labels


def _title(classes: Sequence[str]) -> str:
    return f"Paint {', '.join(classes)}" if classes else "Erase strokes"
