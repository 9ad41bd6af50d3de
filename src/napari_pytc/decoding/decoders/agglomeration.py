"""Mean-affinity agglomeration of the supervoxels of a watershed, for neurites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from napari_pytc.decoding.base import Stitching, voxels_of_um3
from napari_pytc.decoding.decoders.watershed import FloodingSettings
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.decoding.flooding import flood, is_thick
from napari_pytc.decoding.partition import absorb_small, hierarchy_of, large_islands
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.settings import setting


class GraphSettings(FloodingSettings):
    """Settings of the decoders that group supervoxels of a watershed."""

    smallest_um3: float = setting(
        0.0005, "Smallest segment", "Smaller segments join the neighbour that fits best.", "µm³", ge=0
    )
    smallest_um2: float = setting(0.0005, "Smallest segment", "The same for a single section.", "µm²", ge=0)
    sections: Literal["auto", "each", "together"] = setting(
        "auto",
        "Supervoxels of sections",
        "Flood each section on its own and join across sections afterwards, or all together; auto: each where "
        "sections are thick.",
    )

    stitching: ClassVar[Stitching] = "matching"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "boundary_threshold": TunedRange(0.2, 0.8),
        "seed_distance_um": TunedRange(0.01, 0.15, is_logarithmic=True),
        "smoothing_um": TunedRange(0, 0.03),
        "smallest_um3": TunedRange(2e-5, 2e-2, is_logarithmic=True, regroups=True),
        "smallest_um2": TunedRange(5e-5, 1e-2, is_logarithmic=True, regroups=True),
    }

    def halo(self, space: VoxelSpace) -> Shape:
        """Reach of seeds and distances, in voxels."""
        return self.depth(self._each(space)).halo(space)

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """Basins of the boundary."""
        boundary, region = self.flooded(evidence)
        return flood(boundary, region, space, self.depth(self._each(space)))

    def large_enough(self, sizes: np.ndarray, graph: RegionGraph, space: VoxelSpace) -> np.ndarray:
        """All but islands that are too small and touch nothing they could join."""
        return large_islands(sizes, graph, voxels_of_um3(self.smallest_um3, space))

    def join_small(self, segments: np.ndarray, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """Segments that are too small join the neighbour whose contact scores best."""
        return absorb_small(segments, sizes, graph, voxels_of_um3(self.smallest_um3, space))

    def _each(self, space: VoxelSpace) -> bool:
        return is_thick(space) if self.sections == "auto" else self.sections == "each"


class AgglomerationDecoder(GraphSettings):
    """Watershed and mean-affinity agglomeration: for neurites and everything else that fills space."""

    kind: Literal["agglomeration"] = "agglomeration"
    threshold: float = setting(
        0.5,
        "Merge from",
        "Segments merge while the mean probability that they are one is at least this: lower gives fewer, larger "
        "segments. It can be moved afterwards.",
        ge=0,
        le=1,
    )

    title: ClassVar[str] = "Agglomeration"
    slider: ClassVar[str | None] = "threshold"
    tuned: ClassVar[Mapping[str, TunedRange]] = {"threshold": TunedRange(0.1, 0.95), **GraphSettings.tuned}

    def group(self, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """Cut the merge hierarchy at the threshold."""
        return hierarchy_of(graph, len(sizes)).cut(self.threshold)
