"""What an edit asks of any segmentation of the same volume: by places, not by ids, which the next one has others of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.anchors import contact_anchors, inner_voxel, owners_of
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.drawn_line import beside_line
from napari_pytc.proofreading.edits.base import Point, pack_mask
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.entries import Entry

CUTS = ("split", "split_line")


class Asked(Settings):
    """What one edit asks.

    It is meant as of the segmentation that the edits were made on, with all of them: of places that a later edit
    parted, nobody asks that they be one.
    """

    entry: int = Field(description="Entry of the journal.")
    kind: str
    title: str
    place: Point = Field(description="Where to look.")
    links: tuple[tuple[Point, Point], ...] = Field((), description="Pairs of voxels that belong to one segment.")
    sides: tuple[tuple[Point, ...], ...] = Field((), description="Voxels of different segments.")
    voxels: tuple[tuple[str, str], ...] = Field((), description="Boxes, and which of their voxels are set by hand.")
    gone: tuple[Point, ...] = Field((), description="A voxel of each segment that is deleted.")
    of_class: tuple[Point, ...] = Field((), description="A voxel of each segment with the class.")
    class_id: int = 0
    locked: tuple[Point, ...] = Field((), description="A voxel of each segment that is done.")

    @property
    def is_nothing(self) -> bool:
        """Whether later edits took all of it back."""
        return not (self.links or self.sides or self.voxels or self.gone or self.of_class or self.locked)


def asked_of(document: LabelDocument, edits: Iterable[tuple[Entry, Change]]) -> list[Asked]:
    """What edits of a document ask, one after the other.

    Parameters
    ----------
    document : LabelDocument
        As all of the edits left it.
    edits : iterable
        Those that are done, in order.
    """
    found = [(_asked(document, entry, change), replace(change, patches=())) for entry, change in edits]
    now: dict[int, int] = {}
    for at, (asked, change) in reversed(list(enumerate(found))):
        if asked.kind in CUTS:
            sides = _sides(document, change, {now.get(k, k) for k in change.segments})
            place = sides[0][0] if sides else asked.place
            found[at] = (asked.model_copy(update={"sides": sides, "place": place}), change)
        else:  # segments that went over into others as a whole
            for move in change.moves:
                pairs = np.unique(np.column_stack([move.before, move.after]), axis=0).tolist()
                now |= {before: now.get(after, after) for before, after in pairs if before and after}
    return [asked for asked, _ in found]


def _asked(document: LabelDocument, entry: Entry, change: Change) -> Asked:
    """All but the sides of a cut, which depend on what came after it."""
    links = tuple(_links(document, change)) if entry.kind not in CUTS else ()
    gone = _noted(document, change, "deleted") if entry.kind == "delete" else ()
    of_class = _noted(document, change, "class_id") if entry.kind == "set_class" else ()
    locked = _noted(document, change, "locked") if entry.kind == "lock" else ()
    centre = [int(c) for c in entry.box.centre]
    chosen = [*(point for link in links for point in link), *gone, *of_class, *locked]
    return Asked(
        entry=entry.id,
        kind=entry.kind,
        title=entry.title,
        place=chosen[0] if chosen else (centre[0], centre[1], centre[2]),
        links=links,
        voxels=() if entry.kind in CUTS else tuple((str(p.box), pack_mask(p.mask)) for p in change.patches),
        gone=gone,
        of_class=of_class,
        class_id=int(change.edit.get("class_id", 0)),
        locked=locked,
    )


def _links(document: LabelDocument, change: Change) -> Iterator[tuple[Point, Point]]:
    """A pair of voxels for each segment that came to another, and that still belongs there."""
    moves = [move for move in change.moves if move.before.all() and move.after.all()]
    if not moves:
        return
    moved = np.concatenate([move.supervoxels for move in moves])
    came_from = np.concatenate([move.before for move in moves])
    now = document.owners(moved)
    for former, segment in np.unique(np.stack([came_from, now], axis=1), axis=0).tolist():
        if segment:
            here = moved[(came_from == former) & (now == segment)]
            found = contact_anchors(document, here, np.setdiff1d(document.members(segment), moved[came_from == former]))
            if found is not None:
                yield found


def _sides(document: LabelDocument, change: Change, known: set[int]) -> tuple[tuple[Point, ...], ...]:
    """Seeds of a cut, by what they belong to now; nothing where a later edit joined them again.

    Parameters
    ----------
    known : set of int
        What the segments of the cut are now.
    """
    edit = change.edit
    moved = [document.owners(move.supervoxels) for move in change.moves]
    segments = np.unique(np.concatenate([np.array(sorted(known), np.uint32), *moved]))
    segments = segments[segments > 0]
    if edit["kind"] == "split":
        colours = [[tuple(point) for point in points] for points in edit["seeds"].values()]
    else:
        line, volume = np.array(edit["line"], np.int64), Box.of_shape(document.shape)
        try:
            seeds = beside_line(
                line,
                edit.get("axis", 0),
                volume,
                lambda box: np.isin(document.owners(document.supervoxels(box)), segments),
            )
        except InvalidEdit:
            return ()
        colours = [list(map(tuple, seeds.voxels[seeds.colours == colour].tolist())) for colour in seeds.used]
    return tuple(tuple(points) for points in by_owner(document, colours, segments).values())


def by_owner(
    document: LabelDocument, groups: Sequence[Sequence[Point]], segments: np.ndarray | None = None
) -> dict[int, list[Point]]:
    """Places by the segment that most of their group belong to, of the segments that count; those elsewhere are left
    out. Nothing where it is one segment.
    """
    inside = Box.of_shape(document.shape)
    found: dict[int, list[Point]] = {}
    for group in groups:
        points = [point for point in group if inside.contains_point(point)]
        owners = owners_of(document, points)
        known = owners[np.isin(owners, segments)] if segments is not None else owners[owners > 0]
        if len(known):
            ids, counts = np.unique(known, return_counts=True)
            most = int(ids[counts.argmax()])
            found.setdefault(most, []).extend(p for p, o in zip(points, owners.tolist(), strict=True) if o == most)
    return found if len(found) > 1 else {}


def _noted(document: LabelDocument, change: Change, field: str) -> tuple[Point, ...]:
    """A voxel of each segment of which an edit noted something that is still so."""
    found = []
    for note in change.notes:
        state = document.note(note.segment)
        if state is not None and note.after is not None and getattr(state, field) == getattr(note.after, field):
            members = document.members(note.segment)
            members = members[document.sizes(members) > 0]
            if len(members):
                found.append(inner_voxel(document, members[[document.sizes(members).argmax()]]))
    return tuple(point for point in found if point is not None)
