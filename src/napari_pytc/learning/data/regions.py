"""Annotated chunks, and sets of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_pytc.geometry import Box


@dataclass(frozen=True)
class AnnotatedChunk:
    """Voxels of each kind in a chunk outside the held-out boxes, and the time of its last change."""

    box: Box
    counts: tuple[int, ...]
    changed: float


def disjoint(boxes: Sequence[Box]) -> list[Box]:
    """Boxes that hold the same voxels, each once."""
    found: list[Box] = []
    for box in boxes:
        found += without([box], found)
    return found


def without(boxes: Sequence[Box], holes: Sequence[Box]) -> list[Box]:
    """Boxes less others, as boxes."""
    rest = list(boxes)
    for hole in holes:
        rest = [part for piece in rest for part in _slabs(piece, hole)]
    return rest


def _slabs(box: Box, hole: Box) -> list[Box]:
    """A box less a hole, as slabs before and after the hole along each axis."""
    common = box.intersect(hole)
    if common.is_empty:
        return [box]
    parts, start, stop = [], list(box.start), list(box.stop)
    for axis in range(3):
        before, after = list(stop), list(start)
        before[axis], after[axis] = common.start[axis], common.stop[axis]
        parts += [Box(tuple(start), tuple(before)), Box(tuple(after), tuple(stop))]  # type: ignore[arg-type]
        start[axis], stop[axis] = common.start[axis], common.stop[axis]
    return [part for part in parts if not part.is_empty]
