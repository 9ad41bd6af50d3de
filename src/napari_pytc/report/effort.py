"""Effort of annotation and proofreading, from the journal: entries, voxels and minutes of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from napari_pytc.proofreading.journal.journal_file import Entry

PAUSE_S = 120.0
"""A longer gap between two acts is a pause."""
FIRST_S = 5.0
"""Assumed length of the first act after a pause."""
_STROKES = ("annotations", "objects")


def active_minutes(times: Iterable[float], pause_s: float = PAUSE_S, first_s: float = FIRST_S) -> float:
    """Minutes of work: gaps between acts that are no pauses, and a few seconds for the first act after each pause.

    Parameters
    ----------
    times : iterable of float
        End of each act, seconds since the epoch, in any order.
    """
    ordered = sorted(times)
    gaps = [b - a for a, b in pairwise(ordered)]
    n_first = bool(ordered) + sum(gap > pause_s for gap in gaps)
    return (n_first * first_s + sum(gap for gap in gaps if gap <= pause_s)) / 60


def effort_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """Strokes, edits and minutes of a journal; undone entries count for the minutes alone."""
    painted = [entry for entry in entries if entry.target in _STROKES and not entry.title.startswith("Import")]
    imported = [entry for entry in entries if entry.target in _STROKES and entry.title.startswith("Import")]
    edited = [entry for entry in entries if entry.target not in _STROKES and entry.kind != "switch"]
    times = [entry.time for entry in entries]
    return {
        "n_strokes": sum(not entry.is_undone for entry in painted),
        "n_imports": sum(not entry.is_undone for entry in imported),
        "n_edits": sum(not entry.is_undone for entry in edited),
        "n_taken_back": sum(entry.is_undone for entry in entries),
        "minutes_painting": active_minutes(entry.time for entry in painted),
        "minutes_proofreading": active_minutes(entry.time for entry in edited),
        "first": _date(min(times)) if times else None,
        "last": _date(max(times)) if times else None,
    }


def edits_by_kind(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """For each kind of edit the number in effect, the number undone, and the voxels changed."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        row = found.setdefault(entry.kind, {"kind": entry.kind, "n": 0, "n_taken_back": 0, "n_voxels": 0})
        if entry.is_undone:
            row["n_taken_back"] += 1
        else:
            row["n"] += 1
            row["n_voxels"] += entry.n_voxels
    return sorted(found.values(), key=lambda row: -row["n"])


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
