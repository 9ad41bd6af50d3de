"""Edits made of marks, strokes and selections; called in the thread of edits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.geometry import Box, Voxel
from napari_pytc.ui.panels.proofread.picking import segments_along

if TYPE_CHECKING:  # edits read volumes and cut graphs: what they import is for the thread of edits
    from napari_pytc.jobs.context import ProgressCallback
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.edits import Edit

_LARGE = 24 * 2**20
"""Voxels of a segment's box above which only the surroundings of a position are mended."""
_SMOOTH_VOXELS = 2
"""Radius of smoothing, in voxels of the finest axis."""

Marks = Sequence[tuple[int, Sequence[Voxel]]]
"""The number of the colour and the voxels of each mark, in their order."""


class IncompleteGesture(PytcError):
    """The marks are no edit yet, but may become one with the next mark."""


def join_or_cut(document: LabelDocument, marks: Marks) -> Edit:
    """Merge the segments that marks of one colour touch; cut the segment between marks of several colours."""
    from napari_pytc.proofreading.edits.merge_or_split import edit_of

    seeds: dict[int, list[Voxel]] = {}
    for colour, voxels in marks:
        seeds.setdefault(colour + 1, []).extend(voxels)
    if len(seeds) == 1:
        found = {segment for _, voxels in marks for segment in segments_along(document, voxels)}
        if len(found) == 1:
            raise IncompleteGesture(
                f"Segment {found.pop()} is marked.",
                "Mark another one to merge them, or another part in the next colour (Shift or X) to cut it.",
            )
    return edit_of(document, seeds)


def cut_line(document: LabelDocument, voxels: Sequence[Voxel], axis: int, selected: Sequence[int]) -> Edit:
    """Cut the segment that a line passes most; a selected one, if it passes any."""
    from napari_pytc.proofreading.edits.split import SplitLine

    passed = segments_along(document, voxels)
    if not passed:
        raise InvalidEdit("The line passes no segment.", "Draw it right across the segment that is to be cut.")
    wanted = [segment for segment in passed if segment in selected] or list(passed)
    return SplitLine(segment=max(wanted, key=lambda s: passed[s]), line=tuple(voxels), axis=axis)


def new_segment(box: Box, mask: np.ndarray) -> Edit:
    """Make a segment of voxels."""
    from napari_pytc.proofreading.edits import NewSegment

    return NewSegment.of(box, mask)


def fill_holes(document: LabelDocument, segment: int, voxel: Voxel | None) -> Edit:
    """Fill the holes of a segment; of a very large one those around a place."""
    from napari_pytc.proofreading.edits.shape_edits import FillHoles

    return FillHoles(segment=segment, at=_where(document, segment, voxel))


def smooth(document: LabelDocument, segment: int, voxel: Voxel | None) -> Edit:
    """Round the surface of a segment off; of a very large one around a place."""
    from napari_pytc.proofreading.edits.shape_edits import Smooth

    finest = min(document.space.voxel_size_nm)
    radius_um = _SMOOTH_VOXELS * finest / 1000
    return Smooth(segment=segment, radius_um=radius_um, at=_where(document, segment, voxel))


def paint(document: LabelDocument, box: Box, mask: np.ndarray, selected: Sequence[int], first: Voxel) -> Edit:
    """Add voxels to the selected segment, or to the one that the stroke begins in; locked ones keep theirs."""
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
    """Make voxels background: of the selected segments, or of all that are not locked."""
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
    """Lock or unlock segments."""
    from napari_pytc.proofreading.edits import Lock, Unlock

    return Lock(segments=segments) if locked else Unlock(segments=segments)


def delete(segments: tuple[int, ...]) -> Edit:
    """Take segments out of the result."""
    from napari_pytc.proofreading.edits import Delete

    return Delete(segments=segments)


def restore(segments: tuple[int, ...]) -> Edit:
    """Bring deleted segments back."""
    from napari_pytc.proofreading.edits import Restore

    return Restore(segments=segments)


def set_class(segments: tuple[int, ...], class_id: int) -> Edit:
    """Give segments a class, 0 for none."""
    from napari_pytc.proofreading.edits import SetClass

    return SetClass(segments=segments, class_id=class_id)


def remove_islands(document: LabelDocument, segment: int, voxel: Voxel | None) -> Edit:
    """Keep the largest part of a segment; of a very large one around a place."""
    from napari_pytc.proofreading.edits.shape_edits import RemoveIslands

    return RemoveIslands(segment=segment, at=_where(document, segment, voxel))


def import_labels(path: Path, report: ProgressCallback) -> Edit:
    """Make segments of the objects of a file; an exception of `report` ends it without a change."""
    from napari_pytc.proofreading.edits import ImportLabels

    return ImportLabels(path=str(path)).with_progress(report)


def new_segments_of(change: Change) -> list[int]:
    """Ids of the segments that a change makes."""
    after = np.concatenate([np.zeros(0, np.uint32), *(move.after for move in change.moves)])
    return [int(segment) for segment in np.unique(after) if segment >= change.next_id[0]]


def _where(document: LabelDocument, segment: int, voxel: Voxel | None) -> Voxel | None:
    return voxel if document.box(segment).size > _LARGE else None


def _without_locked(document: LabelDocument, box: Box, mask: np.ndarray, keep: int = 0) -> np.ndarray:
    """Remove locked segments from a mask, unless nothing else is left: then the edit is refused with the reason."""
    owners = document.segments(box)
    locked = [s for s in np.unique(owners[mask]).tolist() if s and s != keep and document.is_locked(s)]
    rest = mask & ~np.isin(owners, np.asarray(locked, np.uint32)) if locked else mask
    return rest if (rest & (owners != keep)).any() else mask
