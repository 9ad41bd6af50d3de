"""Base of edits: frozen values, known by their kind, that plan a change and make none."""

from __future__ import annotations

import base64
import binascii
import importlib
import importlib.util
import zlib
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

import numpy as np
from pydantic import PlainSerializer, ValidationError
from pydantic.functional_validators import BeforeValidator

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box, Shape, Voxel
from napari_pytc.proofreading.changes import Change, Target
from napari_pytc.proofreading.edits.constraints import Constraint, links_and_paint
from napari_pytc.settings import TaggedSettings

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.paint_document import PaintDocument

_ELSEWHERE = ("napari_pytc.proofreading.edits.split", "napari_pytc.proofreading.edits.shape_edits")
"""Modules that hold edits and are large enough to be loaded with the first use."""


class Edit(Protocol):
    """Something a user does to segments or strokes."""

    @property
    def kind(self) -> str:
        """Its name in the registry and in JSON."""

    @property
    def target(self) -> Target:
        """The kind of document that the edit changes."""

    def plan(self, document: LabelDocument) -> Change:
        """The change that the edit would make, without making it; raises `InvalidEdit` where it is refused."""

    def constraints(self, document: LabelDocument, change: Change) -> list[Constraint]:
        """Constraints of the edit, once it made this change, as of the present document."""


class EditModel(TaggedSettings):
    """Base of all edits.

    A new kind is a subclass with ``kind: Literal["..."] = "..."`` and `plan`; its fields are its JSON.
    """

    noun: ClassVar[str] = "kind of edit"
    target: ClassVar[Target] = "segments"
    links_are_chosen: ClassVar[bool] = False
    """Whether a person chose which segments are joined."""
    voxels_are_chosen: ClassVar[bool] = False
    """Whether a person chose the voxels that change; not so of those that smoothing comes to."""

    def plan(self, document: LabelDocument) -> Change:
        """The change that the edit would make; the document stays as it is.

        Raises
        ------
        InvalidEdit
            If it is refused: why, in one sentence.
        """
        raise NotImplementedError(f"{type(self).__name__} plans no change")

    def constraints(self, document: LabelDocument, change: Change) -> list[Constraint]:
        """Constraints of the edit for training and for another segmentation, once it was made.

        Parameters
        ----------
        document : LabelDocument
            With this edit and all that came after it.
        change : Change
            The change that it made.
        """
        return links_and_paint(change, self.links_are_chosen, self.voxels_are_chosen)

    def to_json(self) -> dict[str, Any]:
        """The edit as `parse_edit` reads it."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"kind": self.kind}


def variants() -> dict[str, type[EditModel]]:
    """All kinds of edit, by name."""
    _load_others()
    return EditModel.variants()


def parse_edit(value: dict[str, Any]) -> EditModel:
    """The edit that a JSON object describes.

    Raises
    ------
    InvalidEdit
        If there is no such kind, or a field is missing or wrong.
    """
    kind = value.get("kind") if isinstance(value, dict) else None
    known = variants()
    if kind not in known:
        raise InvalidEdit(
            f"An edit is an object with a known kind, got {kind!r}.", f"Known are {', '.join(sorted(known))}."
        )
    try:
        return known[kind].model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its fields"
        raise InvalidEdit(f"An edit of kind {kind!r} is wrong at {where}: {first['msg']}.") from error


@cache
def _load_others() -> None:
    for name in _ELSEWHERE:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)


def _read_box(value: Any) -> Any:
    return Box.parse(value) if isinstance(value, str) else value


BoxText = Annotated[Box, BeforeValidator(_read_box), PlainSerializer(str, return_type=str, when_used="json")]
"""A box that is written Z0:Z1,Y0:Y1,X0:X1 in JSON."""


def pack_mask(mask: np.ndarray) -> str:
    """A mask as text: a bit a voxel in C order, deflated, base64."""
    return base64.b64encode(zlib.compress(np.packbits(np.asarray(mask, bool).ravel()).tobytes(), 6)).decode("ascii")


def unpack_mask(text: str, shape: Shape) -> np.ndarray:
    """The mask of this shape that `pack_mask` packed.

    Raises
    ------
    InvalidEdit
        If it is something else.
    """
    n = int(np.prod(shape))
    try:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise InvalidEdit(f"A mask is deflated bits in base64, got something else: {error}.") from error
    if len(bits) != -(-n // 8):
        raise InvalidEdit(f"A mask of shape {shape} has {-(-n // 8)} bytes, got {len(bits)}.")
    return np.unpackbits(bits, count=n).astype(bool).reshape(shape)


def check_box(document: LabelDocument | PaintDocument, box: Box) -> None:
    """Refuse a box that is empty or reaches beyond the volume."""
    volume = Box.of_shape(document.shape)
    if box.is_empty or not volume.contains(box):
        raise InvalidEdit(f"An edit lies within the volume {volume} and holds a voxel, got {box}.")


def check_segment(document: LabelDocument, segment: int) -> None:
    """Refuse a segment that is not there or not shown."""
    if not document.exists(segment):
        raise InvalidEdit(f"There is no segment {segment}.", "Name one that is shown.")
    note = document.note(segment)
    if note is not None and note.deleted:
        raise InvalidEdit(f"Segment {segment} is deleted.", "Restore it first.")


def segments_named(document: LabelDocument, segments: Iterable[int], points: Iterable[Voxel]) -> list[int]:
    """The segments that are named or lie at points, each once, in this order.

    Raises
    ------
    InvalidEdit
        If there is no segment at a point.
    """
    found = dict.fromkeys(segments)
    for point in points:
        segment = document.segment_at(point)
        if segment == 0:
            raise InvalidEdit(f"There is no segment at {point}.", "Click on a segment.")
        found[segment] = None
    return list(found)
