"""Scores of decoders in the scored boxes; what does not depend on the settings that changed is not done again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_pytc.decoding.base import DecoderSettings, contact_join, in_order
from napari_pytc.decoding.tables import renamed
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.metrics.partitions import ContingencyTable
from napari_pytc.tuning.regions import EvidenceStore, TruthRegion
from napari_pytc.tuning.scores import SegmentScores, scores_of
from napari_pytc.tuning.search_space import regrouping_settings

_MOST_KEPT_BYTES = 512 * 2**20
"""Memory for supervoxels of earlier trials: their contacts and what they share with the truth, no voxels."""


@dataclass(frozen=True, eq=False)
class ComparedSupervoxels:
    """Supervoxels of a region without their voxels: contacts, sizes, and the voxels they share with the truth.

    Parameters
    ----------
    graph : RegionGraph
    sizes : ndarray of uint64, shape (n + 1,)
        Voxels of each, with the context.
    supervoxels, objects, counts : ndarray, shape (m,)
        Pairs of a supervoxel and a true object, and the number of known voxels that they share.
    n_seed_voxels : ndarray, shape (n + 1,), optional
        Voxels of each in `DecoderSettings.seed_voxels`, where the decoder needs some.
    """

    graph: RegionGraph
    sizes: np.ndarray
    supervoxels: np.ndarray
    objects: np.ndarray
    counts: np.ndarray
    n_seed_voxels: np.ndarray | None = None
    _kept: dict[bytes, RegionGraph] = field(default_factory=dict, repr=False)

    @property
    def n_bytes(self) -> int:
        """Memory that they take, with the merge hierarchy that their contacts may get."""
        graph = self.graph
        arrays = [graph.edges, graph.scores, graph.contacts, graph.places, self.sizes]
        arrays += [] if graph.histograms is None else graph.histograms.arrays().values()
        return 2 * sum(a.nbytes for a in arrays) + self.supervoxels.nbytes + self.objects.nbytes + self.counts.nbytes

    def segments(self, decoder: DecoderSettings, space: VoxelSpace) -> np.ndarray:
        """The segment of each, uint32 (n + 1,); 0 for those that the decoder drops.

        Parameters
        ----------
        decoder : DecoderSettings
            As `DecoderSettings.fitted`.
        """
        keep = decoder.large_enough(self.sizes, self.graph, space)
        if self.n_seed_voxels is not None:
            keep = keep & decoder.well_seeded(self.n_seed_voxels)
        graph, sizes = self.graph, self.sizes
        if not keep[1:].all():
            graph, sizes = self._graph_of(keep), np.where(keep, sizes, 0).astype(np.uint64)
        segments = decoder.partition(graph, sizes, space)
        return np.where(keep, segments, 0).astype(np.uint32)

    def table(self, segments: np.ndarray) -> ContingencyTable:
        """The voxels that segments share with the truth."""
        table = ContingencyTable()
        table.add_overlaps(segments[self.supervoxels], self.objects, self.counts)
        return table

    def _graph_of(self, keep: np.ndarray) -> RegionGraph:
        """The contacts among supervoxels that are kept; for the same ones the same object, which has its hierarchy."""
        key = np.packbits(keep).tobytes()
        if key not in self._kept:
            self._kept.clear()
            ids = np.where(keep, np.arange(len(keep), dtype=np.uint32), np.uint32(0))
            self._kept[key] = renamed(self.graph, ids)
        return self._kept[key]


class TrialScorer:
    """Scores decoders on the truth.

    Supervoxels of earlier trials are kept, so that settings which only drop or group them take milliseconds.

    Parameters
    ----------
    regions : sequence of TruthRegion
        Where they are scored.
    evidence : EvidenceStore
        The prediction there.
    shape : tuple of int
        Lengths of the volume that is to be segmented: a single section has areas.
    check : callable
        Called between regions; raises to give up.
    """

    def __init__(
        self,
        regions: Sequence[TruthRegion],
        evidence: EvidenceStore,
        space: VoxelSpace,
        shape: Shape,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._regions, self._evidence, self._space, self._shape, self._check = regions, evidence, space, shape, check
        self._kept: OrderedDict[tuple[int, str], ComparedSupervoxels] = OrderedDict()
        self.n_decoded = 0
        """How often supervoxels were made."""

    def score(self, decoder: DecoderSettings) -> SegmentScores:
        """Scores of a decoder.

        Raises
        ------
        InvalidInput
            If the prediction cannot be decoded so.
        """
        fitted = decoder.fitted(self._shape, self._space)
        tables = []
        for number in range(len(self._regions)):
            self._check()
            found = self._supervoxels(fitted, number)
            tables.append(found.table(found.segments(fitted, self._space)))
        return scores_of(tables)

    def _supervoxels(self, decoder: DecoderSettings, number: int) -> ComparedSupervoxels:
        key = (number, decoder.model_dump_json(exclude=regrouping_settings(type(decoder))))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = self._made(decoder, self._regions[number])
        self.n_decoded += 1
        self._kept[key] = found
        while len(self._kept) > 1 and sum(one.n_bytes for one in self._kept.values()) > _MOST_KEPT_BYTES:
            self._kept.popitem(last=False)
        return found

    def _made(self, decoder: DecoderSettings, region: TruthRegion) -> ComparedSupervoxels:
        """Supervoxels of a region, as `DecoderSettings.decode` makes them before it drops and groups any."""
        evidence = self._evidence.read(region.read)
        decoder.check(evidence.kind)
        labels = in_order(decoder.supervoxels(evidence, self._space))
        graph = contact_edges(labels, contact_join(evidence), histograms=decoder.needs_histograms)
        sizes = np.bincount(labels.ravel(), minlength=1).astype(np.uint64)
        seeds = decoder.seed_voxels(evidence)
        n_seed_voxels = None if seeds is None else np.bincount(labels[seeds], minlength=len(sizes))
        inner, truth = labels[region.box.relative_to(region.read.start).slices], region.truth
        if region.known is not None:
            inner, truth = inner[region.known], truth[region.known]
        table = ContingencyTable()
        table.add(inner, truth)
        supervoxels, objects, counts = table.overlaps()
        return ComparedSupervoxels(graph, sizes, supervoxels.astype(np.int64), objects, counts, n_seed_voxels)
