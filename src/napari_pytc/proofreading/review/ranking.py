"""Ranking of all contacts and segments by the expected gain of a look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

Kind = Literal["undecided contact", "orphan", "ends inside volume", "unusual shape"]
KINDS: tuple[Kind, ...] = ("undecided contact", "orphan", "ends inside volume", "unusual shape")
"""Kinds of candidates, in the order in which they are offered."""
CONTACT, ORPHAN, END, SHAPE = range(4)

_ORPHAN_SHARE = 0.1
"""Quantile of all segments' sizes, weighted by size, up to which a segment wholly inside the volume is small."""
_ODD = 3.0
"""Deviations from the usual from which on a shape is unusual."""
_ODD_CHANCE = 0.02


@dataclass(frozen=True, eq=False)
class Ranking:
    """Places to look at, the most useful first; arrays of one length.

    Parameters
    ----------
    kinds : ndarray of uint8
        Index into `KINDS`.
    first, second : ndarray of uint32
        Supervoxels that stand for the two segments; 0 as the second where one segment is looked at alone.
    scores : ndarray of float32
        Probability that the two are one object; nan where there is one.
    sizes : ndarray of int64
        Voxels of the smaller segment.
    places : ndarray of float32, shape (n, 3)
        Positions in voxels (z, y, x).
    shares : ndarray of float32
        Share of this contact in all contact of the smaller segment, 0 to 1.
    chances : ndarray of float64
        That something is wrong.
    values : ndarray of float64
        Expected gain of a look; descending.
    """

    kinds: np.ndarray
    first: np.ndarray
    second: np.ndarray
    scores: np.ndarray
    sizes: np.ndarray
    places: np.ndarray
    shares: np.ndarray
    chances: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, eq=False)
class _Segments:
    """Segments that can be edited: ids ascending, voxels, boxes (n, 6), largest supervoxels; `rank` finds them."""

    owners: np.ndarray
    ids: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    largest: np.ndarray

    def rank(self, segments: np.ndarray) -> np.ndarray:
        """Row of each segment; -1 for those that cannot be edited."""
        if not len(self.ids):
            return np.full(len(segments), -1)
        at = np.minimum(np.searchsorted(self.ids, segments), len(self.ids) - 1)
        return np.where(self.ids[at] == segments, at, -1)


def rank(document: LabelDocument, chance: ErrorProbability | None = None) -> Ranking:
    """Rank all contacts between segments that are neither locked nor deleted, and all of them whose shape is unusual.

    A contact is worth as much as a merge would mend, times the chance that it is one: what a merge mends is the
    information that a voxel's segment gains about its object, which grows with the smaller side above all. Contacts are
    those of the supervoxels as decoded; all contacts of two segments are one place.
    """
    segments = _segments(document)
    contacts = _contacts(document, segments, chance or ErrorProbability())
    shapes = _shapes(document, segments)
    columns = [np.concatenate(pair) for pair in zip(contacts, shapes, strict=True)]
    order = np.argsort(-columns[-1], kind="stable")
    return Ranking(*(column[order] for column in columns))


class ErrorProbability:
    """Chance that a contact is a wrong cut, from its score and from its share in the smaller segment's contact.

    A logistic curve to begin with, measured once on Gala's supervoxels of fly brain (medulla, sections 0 to 109) scored
    on ridges of the raw image. Answers are counted in bins of its chances and correct it: it counts as `_WEIGHT`
    answers itself, and neighbouring bins lend a part of theirs.
    """

    _SCORE, _SHARE, _MIDDLE = 13.0, 3.6, 0.62
    _N_BINS, _WEIGHT, _LENT = 20, 6.0, 0.5

    def __init__(self) -> None:
        self._merged, self._asked = np.zeros(self._N_BINS), np.zeros(self._N_BINS)

    def learn(self, score: float, share: float, merged: bool) -> None:
        """Take an answer into account."""
        here = int(self._bins(self._prior(np.array([score]), np.array([share])))[0])
        for k, part in ((here, 1.0), (here - 1, self._LENT), (here + 1, self._LENT)):
            if 0 <= k < self._N_BINS:
                self._asked[k] += part
                self._merged[k] += part * merged

    def of(self, scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The chance for each contact, by its score and its share."""
        prior = self._prior(scores, shares)
        bins = self._bins(prior)
        return np.asarray((self._merged[bins] + self._WEIGHT * prior) / (self._asked[bins] + self._WEIGHT))

    def _prior(self, scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return _logistic(
            self._SCORE * (np.asarray(scores, float) - self._MIDDLE) + self._SHARE * (np.asarray(shares, float) - 0.1)
        )

    def _bins(self, chances: np.ndarray) -> np.ndarray:
        return np.minimum((chances * self._N_BINS).astype(int), self._N_BINS - 1)


def _logistic(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))))


def information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits times voxels that are gained when parts of so many voxels of one object become one segment."""
    return np.asarray((a + b) * np.log2(a + b) - a * np.log2(a) - b * np.log2(b))


def _segments(document: LabelDocument) -> _Segments:
    supervoxels = np.arange(document.next_id, dtype=np.uint32)
    owners, sizes = document.lookup(supervoxels), document.sizes(supervoxels)
    locked = [segment for segment in document.noted_segments() if document.is_locked(segment)]
    alive = (owners > 0) & (sizes > 0) & ~np.isin(owners, np.array(locked, np.uint32))
    mine = supervoxels[alive]
    order = np.lexsort((sizes[mine], owners[mine]))
    mine = mine[order]
    ids, starts = np.unique(owners[mine], return_index=True)
    if not len(ids):
        return _Segments(owners, ids, np.zeros(0, np.int64), np.zeros((0, 6), np.int32), mine)
    boxes = document.boxes(mine)
    hulls = np.concatenate(
        [np.minimum.reduceat(boxes[:, :3], starts), np.maximum.reduceat(boxes[:, 3:], starts)], axis=1
    )
    ends = np.append(starts[1:], len(mine)) - 1
    return _Segments(owners, ids, np.add.reduceat(sizes[mine], starts), hulls, mine[ends])


def _contacts(document: LabelDocument, segments: _Segments, chance: ErrorProbability) -> tuple[np.ndarray, ...]:
    graph = document.graph
    edges = np.asarray(graph.edges)
    # Of each supervoxel once: there are several times as many ends of contacts.
    rows = segments.rank(segments.owners)
    first, second = rows[edges[:, 0]], rows[edges[:, 1]]
    between = np.flatnonzero((first != second) & (first >= 0) & (second >= 0))
    first, second = first[between], second[between]
    keys = np.minimum(first, second) * (len(segments.ids) + 1) + np.maximum(first, second)
    if (keys[1:] < keys[:-1]).any():  # edges are sorted, so before the first merges the keys are
        order = np.argsort(keys, kind="stable")
        between, keys = between[order], keys[order]
    faces = np.asarray(graph.contacts)[between].astype(float)
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, int)
    if not len(starts):
        return _none()
    total = np.add.reduceat(faces, starts)
    scores = np.add.reduceat(faces * np.asarray(graph.scores)[between], starts) / total
    shown = between[_largest(faces, starts)]
    pairs = np.stack(np.divmod(keys[starts], len(segments.ids) + 1), axis=1)
    sizes = segments.sizes[pairs]
    small = np.where(sizes[:, 0] <= sizes[:, 1], pairs[:, 0], pairs[:, 1])
    inside = _lies_inside(document, segments)
    kinds = np.full(len(starts), CONTACT, np.uint8)
    kinds[inside[small]] = END
    kinds[inside[small] & (segments.sizes[small] < _orphan_size(segments.sizes))] = ORPHAN
    around = np.bincount(pairs.ravel(), np.repeat(total, 2), len(segments.ids))
    shares = total / around[small]
    chances = chance.of(scores, shares)
    values = chances * information(sizes[:, 0].astype(float), sizes[:, 1].astype(float))
    return (
        kinds,
        edges[shown, 0],
        edges[shown, 1],
        scores.astype(np.float32),
        sizes.min(axis=1),
        np.asarray(graph.places)[shown].astype(np.float32),
        shares.astype(np.float32),
        chances,
        values,
    )


def _largest(faces: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The row of the largest contact of each two segments, which stands for all of them; of equal ones the last."""
    largest = np.repeat(np.maximum.reduceat(faces, starts), np.diff(np.append(starts, len(faces))))
    rows = np.where(faces == largest, np.arange(len(faces)), -1)
    return np.asarray(np.maximum.reduceat(rows, starts))


def _shapes(document: LabelDocument, segments: _Segments) -> tuple[np.ndarray, ...]:
    """Segments that fill much less of their box than others of their size do, as false merges often do."""
    sizes = segments.sizes.astype(float)
    large = np.flatnonzero(sizes >= np.median(sizes)) if len(sizes) >= 20 else np.zeros(0, int)
    if not len(large):
        return _none()
    lengths = (segments.boxes[large, 3:] - segments.boxes[large, :3]).astype(float)
    spread, extent = np.log(lengths.prod(axis=1) / sizes[large]), np.log(sizes[large])
    slope = np.cov(spread, extent)[0, 1] / max(float(extent.var()), 1e-9)
    rest = spread - spread.mean() - slope * (extent - extent.mean())
    deviation = 1.4826 * np.median(np.abs(rest - np.median(rest)))
    oddness = (rest - np.median(rest)) / max(float(deviation), 1e-6)
    odd = large[oddness > _ODD]
    n = len(odd)
    places = (segments.boxes[odd, :3] + segments.boxes[odd, 3:] - 1) / 2
    half = sizes[odd] / 2
    return (
        np.full(n, SHAPE, np.uint8),
        segments.largest[odd],
        np.zeros(n, np.uint32),
        np.full(n, np.nan, np.float32),
        segments.sizes[odd],
        places.astype(np.float32),
        np.ones(n, np.float32),
        np.full(n, _ODD_CHANCE),
        _ODD_CHANCE * information(half, half),
    )


def _lies_inside(document: LabelDocument, segments: _Segments) -> np.ndarray:
    """Mask of the segments that touch no face of the volume; an axis of length 1 has no faces."""
    shape = np.array(document.shape)
    flat = shape == 1
    return np.asarray((((segments.boxes[:, :3] > 0) & (segments.boxes[:, 3:] < shape)) | flat).all(axis=1))


def _orphan_size(sizes: np.ndarray) -> int:
    """Segments below this size hold a tenth of all voxels."""
    ordered = np.sort(sizes)
    return int(ordered[np.searchsorted(np.cumsum(ordered), _ORPHAN_SHARE * ordered.sum())]) if len(sizes) else 0


def _none() -> tuple[np.ndarray, ...]:
    return (
        np.zeros(0, np.uint8),
        np.zeros(0, np.uint32),
        np.zeros(0, np.uint32),
        np.zeros(0, np.float32),
        np.zeros(0, np.int64),
        np.zeros((0, 3), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0),
        np.zeros(0),
    )
