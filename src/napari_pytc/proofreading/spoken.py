"""What statements say of the voxels of a chunk, worked out from it and its surroundings alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage

from napari_pytc.annotations.said import BACKGROUND, OTHER
from napari_pytc.geometry import Box, Shape
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
        contact, painted, whole, nothing = (np.zeros(region.shape, bool) for _ in range(4))
        changed = 0.0
        for statement in statements:
            if isinstance(statement, Joined):
                found = _joined_contact(statement, supervoxels, segments)
                contact |= found
            elif isinstance(statement, Cut):
                found = _cut(statement, segments, region)
                contact |= found
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
        labels = np.where(self._near(contact, segments) | painted | whole, segments, np.uint32(0))
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
            distance = ndimage.distance_transform_edt(~mine[window], sampling=self._sizes)
            found[window] |= (distance <= self._reach_nm) & (segments[window] == segment)
        return found


def _joined_contact(statement: Joined, supervoxels: np.ndarray, segments: np.ndarray) -> np.ndarray:
    groups = statement.groups(supervoxels)
    found = np.zeros(segments.shape, bool)
    if groups.any():
        for low, high in _beside(segments.shape):
            hit = (segments[low] == segments[high]) & (segments[low] != 0) & (groups[low] != groups[high])
            found[low] |= hit
            found[high] |= hit
    return found


def _cut(statement: Cut, segments: np.ndarray, region: Box) -> np.ndarray:
    found, here = np.zeros(segments.shape, bool), np.zeros(segments.shape, bool)
    for place in statement.places:
        here[place.grow((1, 1, 1)).intersect(region).relative_to(region.start).slices] = True
    sides = np.isin(segments, statement.segments) & here
    for low, high in _beside(segments.shape):
        hit = sides[low] & sides[high] & (segments[low] != segments[high])
        found[low] |= hit
        found[high] |= hit
    return found


def _painted(statement: Painted, region: Box) -> np.ndarray:
    found = np.zeros(region.shape, bool)
    for box, mask in statement.patches:
        common = box.intersect(region)
        found[common.relative_to(region.start).slices] |= mask[common.relative_to(box.start).slices]
    return found


def _beside(shape: Sequence[int]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Index of voxels and of their next neighbours, along each axis."""
    for axis in range(len(shape)):
        before = (slice(None),) * axis
        yield (*before, slice(None, -1)), (*before, slice(1, None))
