"""Sizes, boxes, classes and contacts of supervoxels: measured in each block, added up over the volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.contact_histograms import ContactHistograms
from napari_pytc.labels.region_graph import RegionGraph, merged, packed

_HISTOGRAM = "histogram_"
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class BlockTables:
    """Measures of the labels in one block; only of those that are there.

    Parameters
    ----------
    ids : ndarray of uint32, shape (k,)
    sizes : ndarray of int64, shape (k,)
        Voxels in the block.
    boxes : ndarray of int32, shape (k, 6)
        Around them in the volume: start z, y, x, stop z, y, x.
    firsts : ndarray of int64, shape (k,)
        Place of the first voxel, counted through the volume in C order.
    class_sums : ndarray of float64, shape (k, c)
        Sums of the probabilities of the classes.
    graph : RegionGraph
        Contacts, each counted by one block only.
    """

    ids: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    firsts: np.ndarray
    class_sums: np.ndarray
    graph: RegionGraph

    @classmethod
    def measured(
        cls,
        labels: np.ndarray,
        box: Box,
        shape: Shape,
        sums: Callable[[np.ndarray, int], np.ndarray],
        graph: RegionGraph,
    ) -> BlockTables:
        """Measure the labels of a box of a volume of this shape."""
        from scipy import ndimage

        ids, first, compact, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
        real = ids > 0
        # find_objects leaves out 0, so the background, where there is one, must be 0 and all others from 1.
        compact = compact.reshape(labels.shape) + (0 if len(ids) and ids[0] == 0 else 1)
        found = ndimage.find_objects(compact)
        boxes = [[s.start for s in part] + [s.stop for s in part] for part in found]
        where = np.stack(np.unravel_index(first[real], labels.shape), axis=1) + np.asarray(box.start)
        class_sums = sums(compact, len(found) + 1)[1:]
        return cls(
            ids[real].astype(np.uint32),
            sizes[real].astype(np.int64),
            (np.asarray(boxes, np.int64).reshape(-1, 6) + np.tile(box.start, 2)).astype(np.int32),
            (where[:, 0] * shape[1] + where[:, 1]) * shape[2] + where[:, 2],
            class_sums,
            graph,
        )

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> BlockTables:
        """Tables from the result of `arrays`."""
        own = {field.name: arrays[field.name] for field in fields(cls) if field.name != "graph"}
        histograms = None
        if f"{_HISTOGRAM}starts" in arrays:
            histograms = ContactHistograms(*(arrays[f"{_HISTOGRAM}{name}"] for name in ("starts", "bins", "counts")))
        graph = RegionGraph(arrays["edges"], arrays["scores"], arrays["contacts"], arrays["places"], histograms)
        return cls(**own, graph=graph)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "graph"}
        graph = self.graph
        found = own | {
            "edges": graph.edges, "scores": graph.scores, "contacts": graph.contacts, "places": graph.places
        }  # fmt: skip
        if graph.histograms is not None:
            found |= {f"{_HISTOGRAM}{name}": array for name, array in graph.histograms.arrays().items()}
        return found


@dataclass(frozen=True, eq=False)
class VolumeTables:
    """Measures of all labels of a volume, by label; see `BlockTables`. Row 0 is the background."""

    sizes: np.ndarray
    boxes: np.ndarray
    firsts: np.ndarray
    class_sums: np.ndarray
    graph: RegionGraph

    def in_order_of(self, keep: np.ndarray, rank: np.ndarray | None = None) -> tuple[VolumeTables, np.ndarray]:
        """Drop labels and count the others from 1 in order of their first voxels; also gives the new id of each.

        Parameters
        ----------
        keep : ndarray of bool
            The labels that stay.
        rank : ndarray, optional
            Labels of a lower rank come before all others.
        """
        old = np.flatnonzero(keep)
        ranks = np.zeros(len(old)) if rank is None else rank[old]
        old = old[np.lexsort((self.firsts[old], ranks))]
        final = np.zeros(len(keep), np.uint32)
        final[old] = np.arange(1, len(old) + 1, dtype=np.uint32)
        rows = np.concatenate([[0], old])
        graph = renamed(self.graph, final)
        return VolumeTables(self.sizes[rows], self.boxes[rows], self.firsts[rows], self.class_sums[rows], graph), final


def add_up(blocks: Sequence[BlockTables], n: int) -> VolumeTables:
    """The tables of a volume with labels up to n from those of its blocks."""
    n_classes = blocks[0].class_sums.shape[1]
    sizes, class_sums = np.zeros(n + 1, np.uint64), np.zeros((n + 1, n_classes))
    firsts, boxes = np.full(n + 1, _FAR), np.zeros((n + 1, 6), np.int32)
    boxes[1:, :3] = np.iinfo(np.int32).max
    for block in blocks:
        ids = block.ids
        sizes[ids] += block.sizes.astype(np.uint64)
        class_sums[ids] += block.class_sums
        firsts[ids] = np.minimum(firsts[ids], block.firsts)
        boxes[ids, :3] = np.minimum(boxes[ids, :3], block.boxes[:, :3])
        boxes[ids, 3:] = np.maximum(boxes[ids, 3:], block.boxes[:, 3:])
    return VolumeTables(sizes, boxes, firsts, class_sums, merged([block.graph for block in blocks]))


def renamed(graph: RegionGraph, new: np.ndarray) -> RegionGraph:
    """The graph with other ids, without the edges of those that become 0."""
    ends = np.sort(new[graph.edges], axis=1).astype(np.uint32).reshape(-1, 2)
    rows = np.flatnonzero(ends[:, 0] > 0)
    rows = rows[np.argsort(packed(ends[rows]), kind="stable")]
    return replace(graph.take(rows), edges=ends[rows])
