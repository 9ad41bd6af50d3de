"""Changes that edits make, as frozen values with an inverse and a byte encoding, independent of the edit."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch

_MAGIC = b"C1"
_HEAD = struct.Struct("<2sI")
_LENGTH = struct.Struct("<Q")

Target = Literal["segments", "annotations", "objects"]
"""Target of a patch: the supervoxels of a segmentation, the strokes, or the object labels."""


@dataclass(frozen=True, slots=True)
class SegmentState:
    """State of a segment besides its voxels.

    Parameters
    ----------
    locked : bool
        Done: edits that would change it are refused.
    deleted : bool
        Its voxels are shown and exported as background; they are all still there.
    class_id : int
        Semantic class, 0 for none.
    """

    locked: bool = False
    deleted: bool = False
    class_id: int = 0


@dataclass(frozen=True, eq=False)
class Move:
    """Supervoxels that change their segment; three uint32 arrays of one length. Segment 0 holds no supervoxel."""

    supervoxels: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def inverse(self) -> Move:
        """The inverse, which undoes it."""
        return Move(self.supervoxels, self.after, self.before)


@dataclass(frozen=True, slots=True)
class Note:
    """A segment whose state changes; None where it is a segment that nothing was noted of."""

    segment: int
    before: SegmentState | None
    after: SegmentState | None

    def inverse(self) -> Note:
        """The inverse, which undoes it."""
        return Note(self.segment, self.after, self.before)


@dataclass(frozen=True, eq=False)
class Change:
    """Everything an edit changes, in absolute terms, so that doing it twice is the same as once.

    Parameters
    ----------
    edit : dict
        The edit as JSON, with its ``kind``.
    title : str
        One line for people, as "Merge 12 into 7".
    box : Box
        Box that has to be drawn anew, and to which a click on the journal's entry moves the view.
    segments : tuple of int
        The segments it touches, those that appear included.
    next_id : tuple of int
        The first id that is free, before and after; supervoxels and segments share one count, and no id is used twice.
    """

    edit: dict[str, Any]
    title: str
    box: Box
    segments: tuple[int, ...] = ()
    patches: tuple[LabelPatch, ...] = ()
    moves: tuple[Move, ...] = ()
    notes: tuple[Note, ...] = ()
    next_id: tuple[int, int] = (0, 0)
    target: Target = "segments"

    def inverse(self) -> Change:
        """The change that undoes this one, its steps in reverse order."""
        return replace(
            self,
            patches=tuple(patch.inverse() for patch in reversed(self.patches)),
            moves=tuple(move.inverse() for move in reversed(self.moves)),
            notes=tuple(note.inverse() for note in reversed(self.notes)),
            next_id=(self.next_id[1], self.next_id[0]),
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on what the edit assumed, as of the place of labels."""
        return tuple(self.edit.get("notes", ()))

    @property
    def n_voxels(self) -> int:
        """Number of voxels that are rewritten; a merge rewrites none."""
        return sum(patch.n_voxels for patch in self.patches)

    def to_bytes(self) -> bytes:
        """Moves, notes, patches and ids; edit, title, box and segments are kept beside them.

        ::

            "C1" | CRC-32 of the rest | n, notes and ids as JSON | n, moves deflated | n, patch | n, patch ...

        Notes and ids are UTF-8; moves are uint32, for each move its three arrays one after the other; a patch is of
        `LabelPatch.to_bytes`. Each n is the number of bytes that follow, uint64; all numbers are little-endian.
        """
        notes = [[note.segment, _state_to_json(note.before), _state_to_json(note.after)] for note in self.notes]
        head: dict[str, Any] = {"next_id": list(self.next_id), "moves": [len(m.supervoxels) for m in self.moves]}
        if notes:
            head["notes"] = notes
        arrays = [array for m in self.moves for array in (m.supervoxels, m.before, m.after)]
        moves = zlib.compress(b"".join(np.asarray(array).astype("<u4").tobytes() for array in arrays), 1)
        parts = [json.dumps(head, separators=(",", ":")).encode(), moves, *(patch.to_bytes() for patch in self.patches)]
        content = b"".join(_LENGTH.pack(len(part)) + part for part in parts)
        return _HEAD.pack(_MAGIC, zlib.crc32(content)) + content

    @classmethod
    def from_bytes(
        cls, data: bytes, edit: dict[str, Any], title: str, box: Box, segments: tuple[int, ...], target: Target
    ) -> Change:
        """The change that `to_bytes` encoded.

        Raises
        ------
        ProjectError
            If the bytes are damaged.
        """
        try:
            magic, checksum = _HEAD.unpack_from(data)
            content = data[_HEAD.size :]
            if magic != _MAGIC or zlib.crc32(content) != checksum:
                raise ValueError("its bytes are not those that were written")
            parts, at = [], 0
            while at < len(content):
                (n,) = _LENGTH.unpack_from(content, at)
                parts.append(content[at + _LENGTH.size : at + _LENGTH.size + n])
                at += _LENGTH.size + n
            head = json.loads(parts[0])
            numbers = np.frombuffer(zlib.decompress(parts[1]), "<u4").astype(np.uint32)
            moves, at = [], 0
            for n in head["moves"]:
                moves.append(Move(numbers[at : at + n], numbers[at + n : at + 2 * n], numbers[at + 2 * n : at + 3 * n]))
                at += 3 * n
            notes = tuple(Note(k, _state_of(before), _state_of(after)) for k, before, after in head.get("notes", []))
            patches = tuple(LabelPatch.from_bytes(part) for part in parts[2:])
            next_id = (int(head["next_id"][0]), int(head["next_id"][1]))
        except (struct.error, zlib.error, ValueError, KeyError, IndexError, TypeError, InvalidInput) as error:
            raise ProjectError(f"The change {title!r} in the journal is damaged: {error}.", "") from error
        return cls(edit, title, box, segments, patches, tuple(moves), notes, next_id, target)


def _state_to_json(state: SegmentState | None) -> dict[str, Any] | None:
    return None if state is None else asdict(state)


def _state_of(value: dict[str, Any] | None) -> SegmentState | None:
    return None if value is None else SegmentState(**value)
