"""Which segment is meant: under the pointer, along the line of sight, along a stroke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.ui.port import Pointer, Voxel

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import SegmentState
    from napari_pytc.proofreading.document import LabelDocument

Place = tuple[int, int, int]

_RUN = 48
"""Steps along a line of sight that are looked up at once."""


@dataclass(frozen=True)
class Picked:
    """A segment that somebody pointed at.

    Parameters
    ----------
    size_um3 : float
        Of all its voxels.
    """

    segment: int
    voxel: Place | None
    box: Box
    n_voxels: int
    size_um3: float
    state: SegmentState
    class_name: str


def describe(document: LabelDocument, segment: int, voxel: Place | None = None) -> Picked | None:
    """What is known of a segment; None if it has no voxels."""
    if not segment or not document.exists(segment):
        return None
    n_voxels, state = document.size(segment), document.state(segment)
    volume_nm3 = float(np.prod(document.space.voxel_size_nm))
    names = document.class_names
    name = names[state.class_id - 1] if 0 < state.class_id <= len(names) else ""
    return Picked(segment, voxel, document.box(segment), n_voxels, n_voxels * volume_nm3 / 1e9, state, name)


def place_of(voxel: Voxel) -> Place:
    """The voxel that lies around a point."""
    z, y, x = (int(np.floor(v + 0.5)) for v in voxel)
    return (z, y, x)


def pick(document: LabelDocument, pointer: Pointer) -> Picked | None:
    """The segment under the pointer; in a plane also a deleted one."""
    if pointer.voxel is None:
        return None
    if pointer.far is not None:
        seen = first_in_sight(document, pointer.voxel, pointer.far)
        return None if seen is None else describe(document, seen[1], seen[0])
    return pick_place(document, place_of(pointer.voxel))


def pick_place(document: LabelDocument, place: Place) -> Picked | None:
    """The segment of a voxel, also a deleted one; None for background and outside of the volume."""
    if not Box.of_shape(document.shape).contains_point(place):
        return None
    supervoxel = document.supervoxel_at(place)
    return describe(document, int(document.owners(np.array([supervoxel], np.uint32))[0]), place)


def first_in_sight(document: LabelDocument, near: Voxel, far: Voxel) -> tuple[Place, int] | None:
    """The first voxel of a segment on a line through the volume, and the segment; None if all is background."""
    start, stop = np.asarray(near, float), np.asarray(far, float)
    n_steps = max(1, int(np.ceil(2 * np.abs(stop - start).max())))
    steps = np.linspace(0, 1, n_steps + 1)[:, None]
    places = np.floor(start + (stop - start) * steps + 0.5).astype(int)
    places = np.clip(places, 0, np.asarray(document.shape) - 1)
    for begin in range(0, len(places), _RUN):
        run = places[begin : begin + _RUN]
        low = run.min(axis=0)
        box = Box(tuple(low.tolist()), tuple((run.max(axis=0) + 1).tolist()))
        segments = document.segments(box)[tuple((run - low).T)]
        hit = np.flatnonzero(segments)
        if len(hit):
            z, y, x = (int(v) for v in run[hit[0]])
            return (z, y, x), int(segments[hit[0]])
    return None


def segments_along(document: LabelDocument, voxels: Sequence[Place]) -> dict[int, int]:
    """Segments that a stroke passes, in the order in which it meets them, and over how many voxels."""
    if not voxels:
        return {}
    places = np.asarray(voxels, int)
    low = places.min(axis=0)
    box = Box(tuple(low.tolist()), tuple((places.max(axis=0) + 1).tolist()))
    found: dict[int, int] = {}
    for segment in document.segments(box)[tuple((places - low).T)]:
        if segment:
            found[int(segment)] = found.get(int(segment), 0) + 1
    return found
