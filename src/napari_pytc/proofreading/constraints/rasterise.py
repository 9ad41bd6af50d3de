"""Constraints as labels of voxels, worked out chunk by chunk from a chunk and its surroundings alone."""

from __future__ import annotations

from collections.abc import Sequence

import bioimage_cpp as bic
import numpy as np
from scipy import ndimage

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.region_graph import packed
from napari_pytc.proofreading.constraints.placed_constraints import PlacedConstraint
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.constraints import CannotLink, DenseTruth, MustLink, NoObject, Painted
from napari_pytc.settings import Settings, setting


class CorrectionSettings(Settings):
    """Distances around an edit within which voxels get labels."""

    reach_um: float = setting(
        0.15,
        "Reach",
        "How far from a joined contact or a cut the voxels on its sides are training data.",
        "µm",
        gt=0,
        le=10,
    )
    border_voxels: int = setting(
        2, "Border", "How far around a locked segment voxels are known to be something else.", "voxels", ge=0, le=20
    )


_ROUNDING_NM = 1e-3
"""Distances are float32."""


class ConstraintRasteriser:
    """Labels of chunks from constraints on a document; the rules are those of `TrainingLabels`."""

    def __init__(self, document: LabelDocument, settings: CorrectionSettings) -> None:
        self._document, self._border = document, settings.border_voxels
        self._reach_nm = 1000 * settings.reach_um
        self._sizes = document.space.voxel_size_nm
        z, y, x = (max(int(self._reach_nm / size) + 2, settings.border_voxels) for size in self._sizes)
        self.halo: Shape = (z, y, x)
        """Largest distance beyond its boxes at which a constraint may label voxels."""

    def labels(self, box: Box, placed: Sequence[PlacedConstraint]) -> tuple[np.ndarray, float]:
        """Labels of a box, uint32, and the time of the latest constraint on its surroundings."""
        if not placed:
            return np.zeros(box.shape, np.uint32), 0.0
        region = box.grow(self.halo).intersect(Box.of_shape(self._document.shape))
        supervoxels = self._document.supervoxels(region)
        segments = self._document.owners(supervoxels)
        faces = _Faces(supervoxels, self._document)
        painted, complete, nothing = (np.zeros(region.shape, bool) for _ in range(3))
        changed = 0.0
        for one in placed:
            match one.constraint:
                case MustLink():
                    found = faces.mark_joined(one.constraint)
                case CannotLink():
                    found = faces.mark_cut(one.constraint)
                case Painted():
                    found = _painted(one.constraint, region)
                    painted |= found
                case DenseTruth():
                    found = np.isin(segments, one.constraint.segments)
                    complete |= found
                case NoObject():
                    found = np.isin(segments, one.constraint.segments)
                    nothing |= found
                case _:
                    continue
            if found.any():
                changed = max(changed, one.time)
        labels = np.where(self._near(faces.marked(), segments) | painted | complete, segments, np.uint32(0))
        labels[nothing | (painted & (segments == 0))] = BACKGROUND
        if self._border and complete.any():
            around = ndimage.binary_dilation(complete, iterations=self._border)
            labels[around & (labels == 0)] = OTHER
        return np.ascontiguousarray(labels[box.relative_to(region.start).slices]), changed

    def _near(self, contact: np.ndarray, segments: np.ndarray) -> np.ndarray:
        """Voxels of a segment within reach of its own voxels at contacts."""
        found = np.zeros(contact.shape, bool)
        whole = Box.of_shape(contact.shape)
        for segment in np.unique(segments[contact]).tolist():
            mine = contact & (segments == segment)
            places = np.argwhere(mine)
            hull = Box(tuple(places.min(axis=0)), tuple(places.max(axis=0) + 1))
            window = hull.grow(self.halo).intersect(whole).slices
            distance = bic.distance.distance_transform(~mine[window], sampling=list(self._sizes))
            found[window] |= (distance <= self._reach_nm + _ROUNDING_NM) & (segments[window] == segment)
        return found


def _painted(painted: Painted, region: Box) -> np.ndarray:
    found = np.zeros(region.shape, bool)
    for box, mask in painted.patches:
        common = box.intersect(region)
        found[common.relative_to(region.start).slices] |= mask[common.relative_to(box.start).slices]
    return found


class _Faces:
    """Faces between supervoxels of a region: each pair is looked at once, however many constraints there are."""

    def __init__(self, supervoxels: np.ndarray, document: LabelDocument) -> None:
        self._shape = supervoxels.shape
        self._voxels, pairs = [], []
        for axis in range(3):
            before = (slice(None),) * axis
            low, high = supervoxels[(*before, slice(None, -1))], supervoxels[(*before, slice(1, None))]
            where = np.nonzero((low != high) & (low != 0) & (high != 0))
            beyond = tuple(places + int(a == axis) for a, places in enumerate(where))
            self._voxels.append((where, beyond))
            ends = np.stack([low[where], high[where]])
            pairs.append(packed(np.sort(ends, axis=0).T))
        found, self._pair_of = np.unique(np.concatenate(pairs), return_inverse=True)
        self._ends = np.stack([found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)]).astype(np.uint32)
        self._segments = document.owners(self._ends)
        self._marked = np.zeros(len(found), bool)

    def mark_joined(self, link: MustLink) -> np.ndarray:
        """Mark the pairs that a merge joined, and return their mask."""
        groups = link.groups(self._ends)
        found = (self._segments[0] == self._segments[1]) & (self._segments[0] != 0) & (groups[0] != groups[1])
        self._marked |= found
        return found

    def mark_cut(self, cut: CannotLink) -> np.ndarray:
        """Mark the pairs that a split keeps apart, and return their mask."""
        sides = np.isin(self._segments, cut.segments).all(axis=0)
        found: np.ndarray = sides & (self._segments[0] != self._segments[1])
        self._marked |= found
        return found

    def marked(self) -> np.ndarray:
        """Voxels on either side of the marked pairs."""
        mask = np.zeros(self._shape, bool)
        chosen, first = self._marked[self._pair_of], 0
        for where, beyond in self._voxels:
            here = chosen[first : first + len(where[0])]
            first += len(where[0])
            for side in (where, beyond):
                mask[tuple(places[here] for places in side)] = True
        return mask
