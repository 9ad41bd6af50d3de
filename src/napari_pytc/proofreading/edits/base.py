"""What every edit is: a frozen value, known by its kind, that plans a change and makes none."""

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
from napari_pytc.geometry import Box, Shape
from napari_pytc.proofreading.changes import Change, Target
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_ELSEWHERE = ("napari_pytc.proofreading.split", "napari_pytc.proofreading.voxel_edits")
"""Modules that hold edits and are large enough to be loaded when one is asked for."""


class Edit(Protocol):
    """Something a user does to segments or strokes."""

    @property
    def kind(self) -> str:
        """Its name in the registry and in JSON."""

    @property
    def target(self) -> Target:
        """What it changes."""

    def plan(self, document: LabelDocument) -> Change:
        """What it would change; raises `InvalidEdit` where it is refused, and changes nothing."""


class EditModel(Settings):
    """Base of all edits.

    A new kind is a subclass with ``kind: Literal["..."] = "..."`` and `plan`; its fields are its JSON.
    """

    kind: str
    target: ClassVar[Target] = "segments"
    kinds: ClassVar[dict[str, type[EditModel]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str):
            EditModel.kinds[kind] = cls

    def plan(self, document: LabelDocument) -> Change:
        """What the edit would change; the document stays as it is.

        Raises
        ------
        InvalidEdit
            If it is refused: why, in one sentence.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it changes")

    def to_json(self) -> dict[str, Any]:
        """The edit as `parse_edit` reads it."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"kind": self.kind}


def variants() -> dict[str, type[EditModel]]:
    """All kinds of edit, by name."""
    _load_others()
    return dict(EditModel.kinds)


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

Point = tuple[int, int, int]
"""A voxel (z, y, x)."""


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


def check_box(document: LabelDocument, box: Box) -> None:
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


def segments_named(document: LabelDocument, segments: Iterable[int], points: Iterable[Point]) -> list[int]:
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


def listed(segments: Iterable[int], most: int = 4) -> str:
    """Segments in a title: the first few, and how many more."""
    ids = list(segments)
    shown = ", ".join(map(str, ids[:most]))
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"
