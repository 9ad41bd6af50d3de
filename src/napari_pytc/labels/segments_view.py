"""The segments of a folder as they were when they were last flushed: to read, also in another process."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.merge_table import MergeTable
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.labels.saved_state import EDITS, SavedState
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.labels.store import LabelStore


class SegmentsView:
    """Segments with all edits that are in the folder, deleted ones as background; uint32, read-only.

    ::

        supervoxels.zarr + edits.zarr  ->  segments.npy + state.npz  ->  without the deleted ones

    Edits that are in the journal alone are not seen: flush before.
    """

    def __init__(self, segmentation: Segmentation, edits: LabelStore | None, state: SavedState | None) -> None:
        self._segmentation, self._edits = segmentation, edits
        self._state = state or SavedState()
        self._table = MergeTable(segmentation.segments)
        self._table.load_overrides(self._state.moved, self._state.segments)
        self._deleted = self._state.noted[self._state.deleted]

    @classmethod
    def open(cls, folder: str | Path) -> SegmentsView:
        """Open a segmentation's folder.

        Raises
        ------
        VolumeError
            If there is no finished segmentation, or it is damaged.
        """
        folder = Path(folder)
        edits = LabelStore.open(folder / EDITS, writable=False) if (folder / EDITS).is_dir() else None
        return cls(Segmentation.open(folder), edits, SavedState.load(folder))

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""
        return self._segmentation.shape

    @property
    def dtype(self) -> np.dtype:
        """Always uint32."""
        return np.dtype(np.uint32)

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self._segmentation.space

    @property
    def channels(self) -> tuple[str, ...]:
        """Empty: segments have no channel axis."""
        return ()

    @property
    def chunk_shape(self) -> Shape:
        """Shape of the pieces on disk."""
        return self._segmentation.supervoxels.chunk_shape

    @property
    def log_index(self) -> int:
        """Last row of the journal's log whose edits are included."""
        return self._state.log_index

    @cached_property
    def original_ids(self) -> OriginalIds | None:
        """Ids in the file that the segmentation was imported from; None where it was not imported."""
        return OriginalIds.load(self._segmentation.folder)

    @property
    def digests(self) -> tuple[int, ...]:
        """Digests that differ between any two states of the edits."""
        return tuple(int(value) for value in self._state.digests)

    @property
    def decoded(self) -> Box:
        """The voxels that were decoded."""
        return self._segmentation.record.box or Box.of_shape(self.shape)

    @property
    def locked(self) -> np.ndarray:
        """Locked segments, ascending; uint32."""
        return self._state.noted[self._state.locked]

    def supervoxels(self, box: Box) -> np.ndarray:
        """Supervoxels of a box within the volume as edits left them, uint32."""
        if not Box.of_shape(self.shape).contains(box):
            raise InvalidInput(f"The box {box} does not lie within the volume {Box.of_shape(self.shape)}.")
        supervoxels = self._segmentation.supervoxels.read(box)
        if self._edits is not None:
            edits = self._edits.read(box)
            supervoxels = np.where(edits == 0, supervoxels, edits - np.uint32(1))
        return supervoxels

    def owners(self, supervoxels: np.ndarray) -> np.ndarray:
        """Segments of supervoxels, the deleted ones included; uint32."""
        return self._table.lookup(supervoxels)

    def read(self, box: Box) -> np.ndarray:
        """Segments of a box within the volume, 0 where there is none."""
        segments = self._table.lookup(self.supervoxels(box))
        if len(self._deleted):
            segments = np.where(_among(segments, self._deleted), np.uint32(0), segments)
        return segments

    def segment_ids(self) -> np.ndarray:
        """All segments that are not deleted, ascending; uint32. One that lost its last voxel may be among them."""
        return np.setdiff1d(self._table.segments(), self._deleted)

    def class_name(self, segment: int) -> str:
        """Semantic class of a segment; empty for none."""
        ids, classes = self._classes
        at = int(np.searchsorted(ids, segment))
        number = int(classes[at]) if at < len(ids) and ids[at] == segment else 0
        names = self._segmentation.record.classes
        return names[number - 1] if 1 <= number <= len(names) else str(number or "")

    def is_locked(self, segment: int) -> bool:
        """Whether a segment is locked."""
        at = int(np.searchsorted(self._state.noted, segment))
        return at < len(self._state.noted) and self._state.noted[at] == segment and bool(self._state.locked[at])

    @cached_property
    def _classes(self) -> tuple[np.ndarray, np.ndarray]:
        """Segments, ascending, and their classes: what was noted, else that of most of their voxels."""
        supervoxels, segments = self._table.supervoxels()
        known = supervoxels < len(self._segmentation.classes)
        supervoxels, segments = supervoxels[known], segments[known]
        sizes, touched = self._segmentation.sizes[supervoxels], self._state.touched
        if len(touched):
            changed = _among(supervoxels, touched)
            sizes[changed] = self._state.sizes[np.searchsorted(touched, supervoxels[changed])]
        votes = self._segmentation.classes[supervoxels]
        ids, inverse = np.unique(np.r_[segments, self._state.noted], return_inverse=True)
        inverse = inverse[: len(segments)]
        classes, most = np.zeros(len(ids), np.uint8), np.zeros(len(ids))
        for number in np.unique(votes).tolist():
            voted = votes == number
            weights = np.bincount(inverse[voted], weights=sizes[voted], minlength=len(ids))
            classes[weights > most] = number
            most = np.maximum(most, weights)
        classes[np.searchsorted(ids, self._state.noted)] = self._state.classes
        return ids, classes


def _among(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Mask of the values that are among a few sorted ones; `np.isin` would make a table as long as the largest id."""
    at = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    return np.asarray(wanted[at] == values)
