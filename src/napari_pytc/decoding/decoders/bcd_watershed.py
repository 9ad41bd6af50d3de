"""Watershed with two thresholds on foreground, contour and distance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from napari_pytc.decoding.base import DecoderSettings, Stitching, size_nm
from napari_pytc.decoding.evidence import Evidence, EvidenceKind
from napari_pytc.decoding.flooding import connected, distances
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.targets.instances import FOREGROUND
from napari_pytc.settings import setting

_HALO_NM = 250.0
_ANY_CONTOUR = 1.0
"""A contour above this is asked of no voxel, as of all that is a probability."""


class BcdWatershedDecoder(DecoderSettings):
    """Two thresholds on foreground, contour and distance: for mitochondria, vesicles, nuclei and fibres that touch.

    Seeds are what is surely inside: connected voxels beyond the seed thresholds of all three. They grow by a watershed
    of the distance, from the deepest voxels outwards, over all voxels beyond the weaker thresholds. What no seed
    reaches is background. Where a prediction lacks one of the three, the others decide. This is how PyTorch
    Connectomics decodes BCD models (Lin et al., 2021; Wei et al., 2020).
    """

    kind: Literal["bcd_watershed"] = "bcd_watershed"
    seed_foreground: float = setting(
        0.9, "Seeds: foreground above", "Voxels of seeds are more probably in an object than this; 0 asks nothing.",
        ge=0, le=1,
    )  # fmt: skip
    seed_contour: float = setting(
        0.8, "Seeds: contour below", "Voxels of seeds are less probably contour than this; above 1 asks nothing.",
        ge=0, le=1.1,
    )  # fmt: skip
    seed_distance: float = setting(
        0.5,
        "Seeds: distance above",
        "Voxels of seeds lie deeper than this, where 1 is the middle of an object or the distance's reach and 0 its "
        "rim: higher gives more objects of those that touch; -1 asks nothing.",
        ge=-1,
        le=1,
    )
    foreground: float = setting(
        0.85, "Foreground above", "Voxels of objects are more probably in an object than this; 0 asks nothing.",
        ge=0, le=1,
    )  # fmt: skip
    contour: float = setting(
        1.1, "Contour below", "Voxels of objects are less probably contour than this; above 1 asks nothing.",
        ge=0, le=1.1,
    )  # fmt: skip
    distance: float = setting(
        0.0, "Distance above", "Voxels of objects lie deeper than this, where 0 is the rim; -1 asks nothing.",
        ge=-1, le=1,
    )  # fmt: skip
    flooding: Literal["predicted", "measured"] = setting(
        "predicted",
        "Flooding by",
        "Seeds grow by the predicted distance, or by one that is measured from the rim of the objects' voxels; where "
        "no distance is predicted, always by the measured one.",
    )
    smallest_seed: int = setting(
        32, "Smallest seed", "Seeds of fewer voxels start no object: others grow over it.", "voxels", ge=0
    )
    smallest_um3: float = setting(0.0001, "Smallest object", "Smaller objects are dropped.", "µm³", ge=0)
    smallest_um2: float = setting(0.0002, "Smallest object", "The same for a single section.", "µm²", ge=0)

    title: ClassVar[str] = "BCD watershed"
    stitching: ClassVar[Stitching] = "matching"
    tuned: ClassVar[Mapping[str, TunedRange]] = {
        "seed_foreground": TunedRange(0.5, 0.99),
        "foreground": TunedRange(0.3, 0.95),
        "seed_contour": TunedRange(0.1, 1.0),
        "contour": TunedRange(0.3, 1.1),
        "seed_distance": TunedRange(0.05, 0.95),
        "distance": TunedRange(-0.8, 0.5),
        "smallest_seed": TunedRange(1, 300, is_logarithmic=True),
        "smallest_um3": TunedRange(1e-5, 2e-2, is_logarithmic=True, regroups=True),
        "smallest_um2": TunedRange(1e-5, 2e-2, is_logarithmic=True, regroups=True),
    }

    def check(self, kind: EvidenceKind) -> None:
        """Needs a foreground or a class, or distances; a contour alone does not show which side is inside."""
        self.check_class(kind)
        if not (self._inside_name(kind) or kind.distance):
            raise InvalidInput(
                f"The {self.title} needs a foreground, a class of objects or distances, but the prediction has {kind}.",
                "Choose the class whose objects are wanted, or another decoder.",
            )

    def assumptions(self, kind: EvidenceKind) -> list[str]:
        """A note on what of the three is missing."""
        there = {
            "foreground": bool(self._inside_name(kind)),
            "contour": bool(kind.boundary or kind.boundary_class),
            "distance": kind.distance,
        }
        missing = [name for name, is_there in there.items() if not is_there]
        if not missing:
            return []
        others = [name for name, is_there in there.items() if is_there]
        decide = "decide" if len(others) > 1 else "decides"
        grow = "" if kind.distance else ", and seeds grow by the distance from the rim of the objects' voxels"
        return [f"The prediction has no {' and no '.join(missing)}: {' and '.join(others)} alone {decide}{grow}."]

    def without_effect(self, kind: EvidenceKind) -> frozenset[str]:
        """Thresholds on channels that the prediction lacks."""
        unused = set() if self._inside_name(kind) else {"seed_foreground", "foreground"}
        unused |= set() if kind.boundary or kind.boundary_class else {"seed_contour", "contour"}
        unused |= set() if kind.distance else {"seed_distance", "distance", "flooding"}
        return frozenset(unused)

    def halo(self, space: VoxelSpace) -> Shape:
        """Reach over which seeds compete for a voxel."""
        z, y, x = (math.ceil(_HALO_NM / edge) for edge in size_nm(space))
        return (max(z, 2), max(y, 2), max(x, 2))

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """An object around each seed, and pieces that a seed may reach from beyond the box."""
        from skimage.segmentation import watershed

        region = self._beyond(evidence, self.foreground, self.contour, self.distance)
        if not region.any():
            return np.zeros(evidence.shape, np.uint32)
        markers, ends = self._markers(evidence), evidence.open_ends()
        if evidence.distance is None or self.flooding == "measured":
            depth = distances(region, size_nm(space))
        else:
            depth = np.maximum(evidence.distance, 0)
        # The flood takes voxels of equal depth, which are many of a stored byte, in the order in which it reaches them.
        labels = watershed(-depth, markers.astype(np.int32), mask=region).astype(np.uint32)
        rest = connected(region & (labels == 0), 6)
        reaching = np.zeros(int(rest.max()) + 1, bool)
        reaching[np.unique(rest[ends])] = True
        reaching[0] = False
        return np.where(reaching[rest], rest + labels.max(), labels).astype(np.uint32)

    def seed_voxels(self, evidence: Evidence) -> np.ndarray:
        """Voxels of the seeds that start objects."""
        return self._markers(evidence) > 0

    def well_seeded(self, n_seed_voxels: np.ndarray) -> np.ndarray:
        """Mask of the objects whose seeds are large enough."""
        return np.asarray(n_seed_voxels >= max(1, self.smallest_seed))

    def _markers(self, evidence: Evidence) -> np.ndarray:
        """The seeds that start an object, counted: those of enough voxels, or that may have more beyond the box."""
        sure = self._beyond(evidence, self.seed_foreground, self.seed_contour, self.seed_distance)
        sure &= self._beyond(evidence, self.foreground, self.contour, self.distance)
        seeds = connected(sure, 26)
        keep = np.bincount(seeds.ravel()) >= max(1, self.smallest_seed)
        keep[np.unique(seeds[evidence.open_ends()])] = True
        keep[0] = False
        return np.where(keep[seeds], seeds, 0)

    def _beyond(self, evidence: Evidence, foreground: float, contour: float, distance: float) -> np.ndarray:
        """Voxels beyond the thresholds of all channels that there are."""
        kind = evidence.kind
        found = evidence.region()
        name = self._inside_name(kind)
        if name and foreground > 0:
            found &= evidence.object_map(name) > foreground
        if contour <= _ANY_CONTOUR and evidence.boundary is not None:
            found &= evidence.boundary < contour
        elif contour <= _ANY_CONTOUR and kind.boundary_class:
            found &= evidence.class_map(kind.boundary_class) < contour
        if distance > -1 and evidence.distance is not None:
            found &= evidence.distance > distance
        if evidence.barrier is not None:
            found &= evidence.barrier < 0.5
        return found

    def _inside_name(self, kind: EvidenceKind) -> str:
        """The class whose probability is the foreground; empty where there is none."""
        if self.object_class:
            return self.object_class
        return next((name for name in kind.object_names if name.startswith(FOREGROUND)), "")
