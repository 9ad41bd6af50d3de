"""Segments as arrays for napari: hatched where locked, outlined where highlighted, patched by an edit in sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import fastremap
import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.proofreading.changes import SegmentState
from napari_pytc.ui.canvas.arrays import LazyArray, Selection, check_size
from napari_pytc.ui.canvas.section_cache import WHOLE, SectionCache

IDS, SHOWN = 0, 1
"""The planes that the cache of a source holds: segments, and their displayed states."""
_OUTLINE = 2
"""Voxels; thinner lines vanish where the canvas shows fewer pixels than the section has."""
CONTACT = 255
"""Label of a contact among the outlines."""
_STRIPES, _GAP = 8, 3
"""Locked segments are hatched: of eight diagonals three are left out."""


class SegmentSource(Protocol):
    """Source of segments for display, such as a `LabelDocument`. Called from the reader's thread."""

    @property
    def shape(self) -> Shape:
        """Shape of the volume."""

    def segments(self, box: Box) -> np.ndarray:
        """Segments of a box, uint32."""

    def segment_at(self, voxel: Shape) -> int:
        """The segment of a voxel, 0 for none."""

    def state(self, segment: int) -> SegmentState:
        """Whether it is locked or deleted."""

    def noted_segments(self) -> Sequence[int]:
        """All segments whose state is not the default."""


class ShownSegments:
    """Reader of a source for the cache: each voxel's segment, 0 for deleted ones, and its displayed state."""

    def __init__(self, source: SegmentSource) -> None:
        self._source = source

    def read(self, box: Box) -> np.ndarray:
        """Both planes of a box, (2, *box.shape) uint32."""
        source = self._source
        segments = np.ascontiguousarray(source.segments(box), np.uint32)
        noted = np.asarray(source.noted_segments(), np.uint32)
        here = np.intersect1d(fastremap.unique(segments), noted) if len(noted) else noted
        states = {int(segment): source.state(int(segment)) for segment in here}
        deleted = [s for s, state in states.items() if state.deleted]
        locked = [s for s, state in states.items() if state.locked and not state.deleted]
        if deleted:
            segments[np.isin(segments, deleted)] = 0
        shown = segments
        stripes = _stripes(box) if locked else None
        if stripes is not None:
            shown = segments.copy()
            shown[np.isin(segments, locked) & stripes] = 0
        return np.stack([segments, shown])


def _stripes(box: Box) -> np.ndarray | None:
    """The diagonals that a hatch leaves out of a section; none of what is several sections thick, as in 3D."""
    thin = [axis for axis in range(3) if box.shape[axis] == 1]
    if len(thin) != 1:
        return None
    diagonal = np.zeros((1, 1, 1), np.int64)
    for axis in range(3):
        if axis != thin[0]:
            steps = np.arange(box.start[axis], box.stop[axis])
            diagonal = diagonal + steps.reshape([-1 if a == axis else 1 for a in range(3)])
    return diagonal % _STRIPES < _GAP


class OutlineArray(LazyArray):
    """Outlines of some segments in the section that is shown, 1, 2, ... in their order; all their voxels in 3D.

    The voxels of a contact can be marked among them, with the label `CONTACT`.

    Parameters
    ----------
    cache : SectionCache
        Of the segments.
    segments : sequence of int
        The segments to outline.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, cache: SectionCache, segments: Sequence[int] = ()) -> None:
        self._cache = cache
        self.shape: Shape = cache.shape
        self.put(segments)

    def put(self, segments: Sequence[int], contact: tuple[Box, np.ndarray] | None = None) -> None:
        """Outline others, or none; of a contact its box and its voxels, (*box.shape) bool."""
        self._segments, self._contact = list(segments), contact

    def read(self, selection: Selection) -> Any:
        """Outlines, as far as the segments are read."""
        section = selection.section(self.shape)
        if section is None:
            check_size(selection.box, 4)
            found = self._numbered(self._cache.read(selection.box)[IDS])
        else:
            found = np.expand_dims(outlined(self._numbered(self._cache.get(section)[IDS])), section.axis)
        self._mark_contact(found, selection.box)
        return found[selection.inside]

    def in_3d(self) -> np.ndarray:
        """Voxels for 3D display."""
        found = self._numbered(self._cache.get(WHOLE)[IDS])
        self._mark_contact(found, Box.of_shape(self.shape))
        return found

    def _mark_contact(self, labels: np.ndarray, box: Box) -> None:
        """Mark the contact among the labels of a box."""
        if self._contact is None:
            return
        around, voxels = self._contact
        both = around.intersect(box)
        if not both.is_empty:
            here = voxels[both.relative_to(around.start).slices]
            labels[both.relative_to(box.start).slices][here] = CONTACT

    def _numbered(self, ids: np.ndarray) -> np.ndarray:
        found = np.zeros(ids.shape, np.uint8)
        for number, segment in enumerate(self._segments, start=1):
            found[ids == segment] = min(number, CONTACT - 1)
        return found


class PatchArray(LazyArray):
    """Labels of a box in a volume that is 0 elsewhere.

    Parameters
    ----------
    labels : ndarray
        (*box.shape), bool or numbers up to 255.
    outline : bool
        Whether sections show only the edges.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: Shape, box: Box, labels: np.ndarray, outline: bool) -> None:
        self.shape: Shape = shape
        self.put(box, labels, outline)

    def put(self, box: Box, labels: np.ndarray, outline: bool) -> None:
        """Show other labels."""
        inside = box.intersect(Box.of_shape(self.shape))
        self._patch = (inside, np.asarray(labels)[inside.relative_to(box.start).slices].astype(np.uint8), outline)

    def read(self, selection: Selection) -> Any:
        """The labels of a selection."""
        check_size(selection.box, 1)
        found = np.zeros(selection.box.shape, np.uint8)
        box, labels, is_outline = self._patch
        both = box.intersect(selection.box)
        if not both.is_empty:
            inner = labels[both.relative_to(box.start).slices]
            section = selection.section(self.shape)
            if is_outline and section is not None:
                inner = np.expand_dims(outlined(inner.squeeze(section.axis)), section.axis)
            found[both.relative_to(selection.box.start).slices] = inner
        return found[selection.inside]


def outlined(labels: np.ndarray) -> np.ndarray:
    """Labels of a plane without their inside, which begins some voxels from the edge; the plane's ends are no edge.

    Napari's own contours of a section of 1024 x 1024 take 60 ms and more, these 5.
    """
    inside = np.ones(labels.shape, bool)
    for axis in range(labels.ndim):
        along, same = np.moveaxis(inside, axis, 0), np.moveaxis(np.diff(labels, axis=axis) == 0, axis, 0)
        for step in range(min(_OUTLINE, len(same))):
            along[: len(same) - step] &= same[step:]
            along[1 + step :] &= same[: len(same) - step]
    found = labels.copy()
    found[inside] = 0
    return found
