"""Checksums of a document, kept up to date with each change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from napari_pytc.geometry import Shape
from napari_pytc.labels.segmentation import digest_of
from napari_pytc.proofreading.changes import Change, SegmentState

_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_MODULUS = 2**64

Digests = tuple[int, int, int]
"""Digests of voxels, of the table and of the notes, each a sum modulo 2**64, so that order does not matter."""


def digest_of_pairs(ids: np.ndarray, values: np.ndarray) -> int:
    """A sum over pairs (id, value); a value of 0 counts as none."""
    there = np.asarray(values) != 0
    mixed = np.asarray(ids)[there].astype(np.uint64) * _FIRST + np.asarray(values)[there].astype(np.uint64) * _SECOND
    mixed = (mixed ^ (mixed >> np.uint64(31))) * _SECOND
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _FIRST
    return int((mixed ^ (mixed >> np.uint64(32))).sum(dtype=np.uint64))


def digest_of_notes(notes: Iterable[tuple[int, SegmentState | None]]) -> int:
    """A sum over noted segments."""
    found = [(segment, state) for segment, state in notes if state is not None]
    ids = np.array([segment for segment, _ in found], np.uint64)
    values = [1 + 2 * state.locked + 4 * state.deleted + 8 * state.class_id for _, state in found]
    return digest_of_pairs(ids, np.array(values, np.uint64))


def digests_after(digests: Digests, change: Change, shape: Shape) -> Digests:
    """The digests of a document of this shape once a change is made."""
    voxels, table, notes = digests
    for patch in change.patches:
        labels = np.zeros(patch.box.shape, patch.after.dtype)
        for values, sign in ((patch.before, -1), (patch.after, 1)):
            labels[patch.mask] = values
            voxels += sign * digest_of(labels, patch.box.start, shape)
    for move in change.moves:
        table += digest_of_pairs(move.supervoxels, move.after) - digest_of_pairs(move.supervoxels, move.before)
    for note in change.notes:
        notes += digest_of_notes([(note.segment, note.after)]) - digest_of_notes([(note.segment, note.before)])
    return voxels % _MODULUS, table % _MODULUS, notes % _MODULUS


def text_of(digests: Digests, decoded: str) -> str:
    """The checksum of a document as it is stored and printed; `decoded` is that of the segmentation's record."""
    words = [decoded, *(f"{value:016x}" for value in digests)]
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:32]
