"""Strokes of the annotation layer, and objects to learn from."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box, hull_of
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change, Target
from napari_pytc.proofreading.edits.base import BoxText, EditModel, check_box

if TYPE_CHECKING:
    from napari_pytc.proofreading.paint_document import PaintDocument


class _Painted(EditModel):
    """Labels of a box are replaced."""

    dtype: ClassVar[np.dtype[Any]]
    box: BoxText = Field(description="Where.")
    labels: str = Field(description="Labels of the box in C order, a byte or uint32 each, deflated, base64.")

    @classmethod
    def of(cls, box: Box, labels: np.ndarray) -> Self:
        """The edit that leaves these labels, ``box.shape``, in a box."""
        if labels.shape != box.shape or labels.dtype != cls.dtype:
            raise InvalidEdit(f"Strokes of {box} are {cls.dtype} of its shape, got {labels.dtype} of {labels.shape}.")
        content = labels.astype(cls.dtype.newbyteorder("<")).tobytes()
        text = base64.b64encode(zlib.compress(content, 1)).decode("ascii")
        return cls.model_validate({"box": box, "labels": text})

    def after(self, document: PaintDocument) -> np.ndarray:
        """Labels of the box after the edit."""
        check_box(document, self.box)
        try:
            content = zlib.decompress(base64.b64decode(self.labels, validate=True))
        except (binascii.Error, ValueError, zlib.error) as error:
            raise InvalidEdit(f"Labels are deflated bytes in base64, got something else: {error}.") from error
        n_bytes = self.box.size * self.dtype.itemsize
        if len(content) != n_bytes:
            raise InvalidEdit(f"Strokes of {self.box} have {n_bytes} bytes of labels, got {len(content)}.")
        return np.frombuffer(content, self.dtype.newbyteorder("<")).astype(self.dtype).reshape(self.box.shape)


class Scribble(_Painted):
    """Strokes of a box are replaced: 0 = not annotated, k = k-th class."""

    kind: Literal["scribble"] = "scribble"
    target: ClassVar[Target] = "annotations"
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)

    def plan(self, document: PaintDocument) -> Change:  # type: ignore[override]
        """The voxels whose label differs; the journal keeps these, and not the labels a second time."""
        after = self.after(document)
        return stroke_change(self.box, document.labels(self.box), after)


class MarkObjects(_Painted):
    """Objects to learn from are replaced in a box: 0 = not annotated, 4294967295 = no object is here, else an id."""

    kind: Literal["mark_objects"] = "mark_objects"
    target: ClassVar[Target] = "objects"
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint32)

    def plan(self, document: PaintDocument) -> Change:  # type: ignore[override]
        """The voxels whose id differs."""
        after = self.after(document)
        patch = LabelPatch.between(self.box, document.labels(self.box), after)
        if patch is None:
            raise InvalidEdit("The stroke would change nothing.")
        return object_change(patch)


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


def object_change(*patches: LabelPatch, title: str = "") -> Change:
    """The change of objects to learn from that these patches make, as one entry."""
    box = hull_of(patch.box for patch in patches)
    edit = {"kind": "mark_objects", "box": str(box)}
    return Change(edit, title or _title(patches), box, patches=patches, target="objects")


def _title(patches: tuple[LabelPatch, ...]) -> str:
    ids = np.unique(np.concatenate([np.unique(patch.after) for patch in patches]))
    background = np.iinfo(np.uint32).max
    marked = [int(id) for id in ids if id not in (0, background)]
    if len(marked) == 1:
        return f"Mark object {marked[0]}"
    if marked:
        return f"Mark {len(marked)} objects"
    return "Mark background" if background in ids else "Erase objects"
