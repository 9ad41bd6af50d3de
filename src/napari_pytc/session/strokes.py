"""Strokes and held-out boxes: what a user teaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from psygnal import Signal

from napari_pytc.annotations.importing import ArrayLabels, LabelReader, Report, import_labels
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.session.core import SessionCore


class StrokeEditing(SessionCore):
    """The part of a session that changes strokes and held-out boxes."""

    held_out_changed = Signal(tuple)
    annotated = Signal(Box)

    def hold_out(self, box: Box) -> None:
        """Keep a box out of training; what is annotated in it serves the scores."""
        self.check_writable()
        self._check_box(box)
        if box not in self.held_out:
            self._save(held_out=(*self.held_out, box))
            self.held_out_changed.emit(self.held_out)

    def release(self, box: Box) -> None:
        """Give a held-out box back to training."""
        self.check_writable()
        if box not in self.held_out:
            held = "  ".join(map(str, self.held_out)) or "none"
            raise InvalidInput(f"The box {box} is not held out; held out: {held}.")
        self._save(held_out=tuple(held for held in self.held_out if held != box))
        self.held_out_changed.emit(self.held_out)

    def paint(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> None:
        """Annotate some voxels of a box, as `AnnotationStore.paint`; on the disk when it returns."""
        self.check_writable()
        self._check_labels(labels)
        self._annotations.paint(box, labels, mask)
        self.annotated.emit(box)

    def stroke_writer(self) -> Callable[[Box, np.ndarray], None]:
        """A function for one helper thread that replaces the labels of a box; they are on the disk when it returns.

        It raises a `PytcError` where the disk refuses, a label is no class, or the session is closed or read-only. No
        signal is emitted: whoever paints knows. Counts are brought up to date in the same thread, so that
        `annotated_voxels` is cheap afterwards.
        """
        self._check_changeable()

        def write(box: Box, labels: np.ndarray) -> None:
            with self._annotations.changing():  # a session is closed between strokes, not within one
                self._check_changeable()
                self._check_labels(labels)
                self._annotations.write(box, labels)
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
        reader = ArrayLabels(labels) if isinstance(labels, np.ndarray) else labels
        counts = import_labels(self._annotations, reader, len(self.classes), offset, report)
        self.annotated.emit(Box.at(offset, reader.shape))
        return {c.name: counts.get(c.id, 0) for c in self.classes}

    def annotated_voxels(self) -> dict[str, int]:
        """How many voxels are annotated in all, by name of the class; any thread."""
        counts = self._annotations.counts()
        return {c.name: counts.get(c.id, 0) for c in self.classes}

    def _check_labels(self, labels: np.ndarray | int) -> None:
        highest = int(np.max(labels, initial=0))
        if highest > len(self.classes):
            raise InvalidInput(
                f"A stroke has label {highest}, but there are {len(self.classes)} classes.", "Add the class first."
            )
