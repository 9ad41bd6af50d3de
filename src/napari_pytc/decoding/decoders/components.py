"""Connected components above a threshold, for objects that lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from napari_pytc.decoding.base import DecoderSettings, Stitching
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.decoding.flooding import connected
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.settings import setting


class ComponentsDecoder(DecoderSettings):
    """Threshold and connected components: for objects that do not touch, such as most synapses and vesicle clouds.

    Blocks of any shape give exactly the objects of the volume in one piece.
    """

    kind: Literal["components"] = "components"
    threshold: float = setting(
        0.5, "Threshold", "Voxels that are at least so probably inside of an object belong to one.", ge=0, le=1
    )
    connectivity: Literal[6, 18, 26] = setting(
        6, "Connectivity", "Voxels are connected over faces (6), also over edges (18), also over corners (26)."
    )
    smallest_um3: float = setting(0.0001, "Smallest object", "Smaller objects are dropped.", "µm³", ge=0)
    smallest_um2: float = setting(0.0002, "Smallest object", "The same for a single section.", "µm²", ge=0)

    title: ClassVar[str] = "Components"
    stitching: ClassVar[Stitching] = "touching"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "threshold": TunedRange(0.1, 0.9),
        "smallest_um3": TunedRange(1e-6, 1e-2, is_logarithmic=True, regroups=True),
        "smallest_um2": TunedRange(1e-5, 1e-2, is_logarithmic=True, regroups=True),
    }

    @property
    def piece_connectivity(self) -> int:
        """Neighbours by which voxels of one supervoxel hang together."""
        return self.connectivity

    def halo(self, space: VoxelSpace) -> Shape:
        """No halo: whether a voxel is inside depends on nothing else.

        One voxel more on either side lets the weakest affinity over a voxel's faces be that of the whole.
        """
        return (1, 1, 1)

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """Connected voxels above the threshold."""
        inside = (evidence.object_map(self.object_class) >= self.threshold) & evidence.region()
        return connected(inside, self.connectivity)
