"""Voxels that stand for what an edit was about, whatever supervoxels there will be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_pytc.geometry import Box, TileGrid
from napari_pytc.proofreading.edits.base import Point

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_NEAR_NM = 250.0
_MOST_VOXELS = 2**24
_TILE = (32, 256, 256)


def inner_voxel(document: LabelDocument, supervoxels: np.ndarray, near: Sequence[float] | None = None) -> Point | None:
    """The voxel that lies deepest within supervoxels, close to a place where one is given; None if they have none.

    Of supervoxels in a huge box the first part of it that holds any is looked at.
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


def contact_anchors(document: LabelDocument, here: np.ndarray, there: np.ndarray) -> tuple[Point, Point] | None:
    """A voxel on either side of the largest contact of two sets of supervoxels; deep within both where they do not
    touch, or not any more. None where one of them has no voxel.
    """
    here, there = (side[document.sizes(side) > 0] for side in (here, there))
    if not len(here) or not len(there):
        return None
    first, second, near = _largest_contact(document, here, there)
    found = [inner_voxel(document, np.array([one], np.uint32), near) for one in (first, second)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def supervoxels_of(document: LabelDocument, points: Iterable[Point]) -> np.ndarray:
    """Supervoxels of voxels; uint32."""
    from napari_pytc.proofreading.seeds import supervoxels_at

    places = np.array(list(points), np.int64).reshape(-1, 3)
    return supervoxels_at(document, places) if len(places) else np.zeros(0, np.uint32)


def owners_of(document: LabelDocument, points: Iterable[Point]) -> np.ndarray:
    """Segments of voxels, the deleted ones included; uint32."""
    return document.owners(supervoxels_of(document, points))


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
