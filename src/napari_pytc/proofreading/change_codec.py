"""Changes as bytes: what the journal keeps of an edit."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.proofreading.changes import Change, Move, Note, SegmentState, Target

_MAGIC = b"C1"
_HEAD = struct.Struct("<2sI")
_LENGTH = struct.Struct("<Q")


def encode_change(change: Change) -> bytes:
    """Moves, notes, patches and ids of a change; its edit, title, box and segments are kept beside it.

    ::

        "C1" | CRC-32 of the rest | n, notes and ids as JSON | n, moves deflated | n, patch | n, patch ...

    Notes and ids are UTF-8; moves are uint32, for each move its three arrays one after the other; a patch is as
    `LabelPatch.to_bytes` makes it. Each n is the number of bytes that follow, uint64; all numbers are little-endian.
    """
    notes = [[note.segment, _state_to_json(note.before), _state_to_json(note.after)] for note in change.notes]
    head: dict[str, Any] = {"next_id": list(change.next_id), "moves": [len(m.supervoxels) for m in change.moves]}
    if notes:
        head["notes"] = notes
    arrays = [array for m in change.moves for array in (m.supervoxels, m.before, m.after)]
    moves = zlib.compress(b"".join(np.asarray(array).astype("<u4").tobytes() for array in arrays), 1)
    parts = [json.dumps(head, separators=(",", ":")).encode(), moves, *(patch.to_bytes() for patch in change.patches)]
    content = b"".join(_LENGTH.pack(len(part)) + part for part in parts)
    return _HEAD.pack(_MAGIC, zlib.crc32(content)) + content


def decode_change(
    data: bytes, edit: dict[str, Any], title: str, box: Box, segments: tuple[int, ...], target: Target
) -> Change:
    """The change that `encode_change` encoded.

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
    return Change(edit, title, box, segments, patches, tuple(moves), notes, next_id, target)


def _state_to_json(state: SegmentState | None) -> dict[str, Any] | None:
    return None if state is None else asdict(state)


def _state_of(value: dict[str, Any] | None) -> SegmentState | None:
    return None if value is None else SegmentState(**value)
