"""Segments become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from napari_pytc.errors import InvalidEdit, listed
from napari_pytc.geometry import Voxel
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.edits.base import EditModel, check_segment, segments_named

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


class Merge(EditModel):
    """Two or more segments become one; no voxel is rewritten.

    The one with the most supervoxels keeps its id, so that the time follows the smaller sides.
    """

    kind: Literal["merge"] = "merge"
    links_are_chosen: ClassVar[bool] = True
    segments: tuple[int, ...] = Field((), description="Segments by id.")
    points: tuple[Voxel, ...] = Field((), description="Voxels (z, y, x), each in a segment.")

    def plan(self, document: LabelDocument) -> Change:
        """Move the supervoxels of all but the largest."""
        segments = segments_named(document, self.segments, self.points)
        if len(segments) < 2:
            raise InvalidEdit(
                f"A merge needs two different segments, got {listed(segments) or 'none'}.",
                "Click on both, or draw one stroke through them.",
            )
        for segment in segments:
            check_segment(document, segment)
        kept = max(segments, key=lambda segment: (document.n_members(segment), -segment))
        others = [segment for segment in segments if segment != kept]
        builder = ChangeBuilder(document, self.to_json(), f"Merge {listed(others)} into {kept}")
        for segment in others:
            builder.move(document.members(segment), kept)
        return builder.build()
