"""Constraints of edits at voxels: whatever supervoxels and ids the next segmentation has, voxels are the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy import ndimage

from napari_pytc.geometry import Box, TileGrid, Voxel
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.constraints.derivation import derive_constraints
from napari_pytc.proofreading.cuts.seeds import supervoxels_at
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.base import pack_mask
from napari_pytc.proofreading.edits.constraints import (
    CannotLink,
    Constraint,
    DenseTruth,
    HasClass,
    MustLink,
    NoObject,
    Painted,
)
from napari_pytc.proofreading.journal.journal_file import Entry
from napari_pytc.settings import Settings

_NEAR_NM = 250.0
_MOST_VOXELS = 2**24
_TILE = (32, 256, 256)


class EditConstraints(Settings):
    """Constraints of one edit at voxels of the volume, which mean the same in any segmentation of it.

    They are meant as of the segmentation that the edits were made on, with all of them: of voxels that a later edit
    parted, none has to be one.
    """

    entry: int = Field(description="Entry of the journal.")
    kind: str
    title: str
    place: Voxel = Field(description="Where to look.")
    links: tuple[tuple[Voxel, Voxel], ...] = Field((), description="Pairs of voxels that belong to one segment.")
    sides: tuple[tuple[Voxel, ...], ...] = Field((), description="Voxels of different segments.")
    voxels: tuple[tuple[str, str], ...] = Field((), description="Boxes, and which of their voxels are set by hand.")
    gone: tuple[Voxel, ...] = Field((), description="A voxel of each segment that is deleted.")
    of_class: tuple[Voxel, ...] = Field((), description="A voxel of each segment with the class.")
    class_id: int = 0
    locked: tuple[Voxel, ...] = Field((), description="A voxel of each segment that is done.")

    @property
    def is_nothing(self) -> bool:
        """Whether later edits took all of it back."""
        return not (self.links or self.sides or self.voxels or self.gone or self.of_class or self.locked)


def anchor_constraints(document: LabelDocument, edits: Iterable[tuple[Entry, Change]]) -> list[EditConstraints]:
    """Constraints of the edits of a document at voxels, the oldest edit first.

    Parameters
    ----------
    document : LabelDocument
        As all of the edits left it.
    edits : iterable
        Those that are done, the latest first.
    """
    derived = derive_constraints(document, edits)
    return [_anchored(document, entry, constraints) for entry, constraints in derived][::-1]


def _anchored(document: LabelDocument, entry: Entry, constraints: Sequence[Constraint]) -> EditConstraints:
    values: dict[str, Any] = {}
    chosen: list[Voxel] = []
    for constraint in constraints:
        match constraint:
            case MustLink():
                values["links"] = tuple(_links(document, constraint))
                chosen += [voxel for link in values["links"] for voxel in link]
            case CannotLink():
                values["sides"] = _sides(document, constraint)
                chosen += [side[0] for side in values["sides"]]
            case Painted():
                values["voxels"] = tuple((str(box), pack_mask(mask)) for box, mask in constraint.patches)
            case NoObject():
                values["gone"] = _inner_voxels(document, constraint.segments)
                chosen += values["gone"]
            case HasClass():
                values["of_class"] = _inner_voxels(document, constraint.segments)
                values["class_id"] = constraint.class_id
                chosen += values["of_class"]
            case DenseTruth():
                values["locked"] = _inner_voxels(document, constraint.segments)
                chosen += values["locked"]
    z, y, x = (int(c) for c in entry.box.centre)
    place = chosen[0] if chosen else (z, y, x)
    return EditConstraints(entry=entry.id, kind=entry.kind, title=entry.title, place=place, **values)


def _links(document: LabelDocument, link: MustLink) -> Iterator[tuple[Voxel, Voxel]]:
    """A pair of voxels for each segment that came to another, and that still belongs there."""
    now = document.owners(link.supervoxels)
    for former, segment in np.unique(np.stack([link.came_from, now], axis=1), axis=0).tolist():
        if segment:
            mine = link.came_from == former
            here = link.supervoxels[mine & (now == segment)]
            found = contact_anchors(document, here, np.setdiff1d(document.members(segment), link.supervoxels[mine]))
            if found is not None:
                yield found


def _sides(document: LabelDocument, cut: CannotLink) -> tuple[tuple[Voxel, ...], ...]:
    """Seeds of a cut by their present segment; nothing where a later edit joined them again."""
    moved = document.owners(cut.supervoxels)
    segments = np.unique(np.concatenate([np.array(cut.segments, np.uint32), moved]))
    segments = segments[segments > 0]
    groups = by_owner(document, cut.seeds(document, segments), segments)
    return tuple(tuple(voxels) for voxels in groups.values())


def by_owner(
    document: LabelDocument, groups: Sequence[Sequence[Voxel]], segments: np.ndarray | None = None
) -> dict[int, list[Voxel]]:
    """Voxels by the segment that most of their group belong to, of the segments that count.

    Those elsewhere are left out; nothing where it is one segment.
    """
    inside = Box.of_shape(document.shape)
    found: dict[int, list[Voxel]] = {}
    for group in groups:
        voxels = [voxel for voxel in group if inside.contains_point(voxel)]
        owners = owners_of(document, voxels)
        known = owners[np.isin(owners, segments)] if segments is not None else owners[owners > 0]
        if len(known):
            ids, counts = np.unique(known, return_counts=True)
            most = int(ids[counts.argmax()])
            found.setdefault(most, []).extend(v for v, o in zip(voxels, owners.tolist(), strict=True) if o == most)
    return found if len(found) > 1 else {}


def _inner_voxels(document: LabelDocument, segments: Iterable[int]) -> tuple[Voxel, ...]:
    """A voxel of each segment that has one, in its largest supervoxel."""
    found = []
    for segment in segments:
        members = document.members(segment)
        sizes = document.sizes(members)
        if sizes.any():
            found.append(inner_voxel(document, members[[sizes.argmax()]]))
    return tuple(voxel for voxel in found if voxel is not None)


def inner_voxel(document: LabelDocument, supervoxels: np.ndarray, near: Sequence[float] | None = None) -> Voxel | None:
    """The voxel that lies deepest within supervoxels, close to a place where one is given; None if they have none.

    In a huge box, the first tile that holds any is searched.
    """
    box = document.box_of(supervoxels)
    for window in _windows(document, box, near):
        if window.is_empty:
            continue
        mask = np.isin(document.supervoxels(window), supervoxels)
        if mask.any():
            depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=document.space.voxel_size_nm)
            inner = depth[1:-1, 1:-1, 1:-1]
            z, y, x = (
                int(a) + b for a, b in zip(np.unravel_index(inner.argmax(), inner.shape), window.start, strict=True)
            )
            return (z, y, x)
    return None


def contact_anchors(document: LabelDocument, here: np.ndarray, there: np.ndarray) -> tuple[Voxel, Voxel] | None:
    """A voxel on either side of the largest contact of two sets of supervoxels; deep within both where they do not
    touch, or not any more. None where one of them has no voxel.
    """
    here, there = (side[document.sizes(side) > 0] for side in (here, there))
    if not len(here) or not len(there):
        return None
    first, second, near = _largest_contact(document, here, there)
    found = [inner_voxel(document, np.array([one], np.uint32), near) for one in (first, second)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def owners_of(document: LabelDocument, voxels: Iterable[Voxel]) -> np.ndarray:
    """Segments of voxels, the deleted ones included; uint32."""
    return document.owners(supervoxels_at(document, np.array(list(voxels), np.int64).reshape(-1, 3)))


def _windows(document: LabelDocument, box: Box, near: Sequence[float] | None) -> Iterable[Box]:
    if box.is_empty:
        return
    if near is not None:
        reach = [int(np.ceil(_NEAR_NM / size)) + 1 for size in document.space.voxel_size_nm]
        yield Box.at([int(p) for p in near], (1, 1, 1)).grow(reach).intersect(box)
    if box.size <= _MOST_VOXELS:
        yield box
    else:
        yield from (tile.write for tile in TileGrid(box, _TILE))


def _largest_contact(
    document: LabelDocument, here: np.ndarray, there: np.ndarray
) -> tuple[int, int, Sequence[float] | None]:
    graph = document.graph
    edges = np.unique(np.concatenate([np.zeros(0, np.int64), *(graph.neighbours(one) for one in here.tolist())]))
    ends = np.asarray(graph.edges[edges]).reshape(-1, 2)
    crossing = np.isin(ends, here).any(axis=1) & np.isin(ends, there).any(axis=1)
    if crossing.any():
        best = edges[crossing][np.asarray(graph.contacts[edges[crossing]]).argmax()]
        first, second = (int(k) for k in graph.edges[best])
        if first not in here:
            first, second = second, first
        return first, second, np.asarray(graph.places[best]).tolist()
    first, second = (int(side[document.sizes(side).argmax()]) for side in (here, there))
    return first, second, None
