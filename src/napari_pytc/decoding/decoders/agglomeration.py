"""Agglomeration of the supervoxels of a watershed by the scores of their contacts, for neurites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from napari_pytc.decoding.base import Stitching, voxels_of_um3
from napari_pytc.decoding.contact_scores import MEAN, ScoreKind, ScoreRule
from napari_pytc.decoding.decoders.watershed import FloodingSettings
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.decoding.flooding import flood, is_thick
from napari_pytc.decoding.partition import absorb_small, hierarchy_of, large_islands, without_dust
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
    join_from: float = setting(
        0.0,
        "Small ones join from",
        "A segment that is too small joins the neighbour with the best contact only if it scores at least this.",
        ge=0,
        le=1,
    )
    drop_below: float = setting(
        1.0,
        "Drop below",
        "Small segments without such a neighbour become background if they are smaller than this part of the "
        "smallest segment: 1 drops all of them, 0 none.",
        ge=0,
        le=1,
    )

    stitching: ClassVar[Stitching] = "matching"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "boundary_threshold": TunedRange(0.2, 0.8),
        "seed_distance_um": TunedRange(0.01, 0.15, is_logarithmic=True),
        "smoothing_um": TunedRange(0, 0.03),
        "smallest_um3": TunedRange(2e-5, 2e-2, is_logarithmic=True, regroups=True),
        "smallest_um2": TunedRange(5e-5, 1e-2, is_logarithmic=True, regroups=True),
    }

    @property
    def score_rule(self) -> ScoreRule:
        """The rule by which contacts are scored."""
        return MEAN

    def halo(self, space: VoxelSpace) -> Shape:
        """Reach of seeds and distances, in voxels."""
        return self.depth(self._each(space)).halo(space)

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """Basins of the boundary."""
        boundary, region = self.flooded(evidence)
        return flood(boundary, region, space, self.depth(self._each(space)))

    def large_enough(self, sizes: np.ndarray, graph: RegionGraph, space: VoxelSpace) -> np.ndarray:
        """All but islands that are too small and touch nothing they could join."""
        return large_islands(sizes, graph, self._dust(space))

    def join_small(self, segments: np.ndarray, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """Segments that are too small join the neighbour whose contact scores best, or are dropped."""
        smallest = voxels_of_um3(self.smallest_um3, space)
        joined = absorb_small(segments, sizes, graph, smallest, self.score_rule, self.join_from)
        return without_dust(joined, sizes, self._dust(space)) if self.join_from > 0 else joined

    def _dust(self, space: VoxelSpace) -> float:
        """Segments of fewer voxels that join no neighbour are dropped."""
        return self.drop_below * voxels_of_um3(self.smallest_um3, space)

    def _each(self, space: VoxelSpace) -> bool:
        return is_thick(space) if self.sections == "auto" else self.sections == "each"


class AgglomerationDecoder(GraphSettings):
    """Watershed and agglomeration: for neurites and everything else that fills space."""

    kind: Literal["agglomeration"] = "agglomeration"
    threshold: float = setting(
        0.5,
        "Merge from",
        "Segments merge while the mean probability that they are one, or the chosen quantile of it, is at least this: "
        "lower gives fewer, larger segments. It can be moved afterwards.",
        ge=0,
        le=1,
    )
    score: ScoreKind = setting(
        "mean",
        "Score of a contact",
        "The mean over all faces between two segments, or a quantile of them. As waterz: a quantile of the highest "
        "scores of the contacts between their supervoxels.",
    )
    quantile: float = setting(
        0.85,
        "Quantile",
        "Where the score is a quantile: this part of the faces scores less. A high one merges over a gap in a "
        "boundary, a low one wants the whole contact open. To a thousandth.",
        ge=0,
        le=1,
    )

    title: ClassVar[str] = "Agglomeration"
    slider: ClassVar[str | None] = "threshold"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "threshold": TunedRange(0.1, 0.95),
        **GraphSettings.tuned,
        "score": TunedRange(),
        "quantile": TunedRange(0.25, 0.95, regroups=True),
    }

    @property
    def score_rule(self) -> ScoreRule:
        """The rule by which contacts are scored."""
        return MEAN if self.score == "mean" else ScoreRule(self.score, round(1000 * self.quantile))

    @property
    def needs_histograms(self) -> bool:
        """Whether the score is a quantile."""
        return self.score != "mean"

    def group(self, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """Cut the merge hierarchy at the threshold."""
        return hierarchy_of(graph, len(sizes), self.score_rule).cut(self.threshold)
