"""The strokes as they are now, split into training and validation strokes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cc3d
import numpy as np

from napari_pytc.annotations.source import AnnotationSource
from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.store import StoredChunk

_ONE_IN = 5
_MOST_VALIDATION = 8
"""Validation strokes of a class; more would only keep the models from learning."""
_LEAST_TRAINING = 2
_FEW_STROKES = 8
"""More at once were imported or pasted: the model is fitted from the start."""
_DENSE = 5000
"""Voxels of one component beyond which it is no stroke but a dense annotation, and is split chunk by chunk."""

Anchor = tuple[int, int, int, int]
"""Class and voxel (z, y, x) that identify a validation stroke."""


@dataclass
class ChunkLabels:
    """The annotated voxels of a chunk.

    Parameters
    ----------
    box : Box
        The chunk.
    flat : ndarray
        (n,) int64, positions in the chunk in growing order.
    classes : ndarray
        (n,) uint8, from 1.
    is_validation : ndarray
        (n,) bool, whether a voxel is used for validation.
    is_held_out : ndarray
        (n,) bool, whether it lies in a held-out box; it is then used for validation, too.
    changed : float
        Time at which the chunk was last written.
    version : object
        Differs when it was written again.
    trained_before : ndarray
        Positions that were training data at any time.
    stroke_counts : ndarray
        (n_classes, 2), training strokes and validation strokes.
    """

    box: Box
    flat: np.ndarray
    classes: np.ndarray
    is_validation: np.ndarray
    is_held_out: np.ndarray
    changed: float
    version: object = None
    trained_before: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    stroke_counts: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    @cached_property
    def digest(self) -> bytes:
        """Differs where other voxels or other classes are annotated."""
        return hashlib.blake2b(self.flat.tobytes() + self.classes.tobytes(), digest_size=16).digest()

    def where(self, chosen: np.ndarray) -> np.ndarray:
        """Positions (n, 3) in the volume of some voxels."""
        return np.stack(np.unravel_index(self.flat[chosen], self.box.shape), axis=1) + np.array(self.box.start)


@dataclass(frozen=True)
class StrokeSnapshot:
    """The strokes as they were at one moment.

    Parameters
    ----------
    chunks : dict
        The chunks that hold any.
    n_per_class : ndarray
        Strokes of every class, those of other volumes included.
    others : tuple of StrokeSnapshot
        Those of other volumes.
    """

    chunks: dict[Box, ChunkLabels]
    n_per_class: np.ndarray
    others: tuple[StrokeSnapshot, ...] = ()

    def with_others(self, others: Sequence[StrokeSnapshot]) -> StrokeSnapshot:
        """These strokes and those of other volumes."""
        total = sum((other.n_per_class for other in others), self.n_per_class)
        return StrokeSnapshot(self.chunks, total, tuple(others))

    @property
    def n_strokes(self) -> int:
        """Strokes of all classes."""
        return int(self.n_per_class.sum())

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that were painted, from 0."""
        return tuple(np.flatnonzero(self.n_per_class).tolist())

    @property
    def digest(self) -> str:
        """Hash of the strokes."""
        found = hashlib.blake2b(digest_size=16)
        for box, chunk in sorted(self.chunks.items(), key=lambda item: item[0].start):
            found.update(str(box).encode() + chunk.digest)
        for other in self.others:
            found.update(other.digest.encode())
        return found.hexdigest()

    def is_small_extension_of(self, before: StrokeSnapshot) -> bool:
        """Whether only a few strokes were added since, of no new class."""
        return self.n_strokes - before.n_strokes <= _FEW_STROKES and self.is_extension_of(before)

    def is_extension_of(self, before: StrokeSnapshot) -> bool:
        """Whether nothing was erased since, and no class is new."""
        return self.classes == before.classes and not self.lacks_strokes_of(before)

    def lacks_strokes_of(self, before: StrokeSnapshot) -> bool:
        """Whether anything that was annotated before is erased or of another class now."""
        if len(self.others) < len(before.others):
            return True
        if any(new.lacks_strokes_of(old) for new, old in zip(self.others, before.others, strict=False)):
            return True
        for box, old in before.chunks.items():
            new = self.chunks.get(box)
            if new is old or not len(old.flat):
                continue
            if new is None or not len(new.flat):
                return True
            at = np.minimum(np.searchsorted(new.flat, old.flat), len(new.flat) - 1)
            if ((new.flat[at] != old.flat) | (new.classes[at] != old.classes)).any():
                return True
        return False


class StrokeSplit:
    """Split of the annotated voxels into training and validation data.

    Where held-out boxes hold strokes, those are the validation data and all others are training data. Otherwise about a
    fifth of the strokes (connected voxels of a class) are validation strokes, chosen by a hash of their first voxel, at
    most eight of a class; the first two of a class are always training data. What was training data once is never
    validation data afterwards, whatever is painted around it: a score on it would be no score.

    Parameters
    ----------
    store : AnnotationSource
        Read when its revision has grown, and of it only the chunks that changed.
    anchors : sequence of Anchor, optional
        Validation strokes of the session that this one continues; all others have been training data.
    """

    def __init__(
        self,
        store: AnnotationSource,
        n_classes: int,
        held_out: Sequence[Box],
        anchors: Sequence[Anchor] | None = None,
    ) -> None:
        self._store, self._n_classes, self._held_out = store, n_classes, tuple(held_out)
        self._anchors = None if anchors is None else set(anchors)
        self.revision = -1
        self.chunks: dict[Box, ChunkLabels] = {}

    def refresh(self) -> bool:
        """Read the chunks that changed; whether any did."""
        revision = self._store.revision  # read first, so that what is written meanwhile is found the next time
        if revision == self.revision:
            return False
        before, self.chunks = self.chunks, {}
        fresh: list[ChunkLabels] = []
        for stored in self._store.chunks():
            chunk = before.get(stored.box)
            if chunk is None or chunk.version != stored.version:
                chunk = self._read(stored.box, stored.changed, stored.version, chunk)
                fresh.append(chunk)
            self.chunks[stored.box] = chunk
        self._assign(fresh)
        self.revision = revision
        return True

    @property
    def counts(self) -> np.ndarray:
        """Training voxels of each class."""
        return sum((_counts(p.classes[~p.is_validation], self._n_classes) for p in self.chunks.values()), self._none())

    @property
    def validation_counts(self) -> np.ndarray:
        """Validation voxels of each class."""
        return sum((_counts(p.classes[p.is_validation], self._n_classes) for p in self.chunks.values()), self._none())

    @property
    def has_two_classes(self) -> bool:
        """Whether there is training data of two classes."""
        return int(np.count_nonzero(self.counts)) >= 2

    def snapshot(self) -> StrokeSnapshot:
        """The strokes as they are now."""
        n_per_class = sum((chunk.stroke_counts.sum(axis=1) for chunk in self.chunks.values()), self._none())
        return StrokeSnapshot(dict(self.chunks), n_per_class)

    @property
    def has_held_out_strokes(self) -> bool:
        """Whether strokes in held-out boxes are the validation data."""
        found = sum((_counts(p.classes[p.is_held_out], self._n_classes) for p in self.chunks.values()), self._none())
        return int(np.count_nonzero(found)) >= 1

    def anchors(self) -> list[Anchor]:
        """A few voxels of each validation stroke, for the session that continues this one."""
        found: list[Anchor] = []
        for chunk in self.chunks.values():
            if not (chunk.is_validation & ~chunk.is_held_out).any():
                continue
            for chosen in _components(chunk):
                if chunk.is_validation[chosen[0]]:
                    named = chosen[[0, len(chosen) // 2, -1]]
                    found += [(int(chunk.classes[chosen[0]]), *place) for place in chunk.where(named).tolist()]
        return found

    def _none(self) -> np.ndarray:
        return np.zeros(self._n_classes, np.int64)

    @property
    def _no_counts(self) -> np.ndarray:
        return np.zeros((self._n_classes, 2), np.int64)

    def _read(self, box: Box, changed: float, version: object, before: ChunkLabels | None) -> ChunkLabels:
        labels = self._store.read(box)
        labels[labels > self._n_classes] = 0
        hidden = np.zeros(box.shape, bool)
        for hidden_box in self._held_out:
            common = hidden_box.intersect(box)
            if not common.is_empty:
                hidden[common.relative_to(box.start).slices] = True
        flat = np.flatnonzero(labels)
        chunk = ChunkLabels(
            box, flat, labels.ravel()[flat], np.zeros(len(flat), bool), hidden.ravel()[flat], changed, version
        )
        if before is not None:
            learnt = before.flat[~before.is_validation]
            chunk.trained_before = np.union1d(before.trained_before, learnt)
            chunk.is_validation = np.isin(flat, before.flat[before.is_validation])
        return chunk

    def _assign(self, fresh: list[ChunkLabels]) -> None:
        """Assign the strokes of chunks that were read to training or validation."""
        if self.has_held_out_strokes:
            for chunk in self.chunks.values():
                chunk.is_validation = chunk.is_held_out.copy()
            for chunk in fresh:
                chunk.stroke_counts = self._no_counts
                for chosen in _components(chunk):
                    chunk.stroke_counts[int(chunk.classes[chosen[0]]) - 1, 0] += 1
            return
        was_validation = {id(chunk): chunk.is_validation for chunk in fresh}
        undecided = {id(chunk): np.ones(len(chunk.flat), bool) for chunk in fresh}
        stroke_counts = sum(
            (p.stroke_counts for p in self.chunks.values() if id(p) not in undecided), np.zeros_like(self._no_counts)
        )
        for chunk in fresh:
            chunk.is_validation, chunk.stroke_counts = np.zeros(len(chunk.flat), bool), np.zeros_like(self._no_counts)
        for chunk in fresh:
            known = np.isin(chunk.flat, chunk.trained_before)
            for chosen in _components(chunk):
                k = int(chunk.classes[chosen[0]])
                is_validation = not known[chosen].any() and (
                    was_validation[id(chunk)][chosen].any()
                    or self._is_validation_stroke(chunk, chosen, k, stroke_counts, undecided)
                )
                chunk.is_validation[chosen] = is_validation
                undecided[id(chunk)][chosen] = False
                for counts in (stroke_counts, chunk.stroke_counts):
                    counts[k - 1, int(is_validation)] += 1
        self._anchors = None

    def _is_validation_stroke(
        self,
        chunk: ChunkLabels,
        chosen: np.ndarray,
        k: int,
        stroke_counts: np.ndarray,
        undecided: dict[int, np.ndarray],
    ) -> bool:
        if self._anchors is not None:
            return any((k, *place) in self._anchors for place in chunk.where(chosen).tolist())
        if len(chosen) < _DENSE:
            decision = self._neighbours_decision(chunk, chosen, k, undecided)
            if decision is not None:
                return decision
        n_training, n_validation = stroke_counts[k - 1]
        if n_training < _LEAST_TRAINING or n_validation >= _MOST_VALIDATION:
            return False
        first = chunk.where(chosen[:1])[0]
        return bool(_hash(first) % _ONE_IN == 0 or (n_validation == 0 and n_training >= _ONE_IN - 1))

    def _neighbours_decision(
        self, chunk: ChunkLabels, chosen: np.ndarray, k: int, undecided: dict[int, np.ndarray]
    ) -> bool | None:
        """Whether the part of a stroke in neighbouring chunks is validation data; None where there is none."""
        where = chunk.where(chosen)
        low, high = np.array(chunk.box.start), np.array(chunk.box.stop) - 1
        edge = where[((where == low) | (where == high)).any(axis=1)]
        if not len(edge):
            return None
        hull = Box(tuple(edge.min(axis=0) - 1), tuple(edge.max(axis=0) + 2))
        around = (edge[:, None] + _NEIGHBOURS[None]).reshape(-1, 3)
        found = None
        for other in self.chunks.values():
            if other is chunk or not other.box.overlaps(hull):
                continue
            inside = around[((around >= other.box.start) & (around < other.box.stop)).all(axis=1)]
            if not len(inside):
                continue
            flat = np.ravel_multi_index(tuple((inside - other.box.start).T), other.box.shape)
            hit = np.isin(other.flat, flat) & (other.classes == k)
            if id(other) in undecided:
                hit &= ~undecided[id(other)]
            if hit.any():
                found = bool(found is not False and other.is_validation[hit].all())
        return found


class TrainingStrokes:
    """The training strokes of one moment, an `AnnotationSource` for sampling.

    Parameters
    ----------
    chunks : sequence of ChunkLabels
        Of a `StrokeSplit`; validation data are left out.
    with_validation : bool
        Validation strokes are training data, too, but not those in held-out boxes.
    """

    def __init__(
        self, shape: Shape, chunks: Sequence[ChunkLabels], revision: int, with_validation: bool = False
    ) -> None:
        self.shape, self.revision = shape, revision
        learnt = [(chunk, ~(chunk.is_held_out if with_validation else chunk.is_validation)) for chunk in chunks]
        self._chunks = [(p.box, p.flat[chosen], p.classes[chosen], p.changed) for p, chosen in learnt if chosen.any()]

    def chunks(self) -> list[StoredChunk]:
        """The chunks that hold strokes."""
        return [StoredChunk(box, changed) for box, _, _, changed in self._chunks]

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box, uint8."""
        labels = np.zeros(box.shape, np.uint8)
        for chunk, flat, classes, _ in self._chunks:
            common = chunk.intersect(box)
            if not common.is_empty:
                whole = np.zeros(chunk.size, np.uint8)
                whole[flat] = classes
                part = whole.reshape(chunk.shape)[common.relative_to(chunk.start).slices]
                labels[common.relative_to(box.start).slices] = part
        return labels


_NEIGHBOURS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def _components(chunk: ChunkLabels) -> list[np.ndarray]:
    """The connected components of a chunk outside held-out boxes, each as the indices of its voxels."""
    labels = np.zeros(chunk.box.size, np.uint8)
    labels[chunk.flat] = np.where(chunk.is_held_out, 0, chunk.classes)
    piece = cc3d.connected_components(labels.reshape(chunk.box.shape), connectivity=26).ravel()[chunk.flat]
    order = np.argsort(piece, kind="stable")
    first = np.flatnonzero(np.diff(piece[order], prepend=0))
    return np.split(order, first)[1:]


def _hash(place: np.ndarray) -> int:
    digest = hashlib.blake2b(np.asarray(place, np.int64).tobytes(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _counts(classes: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(classes, minlength=n_classes + 1)[1:]
