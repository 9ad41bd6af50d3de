"""Whether a segmentation is as an edit of another one asks, and the edits that make it so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_pytc.geometry import Box, hull_of
from napari_pytc.proofreading.anchors import owners_of
from napari_pytc.proofreading.asked import Asked, by_owner
from napari_pytc.proofreading.edits import Delete, EditModel, Lock, Merge, Paint, SetClass
from napari_pytc.proofreading.edits.base import Point, unpack_mask
from napari_pytc.proofreading.split import Split
from napari_pytc.proofreading.voxel_edits import NewSegment

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_RING = 3
_MOST_VOXELS = 2**26
_MOSTLY = 0.5

Need = tuple[EditModel | None, str]
"""An edit that brings what is asked closer, and what is not so without it; None where no edit does."""


class Fulfilment:
    """Compares two segmentations of one volume.

    Parameters
    ----------
    old : LabelDocument
        With all edits, as they are meant.
    new : LabelDocument
        Is to become so.
    asked : sequence of Asked
        All that is asked.
    """

    def __init__(self, old: LabelDocument, new: LabelDocument, asked: Sequence[Asked]) -> None:
        self._old, self._new = old, new
        self._by_hand = _ByHand(asked)
        self._linked: dict[int, list[Point]] = {}
        self._done: set[int] = set()

    def remember(self, asked: Asked) -> None:
        """Keep in mind which voxels were joined, so that no later cut parts them, and which are painted."""
        self._done.add(asked.entry)
        for link in self._links(asked):
            self._linked.setdefault(int(owners_of(self._old, link[:1])[0]), []).extend(link)

    def needs(self, asked: Asked) -> Iterator[Need]:
        """What is not so yet, one after the other: the caller makes each edit before it asks for the next."""
        for link in self._links(asked):
            yield from self._joined(link)
        yield from self._parted(asked)
        yield from self._painted(asked)
        for point in asked.gone:
            yield from self._gone(point)
        for point in asked.of_class:
            yield from self._of_class(point)
        for point in asked.locked:
            yield from self._locked(point)

    def _links(self, asked: Asked) -> Iterator[tuple[Point, Point]]:
        for link in asked.links:
            first, second = owners_of(self._old, link).tolist()
            if first == second and first:
                yield link

    def _joined(self, link: tuple[Point, Point]) -> Iterator[Need]:
        first, second = owners_of(self._new, link).tolist()
        if not first or not second:
            yield None, "One side is background now."
        elif first != second:
            yield Merge(points=link), "They are two segments now."

    def _parted(self, asked: Asked) -> Iterator[Need]:
        groups = by_owner(self._old, asked.sides)
        if not groups:
            return
        for _ in range(len(asked.sides)):
            found = {owner: owners_of(self._new, points) for owner, points in groups.items()}
            if any(not owners.any() for owners in found.values()):
                yield None, "One side is background now."
                return
            shared = [
                segment
                for segment in np.unique(np.concatenate(list(found.values()))).tolist()
                if segment and sum(bool((owners == segment).any()) for owners in found.values()) > 1
            ]
            if not shared:
                return
            seeds = {}
            for number, (owner, points) in enumerate(groups.items(), start=1):
                points = [*points, *self._linked.get(owner, [])]
                inside = owners_of(self._new, points) == shared[0]
                if inside.any():
                    seeds[number] = tuple(dict.fromkeys(p for p, here in zip(points, inside, strict=True) if here))
            yield Split(seeds=seeds), "Both sides are one segment now."

    def _painted(self, asked: Asked) -> Iterator[Need]:
        patches = _patches(asked)
        for owner, box, mask in _by_object(self._old, patches):
            now = self._new.owners(self._new.supervoxels(box))
            locked = [k for k in np.unique(now[mask]).tolist() if k and self._new.is_locked(k)]
            mask = mask & ~np.isin(now, locked)
            if not mask.any():
                continue
            target = 0 if owner == 0 else self._target(owner, box, mask, asked.entry)
            if target is None:
                class_id = self._old.state(owner).class_id
                yield NewSegment.of(box, mask, class_id), "What was painted is not a segment of its own now."
            elif (wrong := mask & (now != target)).any():
                yield Paint.of(box, wrong, target), f"{int(wrong.sum())} voxels are not as they were painted."

    def _target(self, owner: int, box: Box, mask: np.ndarray, entry: int) -> int | None:
        """The segment that painted voxels belong to; None where it is to be made.

        It is that of what nobody painted and they were attached to, else of what was painted beside them, else that of
        their own if it goes no further.
        """
        region = box.grow((_RING,) * 3).intersect(Box.of_shape(self._old.shape))
        here = np.zeros(region.shape, bool)
        here[box.relative_to(region.start).slices] = mask
        ring = ndimage.binary_dilation(here, iterations=_RING) & ~here
        former = self._old.owners(self._old.supervoxels(region))
        now = self._new.owners(self._new.supervoxels(region))
        beside = ring & (former == owner)
        body = _most(now[beside & ~self._by_hand.mask(region, lambda other: True)])
        body = body or _most(
            now[beside & self._by_hand.mask(region, lambda other: other != entry and other in self._done)]
        )
        if body:
            return body
        own = _most(now[here])
        return own if own and not (now[ring & (former != owner)] == own).any() else None

    def _gone(self, point: Point) -> Iterator[Need]:
        owner = int(owners_of(self._old, [point])[0])
        if not owner or not self._old.state(owner).deleted:
            return
        box = self._old.box(owner)
        if box.size > _MOST_VOXELS:
            box = Box.at(point, (1, 1, 1)).grow((32, 128, 128)).intersect(box)
        former = self._old.owners(self._old.supervoxels(box)) == owner
        shown, counts = np.unique(self._new.segments(box)[former], return_counts=True)
        shown, counts = shown[shown > 0], counts[shown > 0]
        if counts.sum() < _MOSTLY * former.sum():
            return
        mostly = [k for k, n in zip(shown.tolist(), counts.tolist(), strict=True) if n >= _MOSTLY * self._new.size(k)]
        if mostly:
            yield Delete(segments=tuple(mostly)), "It is shown again."
        else:
            yield None, "What is there now belongs to a larger segment."

    def _of_class(self, point: Point) -> Iterator[Need]:
        owner = int(owners_of(self._old, [point])[0])
        segment = int(owners_of(self._new, [point])[0])
        wanted = self._old.state(owner).class_id
        if not owner:
            return
        if not segment:
            yield None, "There is background now."
        elif self._old.class_names != self._new.class_names:
            yield None, "The classes are other ones now."
        elif self._new.state(segment).class_id != wanted and not self._new.is_locked(segment):
            yield SetClass(segments=(segment,), class_id=wanted), "It has another class now."

    def _locked(self, point: Point) -> Iterator[Need]:
        owner = int(owners_of(self._old, [point])[0])
        segment = int(owners_of(self._new, [point])[0])
        if not self._old.is_locked(owner) or (segment and self._new.is_locked(segment)):
            return
        if not segment or not self._is_same(owner, segment):
            yield None, "Its outline is another one now: look at it, and lock it again."
            return
        wanted = self._old.state(owner).class_id
        if self._new.state(segment).class_id != wanted and self._old.class_names == self._new.class_names:
            yield SetClass(segments=(segment,), class_id=wanted), "It has another class now."
        yield Lock(segments=(segment,)), "It is not locked now."

    def _is_same(self, owner: int, segment: int) -> bool:
        """Whether two segments have the same voxels, as far as can be seen at once."""
        if self._old.size(owner) != self._new.size(segment):
            return False
        box = hull_of([self._old.box(owner), self._new.box(segment)])
        if box.size > _MOST_VOXELS:
            return owner == segment
        former = self._old.owners(self._old.supervoxels(box)) == owner
        return bool((former == (self._new.owners(self._new.supervoxels(box)) == segment)).all())


class _ByHand:
    """Voxels that any edit set by hand."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self._parts = [(one.entry, text, mask) for one in asked for text, mask in one.voxels]
        boxes = [Box.parse(text) for _, text, _ in self._parts]
        self._starts = np.array([box.start for box in boxes], np.int64).reshape(-1, 3)
        self._stops = np.array([box.stop for box in boxes], np.int64).reshape(-1, 3)

    def mask(self, region: Box, wanted: Callable[[int], bool]) -> np.ndarray:
        """Which voxels of a region edits set, of the entries that are wanted: bool."""
        found = np.zeros(region.shape, bool)
        near = ((self._starts < region.stop) & (self._stops > region.start)).all(axis=1)
        for at in np.flatnonzero(near).tolist():
            entry, text, packed = self._parts[at]
            if wanted(entry):
                box = Box.parse(text)
                common = box.intersect(region)
                chosen = unpack_mask(packed, box.shape)[common.relative_to(box.start).slices]
                found[common.relative_to(region.start).slices] |= chosen
        return found


def _patches(asked: Asked) -> list[tuple[Box, np.ndarray]]:
    """Voxels that an edit set by hand."""
    boxes = [(Box.parse(text), mask) for text, mask in asked.voxels]
    return [(box, unpack_mask(mask, box.shape)) for box, mask in boxes]


def _by_object(
    document: LabelDocument, patches: Sequence[tuple[Box, np.ndarray]]
) -> Iterator[tuple[int, Box, np.ndarray]]:
    """Voxels set by hand as the objects that they belong to now: segment (0 for background), box and mask."""
    boxes: dict[int, list[tuple[Box, np.ndarray]]] = {}
    for box, mask in patches:
        owners = document.owners(document.supervoxels(box))
        for owner in np.unique(owners[mask]).tolist():
            mine = mask & (owners == owner)
            where = np.argwhere(mine)
            inner = Box(tuple(where.min(axis=0)), tuple(where.max(axis=0) + 1))
            boxes.setdefault(owner, []).append((inner.shift(box.start), mine[inner.slices]))
    for owner, parts in boxes.items():
        hull = hull_of([box for box, _ in parts])
        if hull.size > _MOST_VOXELS:
            yield from ((owner, box, mask) for box, mask in parts)
            continue
        whole = np.zeros(hull.shape, bool)
        for box, mask in parts:
            whole[box.relative_to(hull.start).slices] |= mask
        yield owner, hull, whole


def _most(segments: np.ndarray) -> int:
    """The segment of most voxels; 0 where there is none."""
    ids, counts = np.unique(segments[segments > 0], return_counts=True)
    return int(ids[counts.argmax()]) if len(ids) else 0
