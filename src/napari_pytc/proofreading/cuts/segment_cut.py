"""Cut of a segment between seeds: supervoxels by a graph cut, voxels where supervoxels are shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import fastremap
import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.proofreading.cuts.graph_cut import Pieces, adopt_orphans, cut
from napari_pytc.proofreading.cuts.seeds import Seeds
from napari_pytc.proofreading.cuts.voxel_cut import watershed_from

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_REACH_NM = 1000.0
"""Distance around the seeds within which a segment is searched that is too large to be searched as a whole."""
_MOST_VOXELS = 256**3
_MOST_SUPERVOXELS = 20_000
_WHOLE = 0.9
"""A supervoxel of which so much goes with one colour is not cut, unless seeds require it."""


@dataclass(frozen=True, eq=False)
class VoxelParts:
    """Voxels that do not go with the rest of their supervoxel.

    Parameters
    ----------
    box : Box
        Around them.
    labels : ndarray of uint32, shape ``box.shape``
        Supervoxels as they are.
    colours : ndarray of uint32, shape ``box.shape``
        Colour that these voxels go with; 0 for all others.
    """

    box: Box
    labels: np.ndarray
    colours: np.ndarray


@dataclass(frozen=True, eq=False)
class SegmentCut:
    """A segment, cut.

    Parameters
    ----------
    supervoxels, colours : ndarray, shape (n,)
        The supervoxels of the segment and the colour each goes with; 0 where no seed can be reached.
    parts : VoxelParts, optional
        Exceptions from that.
    """

    supervoxels: np.ndarray
    colours: np.ndarray
    parts: VoxelParts | None = None


def cut_supervoxels(document: LabelDocument, segment: int, seeds: Seeds, seed_supervoxels: np.ndarray) -> SegmentCut:
    """Cut a segment along borders of supervoxels.

    Parameters
    ----------
    seeds : Seeds
        All within the segment; no supervoxel has seeds of two colours.
    seed_supervoxels : ndarray of uint32
        The supervoxel of each seed.
    """
    members = document.members(segment)
    local = members
    if len(members) > _MOST_SUPERVOXELS:
        near = window_around(seeds.box, document.space, Box.of_shape(document.shape))
        boxes = document.boxes(members)
        local = members[((boxes[:, :3] < near.stop) & (boxes[:, 3:] > near.start)).all(axis=1)]
    colour_of = np.zeros(len(local), np.int64)
    colour_of[np.searchsorted(local, seed_supervoxels)] = seeds.colours
    colours = cut(_pieces(local, document.edges_within(local)), colour_of)
    return SegmentCut(members, _spread(document, members, local, colours))


def cut_voxels(document: LabelDocument, segment: int, seeds: Seeds, seed_supervoxels: np.ndarray) -> SegmentCut:
    """Cut a segment by a watershed from the seeds, through supervoxels where it has to be.

    Parameters as in `cut_supervoxels`, but that supervoxels may have seeds of several colours.
    """
    volume = Box.of_shape(document.shape)
    box = document.box(segment).intersect(volume)
    if box.size > _MOST_VOXELS:
        box = box.intersect(window_around(seeds.box, document.space, volume))
    labels = document.supervoxels(box)
    mask = document.lookup(labels) == segment
    found = watershed_from(
        mask, document.boundary(box), seeds.voxels - box.start, seeds.colours, document.space.voxel_size_nm
    )
    flooded = found[mask]
    local, found_at = fastremap.unique(labels[mask], return_inverse=True)
    inverse = found_at.astype(np.int64)
    n_colours = int(seeds.colours.max()) + 1
    counts = np.bincount(inverse * n_colours + flooded, minlength=len(local) * n_colours).reshape(-1, n_colours)
    counts[:, 0] = 0
    most = np.where(counts.any(axis=1), counts.argmax(axis=1), 0)
    is_cut = counts.max(axis=1) < _WHOLE * counts.sum(axis=1)
    at_seeds = np.searchsorted(local, seed_supervoxels)
    is_cut[at_seeds[most[at_seeds] != seeds.colours]] = True
    found[mask] = flooded * (is_cut[inverse] & (flooded != most[inverse]))
    members = document.members(segment)
    return SegmentCut(members, _spread(document, members, local, most), _tight(VoxelParts(box, labels, found)))


def window_around(box: Box, space: VoxelSpace, bounds: Box) -> Box:
    """A box with some surroundings, as far as the voxels stay few enough to work on at once."""
    reach = _REACH_NM
    while True:
        margin = [max(2, round(reach / size)) for size in space.voxel_size_nm]
        window = box.grow(margin).intersect(bounds)
        if window.size <= _MOST_VOXELS or max(margin) <= 2:
            return window
        reach *= 0.8


def _tight(parts: VoxelParts) -> VoxelParts | None:
    used = parts.colours > 0
    spans = []
    for axis in range(3):
        where = np.flatnonzero(used.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(where):
            return None
        spans.append((int(where[0]), int(where[-1]) + 1))
    inner = Box(tuple(a for a, _ in spans), tuple(b for _, b in spans))  # type: ignore[arg-type]
    return VoxelParts(inner.shift(parts.box.start), parts.labels[inner.slices], parts.colours[inner.slices])


def _pieces(supervoxels: np.ndarray, graph: RegionGraph) -> Pieces:
    edges = np.searchsorted(supervoxels, graph.edges).reshape(-1, 2)
    return Pieces(len(supervoxels), edges, graph.scores, graph.contacts)


def _spread(document: LabelDocument, members: np.ndarray, local: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours of a whole segment from those of some of its supervoxels: the rest goes with what it touches most.

    By the contacts as decoded: those that edits made elsewhere would have to be looked for in the voxels.
    """
    everything = np.zeros(len(members), np.int64)
    everything[np.searchsorted(members, local)] = colours
    if everything.all():
        return everything
    stored = document.graph
    kept = stored.within(members)
    graph = RegionGraph(stored.edges[kept], stored.scores[kept], stored.contacts[kept], stored.places[kept])
    return adopt_orphans(_pieces(members, graph), everything, everything)
