"""Connected components of the affinities of face neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from napari_pytc.decoding.base import DecoderSettings, Stitching
from napari_pytc.decoding.evidence import Evidence, EvidenceKind
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.settings import setting

_IN_SECTIONS = (1, 2)


class AffinityComponentsDecoder(DecoderSettings):
    """Connected components of affinities: for neurites whose network is sure enough that one threshold separates them.

    Two face neighbours are one where the affinity between them is above the threshold; what such pairs connect is an
    object, and a voxel without any is background. Longer affinities are not used. So decodes BANIS, the baseline of
    the Neuron Instance Segmentation Benchmark, and PyTorch Connectomics with decode_affinity_cc. Blocks of any shape
    give exactly the objects of the volume in one piece.
    """

    kind: Literal["affinity_components"] = "affinity_components"
    threshold: float = setting(
        0.5,
        "Join above",
        "Neighbouring voxels are one object where their affinity is above this: higher gives more, smaller objects.",
        ge=0,
        le=1,
    )
    smallest_um3: float = setting(0.0005, "Smallest object", "Smaller objects are dropped.", "µm³", ge=0)
    smallest_um2: float = setting(0.0005, "Smallest object", "The same for a single section.", "µm²", ge=0)

    title: ClassVar[str] = "Affinity components"
    stitching: ClassVar[Stitching] = "joined"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "threshold": TunedRange(0.3, 0.98),
        "smallest_um3": TunedRange(2e-5, 2e-2, is_logarithmic=True, regroups=True),
        "smallest_um2": TunedRange(5e-5, 1e-2, is_logarithmic=True, regroups=True),
    }

    def check(self, kind: EvidenceKind) -> None:
        """Needs affinities of face neighbours along y and x; without those along z nothing joins sections."""
        self.check_class(kind)
        if not set(_IN_SECTIONS) <= set(kind.near_axes):
            raise InvalidInput(
                f"Affinity components need affinities of neighbours along y and x, but the prediction has {kind}.",
                "Choose components or watershed, or train for affinities.",
            )

    def assumptions(self, kind: EvidenceKind) -> list[str]:
        """A note where no affinity joins sections."""
        if 0 in kind.near_axes:
            return []
        return ["The prediction has no affinities of neighbours along z: each section has objects of its own."]

    def halo(self, space: VoxelSpace) -> Shape:
        """One voxel: a voxel is part of an object where any of its six faces is joined."""
        return (1, 1, 1)

    def joined_faces(self, evidence: Evidence) -> np.ndarray:
        """Faces whose affinity is above the threshold, within the region of objects."""
        affinities = evidence.nearest()
        region = evidence.region()
        if self.object_class:
            region &= evidence.class_map(self.object_class) >= 0.5
        joined = np.zeros((3, *evidence.shape), bool)
        if affinities is None:
            return joined
        for axis in evidence.kind.near_axes:
            near, far = _sides(axis)
            joined[axis][near] = (affinities[axis][near] > self.threshold) & region[near] & region[far]
        return joined

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """Voxels that joined faces connect."""
        import cc3d

        joined = self.joined_faces(evidence)
        # Two bits for each axis: whether the face to the next voxel is joined, and that to the one before.
        faces = np.zeros(evidence.shape, np.uint8)
        for axis in range(3):
            near, far = _sides(axis)
            bit = 2 * axis
            faces[near] |= joined[axis][near].view(np.uint8) << np.uint8(bit)
            faces[far] |= joined[axis][near].view(np.uint8) << np.uint8(bit + 1)
        labels = cc3d.color_connectivity_graph(faces, connectivity=6)
        return np.where(faces > 0, labels, 0).astype(np.uint32)


def _sides(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of all voxels that have a next one along an axis, and of these next ones."""
    near = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
    far = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
    return near, far
