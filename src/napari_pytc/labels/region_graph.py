"""The region graph: contacts of supervoxels, with the probability that the two sides are one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.labels.contact_histograms import ContactHistograms, joined

UNDECIDED = 0.5
_FILES = ("edges", "scores", "contacts", "places")
_INDEX = ("edge_starts", "second_starts", "edges_by_second")


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Contacts between supervoxels, each an edge.

    Parameters
    ----------
    edges : ndarray of uint32, shape (m, 2)
        Pairs u < v, sorted, none twice.
    scores : ndarray of float32, shape (m,)
        Probability that both sides are one object, the mean over the contact: 1 = merge, 0 = boundary.
    contacts : ndarray of uint32, shape (m,)
        Faces of voxels between the two.
    places : ndarray of float32, shape (m, 3)
        Mean place of these faces, in voxels (z, y, x) of the volume.
    histograms : ContactHistograms, optional
        The scores of all faces of each contact, where a decoder asks for more than their mean.
    """

    edges: np.ndarray
    scores: np.ndarray
    contacts: np.ndarray
    places: np.ndarray
    histograms: ContactHistograms | None = None
    _stored_index: tuple[np.ndarray, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        m = len(self.edges)
        shapes = (self.edges.shape, self.scores.shape, self.contacts.shape, self.places.shape)
        if shapes != ((m, 2), (m,), (m,), (m, 3)):
            raise InvalidInput(
                f"A region graph needs edges (m, 2), scores (m,), contacts (m,) and places (m, 3), got {shapes}."
            )
        if self.histograms is not None and len(self.histograms) != m:
            raise InvalidInput(f"A region graph of {m} contacts needs as many histograms, got {len(self.histograms)}.")

    @classmethod
    def empty(cls) -> RegionGraph:
        """No contact at all."""
        return cls(
            np.zeros((0, 2), np.uint32), np.zeros(0, np.float32), np.zeros(0, np.uint32), np.zeros((0, 3), np.float32)
        )

    def __len__(self) -> int:
        return len(self.edges)

    def take(self, rows: np.ndarray) -> RegionGraph:
        """The graph of some edges alone, in this order: indices or a mask."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        histograms = None if self.histograms is None else self.histograms.take(chosen)
        edges, scores, contacts, places = (np.asarray(getattr(self, name))[chosen] for name in _FILES)
        return RegionGraph(edges, scores, contacts, places, histograms)

    def neighbours(self, supervoxel: int) -> np.ndarray:
        """Indices of the edges that end at a supervoxel, ascending; in time of the answer."""
        starts, second_starts, by_second = self._index
        if not 0 <= supervoxel < len(starts) - 1:
            return np.zeros(0, np.int64)
        as_second = by_second[second_starts[supervoxel] : second_starts[supervoxel + 1]].astype(np.int64)
        as_first = np.arange(starts[supervoxel], starts[supervoxel + 1], dtype=np.int64)
        return np.concatenate([as_second, as_first])

    def within(self, supervoxels: np.ndarray) -> np.ndarray:
        """Indices of the edges with both ends among some supervoxels, ascending; in time of their edges."""
        starts = self._index[0]
        chosen = np.unique(np.asarray(supervoxels, np.int64))
        chosen = chosen[(chosen >= 0) & (chosen < len(starts) - 1)]
        begin, end = starts[chosen].astype(np.int64), starts[chosen + 1].astype(np.int64)
        lengths = end - begin
        before = np.concatenate([[0], np.cumsum(lengths)])
        candidates = np.arange(before[-1]) - np.repeat(before[:-1] - begin, lengths)
        seconds = np.asarray(self.edges[candidates, 1], np.int64)
        if not len(chosen):
            return candidates
        at = np.minimum(np.searchsorted(chosen, seconds), len(chosen) - 1)
        return candidates[chosen[at] == seconds]

    @cached_property
    def _index(self) -> tuple[np.ndarray, ...]:
        """Starts of the edges of each first and each second end, and the edges in order of their second end."""
        if self._stored_index is not None:
            return self._stored_index
        first, second = np.asarray(self.edges[:, 0]), np.asarray(self.edges[:, 1])
        n = int(second.max()) + 1 if len(second) else 1
        starts, second_starts = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(first, minlength=n), out=starts[1:])
        np.cumsum(np.bincount(second, minlength=n), out=second_starts[1:])
        return starts, second_starts, np.argsort(second, kind="stable").astype(np.uint32)

    def save(self, folder: Path) -> None:
        """Write the graph and its index as .npy files into a folder."""
        for name in _FILES:
            np.save(folder / f"{name}.npy", getattr(self, name))
        for name, array in zip(_INDEX, self._index, strict=True):
            np.save(folder / f"{name}.npy", array)
        if self.histograms is not None:
            self.histograms.save(folder)

    @classmethod
    def load(cls, folder: Path) -> RegionGraph:
        """Open what `save` wrote, memory-mapped; of a graph without index, one is made with the first use.

        Raises
        ------
        VolumeError
            If files are missing or damaged.
        """
        try:
            edges, scores, contacts, places = (open_array(folder / f"{name}.npy") for name in _FILES)
            stored = None
            if all((folder / f"{name}.npy").exists() for name in _INDEX):
                stored = tuple(open_array(folder / f"{name}.npy") for name in _INDEX)
            files = ContactHistograms.files(folder)
            histograms = ContactHistograms(*(open_array(file) for file in files)) if files else None
            return cls(edges, scores, contacts, places, histograms, stored)
        except (OSError, ValueError, InvalidInput) as error:
            raise VolumeError(f"The region graph in {folder} is damaged: {error}", "Segment again.") from error


def open_array(path: Path) -> np.ndarray:
    """An .npy file, memory-mapped for reading; one that is cut off is a `ValueError`."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except EOFError as error:
        raise ValueError(f"{path.name} is empty") from error


def contact_edges(
    labels: np.ndarray,
    join: np.ndarray | None = None,
    origin: Sequence[int] = (0, 0, 0),
    owned: Sequence[int] | None = None,
    *,
    histograms: bool = False,
) -> RegionGraph:
    """All pairs of different labels that touch by a face; 0 touches nothing.

    ::

        . . . | .      owned: only faces whose nearer voxel lies within so many voxels from the start count, so that
        . a b | b      blocks that are read with one voxel more on their far sides count every face of a volume
        . a a | c      exactly once
        ------+--
        . d d | d

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
    join : ndarray, optional
        Probability that voxels belong to their neighbours' object: one a voxel (z, y, x), of which a face gets the mean
        of its two voxels, or one a face (3, z, y, x), at ``[axis, voxel]`` between the voxel and the next along the
        axis. Without it every score is 0.5.
    origin : sequence of int
        Place of the first voxel in the volume.
    owned : sequence of int, optional
        Lengths along z, y, x; everything by default.
    histograms : bool
        Whether to keep the scores of all faces of each contact besides their mean.
    """
    shape = labels.shape
    if labels.ndim != 3 or (join is not None and join.shape not in (shape, (3, *shape))):
        raise InvalidInput(
            f"Contacts need labels (z, y, x) and a join probability of {shape} or {(3, *shape)}, got labels of {shape} "
            f"and a join probability of {None if join is None else join.shape}."
        )
    limits = shape if owned is None else tuple(owned)
    found = [_faces(labels, join, axis, limits) for axis in range(3)]
    pairs, scores, places = (np.concatenate([part[k] for part in found]) for k in range(3))
    graph = RegionGraph.empty()
    if len(pairs):
        graph = _summed(pairs, np.ones(len(pairs)), scores, places + np.asarray(origin, float))
    if not histograms:
        return graph
    return replace(
        graph,
        histograms=ContactHistograms.of_faces(np.searchsorted(packed(graph.edges), pairs), scores, len(graph)),
    )


def merged(graphs: Sequence[RegionGraph]) -> RegionGraph:
    """The graph of a volume from those of its blocks: contacts add up, scores and places are averaged over them."""
    wanted = any(graph.histograms is not None for graph in graphs)
    graphs = [graph for graph in graphs if len(graph)]
    if not graphs:
        none = RegionGraph.empty()
        return replace(none, histograms=ContactHistograms.empty()) if wanted else none
    pairs = np.concatenate([packed(graph.edges) for graph in graphs])
    contacts, scores = (np.concatenate([getattr(g, name) for g in graphs]) for name in ("contacts", "scores"))
    places = np.concatenate([graph.places for graph in graphs])
    graph = _summed(pairs, contacts.astype(float), scores, places)
    if not wanted:
        return graph
    order = np.argsort(pairs, kind="stable")
    first = np.flatnonzero(np.r_[True, pairs[order][1:] != pairs[order][:-1]])
    parts = [graph.histograms for graph in graphs if graph.histograms is not None]
    return replace(graph, histograms=joined(parts).take(order).added(first))


def packed(edges: np.ndarray) -> np.ndarray:
    """Each pair as one uint64 that sorts as the pairs do."""
    return (edges[:, 0].astype(np.uint64) << np.uint64(32)) | edges[:, 1].astype(np.uint64)


def _faces(
    labels: np.ndarray, join: np.ndarray | None, axis: int, limits: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Packed pairs, scores and places of the faces across an axis between different labels."""
    extent = [min(limit, n - (a == axis)) for a, (limit, n) in enumerate(zip(limits, labels.shape, strict=True))]
    near = tuple(slice(0, max(n, 0)) for n in extent)
    far = tuple(slice(int(a == axis), max(n, 0) + int(a == axis)) for a, n in enumerate(extent))
    here, there = labels[near], labels[far]
    where = np.nonzero((here != there) & (here != 0) & (there != 0))
    u, v = here[where], there[where]
    pairs = packed(np.stack([np.minimum(u, v), np.maximum(u, v)], axis=1))
    if join is None:
        scores = np.full(len(pairs), UNDECIDED)
    elif join.ndim == 4:
        scores = join[axis][near][where].astype(float)
    else:
        scores = (join[near][where].astype(float) + join[far][where]) / 2
    places = np.stack(where, axis=1).astype(float)
    places[:, axis] += 0.5
    return pairs, scores, places


def _summed(pairs: np.ndarray, contacts: np.ndarray, scores: np.ndarray, places: np.ndarray) -> RegionGraph:
    """One edge per pair; a sorted sum, so that the order of what is added never depends on the machine."""
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    starts = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]])
    weights = contacts[order]
    total = np.add.reduceat(weights, starts)
    mean_score = np.add.reduceat(weights * scores[order], starts) / total
    mean_place = np.add.reduceat(weights[:, None] * places[order], starts, axis=0) / total[:, None]
    unique = pairs[starts]
    edges = np.stack([unique >> np.uint64(32), unique & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)
    return RegionGraph(edges, mean_score.astype(np.float32), total.astype(np.uint32), mean_place.astype(np.float32))
