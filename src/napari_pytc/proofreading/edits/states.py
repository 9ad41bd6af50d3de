"""Edits of the state of segments: deleted, locked, their class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from napari_pytc.errors import InvalidEdit, listed
from napari_pytc.geometry import Voxel
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import Change, SegmentState
from napari_pytc.proofreading.edits.base import EditModel, check_segment, segments_named
from napari_pytc.proofreading.edits.constraints import Constraint, DenseTruth, HasClass, NoObject

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


class StateEdit(EditModel):
    """Base of the edits that change the state of segments; segments already in that state are passed over."""

    kind: str
    verb: ClassVar[str] = ""
    holds_already: ClassVar[str] = ""
    segments: tuple[int, ...] = Field((), description="Segments by id.")
    points: tuple[Voxel, ...] = Field((), description="Voxels (z, y, x), each in a segment.")

    def plan(self, document: LabelDocument) -> Change:
        """Note the new state of each."""
        segments = segments_named(document, self.segments, self.points)
        if not segments:
            raise InvalidEdit(f"{self.verb} needs a segment, got none.", "Click on one.")
        former = {}
        for segment in segments:
            self._check(document, segment)
            former[segment] = document.state(segment)
        changing = [segment for segment, state in former.items() if self._after(state) != state]
        if not changing:
            are = "is" if len(segments) == 1 else "are"
            raise InvalidEdit(f"{_subject(segments)} {are} {self.holds_already} already.")
        builder = ChangeBuilder(document, self.to_json(), self._title(changing))
        for segment in changing:
            builder.note(segment, self._after(former[segment]))
        return builder.build()

    def _after(self, state: SegmentState) -> SegmentState:
        raise NotImplementedError(f"{type(self).__name__} has no state to note")

    def _check(self, document: LabelDocument, segment: int) -> None:
        check_segment(document, segment)

    def _title(self, segments: list[int]) -> str:
        return f"{self.verb} {listed(segments)}"


class Delete(StateEdit):
    """Segments are shown and exported as background; their voxels stay and can be restored."""

    kind: Literal["delete"] = "delete"
    verb: ClassVar[str] = "Delete"
    holds_already: ClassVar[str] = "deleted"

    def constraints(self, document: LabelDocument, change: Change) -> list[Constraint]:
        """No object is where segments are still deleted."""
        segments = _still_so(document, change, "deleted")
        return [NoObject(segments)] if segments else []

    def _after(self, state: SegmentState) -> SegmentState:
        return replace(state, deleted=True)


class Restore(StateEdit):
    """Deleted segments are shown again."""

    kind: Literal["restore"] = "restore"
    verb: ClassVar[str] = "Restore"
    holds_already: ClassVar[str] = "shown"

    def _check(self, document: LabelDocument, segment: int) -> None:
        if not document.exists(segment):
            raise InvalidEdit(f"There is no segment {segment}.", "Name one that was deleted.")

    def _after(self, state: SegmentState) -> SegmentState:
        return replace(state, deleted=False)


class Lock(StateEdit):
    """Segments are done: edits that would change them are refused."""

    kind: Literal["lock"] = "lock"
    verb: ClassVar[str] = "Lock"
    holds_already: ClassVar[str] = "locked"

    def constraints(self, document: LabelDocument, change: Change) -> list[Constraint]:
        """Segments that are still locked are known to the last voxel."""
        segments = _still_so(document, change, "locked")
        return [DenseTruth(segments)] if segments else []

    def _after(self, state: SegmentState) -> SegmentState:
        return replace(state, locked=True)


class Unlock(StateEdit):
    """Locked segments can be changed again."""

    kind: Literal["unlock"] = "unlock"
    verb: ClassVar[str] = "Unlock"
    holds_already: ClassVar[str] = "unlocked"

    def _after(self, state: SegmentState) -> SegmentState:
        return replace(state, locked=False)


class SetClass(StateEdit):
    """Segments get a semantic class."""

    kind: Literal["set_class"] = "set_class"
    verb: ClassVar[str] = "Set the class of"
    holds_already: ClassVar[str] = "of this class"
    class_id: int = Field(description="The class, from 1; 0 for none.", ge=0, le=255)

    def plan(self, document: LabelDocument) -> Change:
        """Note the class of each."""
        n = len(document.class_names)
        if n and self.class_id > n:
            raise InvalidEdit(f"There is no class {self.class_id}, but 1 to {n}, and 0 for none.")
        return super().plan(document)

    def constraints(self, document: LabelDocument, change: Change) -> list[Constraint]:
        """Segments that still have the class are of it."""
        segments = _still_so(document, change, "class_id")
        return [HasClass(segments, self.class_id)] if segments else []

    def _after(self, state: SegmentState) -> SegmentState:
        return replace(state, class_id=self.class_id)

    def _title(self, segments: list[int]) -> str:
        return f"{self.verb} {listed(segments)} to {self.class_id or 'none'}"


def _still_so(document: LabelDocument, change: Change, field: str) -> tuple[int, ...]:
    """Segments that still have the state that a change noted."""
    found = []
    for note in change.notes:
        state = document.note(note.segment)
        if state is not None and note.after is not None and getattr(state, field) == getattr(note.after, field):
            found.append(note.segment)
    return tuple(found)


def _subject(segments: list[int]) -> str:
    return f"Segment{'s' if len(segments) > 1 else ''} {listed(segments)}"
