"""What statements say of the voxels of a chunk, worked out from it and its surroundings alone."""

from __future__ import annotations

from collections.abc import Sequence

import bioimage_cpp as bic
import numpy as np
from scipy import ndimage

from napari_pytc.annotations.said import BACKGROUND, OTHER
from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.region_graph import packed
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.statements import Cut, Joined, Nothing, Painted, Statement
from napari_pytc.settings import Settings, setting


class CorrectionSettings(Settings):
    """How far around an edit it says something."""

    reach_um: float = setting(
        0.15, "Reach", "How far from a joined contact or a cut the voxels on its sides teach.", "µm", gt=0, le=10
    )
    border_voxels: int = setting(
        2, "Border", "How far around a locked segment voxels are known to be something else.", "voxels", ge=0, le=20
    )


_ROUNDING_NM = 1e-3
"""Distances are float32."""


class ChunkLabels:
    """Labels of chunks from what is said of a document; the rules are those of `Corrections`."""

    def __init__(self, document: LabelDocument, settings: CorrectionSettings) -> None:
        self._document, self._border = document, settings.border_voxels
        self._reach_nm = 1000 * settings.reach_um
        self._sizes = document.space.voxel_size_nm
        z, y, x = (max(int(self._reach_nm / size) + 2, settings.border_voxels) for size in self._sizes)
        self.halo: Shape = (z, y, x)
        """How far beyond its places a statement may say something."""

    def labels(self, box: Box, statements: Sequence[Statement]) -> tuple[np.ndarray, float]:
        """Labels of a box, uint32, and when the latest of the statements that say something here was made."""
        if not statements:
            return np.zeros(box.shape, np.uint32), 0.0
        region = box.grow(self.halo).intersect(Box.of_shape(self._document.shape))
        supervoxels = self._document.supervoxels(region)
        segments = self._document.owners(supervoxels)
        faces = _Faces(supervoxels, self._document)
        painted, whole, nothing = (np.zeros(region.shape, bool) for _ in range(3))
        changed = 0.0
        for statement in statements:
            if isinstance(statement, Joined | Cut):
                found = faces.joined(statement) if isinstance(statement, Joined) else faces.cut(statement)
            elif isinstance(statement, Painted):
                found = _painted(statement, region)
                painted |= found
            else:
                found = segments == statement.segment
                if isinstance(statement, Nothing):
                    nothing |= found
                else:
                    whole |= found
            if found.any():
                changed = max(changed, statement.time)
        labels = np.where(self._near(faces.said(), segments) | painted | whole, segments, np.uint32(0))
        labels[nothing | (painted & (segments == 0))] = BACKGROUND
        if self._border and whole.any():
            around = ndimage.binary_dilation(whole, iterations=self._border)
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


def _painted(statement: Painted, region: Box) -> np.ndarray:
    found = np.zeros(region.shape, bool)
    for box, mask in statement.patches:
        common = box.intersect(region)
        found[common.relative_to(region.start).slices] |= mask[common.relative_to(box.start).slices]
    return found


class _Faces:
    """Where two supervoxels of a region meet: each pair is looked at once, however many statements there are."""

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
        self._said = np.zeros(len(found), bool)

    def joined(self, statement: Joined) -> np.ndarray:
        """Pairs that a merge joined."""
        groups = statement.groups(self._ends)
        found = (self._segments[0] == self._segments[1]) & (self._segments[0] != 0) & (groups[0] != groups[1])
        self._said |= found
        return found

    def cut(self, statement: Cut) -> np.ndarray:
        """Pairs that a split keeps apart."""
        sides = np.isin(self._segments, statement.segments).all(axis=0)
        found: np.ndarray = sides & (self._segments[0] != self._segments[1])
        self._said |= found
        return found

    def said(self) -> np.ndarray:
        """Voxels on either side of pairs of which something was said."""
        mask = np.zeros(self._shape, bool)
        chosen, first = self._said[self._pair_of], 0
        for where, beyond in self._voxels:
            here = chosen[first : first + len(where[0])]
            first += len(where[0])
            for side in (where, beyond):
                mask[tuple(places[here] for places in side)] = True
        return mask
