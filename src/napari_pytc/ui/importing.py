"""Labels of a file as strokes, in the helper thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_pytc.annotations.importing import Report, import_labels
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import Box, Shape
from napari_pytc.session.session import Session
from napari_pytc.volumes.opening import open_volume


class _Strokes:
    """What `import_labels` needs of the strokes, written through the session so that it may refuse."""

    def __init__(self, store: AnnotationStore, write: Callable[[Box, np.ndarray], None]) -> None:
        self._store, self._write = store, write
        self.shape: Shape = store.shape
        self.chunk_shape: Shape = store.chunk_shape

    def paint(self, box: Box, labels: np.ndarray) -> None:
        """Add labels; 0 leaves a voxel as it is."""
        with self._store.changing():
            self._write(box, np.where(labels > 0, labels, self._store.read(box)))


def importer(session: Session, where: str, report: Report) -> Callable[[], tuple[Box, int]]:
    """Work for a helper thread: reads labels from a file and adds them to a session's strokes.

    Parameters
    ----------
    where : str
        ``PATH[:DATASET]``: 0 = not annotated, k = k-th class; as large as the image.
    report : callable
        Called in the helper thread with the steps done and their total.

    Returns
    -------
    callable
        Gives the box that was looked at and the number of voxels that were labelled.
    """
    strokes = _Strokes(session.annotations, session.stroke_writer())
    n_classes = len(session.classes)

    def work() -> tuple[Box, int]:
        labels = open_volume(where)
        counts = import_labels(strokes, labels, n_classes, (0, 0, 0), report)  # type: ignore[arg-type]
        return Box.of_shape(labels.shape), sum(counts.values())

    return work
