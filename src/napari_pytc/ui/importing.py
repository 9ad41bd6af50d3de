"""Labels of a file as strokes, in the helper thread."""

from __future__ import annotations

from collections.abc import Callable

from napari_pytc.annotations.importing import Report
from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
from napari_pytc.volumes.opening import open_volume


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
    add = session.label_importer()

    def work() -> tuple[Box, int]:
        labels = open_volume(where)
        return Box.of_shape(labels.shape), sum(add(labels, (0, 0, 0), report).values())

    return work
