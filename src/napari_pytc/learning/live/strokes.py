"""The strokes as they are now: which are learnt, and which are kept to score by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cc3d
import numpy as np

from napari_pytc.annotations.source import AnnotatedBox
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import Box, Shape

_ONE_IN = 5
_MOST_KEPT = 8
"""Strokes of a class that are kept to score by; more would only keep the models from learning."""
_LEAST_LEARNT = 2
_FEW_STROKES = 8
"""More at once were imported or pasted, and change what is learnt too much to go on from it."""
_DENSE = 5000
"""Voxels of one piece beyond which it is no stroke but a dense annotation, and is kept or learnt chunk by chunk."""

Anchor = tuple[int, int, int, int]
"""Class and voxel (z, y, x) that name a kept stroke."""


@dataclass
class Page:
    """The annotated voxels of a chunk.

    Parameters
    ----------
    box : Box
        The chunk.
    flat : ndarray
        (n,) int64, places in the chunk in growing order.
    classes : ndarray
        (n,) uint8, from 1.
    kept : ndarray
        (n,) bool, whether a voxel is kept to score by.
    is_held_out : ndarray
        (n,) bool, whether it lies in a held-out box; then it is kept, too.
    changed : float
        When the chunk was last written.
    version : object
        Differs when it was written again.
    learnt_before : ndarray
        Places that were learnt at any time.
    tally : ndarray
        (n_classes, 2), strokes that are learnt and that are kept.
    """

    box: Box
    flat: np.ndarray
    classes: np.ndarray
    kept: np.ndarray
    is_held_out: np.ndarray
    changed: float
    version: object = None
    learnt_before: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    tally: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    @cached_property
    def digest(self) -> bytes:
        """Differs where other voxels or other classes are annotated."""
        return hashlib.blake2b(self.flat.tobytes() + self.classes.tobytes(), digest_size=16).digest()

    def where(self, chosen: np.ndarray) -> np.ndarray:
        """Places (n, 3) in the volume of some voxels."""
        return np.stack(np.unravel_index(self.flat[chosen], self.box.shape), axis=1) + np.array(self.box.start)


@dataclass(frozen=True)
class Painted:
    """The strokes as they were at one moment.

    Parameters
    ----------
    pages : dict
        The chunks that hold any.
    n_each : ndarray
        Strokes of every class.
    """

    pages: dict[Box, Page]
    n_each: np.ndarray

    @property
    def n_strokes(self) -> int:
        """Strokes of all classes."""
        return int(self.n_each.sum())

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that were painted, from 0."""
        return tuple(np.flatnonzero(self.n_each).tolist())

    @property
    def digest(self) -> str:
        """The same for the same strokes."""
        found = hashlib.blake2b(digest_size=16)
        for box, page in sorted(self.pages.items(), key=lambda item: item[0].start):
            found.update(str(box).encode() + page.digest)
        return found.hexdigest()

    def has_each(self, least: int) -> bool:
        """Whether there are so many strokes of every class that was painted."""
        return bool((self.n_each[self.n_each > 0] >= least).all()) and self.n_strokes > 0

    def adds_few(self, before: Painted) -> bool:
        """Whether all there is since are a few strokes more, of no other classes."""
        return self.n_strokes - before.n_strokes <= _FEW_STROKES and self.goes_on_from(before)

    def goes_on_from(self, before: Painted) -> bool:
        """Whether nothing was erased since, and no class is new."""
        return self.classes == before.classes and not self.takes_back(before)

    def takes_back(self, before: Painted) -> bool:
        """Whether anything that was annotated before is erased or of another class now."""
        for box, old in before.pages.items():
            new = self.pages.get(box)
            if new is old or not len(old.flat):
                continue
            if new is None or not len(new.flat):
                return True
            at = np.minimum(np.searchsorted(new.flat, old.flat), len(new.flat) - 1)
            if ((new.flat[at] != old.flat) | (new.classes[at] != old.classes)).any():
                return True
        return False


class StrokeBook:
    """Annotated voxels, each to be learnt or kept to score by.

    Where held-out boxes hold strokes, those are scored and all others learnt. Otherwise about a fifth of the strokes
    (connected voxels of a class) is kept, chosen by a hash of where they begin, at most eight of a class; the first two
    of a class are always learnt. What was learnt once is never kept afterwards, whatever is painted around it, since a
    score on it would be no score.

    Parameters
    ----------
    store : AnnotationStore
        Read when its revision has grown, and of it only the chunks that changed.
    anchors : sequence of Anchor, optional
        Kept strokes of the session that this one goes on from; all others have been learnt.
    """

    def __init__(
        self,
        store: AnnotationStore,
        n_classes: int,
        held_out: Sequence[Box],
        anchors: Sequence[Anchor] | None = None,
    ) -> None:
        self._store, self._n_classes, self._held_out = store, n_classes, tuple(held_out)
        self._anchors = None if anchors is None else set(anchors)
        self.revision = -1
        self.pages: dict[Box, Page] = {}

    def refresh(self) -> bool:
        """Look at what changed since the last time; whether anything did."""
        revision = self._store.revision  # before: what is written meanwhile is found by the next look
        if revision == self.revision:
            return False
        before, self.pages = self.pages, {}
        fresh: list[Page] = []
        for chunk in self._store.chunks():
            page = before.get(chunk.box)
            if page is None or page.version != chunk.version:
                page = self._read(chunk.box, chunk.changed, chunk.version, page)
                fresh.append(page)
            self.pages[chunk.box] = page
        self._assign(fresh)
        self.revision = revision
        return True

    @property
    def counts(self) -> np.ndarray:
        """Voxels to learn of each class."""
        return sum((_counts(p.classes[~p.kept], self._n_classes) for p in self.pages.values()), self._none())

    @property
    def kept_counts(self) -> np.ndarray:
        """Voxels of each class to score by."""
        return sum((_counts(p.classes[p.kept], self._n_classes) for p in self.pages.values()), self._none())

    @property
    def is_enough(self) -> bool:
        """Whether there are two classes to learn."""
        return int(np.count_nonzero(self.counts)) >= 2

    def painted(self) -> Painted:
        """The strokes as they are now."""
        n_each = sum((page.tally.sum(axis=1) for page in self.pages.values()), self._none())
        return Painted(dict(self.pages), n_each)

    @property
    def scores_held_out(self) -> bool:
        """Whether held-out boxes are scored, and not kept strokes."""
        found = sum((_counts(p.classes[p.is_held_out], self._n_classes) for p in self.pages.values()), self._none())
        return int(np.count_nonzero(found)) >= 1

    def anchors(self) -> list[Anchor]:
        """What names the kept strokes, for the session that goes on from this one: a few voxels of each."""
        found: list[Anchor] = []
        for page in self.pages.values():
            if not (page.kept & ~page.is_held_out).any():
                continue
            for chosen in _pieces(page):
                if page.kept[chosen[0]]:
                    named = chosen[[0, len(chosen) // 2, -1]]
                    found += [(int(page.classes[chosen[0]]), *place) for place in page.where(named).tolist()]
        return found

    def _none(self) -> np.ndarray:
        return np.zeros(self._n_classes, np.int64)

    @property
    def _no_tally(self) -> np.ndarray:
        return np.zeros((self._n_classes, 2), np.int64)

    def _read(self, box: Box, changed: float, version: object, before: Page | None) -> Page:
        labels = self._store.read(box)
        labels[labels > self._n_classes] = 0
        hidden = np.zeros(box.shape, bool)
        for held in self._held_out:
            common = held.intersect(box)
            if not common.is_empty:
                hidden[common.relative_to(box.start).slices] = True
        flat = np.flatnonzero(labels)
        page = Page(box, flat, labels.ravel()[flat], np.zeros(len(flat), bool), hidden.ravel()[flat], changed, version)
        if before is not None:
            learnt = before.flat[~before.kept]
            page.learnt_before = np.union1d(before.learnt_before, learnt)
            page.kept = np.isin(flat, before.flat[before.kept])
        return page

    def _assign(self, fresh: list[Page]) -> None:
        """Decide for the pieces of pages that were read."""
        if self.scores_held_out:
            for page in self.pages.values():
                page.kept = page.is_held_out.copy()
            for page in fresh:
                page.tally = self._no_tally
                for chosen in _pieces(page):
                    page.tally[int(page.classes[chosen[0]]) - 1, 0] += 1
            return
        was_kept = {id(page): page.kept for page in fresh}
        undecided = {id(page): np.ones(len(page.flat), bool) for page in fresh}
        tally = sum((p.tally for p in self.pages.values() if id(p) not in undecided), np.zeros_like(self._no_tally))
        for page in fresh:
            page.kept, page.tally = np.zeros(len(page.flat), bool), np.zeros_like(self._no_tally)
        for page in fresh:
            known = np.isin(page.flat, page.learnt_before)
            for chosen in _pieces(page):
                k = int(page.classes[chosen[0]])
                is_kept = not known[chosen].any() and (
                    was_kept[id(page)][chosen].any() or self._is_new_kept(page, chosen, k, tally, undecided)
                )
                page.kept[chosen] = is_kept
                undecided[id(page)][chosen] = False
                for counts in (tally, page.tally):
                    counts[k - 1, int(is_kept)] += 1
        self._anchors = None

    def _is_new_kept(
        self, page: Page, chosen: np.ndarray, k: int, tally: np.ndarray, undecided: dict[int, np.ndarray]
    ) -> bool:
        if self._anchors is not None:
            return any((k, *place) in self._anchors for place in page.where(chosen).tolist())
        if len(chosen) < _DENSE:
            beside = self._beside(page, chosen, k, undecided)
            if beside is not None:
                return beside
        n_learnt, n_kept = tally[k - 1]
        if n_learnt < _LEAST_LEARNT or n_kept >= _MOST_KEPT:
            return False
        first = page.where(chosen[:1])[0]
        return bool(_hash(first) % _ONE_IN == 0 or (n_kept == 0 and n_learnt >= _ONE_IN - 1))

    def _beside(self, page: Page, chosen: np.ndarray, k: int, undecided: dict[int, np.ndarray]) -> bool | None:
        """What was decided of the part of a stroke in the chunks around; None where there is none."""
        where = page.where(chosen)
        low, high = np.array(page.box.start), np.array(page.box.stop) - 1
        edge = where[((where == low) | (where == high)).any(axis=1)]
        if not len(edge):
            return None
        hull = Box(tuple(edge.min(axis=0) - 1), tuple(edge.max(axis=0) + 2))
        around = (edge[:, None] + _NEIGHBOURS[None]).reshape(-1, 3)
        found = None
        for other in self.pages.values():
            if other is page or not other.box.overlaps(hull):
                continue
            inside = around[((around >= other.box.start) & (around < other.box.stop)).all(axis=1)]
            if not len(inside):
                continue
            flat = np.ravel_multi_index(tuple((inside - other.box.start).T), other.box.shape)
            hit = np.isin(other.flat, flat) & (other.classes == k)
            if id(other) in undecided:
                hit &= ~undecided[id(other)]
            if hit.any():
                found = bool(found is not False and other.kept[hit].all())
        return found


class LearntStrokes:
    """The strokes that may be learnt, as they were at one moment: an `AnnotationSource` for sampling.

    Parameters
    ----------
    pages : sequence of Page
        Of a `StrokeBook`; what is kept to score by is left out.
    """

    def __init__(self, shape: Shape, pages: Sequence[Page], revision: int) -> None:
        self.shape, self.revision = shape, revision
        learnt = [(page, ~page.kept) for page in pages]
        self._pages = [(p.box, p.flat[chosen], p.classes[chosen], p.changed) for p, chosen in learnt if chosen.any()]

    def boxes(self) -> list[AnnotatedBox]:
        """The chunks that hold strokes."""
        return [AnnotatedBox(box, changed) for box, _, _, changed in self._pages]

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box, uint8."""
        labels = np.zeros(box.shape, np.uint8)
        for chunk, flat, classes, _ in self._pages:
            common = chunk.intersect(box)
            if not common.is_empty:
                whole = np.zeros(chunk.size, np.uint8)
                whole[flat] = classes
                part = whole.reshape(chunk.shape)[common.relative_to(chunk.start).slices]
                labels[common.relative_to(box.start).slices] = part
        return labels


_NEIGHBOURS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def _pieces(page: Page) -> list[np.ndarray]:
    """The connected pieces of a page outside held-out boxes, each as the indices of its voxels."""
    labels = np.zeros(page.box.size, np.uint8)
    labels[page.flat] = np.where(page.is_held_out, 0, page.classes)
    piece = cc3d.connected_components(labels.reshape(page.box.shape), connectivity=26).ravel()[page.flat]
    order = np.argsort(piece, kind="stable")
    first = np.flatnonzero(np.diff(piece[order], prepend=0))
    return np.split(order, first)[1:]


def _hash(place: np.ndarray) -> int:
    digest = hashlib.blake2b(np.asarray(place, np.int64).tobytes(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _counts(classes: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(classes, minlength=n_classes + 1)[1:]
