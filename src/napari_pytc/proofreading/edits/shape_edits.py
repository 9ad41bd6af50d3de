"""Edits that mend the shape of one segment: fill holes, smooth, remove islands."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box, Voxel
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.cuts.segment_cut import window_around
from napari_pytc.proofreading.edits.base import EditModel, check_segment
from napari_pytc.proofreading.edits.shapes import holes_of, islands_of, nearest_labels, smoothed

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_MOST_VOXELS = 512**3 // 4


class ShapeEdit(EditModel):
    """Base of the edits that look at a segment's voxels, in a window where it is huge."""

    kind: str
    segment: int = Field(description="Segment by id.", ge=1)
    at: Voxel | None = Field(None, description="A voxel (z, y, x): mend the segment around it, not as a whole.")

    def window(self, document: LabelDocument) -> Box:
        """The voxels to look at.

        Raises
        ------
        InvalidEdit
            If there is no such segment, or it is too large and no place is given.
        """
        check_segment(document, self.segment)
        volume = Box.of_shape(document.shape)
        box = document.box(self.segment)
        if self.at is not None:
            place = Box.at(self.at, (1, 1, 1))
            if not volume.contains(place):
                raise InvalidEdit(f"The place {self.at} lies outside of the volume {volume}.")
            box = box.intersect(window_around(place, document.space, volume))
        elif box.size > _MOST_VOXELS:
            raise InvalidEdit(
                f"Segment {self.segment} fills a box of {box.size / 1e6:.0f} million voxels, at most "
                f"{_MOST_VOXELS / 1e6:.0f} million can be looked at at once.",
                "Click where it is to be mended.",
            )
        if box.is_empty:
            raise InvalidEdit(f"Segment {self.segment} does not reach to {self.at}.", "Click on it.")
        return box


class FillHoles(ShapeEdit):
    """Background that a segment encloses becomes part of it, and on request the segments that it encloses.

    A filled voxel goes to the nearest supervoxel of the segment; an enclosed segment is merged as a whole.
    """

    kind: Literal["fill_holes"] = "fill_holes"
    voxels_are_chosen: ClassVar[bool] = True
    axis: int | None = Field(
        None, description="Fill what is enclosed in slices across this axis (0 for z) instead of in space.", ge=0, le=2
    )
    enclosed: bool = Field(False, description="Take in other segments that lie wholly inside; locked ones stay.")

    def plan(self, document: LabelDocument) -> Change:
        """Relabel enclosed background, move enclosed supervoxels."""
        box = self.window(document)
        labels = document.supervoxels(box)
        owners = document.owners(labels)
        mask = owners == self.segment
        holes = holes_of(mask, self.axis)
        builder = ChangeBuilder(document, self.to_json(), f"Fill holes of {self.segment}")
        empty = holes & (owners == 0)
        if empty.any():
            labels[empty] = nearest_labels(labels, mask, empty, document.space.voxel_size_nm)
            builder.set_voxels(box, labels)
        if self.enclosed:
            inside, counts = np.unique(owners[holes], return_counts=True)
            for segment, n in zip(inside.tolist(), counts.tolist(), strict=True):
                if segment and not document.is_locked(segment) and n == document.size(segment):
                    builder.move(document.members(segment), self.segment)
        return builder.build()


class Smooth(ShapeEdit):
    """A segment gets a smoother outline.

    It gains voxels from the background and from segments that are not locked, and what it loses goes to what is
    nearest. Thin branches get thinner, but are not cut.
    """

    kind: Literal["smooth"] = "smooth"
    radius_um: float = Field(0.05, description="Size of the bumps and dents that go, in micrometres.", gt=0, le=10)

    def plan(self, document: LabelDocument) -> Change:
        """Relabel along the outline."""
        sizes = document.space.voxel_size_nm
        radius = [1000 * self.radius_um / size for size in sizes]
        reach = [int(np.ceil(2.5 * r)) + 1 for r in radius]
        box = self.window(document).grow(reach).intersect(Box.of_shape(document.shape))
        if box.size > 2 * _MOST_VOXELS:
            raise InvalidEdit(f"A radius of {self.radius_um} um is too large here.", "Choose a smaller one.")
        labels = document.supervoxels(box)
        owners = document.owners(labels)
        mask = owners == self.segment
        wanted = smoothed(mask, radius)
        free = ~np.isin(owners, [k for k in np.unique(owners).tolist() if k and document.is_locked(k)])
        gained, lost = wanted & ~mask & free, mask & ~wanted
        result = labels.copy()
        if gained.any():
            result[gained] = nearest_labels(labels, mask, gained, sizes)
        if lost.any() and (free & ~mask).any():
            result[lost] = nearest_labels(labels, free & ~mask, lost, sizes)
        builder = ChangeBuilder(document, self.to_json(), f"Smooth {self.segment}")
        builder.set_voxels(box, result)
        return builder.build()


class RemoveIslands(ShapeEdit):
    """Parts of a segment that hang together with nothing of it leave it; its largest part stays.

    An island goes to the segment that it touches most, of those that are not locked, and else to the background.
    """

    kind: Literal["remove_islands"] = "remove_islands"
    smallest_um3: float = Field(0.0, description="Parts of this volume stay, in cubic micrometres; 0: none.", ge=0)

    def plan(self, document: LabelDocument) -> Change:
        """Relabel every island."""
        whole = document.box(self.segment)
        box = self.window(document)
        labels = document.supervoxels(box)
        owners = document.owners(labels)
        voxel_um3 = float(np.prod(document.space.voxel_size_nm)) / 1e9
        inner = [
            end
            for axis in range(3)
            for end in (box.start[axis] <= whole.start[axis], box.stop[axis] >= whole.stop[axis])
        ]
        mask = owners == self.segment
        islands = islands_of(mask, int(np.ceil(self.smallest_um3 / voxel_um3)), inner)
        builder = ChangeBuilder(document, self.to_json(), f"Remove islands of {self.segment}")
        around = box.grow((1, 1, 1)).intersect(Box.of_shape(document.shape))
        offset = box.relative_to(around.start)
        nearby = document.supervoxels(around)
        others = document.owners(nearby)
        for number, part in enumerate(ndimage.find_objects(islands), start=1):
            island = islands[part] == number
            inside = Box(tuple(s.start for s in part), tuple(s.stop for s in part)).shift(offset.start)
            window = inside.grow((1, 1, 1)).intersect(Box.of_shape(nearby.shape))
            spread = np.zeros(window.shape, bool)
            spread[inside.relative_to(window.start).slices] = island
            rim = ndimage.binary_dilation(spread) & ~spread
            labels[part][island] = self._home(document, nearby[window.slices][rim], others[window.slices][rim])
        builder.set_voxels(box, labels)
        return builder.build()

    def _home(self, document: LabelDocument, supervoxels: np.ndarray, segments: np.ndarray) -> int:
        """The supervoxel that is touched most, of a segment that may gain voxels; 0 for none."""
        for place in np.unique(segments).tolist():
            if place in (0, self.segment) or document.is_locked(place):
                supervoxels = np.where(segments == place, 0, supervoxels)
        ids, counts = np.unique(supervoxels[supervoxels > 0], return_counts=True)
        return int(ids[counts.argmax()]) if len(ids) else 0
