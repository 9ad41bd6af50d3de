"""The annotations of a project on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pytc.annotations.source import AnnotatedBox
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.store import LabelStore

MOST_CLASSES = 255


class AnnotationStore:
    """Sparse class labels of a volume: 0 = not annotated, k = k-th class; an `AnnotationSource` that can be painted.

    What is painted is on the disk when `paint` returns. Only chunks that hold labels have a file, so cost and memory
    follow what was painted, never the volume.
    """

    def __init__(self, labels: LabelStore) -> None:
        self._labels = labels
        self._counts: dict[Box, tuple[tuple[int, int, int], np.ndarray]] = {}

    @classmethod
    def create(cls, folder: str | Path, shape: Shape, space: VoxelSpace) -> AnnotationStore:
        """Make an empty store for a volume of this shape; errors as in `LabelStore.create`."""
        return cls(LabelStore.create(folder, shape, np.uint8, space, attributes={"holds": "annotations"}))

    @classmethod
    def open(cls, folder: str | Path, writable: bool = True) -> AnnotationStore:
        """Open a store; errors as in `LabelStore.open`."""
        labels = LabelStore.open(folder, writable)
        if labels.dtype != np.uint8:
            raise InvalidInput(f"Annotations are uint8, but {folder} holds {labels.dtype}.", "Name another folder.")
        return cls(labels)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._labels.path

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels, those of the volume."""
        return self._labels.shape

    @property
    def chunk_shape(self) -> Shape:
        """Shape of the pieces on disk."""
        return self._labels.chunk_shape

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin in nm."""
        return self._labels.space

    @property
    def writable(self) -> bool:
        """Whether `write` and `paint` may be called."""
        return self._labels.writable

    @property
    def revision(self) -> int:
        """Grows with every change, also one by another process."""
        return self._labels.revision

    def boxes(self) -> list[AnnotatedBox]:
        """The disjoint chunks, cut at the volume's edge, that hold labels; all else is 0."""
        return [AnnotatedBox(box, changed) for box, changed in self._labels.boxes()]

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box within the volume, uint8, shape ``box.shape``."""
        return self._labels.read(box)

    def write(self, box: Box, data: np.ndarray) -> None:
        """Replace the labels of a box; 0 erases.

        Raises
        ------
        InvalidInput
            If the box reaches beyond the volume or the labels are not uint8 of its shape.
        VolumeError
            If the disk refuses; labels saved before are intact.
        """
        self._labels.write(box, data)

    def paint(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> None:
        """Change the labels of some voxels of a box and leave the others as they are.

        Parameters
        ----------
        labels : ndarray or int
            uint8 of shape ``box.shape``, or one label for all; 0 erases.
        mask : ndarray of bool, optional
            Which voxels to change; by default those whose label is not 0.
        """
        new = np.asarray(labels)
        if new.ndim == 0:
            if not 0 <= int(new) <= MOST_CLASSES:
                raise InvalidInput(f"A label lies between 0 and {MOST_CLASSES}, got {int(new)}.")
            new = np.full(box.shape, int(new), np.uint8)
        mask = new != 0 if mask is None else np.asarray(mask, bool)
        if new.shape != box.shape or mask.shape != box.shape:
            raise InvalidInput(
                f"Labels and mask of {box} must have shape {box.shape}, got {new.shape} and {mask.shape}."
            )
        if mask.any():
            self._labels.write(box, np.where(mask, new, self._labels.read(box)))

    def counts(self) -> dict[int, int]:
        """Annotated voxels by class, without the unlabelled; reads only chunks that changed since the last call."""
        known, self._counts = self._counts, {}
        total = np.zeros(MOST_CLASSES + 1, np.int64)
        for chunk in self._labels.chunks():
            version, counts = known.get(chunk.box, (None, None))
            if counts is None or version != chunk.version:
                counts = np.bincount(self._labels.read(chunk.box).ravel())
            self._counts[chunk.box] = (chunk.version, counts)
            total[: len(counts)] += counts
        return {k: int(n) for k, n in enumerate(total) if k and n}
