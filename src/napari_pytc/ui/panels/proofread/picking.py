"""Segments under the pointer, along a line of sight and along a stroke, and their description in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.geometry import Box, Voxel
from napari_pytc.ui.canvas.viewer.port import Point, Pointer

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import SegmentState
    from napari_pytc.proofreading.document import LabelDocument

_RUN = 48
"""Steps along a line of sight that are looked up at once."""
_MOST_LINES = 3


@dataclass(frozen=True)
class PickedSegment:
    """A segment that was clicked or selected.

    Parameters
    ----------
    size_um : float
        Of all its voxels: a volume in µm³, or an area in µm² where the volume is a single section.
    is_area : bool
        Which of both it is.
    """

    segment: int
    voxel: Voxel | None
    box: Box
    n_voxels: int
    size_um: float
    state: SegmentState
    class_name: str
    is_area: bool = False


def describe(document: LabelDocument, segment: int, voxel: Voxel | None = None) -> PickedSegment | None:
    """Read the facts of a segment; None if it has no voxels."""
    if not segment or not document.exists(segment):
        return None
    n_voxels, state = document.size(segment), document.state(segment)
    edges_um, is_flat = np.asarray(document.space.voxel_size_nm) / 1e3, document.shape[0] == 1
    size_um = n_voxels * float(np.prod(edges_um[1:] if is_flat else edges_um))
    names = document.class_names
    name = names[state.class_id - 1] if 0 < state.class_id <= len(names) else ""
    return PickedSegment(segment, voxel, document.box(segment), n_voxels, size_um, state, name, is_flat)


def voxel_at(point: Point) -> Voxel:
    """The voxel that lies around a point."""
    z, y, x = (int(np.floor(v + 0.5)) for v in point)
    return (z, y, x)


def pick(document: LabelDocument, pointer: Pointer) -> PickedSegment | None:
    """The segment under the pointer; in a plane also a deleted one."""
    if pointer.voxel is None:
        return None
    if pointer.far is not None:
        seen = first_in_sight(document, pointer.voxel, pointer.far)
        return None if seen is None else describe(document, seen[1], seen[0])
    return pick_voxel(document, voxel_at(pointer.voxel))


def pick_voxel(document: LabelDocument, voxel: Voxel) -> PickedSegment | None:
    """The segment of a voxel, also a deleted one; None for background and outside of the volume."""
    if not Box.of_shape(document.shape).contains_point(voxel):
        return None
    supervoxel = document.supervoxel_at(voxel)
    return describe(document, int(document.owners(np.array([supervoxel], np.uint32))[0]), voxel)


def first_in_sight(document: LabelDocument, near: Point, far: Point) -> tuple[Voxel, int] | None:
    """The first voxel of a segment on a line through the volume, and the segment; None if all is background."""
    start, stop = np.asarray(near, float), np.asarray(far, float)
    n_steps = max(1, int(np.ceil(2 * np.abs(stop - start).max())))
    steps = np.linspace(0, 1, n_steps + 1)[:, None]
    voxels = np.floor(start + (stop - start) * steps + 0.5).astype(int)
    voxels = np.clip(voxels, 0, np.asarray(document.shape) - 1)
    for begin in range(0, len(voxels), _RUN):
        run = voxels[begin : begin + _RUN]
        low = run.min(axis=0)
        box = Box(tuple(low.tolist()), tuple((run.max(axis=0) + 1).tolist()))
        segments = document.segments(box)[tuple((run - low).T)]
        hit = np.flatnonzero(segments)
        if len(hit):
            z, y, x = (int(v) for v in run[hit[0]])
            return (z, y, x), int(segments[hit[0]])
    return None


def segments_along(document: LabelDocument, voxels: Sequence[Voxel]) -> dict[int, int]:
    """Segments that a stroke passes, in the order in which it meets them, and over how many voxels."""
    if not voxels:
        return {}
    positions = np.asarray(voxels, int)
    low = positions.min(axis=0)
    box = Box(tuple(low.tolist()), tuple((positions.max(axis=0) + 1).tolist()))
    found: dict[int, int] = {}
    for segment in document.segments(box)[tuple((positions - low).T)]:
        if segment:
            found[int(segment)] = found.get(int(segment), 0) + 1
    return found


def describe_selection(selected: Sequence[PickedSegment]) -> str:
    """Segments in words: "Segment 12 · 0.184 µm³ · mitochondrion · locked"."""
    if not selected:
        return "None. Click a segment on the canvas."
    lines = []
    for one in selected[:_MOST_LINES]:
        parts = [f"Segment {one.segment}", size_text(one)]
        parts += [one.class_name] if one.class_name else []
        parts += ["locked"] if one.state.locked else []
        parts += ["deleted"] if one.state.deleted else []
        lines.append(" · ".join(parts))
    if len(selected) > _MOST_LINES:
        lines.append(f"and {len(selected) - _MOST_LINES} more")
    return "\n".join(lines)


def size_text(one: PickedSegment) -> str:
    """A segment's size as text, in the unit that suits."""
    size, unit = one.size_um, "µm²" if one.is_area else "µm³"
    if size >= 1000:
        return f"{size:,.0f} {unit}"
    return f"{size:.3g} {unit}" if size >= 1e-4 else f"{one.n_voxels:,} voxels"
