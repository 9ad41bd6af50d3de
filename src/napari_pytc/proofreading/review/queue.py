"""The review queue: places to examine, one after the other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_pytc.errors import InvalidEdit
from napari_pytc.proofreading.edits import Merge
from napari_pytc.proofreading.review.ranking import KINDS, ErrorProbability, Kind, Ranking, rank
from napari_pytc.proofreading.review.store import (
    FILE,
    Answer,
    Decision,
    FileReviewStore,
    MemoryReviewStore,
    ReviewStore,
)

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_PACE = 15
"""Number of last answers whose median is the pace."""
_PAUSE_S = 300.0
_EDGES_PER_CHANGE = 20_000
"""Ranking anew costs in proportion to the contacts: it waits for an edit or an answer for every so many of them."""
_LEAST_CHANCE = 0.002
"""Contacts that are less likely to be wrong are not reviewed."""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A place to look at.

    Parameters
    ----------
    kind : str
        Reason: undecided contact, orphan, ends inside volume or unusual shape.
    segments : tuple of int
        The two segments in question, or the one.
    place : tuple of float
        Position in voxels (z, y, x).
    score : float or None
        Probability that the two are one object.
    size : int
        Voxels of the smaller one.
    text : str
        The question for the user.
    supervoxels : tuple of int
        Represent the segments, whose ids may change; 0 as the second where there is one segment.
    share : float
        Share of the smaller one's contact that is with the other, 0 to 1.
    """

    kind: Kind
    segments: tuple[int, ...]
    place: tuple[float, float, float]
    score: float | None
    size: int
    text: str
    supervoxels: tuple[int, int]
    share: float = 1.0


class ReviewQueue:
    """Queue of the places of a segmentation to review, the most useful first; any thread.

    Places of segments that were merged, locked, deleted or left as they are drop out by themselves; those that an undo
    brings back come back. Skipped ones come again when nothing else is left.

    Parameters
    ----------
    store : ReviewStore, optional
        Keeps the answers; by default a file beside the segmentation, or memory where that is read only.
    clock : callable
        Seconds that only grow, to measure the user's pace.
    """

    def __init__(
        self,
        document: LabelDocument,
        store: ReviewStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._document, self._clock = document, clock
        if store is None:
            folder = document.segmentation.folder
            store = FileReviewStore(folder / FILE) if document.writable else MemoryReviewStore()
        self._store = store
        self._lock = threading.RLock()
        self._decisions = store.load()
        self._chance = ErrorProbability()
        for decision in self._decisions:
            self._learn(decision)
        self._pace: deque[float] = deque(maxlen=_PACE)
        self._asked_at: float | None = None
        self._item: ReviewItem | None = None
        self._ranking: Ranking | None = None
        self._ranked_at = -1
        self._open = np.zeros(0, np.int64)
        self._checked_at = (-1, -1)

    @property
    def n_done(self) -> int:
        """Number of places that were decided, now and earlier; a skip decides nothing."""
        with self._lock:
            return sum(decision.answer != "skip" for decision in self._decisions)

    @property
    def n_total(self) -> int:
        """The decided places and those that are left."""
        with self._lock:
            self._refresh()
            return self.n_done + len(self._open)

    @property
    def progress(self) -> float:
        """Share of the places that are decided, 0 to 1."""
        total = self.n_total
        return self.n_done / total if total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds for the remaining places at the pace of the last answers; None before the third."""
        with self._lock:
            if len(self._pace) < 3:
                return None
            self._refresh()
            return median(self._pace) * len(self._open)

    def next(self) -> ReviewItem | None:
        """The place to look at: the same until it is decided or settled by an edit; None when nothing is left."""
        with self._lock:
            self._refresh()
            if self._item is not None and self._still_open(self._item):
                return self._item
            self._item = self._at(int(self._open[0])) if len(self._open) else None
            if self._asked_at is None and self._item is not None:
                self._asked_at = self._clock()
            return self._item

    def accept(self, decision: Literal["merge", "leave"]) -> Merge | None:
        """Decide the place that is looked at.

        Returns
        -------
        Merge, optional
            The edit to apply when it is a merge. The place drops out when it is applied, and not before.

        Raises
        ------
        InvalidEdit
            If nothing is looked at, or one segment alone is to be merged.
        """
        with self._lock:
            item = self.next()
            if item is None:
                raise InvalidEdit("Nothing is left to review.")
            if decision == "merge" and len(item.segments) < 2:
                raise InvalidEdit(
                    f"Segment {item.segments[0]} is looked at alone: there is nothing to merge it with.",
                    "Leave it, or cut it and go on.",
                )
            self._note(item, decision)
            return Merge(segments=item.segments) if decision == "merge" else None

    def skip(self) -> None:
        """Look at it again when nothing else is left."""
        with self._lock:
            item = self.next()
            if item is not None:
                self._note(item, "skip")

    def _note(self, item: ReviewItem, answer: Answer) -> None:
        score = -1.0 if item.score is None else item.score
        decision = Decision(*item.supervoxels, answer, score, item.share)
        self._store.add(decision)
        self._decisions.append(decision)
        self._learn(decision)
        now = self._clock()
        if self._asked_at is not None and now - self._asked_at < _PAUSE_S:
            self._pace.append(now - self._asked_at)
        self._asked_at = now
        if answer != "merge":
            self._item = None

    def _learn(self, decision: Decision) -> None:
        if decision.answer != "skip" and decision.score >= 0:
            self._chance.learn(decision.score, decision.share, decision.answer == "merge")

    def _refresh(self) -> None:
        """Bring ranking and open places up to date with edits and answers."""
        document = self._document
        # Edits change the contacts, answers change their probabilities.
        changes = document.revision + len(self._decisions)
        if self._ranking is None or changes - self._ranked_at > len(document.graph) // _EDGES_PER_CHANGE:
            self._ranking = rank(document, self._chance)
            self._ranked_at = changes
            self._checked_at = (-1, -1)
        now = (document.revision, len(self._decisions))
        if now != self._checked_at:
            self._open = self._find_open(self._ranking)
            self._checked_at = now

    def _find_open(self, ranking: Ranking) -> np.ndarray:
        """Rows of the ranking that are still to be decided, in order; the skipped ones last."""
        document = self._document
        first, second = document.lookup(ranking.first), document.lookup(ranking.second)
        alone = ranking.second == 0
        is_open = (first > 0) & (alone | ((second > 0) & (first != second)))
        is_open &= alone | (ranking.chances >= _LEAST_CHANCE)
        locked = [segment for segment in document.noted_segments() if document.is_locked(segment)]
        if locked:
            is_open &= ~(np.isin(first, locked) | np.isin(second, locked))
        keys = _keys(first, second)
        is_open &= ~np.isin(keys, self._decided("leave"))
        skipped = np.isin(keys, self._decided("skip"))
        return np.concatenate([np.flatnonzero(is_open & ~skipped), np.flatnonzero(is_open & skipped)])

    def _decided(self, answer: Answer) -> np.ndarray:
        """Present pairs of segments whose places got this answer."""
        chosen = [(d.first, d.second) for d in self._decisions if d.answer == answer]
        pairs = self._document.lookup(np.array(chosen, np.uint32).reshape(-1, 2))
        return _keys(pairs[:, 0], pairs[:, 1])

    def _still_open(self, item: ReviewItem) -> bool:
        segments = self._segments_of(item.supervoxels)
        return segments == item.segments and not any(map(self._document.is_locked, segments))

    def _segments_of(self, supervoxels: tuple[int, int]) -> tuple[int, ...]:
        """The segments that supervoxels stand for, each once; none that is gone."""
        found = self._document.lookup(np.array(supervoxels, np.uint32)).tolist()
        return tuple(dict.fromkeys(segment for segment in found if segment))

    def _at(self, row: int) -> ReviewItem:
        ranking = self._ranking
        assert ranking is not None
        supervoxels = (int(ranking.first[row]), int(ranking.second[row]))
        segments = self._segments_of(supervoxels)
        kind = KINDS[int(ranking.kinds[row])]
        z, y, x = ranking.places[row].tolist()
        score = None if supervoxels[1] == 0 else float(ranking.scores[row])
        share = float(ranking.shares[row])
        text = _text(kind, segments, score)
        return ReviewItem(kind, segments, (z, y, x), score, int(ranking.sizes[row]), text, supervoxels, share)


def _keys(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Each pair of segments as one number, whatever their order."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    return (low.astype(np.uint64) << np.uint64(32)) | high.astype(np.uint64)


def _text(kind: Kind, segments: tuple[int, ...], score: float | None) -> str:
    if score is None or len(segments) < 2:
        return f"Segment {segments[0]} has an unusual shape: is it one object?"
    why = {
        "undecided contact": "touch",
        "orphan": "touch, and the smaller one is a small piece inside the volume",
        "ends inside volume": "touch, and the smaller one ends inside the volume",
    }.get(kind, "touch")
    return (
        f"Segments {segments[0]} and {segments[1]} {why}: are they one object? ({100 * score:.0f} % sure that they are)"
    )
