"""Seeded watershed, for objects that touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from napari_pytc.decoding.base import DecoderSettings, Stitching
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.decoding.flooding import Depth, connected, flood
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.settings import setting


class BoundarySettings(DecoderSettings):
    """Settings of the decoders that start from boundaries."""

    boundary_threshold: float = setting(
        0.5, "Boundary from", "Voxels that are more probably boundary than this lie between objects.", gt=0, le=1
    )
    fill: bool = setting(
        True,
        "Fill boundaries",
        "Boundary voxels are given to the object that they belong to best; off where objects lie apart in background.",
    )

    def flooded(self, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
        """The boundary map and the region to flood."""
        region = evidence.region()
        if self.object_class:
            inside = evidence.object_map(self.object_class)
            region &= inside >= 0.5
            boundary = evidence.boundary_map() if evidence.kind.has_boundary_map else np.asarray(1 - inside)
        else:
            boundary = evidence.boundary_map()
        if not self.fill:
            region &= boundary < self.boundary_threshold
        return boundary, region


class FloodingSettings(BoundarySettings):
    """Settings of the decoders that start from a watershed."""

    seed_distance_um: float = setting(
        0.03, "Distance of seeds", "Two seeds are at least so far apart: less gives smaller pieces.", "µm", gt=0
    )
    smoothing_um: float = setting(
        0.007, "Smoothing", "Boundaries are smoothed over this length before the flooding.", "µm", ge=0
    )

    def depth(self, per_section: bool) -> Depth:
        """Settings by which seeds are found."""
        return Depth(self.smoothing_um * 1000, self.boundary_threshold, self.seed_distance_um * 1000, per_section)


class WatershedDecoder(FloodingSettings):
    """Seeded watershed: for roundish objects that touch, such as mitochondria, nuclei and cell bodies."""

    kind: Literal["watershed"] = "watershed"
    seeds: Literal["distance", "boundary"] = setting(
        "distance",
        "Seeds",
        "One in the middle of each object (distance), or each connected piece that is surely no boundary (boundary).",
    )
    seed_threshold: float = setting(
        0.1,
        "Sure inside",
        "With seeds from the boundary: voxels less probably boundary than this are seeds.",
        ge=0,
        le=1,
    )
    seed_distance_um: float = setting(
        0.1, "Distance of seeds", "Two seeds are at least so far apart: less gives more, smaller objects.", "µm", gt=0
    )
    smallest_um3: float = setting(0.0005, "Smallest object", "Smaller objects are dropped.", "µm³", ge=0)
    smallest_um2: float = setting(0.0005, "Smallest object", "The same for a single section.", "µm²", ge=0)

    title: ClassVar[str] = "Watershed"
    stitching: ClassVar[Stitching] = "matching"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "boundary_threshold": TunedRange(0.2, 0.8),
        "seeds": TunedRange(),
        "seed_threshold": TunedRange(0.02, 0.5),
        "seed_distance_um": TunedRange(0.02, 0.6, is_logarithmic=True),
        "smoothing_um": TunedRange(0, 0.03),
        "smallest_um3": TunedRange(1e-5, 2e-2, is_logarithmic=True, regroups=True),
        "smallest_um2": TunedRange(1e-5, 2e-2, is_logarithmic=True, regroups=True),
    }

    def halo(self, space: VoxelSpace) -> Shape:
        """Reach of seeds and distances, in voxels."""
        return self.depth(per_section=False).halo(space)

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """A basin around each seed."""
        boundary, region = self.flooded(evidence)
        seeds = None
        if self.seeds == "boundary":
            seeds = connected(region & (boundary < self.seed_threshold), 6) > 0
        return flood(boundary, region, space, self.depth(per_section=False), seeds)
