"""The preview of an edit: labels that are shown in outline before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_pytc.geometry import Box, Voxel, hull_of
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.proofread.tools import COLOURS

MOST_VOXELS = 16 * 2**20
"""Most voxels of an edit that are outlined, around the middle of the view."""
_MOST_LABELS = 255


@dataclass(frozen=True, eq=False)
class EditPreview:
    """Segments of a box as an edit would leave them.

    Parameters
    ----------
    labels : ndarray
        uint8 (*box.shape): the segments it touches as 1, 2, ...; all others 0.
    colours : mapping
        "#rrggbb" by label.
    """

    box: Box
    labels: np.ndarray
    colours: Mapping[int, str]


def preview_edit(
    document: LabelDocument,
    change: Change,
    focus: Sequence[float],
    seeds: Mapping[int, Sequence[Voxel]] | None = None,
    axis: int = 0,
) -> EditPreview | None:
    """Compute the segments around a change as it would leave them; None where there is nothing to see.

    Parameters
    ----------
    focus : sequence of float
        The voxel in the middle of the view.
    seeds : mapping, optional
        Voxels by number of their colour: a segment has the colour of the first seed that lies in it.
    axis : int
        Across the sections that are looked at; a large change is cut along it first.
    """
    around = [change.box, *(document.box(segment) for segment in change.segments if document.exists(segment))]
    box = crop_box(hull_of(around).intersect(Box.of_shape(document.shape)), focus, axis)
    if box.is_empty:
        return None
    supervoxels = document.supervoxels(box)
    for patch in change.patches:
        patch.apply_to(supervoxels, box.start)
    ids, inverse = np.unique(supervoxels, return_inverse=True)
    segments = document.owners(ids)
    for move in change.moves:
        order = np.argsort(move.supervoxels)
        sorted_ids = move.supervoxels[order]
        at = np.searchsorted(sorted_ids, ids)
        known = at < len(sorted_ids)
        known[known] = sorted_ids[at[known]] == ids[known]
        segments[known] = move.after[order][at[known]]
    touched = [int(s) for s in np.intersect1d(segments, np.asarray(change.segments, np.uint32)) if s][:_MOST_LABELS]
    if not touched:
        return None
    numbers = np.zeros(len(ids), np.uint8)
    for number, segment in enumerate(touched, start=1):
        numbers[segments == segment] = number
    labels = numbers[inverse].reshape(box.shape)
    colours = {number: COLOURS[(number - 1) % len(COLOURS)] for number in range(1, len(touched) + 1)}
    for colour, voxels in (seeds or {}).items():
        for voxel in voxels:
            if box.contains_point(voxel) and (number := int(labels[tuple(np.subtract(voxel, box.start))])):
                colours[number] = COLOURS[colour % len(COLOURS)]
                break
    return EditPreview(box, labels, colours)


def crop_box(box: Box, focus: Sequence[float], axis: int, most: int = MOST_VOXELS) -> Box:
    """Crop a box around a voxel to `most` voxels, along one axis first and then along the others."""
    start, stop = list(box.start), list(box.stop)
    for k in (axis, *(k for k in range(3) if k != axis)):
        size = Box(tuple(start), tuple(stop)).size  # type: ignore[arg-type]
        if size > most:
            length = stop[k] - start[k]
            keep = max(1, most * length // size)
            first = min(max(round(focus[k]) - keep // 2, start[k]), stop[k] - keep)
            start[k], stop[k] = first, first + keep
    return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]
