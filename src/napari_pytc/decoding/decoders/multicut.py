"""Multicut of the supervoxels of a watershed, for neurites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from napari_pytc.decoding.decoders.agglomeration import GraphSettings
from napari_pytc.decoding.partition import cached, smallest_members
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.settings import setting

_SURE = 0.001


class MulticutDecoder(GraphSettings):
    """Watershed and multicut: weighs what speaks for and against every merge at once; needs no fixed threshold."""

    kind: Literal["multicut"] = "multicut"
    beta: float = setting(
        0.5,
        "Boundary bias",
        "How much is held against merging: lower gives fewer, larger segments. It can be moved afterwards.",
        gt=0,
        lt=1,
    )
    solver: Literal["greedy", "kernighan_lin"] = setting(
        "greedy",
        "Solver",
        "Greedy is instant; Kernighan-Lin goes on from there, takes longer and is a little better.",
    )

    title: ClassVar[str] = "Multicut"
    slider: ClassVar[str | None] = "beta"
    tuned: ClassVar[Mapping[str, TunedRange]] = {"beta": TunedRange(0.05, 0.95), **GraphSettings.tuned}

    def group(self, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """Solve the multicut of the graph's contacts."""
        n = len(sizes)
        if not len(graph):
            return np.arange(n, dtype=np.uint32)
        from bioimage_cpp.graph import multicut

        objective = multicut.MulticutObjective(
            cached(graph, f"graph {n}", lambda: _library_graph(graph, n)), self.costs(graph)
        )
        groups = multicut.GreedyAdditiveMulticut().optimize(objective)
        if self.solver == "kernighan_lin":
            groups = multicut.KernighanLinMulticut().optimize(objective)
        return smallest_members(groups)

    def costs(self, graph: RegionGraph) -> np.ndarray:
        """Cost of a cut at each contact: the log odds of one object, times its faces."""
        score = np.clip(np.asarray(graph.scores, float), _SURE, 1 - _SURE)
        return np.asarray((np.log(score / (1 - score)) + np.log((1 - self.beta) / self.beta)) * graph.contacts)


def _library_graph(graph: RegionGraph, n: int) -> Any:
    from bioimage_cpp.graph import UndirectedGraph

    return UndirectedGraph.from_unique_edges(n, np.asarray(graph.edges, np.uint64))
