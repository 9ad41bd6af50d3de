"""Edits from what was drawn and clicked; called in the thread of edits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.geometry import Box
from napari_pytc.ui.proofreading.picking import Place, segments_along

if TYPE_CHECKING:  # edits read volumes and cut graphs: what they import is for the thread of edits
    from napari_pytc.annotations.importing import Report
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.edits import Edit

_LARGE = 24 * 2**20
"""Voxels of the box around a segment that is mended around a place, not as a whole."""
_SMOOTH_VOXELS = 2
"""Radius of smoothing, in voxels of the finest axis."""

Marks = Sequence[tuple[int, Sequence[Place]]]
"""The number of the colour and the voxels of each mark, in their order."""


class NotYet(PytcError):
    """What was marked is no edit, but may become one with the next mark."""


def join_or_cut(document: LabelDocument, marks: Marks) -> Edit:
    """Marks of one colour join the segments that they touch; marks of several cut the segment between them."""
    from napari_pytc.proofreading.gesture import edit_of

    seeds: dict[int, list[Place]] = {}
    for colour, places in marks:
        seeds.setdefault(colour + 1, []).extend(places)
    if len(seeds) == 1:
        found = {segment for _, places in marks for segment in segments_along(document, places)}
        if len(found) == 1:
            raise NotYet(
                f"Segment {found.pop()} is marked.",
                "Mark another one to merge them, or another part in the next colour (Shift or X) to cut it.",
            )
    return edit_of(document, seeds)


def cut_line(document: LabelDocument, voxels: Sequence[Place], axis: int, selected: Sequence[int]) -> Edit:
    """A line cuts the segment that it passes most; one that is selected, if it passes any."""
    from napari_pytc.proofreading.split import SplitLine

    passed = segments_along(document, voxels)
    if not passed:
        raise InvalidEdit("The line passes no segment.", "Draw it right across the segment that is to be cut.")
    wanted = [segment for segment in passed if segment in selected] or list(passed)
    return SplitLine(segment=max(wanted, key=lambda s: passed[s]), line=tuple(voxels), axis=axis)


def new_segment(box: Box, mask: np.ndarray) -> Edit:
    """Voxels become a segment of their own."""
    from napari_pytc.proofreading.voxel_edits import NewSegment

    return NewSegment.of(box, mask)


def fill_holes(document: LabelDocument, segment: int, place: Place | None) -> Edit:
    """A segment without holes; of a very large one those around a place."""
    from napari_pytc.proofreading.voxel_edits import FillHoles

    return FillHoles(segment=segment, at=_where(document, segment, place))


def smooth(document: LabelDocument, segment: int, place: Place | None) -> Edit:
    """A segment with a rounder surface; a very large one around a place."""
    from napari_pytc.proofreading.voxel_edits import Smooth

    finest = min(document.space.voxel_size_nm)
    radius_um = _SMOOTH_VOXELS * finest / 1000
    return Smooth(segment=segment, radius_um=radius_um, at=_where(document, segment, place))


def paint(document: LabelDocument, box: Box, mask: np.ndarray, selected: Sequence[int], first: Place) -> Edit:
    """Voxels for the segment that is selected, or the one that the stroke begins in; locked ones keep theirs."""
    from napari_pytc.proofreading.edits import Paint

    if len(selected) > 1:
        raise InvalidEdit(f"One segment is painted at a time, {len(selected)} are selected.", "Click one of them.")
    segment = selected[0] if selected else document.segment_at(first)
    if not segment:
        raise InvalidEdit(
            "The stroke does not begin in a segment, and none is selected.",
            "Begin in the one that is to grow, select it first, or take New segment (N).",
        )
    return Paint.of(box, _without_locked(document, box, mask, keep=segment), segment)


def erase(document: LabelDocument, box: Box, mask: np.ndarray, selected: Sequence[int]) -> Edit:
    """Voxels that become background: of the segments that are selected, or of all that are not locked."""
    from napari_pytc.proofreading.edits import Paint

    if selected:
        mask = mask & np.isin(document.segments(box), np.asarray(selected, np.uint32))
        if not mask.any():
            raise InvalidEdit(
                "The stroke passes no voxel of what is selected.", "Select nothing (Esc) to erase whatever it passes."
            )
    else:
        mask = _without_locked(document, box, mask)
    return Paint.of(box, mask, 0)


def lock(segments: tuple[int, ...], locked: bool) -> Edit:
    """Segments become done, or are not any more."""
    from napari_pytc.proofreading.edits import Lock, Unlock

    return Lock(segments=segments) if locked else Unlock(segments=segments)


def delete(segments: tuple[int, ...]) -> Edit:
    """Segments go out of the result."""
    from napari_pytc.proofreading.edits import Delete

    return Delete(segments=segments)


def restore(segments: tuple[int, ...]) -> Edit:
    """Deleted segments come back."""
    from napari_pytc.proofreading.edits import Restore

    return Restore(segments=segments)


def set_class(segments: tuple[int, ...], class_id: int) -> Edit:
    """Segments become of a class, 0 for none."""
    from napari_pytc.proofreading.edits import SetClass

    return SetClass(segments=segments, class_id=class_id)


def remove_islands(document: LabelDocument, segment: int, place: Place | None) -> Edit:
    """The largest part of a segment; of a very large one around a place."""
    from napari_pytc.proofreading.voxel_edits import RemoveIslands

    return RemoveIslands(segment=segment, at=_where(document, segment, place))


def import_labels(path: Path, report: Report) -> Edit:
    """Objects of a file become segments; what `report` raises ends it, and nothing was changed."""
    from napari_pytc.proofreading.edits import ImportLabels

    return ImportLabels(path=str(path)).told(report)


def made_by(change: Change) -> list[int]:
    """Segments that were not there before a change."""
    after = np.concatenate([np.zeros(0, np.uint32), *(move.after for move in change.moves)])
    return [int(segment) for segment in np.unique(after) if segment >= change.next_id[0]]


def _where(document: LabelDocument, segment: int, place: Place | None) -> Place | None:
    return place if document.box(segment).size > _LARGE else None


def _without_locked(document: LabelDocument, box: Box, mask: np.ndarray, keep: int = 0) -> np.ndarray:
    """A mask without locked segments; as it is where nothing else is left, so that the refusal says why."""
    owners = document.segments(box)
    locked = [s for s in np.unique(owners[mask]).tolist() if s and s != keep and document.is_locked(s)]
    rest = mask & ~np.isin(owners, np.asarray(locked, np.uint32)) if locked else mask
    return rest if (rest & (owners != keep)).any() else mask
