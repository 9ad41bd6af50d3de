"""One segment becomes several: by seeds of different colours, or along a line drawn through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import fastremap
import numpy as np
from pydantic import Field

from napari_pytc.errors import InvalidEdit, listed
from napari_pytc.geometry import Box, Voxel
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import Change, SegmentState
from napari_pytc.proofreading.cuts.drawn_line import beside_line, sides_of_line
from napari_pytc.proofreading.cuts.seeds import Seeds, segment_under, supervoxels_at
from napari_pytc.proofreading.cuts.segment_cut import SegmentCut, cut_supervoxels, cut_voxels
from napari_pytc.proofreading.edits.base import EditModel, check_segment
from napari_pytc.proofreading.edits.constraints import CannotLink, Constraint

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


def _notes() -> Any:
    return Field((), description="What was assumed when it was made; told, not asked for.")


class Split(EditModel):
    """A segment is cut between seeds of two or more colours.

    Along borders of supervoxels where each has seeds of one colour at most, else through voxels. The side with the most
    voxels keeps the id.
    """

    kind: Literal["split"] = "split"
    seeds: dict[int, tuple[Voxel, ...]] = Field(description="Voxels (z, y, x) of points or strokes, by colour from 1.")
    notes: tuple[str, ...] = _notes()

    def plan(self, document: LabelDocument) -> Change:
        """Cut, and make sure that no two colours share a segment afterwards."""
        seeds = Seeds.of(self.seeds, document.shape)
        segment, seeds, supervoxels = segment_under(document, seeds)
        check_segment(document, segment)
        return plan_cut(document, self, segment, seeds, supervoxels)

    def constraints(self, document: LabelDocument, change: Change) -> list[Constraint]:
        """The sides are different objects."""
        return [_cannot_link(change, self._seeds_by_side)]

    def _seeds_by_side(self, document: LabelDocument, segments: np.ndarray) -> list[list[Voxel]]:
        return [list(voxels) for voxels in self.seeds.values()]


class SplitLine(EditModel):
    """A segment is cut along a line that is drawn through it in a slice.

    What lies close to the line on its two sides are the seeds of a split.
    """

    kind: Literal["split_line"] = "split_line"
    segment: int = Field(description="Segment by id.", ge=1)
    line: tuple[Voxel, ...] = Field(description="Voxels (z, y, x) of a line, one after the other, all in one slice.")
    axis: int = Field(0, description="The axis across the slice: 0 for z, 1 for y, 2 for x.", ge=0, le=2)
    notes: tuple[str, ...] = _notes()

    def plan(self, document: LabelDocument) -> Change:
        """Cut between the two sides of the line."""
        check_segment(document, self.segment)
        seeds = sides_of_line(document, self.segment, self.line, self.axis)
        return plan_cut(document, self, self.segment, seeds, supervoxels_at(document, seeds.voxels))

    def constraints(self, document: LabelDocument, change: Change) -> list[Constraint]:
        """The sides of the line are different objects."""
        return [_cannot_link(change, self._seeds_by_side)]

    def _seeds_by_side(self, document: LabelDocument, segments: np.ndarray) -> list[list[Voxel]]:
        """Voxels of some segments beside the line, as they are now."""

        def count(box: Box) -> np.ndarray:
            return np.isin(document.owners(document.supervoxels(box)), segments)

        try:
            seeds = beside_line(np.array(self.line, np.int64), self.axis, Box.of_shape(document.shape), count)
        except InvalidEdit:
            return []
        return [[tuple(v) for v in seeds.voxels[seeds.colours == colour].tolist()] for colour in seeds.used]


def plan_cut(document: LabelDocument, edit: EditModel, segment: int, seeds: Seeds, supervoxels: np.ndarray) -> Change:
    """The change that cuts a segment between seeds that lie in it.

    Parameters
    ----------
    supervoxels : ndarray of uint32
        The supervoxel of each seed.

    Raises
    ------
    InvalidEdit
        If the segment is locked, or seeds would stay joined.
    """
    if _is_shared(seeds, supervoxels):
        cut = cut_voxels(document, segment, seeds, supervoxels)
    else:
        cut = cut_supervoxels(document, segment, seeds, supervoxels)
    segments = _segments_of_colours(document, cut, seeds)
    others = len(segments) - 1
    note = "" if cut.parts is None else document.boundary_note()
    recorded = edit.model_copy(update={"notes": (note,) if note else ()})
    builder = ChangeBuilder(document, recorded.to_json(), f"Split {segment} into {others + 1}")
    kept = max(segments, key=lambda colour: segments[colour])
    targets = {0: segment, kept: segment}
    for colour in seeds.used:
        if colour != kept:
            targets[colour] = builder.new_segment()
            builder.move(cut.supervoxels[cut.colours == colour], targets[colour])
    _relabel(builder, cut, targets)
    state = document.state(segment)
    if state.class_id:
        for colour in seeds.used:
            if colour != kept:
                builder.note(targets[colour], SegmentState(class_id=state.class_id))
    _check_apart(builder, seeds, supervoxels, cut)
    return builder.build()


def _cannot_link(change: Change, seeds: Callable[[LabelDocument, np.ndarray], list[list[Voxel]]]) -> CannotLink:
    supervoxels = np.concatenate([np.zeros(0, np.uint32), *(move.supervoxels for move in change.moves)])
    return CannotLink(change.segments, supervoxels, tuple(patch.box for patch in change.patches), seeds)


def _is_shared(seeds: Seeds, supervoxels: np.ndarray) -> bool:
    """Whether seeds of two colours lie in one supervoxel."""
    pairs = np.unique(np.column_stack([supervoxels, seeds.colours]), axis=0)
    return len(np.unique(pairs[:, 0])) < len(pairs)


def _segments_of_colours(document: LabelDocument, cut: SegmentCut, seeds: Seeds) -> dict[int, int]:
    """Number of voxels that go with each colour."""
    sizes = document.sizes(cut.supervoxels)
    counts = np.bincount(cut.colours, sizes, minlength=int(seeds.colours.max()) + 1)
    if cut.parts is not None:
        here = cut.parts.colours > 0
        left = cut.colours[np.searchsorted(cut.supervoxels, cut.parts.labels[here])]
        counts += np.bincount(cut.parts.colours[here], minlength=len(counts))
        counts -= np.bincount(left, minlength=len(counts))
    return {colour: int(counts[colour]) for colour in seeds.used}


def _relabel(builder: ChangeBuilder, cut: SegmentCut, targets: dict[int, int]) -> None:
    """Give the part cut off a supervoxel an id of its own, one for each colour."""
    if cut.parts is None:
        return
    labels, colours = cut.parts.labels.copy(), cut.parts.colours
    here = colours > 0
    n_colours = int(colours.max()) + 1
    keys, inverse = fastremap.unique(labels[here].astype(np.uint64) * n_colours + colours[here], return_inverse=True)
    fresh = np.array([builder.new_supervoxel() for _ in keys], np.uint32)
    for colour in np.unique(keys % n_colours).tolist():
        builder.move(fresh[keys % n_colours == colour], targets[colour])
    labels[here] = fresh[inverse.reshape(-1)]
    builder.set_voxels(cut.parts.box, labels)


def _check_apart(builder: ChangeBuilder, seeds: Seeds, supervoxels: np.ndarray, cut: SegmentCut) -> None:
    """Check that the change leaves every colour in one segment, and no two in the same."""
    after = supervoxels.copy()
    if cut.parts is not None:
        box = cut.parts.box
        inside = ((seeds.voxels >= box.start) & (seeds.voxels < box.stop)).all(axis=1)
        after[inside] = builder.supervoxels(box)[tuple((seeds.voxels[inside] - box.start).T)]
    pairs = np.unique(np.column_stack([builder.owners(after), seeds.colours]), axis=0)
    if len(pairs) > len(seeds.used) or len(np.unique(pairs[:, 0])) < len(pairs):
        joined = sorted({int(colour) for segment, colour in pairs if (pairs[:, 0] == segment).sum() > 1})
        raise InvalidEdit(
            f"Seeds of colours {listed(joined or seeds.used)} could not be told apart.",
            "Place them further from one another, or paint the border.",
        )
