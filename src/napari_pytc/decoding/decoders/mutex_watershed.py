"""Mutex watershed: long-range affinities forbid merges that short-range ones suggest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from napari_pytc.decoding.base import Stitching, size_nm, voxels_of_um3
from napari_pytc.decoding.decoders.watershed import BoundarySettings
from napari_pytc.decoding.evidence import Evidence, EvidenceKind
from napari_pytc.decoding.partition import absorb_small, large_islands
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.settings import setting

_HALO_NM = 200.0


class MutexWatershedDecoder(BoundarySettings):
    """Mutex watershed: for predictions with long-range affinities; neither seeds nor a threshold to choose."""

    kind: Literal["mutex_watershed"] = "mutex_watershed"
    repulsion_step: int = setting(
        1,
        "Repulsion every",
        "Every so many-th voxel along y and x repels: more is faster, but merges more.",
        "voxels",
        ge=1,
    )
    smallest_um3: float = setting(
        0.0005, "Smallest object", "Smaller pieces are given to the objects around them.", "µm³", ge=0
    )
    smallest_um2: float = setting(0.0005, "Smallest object", "The same for a single section.", "µm²", ge=0)

    title: ClassVar[str] = "Mutex watershed"
    stitching: ClassVar[Stitching] = "matching"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "boundary_threshold": TunedRange(0.2, 0.8),
        "smallest_um3": TunedRange(2e-5, 2e-2, is_logarithmic=True),
        "smallest_um2": TunedRange(5e-5, 1e-2, is_logarithmic=True),
    }

    def check(self, kind: EvidenceKind) -> None:
        """Needs affinities of face neighbours along all axes, and long-range ones."""
        super().check(kind)
        if len(kind.near_axes) < 3 or not _far(kind.offsets):
            raise InvalidInput(
                f"The mutex watershed needs affinities of neighbours along z, y and x and of voxels farther away, but "
                f"the prediction has {kind}.",
                "Choose agglomeration, or train for affinities.",
            )

    def halo(self, space: VoxelSpace) -> Shape:
        """Context that decides most voxels near a face; objects that reach farther are joined over the overlap."""
        z, y, x = (math.ceil(_HALO_NM / edge) for edge in size_nm(space))
        return (max(z, 2), max(y, 2), max(x, 2))

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """Objects of the affinities, and boundaries flooded from them."""
        import bioimage_cpp

        boundary, region = self.flooded(evidence)
        core = region & (boundary < self.boundary_threshold)
        if not core.any():
            return np.zeros(evidence.shape, np.uint32)
        near = evidence.nearest()
        assert near is not None  # both were checked by their kind
        assert evidence.affinities is not None
        far = _far(evidence.offsets)
        weights = np.concatenate([near, 1 - evidence.affinities[far]])
        offsets = [(1, 0, 0), (0, 1, 0), (0, 0, 1), *(tuple(evidence.offsets[channel]) for channel in far)]
        step = self.repulsion_step
        found = bioimage_cpp.segmentation.mutex_watershed(
            weights.astype(np.float32, copy=False), offsets, 3, strides=(1, step, step), mask=core
        ).astype(np.uint32)
        keep = np.bincount(found.ravel()) >= voxels_of_um3(self.smallest_um3, space)
        for axis in range(3):  # an object that goes on beyond the block may be large
            keep[found.take([0, -1], axis)] = True
        keep[0] = False
        seeds = np.where(keep[found], found, 0).astype(np.uint32)
        # A piece that no seed reaches is too small whatever it touches.
        return np.asarray(bioimage_cpp.segmentation.watershed(np.ascontiguousarray(boundary), seeds, mask=region))

    def large_enough(self, sizes: np.ndarray, graph: RegionGraph, space: VoxelSpace) -> np.ndarray:
        """All but islands that are too small and touch nothing they could join."""
        return large_islands(sizes, graph, voxels_of_um3(self.smallest_um3, space))

    def dropped(self, evidence: Evidence, supervoxels: np.ndarray, space: VoxelSpace) -> np.ndarray | None:
        """Voxels inside of objects that no object of sufficient size reached."""
        boundary, region = self.flooded(evidence)
        return np.asarray(region & (boundary < self.boundary_threshold) & (supervoxels == 0))

    def join_small(self, segments: np.ndarray, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """Objects at the ends of the volume that are too small join a neighbour."""
        return absorb_small(segments, sizes, graph, voxels_of_um3(self.smallest_um3, space))


def _far(offsets: Sequence[Shape]) -> list[int]:
    """Channels of voxels that are no face neighbours."""
    return [channel for channel, offset in enumerate(offsets) if sum(abs(step) for step in offset) > 1]
