"""Strokes of the annotation layer."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change, Target
from napari_pytc.proofreading.edits.base import BoxText, EditModel, check_box

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


class Scribble(EditModel):
    """Strokes of a box are replaced: 0 = not annotated, k = k-th class."""

    kind: Literal["scribble"] = "scribble"
    target: ClassVar[Target] = "annotations"
    box: BoxText = Field(description="Where.")
    labels: str = Field(description="Labels of the box: a byte each in C order, deflated, base64.")

    @classmethod
    def of(cls, box: Box, labels: np.ndarray) -> Scribble:
        """The edit that leaves these labels (uint8, ``box.shape``) in a box."""
        if labels.shape != box.shape or labels.dtype != np.uint8:
            raise InvalidEdit(f"Strokes of {box} are uint8 of its shape, got {labels.dtype} of {labels.shape}.")
        return cls(box=box, labels=base64.b64encode(zlib.compress(labels.tobytes(), 1)).decode("ascii"))

    def plan(self, document: LabelDocument) -> Change:
        """The voxels whose label differs; the journal keeps these, and not the labels a second time."""
        check_box(document, self.box)
        try:
            content = zlib.decompress(base64.b64decode(self.labels, validate=True))
        except (binascii.Error, ValueError, zlib.error) as error:
            raise InvalidEdit(f"Labels are deflated bytes in base64, got something else: {error}.") from error
        if len(content) != self.box.size:
            raise InvalidEdit(f"Strokes of {self.box} have {self.box.size} labels, got {len(content)}.")
        after = np.frombuffer(content, np.uint8).reshape(self.box.shape)
        return stroke_change(self.box, document.annotations(self.box), after)


def stroke_change(box: Box, before: np.ndarray, after: np.ndarray) -> Change:
    """The change of strokes from one array of labels to another, both uint8 of the box's shape.

    Raises
    ------
    InvalidEdit
        If they are the same.
    """
    patch = LabelPatch.between(box, before, after)
    if patch is None:
        raise InvalidEdit("The stroke would change nothing.")
    drawn = np.unique(patch.after)
    title = "Erase strokes" if not drawn.any() else f"Scribble {', '.join(str(k) for k in drawn if k)}"
    edit = {"kind": "scribble", "box": str(patch.box)}
    return Change(edit=edit, title=title, box=patch.box, patches=(patch,), target="annotations")
