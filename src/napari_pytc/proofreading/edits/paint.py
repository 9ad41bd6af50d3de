"""Voxels by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import Change, SegmentState
from napari_pytc.proofreading.edits.base import BoxText, EditModel, check_box, check_segment, pack_mask, unpack_mask

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


class Paint(EditModel):
    """Voxels become a segment's, or with segment 0 the background's.

    They go to the supervoxel of the segment that they touch most, and to a new one where they touch none. What they
    belonged to keeps the rest of its voxels.
    """

    kind: Literal["paint"] = "paint"
    voxels_are_chosen: ClassVar[bool] = True
    box: BoxText = Field(description="Around the voxels.")
    mask: str = Field(description="Which voxels of the box: a bit each in C order, deflated, base64.")
    segment: int = Field(description="Segment by id; 0 erases.", ge=0)

    @classmethod
    def of(cls, box: Box, mask: np.ndarray, segment: int) -> Paint:
        """The edit that gives the voxels of a mask (bool, ``box.shape``) to a segment."""
        if mask.shape != box.shape:
            raise InvalidEdit(f"A mask of {box} has shape {box.shape}, got {mask.shape}.")
        return cls(box=box, mask=pack_mask(mask), segment=segment)

    def plan(self, document: LabelDocument) -> Change:
        """Relabel the voxels that do not belong to the segment yet."""
        check_box(document, self.box)
        if self.segment:
            check_segment(document, self.segment)
        labels = document.supervoxels(self.box)
        mask = unpack_mask(self.mask, self.box.shape) & (document.owners(labels) != self.segment)
        title = f"Paint {self.segment}" if self.segment else "Erase"
        builder = ChangeBuilder(document, self.to_json(), title)
        if mask.any():
            builder.relabel(self.box, mask, self._supervoxel(document, builder, mask))
        return builder.build()

    def _supervoxel(self, document: LabelDocument, builder: ChangeBuilder, mask: np.ndarray) -> int:
        if self.segment == 0:
            return 0
        box = self.box.grow((1, 1, 1)).intersect(Box.of_shape(document.shape))
        around = np.zeros(box.shape, bool)
        around[self.box.relative_to(box.start).slices] = mask
        around = ndimage.binary_dilation(around) & ~around
        touched = document.supervoxels(box)[around]
        touched = touched[document.owners(touched) == self.segment]
        if len(touched):
            ids, counts = np.unique(touched, return_counts=True)
            return int(ids[counts.argmax()])
        new = builder.new_supervoxel()
        builder.move([new], self.segment)
        return new


class NewSegment(EditModel):
    """Voxels become a segment of their own; their former segments keep the rest of their voxels."""

    kind: Literal["new_segment"] = "new_segment"
    voxels_are_chosen: ClassVar[bool] = True
    box: BoxText = Field(description="Around the voxels.")
    mask: str = Field(description="Which voxels of the box: a bit each in C order, deflated, base64.")
    class_id: int = Field(0, description="Its class, from 1; 0 for none.", ge=0, le=255)

    @classmethod
    def of(cls, box: Box, mask: np.ndarray, class_id: int = 0) -> NewSegment:
        """The edit that makes a segment of the voxels of a mask (bool, ``box.shape``)."""
        if mask.shape != box.shape:
            raise InvalidEdit(f"A mask of {box} has shape {box.shape}, got {mask.shape}.")
        return cls(box=box, mask=pack_mask(mask), class_id=class_id)

    def plan(self, document: LabelDocument) -> Change:
        """Relabel the voxels."""
        check_box(document, self.box)
        mask = unpack_mask(self.mask, self.box.shape)
        if not mask.any():
            raise InvalidEdit("A new segment needs a voxel at least, got none.", "Paint where it is.")
        builder = ChangeBuilder(document, self.to_json(), "New segment")
        supervoxel, segment = builder.new_supervoxel(), builder.new_segment()
        builder.title = f"New segment {segment}"
        builder.move([supervoxel], segment)
        builder.relabel(self.box, mask, supervoxel)
        if self.class_id:
            builder.note(segment, SegmentState(class_id=self.class_id))
        return builder.build()
