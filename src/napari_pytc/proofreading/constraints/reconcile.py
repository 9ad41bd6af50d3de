"""Edits that bring a segmentation in line with the constraints of edits of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_pytc.geometry import Box, Voxel, hull_of
from napari_pytc.proofreading.constraints.edit_constraints import EditConstraints, by_owner, owners_of
from napari_pytc.proofreading.edits import Delete, EditModel, Lock, Merge, NewSegment, Paint, SetClass
from napari_pytc.proofreading.edits.base import unpack_mask
from napari_pytc.proofreading.edits.split import Split

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_RING = 3
_MOST_VOXELS = 2**26
_MOSTLY = 0.5

Step = tuple[EditModel | None, str]
"""An edit that brings a constraint closer, or None where no edit does; and what does not hold without it."""


class Reconciler:
    """Compares two segmentations of one volume, and finds the edits that the new one needs.

    Parameters
    ----------
    old : LabelDocument
        With all edits, as they are meant.
    new : LabelDocument
        Is to become so.
    constraints : sequence of EditConstraints
        Of all edits.
    """

    def __init__(self, old: LabelDocument, new: LabelDocument, constraints: Sequence[EditConstraints]) -> None:
        self._old, self._new = old, new
        self._painted = _PaintedVoxels(constraints)
        self._linked: dict[int, list[Voxel]] = {}
        self._done: set[int] = set()

    def remember(self, constraints: EditConstraints) -> None:
        """Note the joined voxels, so that no later cut parts them, and the painted ones."""
        self._done.add(constraints.entry)
        for link in self._links(constraints):
            self._linked.setdefault(int(owners_of(self._old, link[:1])[0]), []).extend(link)

    def steps(self, constraints: EditConstraints) -> Iterator[Step]:
        """The missing steps, one after the other: the caller makes each edit before it goes on to the next."""
        for link in self._links(constraints):
            yield from self._join(link)
        yield from self._part(constraints)
        yield from self._paint(constraints)
        for voxel in constraints.gone:
            yield from self._delete(voxel)
        for voxel in constraints.of_class:
            yield from self._set_class(voxel)
        for voxel in constraints.locked:
            yield from self._lock(voxel)

    def _links(self, constraints: EditConstraints) -> Iterator[tuple[Voxel, Voxel]]:
        for link in constraints.links:
            first, second = owners_of(self._old, link).tolist()
            if first == second and first:
                yield link

    def _join(self, link: tuple[Voxel, Voxel]) -> Iterator[Step]:
        first, second = owners_of(self._new, link).tolist()
        if not first or not second:
            yield None, "One side is background now."
        elif first != second:
            yield Merge(points=link), "They are two segments now."

    def _part(self, constraints: EditConstraints) -> Iterator[Step]:
        groups = by_owner(self._old, constraints.sides)
        if not groups:
            return
        for _ in range(len(constraints.sides)):
            found = {owner: owners_of(self._new, voxels) for owner, voxels in groups.items()}
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
            for number, (owner, voxels) in enumerate(groups.items(), start=1):
                voxels = [*voxels, *self._linked.get(owner, [])]
                inside = owners_of(self._new, voxels) == shared[0]
                if inside.any():
                    seeds[number] = tuple(dict.fromkeys(v for v, here in zip(voxels, inside, strict=True) if here))
            yield Split(seeds=seeds), "Both sides are one segment now."

    def _paint(self, constraints: EditConstraints) -> Iterator[Step]:
        patches = _patches(constraints)
        for owner, box, mask in _by_object(self._old, patches):
            now = self._new.owners(self._new.supervoxels(box))
            locked = [k for k in np.unique(now[mask]).tolist() if k and self._new.is_locked(k)]
            mask = mask & ~np.isin(now, locked)
            if not mask.any():
                continue
            target = 0 if owner == 0 else self._target(owner, box, mask, constraints.entry)
            if target is None:
                class_id = self._old.state(owner).class_id
                yield NewSegment.of(box, mask, class_id), "What was painted is not a segment of its own now."
            elif (wrong := mask & (now != target)).any():
                yield Paint.of(box, wrong, target), f"{int(wrong.sum())} voxels are not as they were painted."

    def _target(self, owner: int, box: Box, mask: np.ndarray, entry: int) -> int | None:
        """The segment that painted voxels belong to; None where it is to be made.

        It is that of the unpainted voxels that they were attached to, else of what was painted beside them, else their
        own one if it goes no further.
        """
        region = box.grow((_RING,) * 3).intersect(Box.of_shape(self._old.shape))
        here = np.zeros(region.shape, bool)
        here[box.relative_to(region.start).slices] = mask
        ring = ndimage.binary_dilation(here, iterations=_RING) & ~here
        former = self._old.owners(self._old.supervoxels(region))
        now = self._new.owners(self._new.supervoxels(region))
        beside = ring & (former == owner)
        body = _most(now[beside & ~self._painted.mask(region, lambda other: True)])
        body = body or _most(
            now[beside & self._painted.mask(region, lambda other: other != entry and other in self._done)]
        )
        if body:
            return body
        own = _most(now[here])
        return own if own and not (now[ring & (former != owner)] == own).any() else None

    def _delete(self, voxel: Voxel) -> Iterator[Step]:
        owner = int(owners_of(self._old, [voxel])[0])
        if not owner or not self._old.state(owner).deleted:
            return
        box = self._old.box(owner)
        if box.size > _MOST_VOXELS:
            box = Box.at(voxel, (1, 1, 1)).grow((32, 128, 128)).intersect(box)
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

    def _set_class(self, voxel: Voxel) -> Iterator[Step]:
        owner = int(owners_of(self._old, [voxel])[0])
        segment = int(owners_of(self._new, [voxel])[0])
        wanted = self._old.state(owner).class_id
        if not owner:
            return
        if not segment:
            yield None, "There is background now."
        elif self._old.class_names != self._new.class_names:
            yield None, "The classes are other ones now."
        elif self._new.state(segment).class_id != wanted and not self._new.is_locked(segment):
            yield SetClass(segments=(segment,), class_id=wanted), "It has another class now."

    def _lock(self, voxel: Voxel) -> Iterator[Step]:
        owner = int(owners_of(self._old, [voxel])[0])
        segment = int(owners_of(self._new, [voxel])[0])
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


class _PaintedVoxels:
    """Voxels that any edit painted."""

    def __init__(self, constraints: Sequence[EditConstraints]) -> None:
        self._parts = [(one.entry, text, mask) for one in constraints for text, mask in one.voxels]
        boxes = [Box.parse(text) for _, text, _ in self._parts]
        self._starts = np.array([box.start for box in boxes], np.int64).reshape(-1, 3)
        self._stops = np.array([box.stop for box in boxes], np.int64).reshape(-1, 3)

    def mask(self, region: Box, wanted: Callable[[int], bool]) -> np.ndarray:
        """Mask of the voxels of a region that edits set, of the wanted entries: bool."""
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


def _patches(constraints: EditConstraints) -> list[tuple[Box, np.ndarray]]:
    """Voxels that an edit set by hand."""
    boxes = [(Box.parse(text), mask) for text, mask in constraints.voxels]
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
