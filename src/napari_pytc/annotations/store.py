"""The annotations of a project on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from napari_pytc.annotations.source import AnnotatedBox
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import LabelStore, StoredChunk

MOST_CLASSES = 255


class AnnotationStore:
    """Sparse class labels of a volume: 0 = not annotated, k = k-th class; an `AnnotationSource` that can be painted.

    What is painted is on the disk when `paint` returns. Only chunks that hold labels have a file, so cost and memory
    follow what was painted, never the volume. All methods may be called from any thread.
    """

    def __init__(self, labels: LabelStore) -> None:
        self._labels = labels
        self._changing, self._counting = threading.RLock(), threading.Lock()
        self._counts: dict[Box, tuple[tuple[int, int, int], np.ndarray]] = {}
        self._counted: tuple[LabelStore, int, dict[int, int]] | None = None

    @classmethod
    def create(cls, folder: str | Path, shape: Shape, space: VoxelSpace, revision: int = 0) -> AnnotationStore:
        """Make an empty store for a volume of this shape; parameters and errors as in `LabelStore.create`."""
        attributes = {"holds": "annotations"}
        return cls(LabelStore.create(folder, shape, np.uint8, space, attributes=attributes, revision=revision))

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

    def chunks(self) -> list[StoredChunk]:
        """The chunks that hold labels, each with a version that differs when it was written again."""
        return self._labels.chunks()

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
        with self._changing:
            self._labels.write(box, data)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other threads from changing labels in the block."""
        with self._changing:
            yield

    def wait(self) -> None:
        """Return when no other thread changes labels any more."""
        with self._changing:
            return

    def become(self, other: AnnotationStore) -> None:
        """Show the labels of another store from now on; whoever holds this one sees them."""
        with self._changing, self._counting:
            self._labels = other._labels
            self._counts.clear()

    def paint(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> None:
        """Change the labels of some voxels of a box and leave the others as they are.

        Parameters
        ----------
        labels : ndarray or int
            uint8 of shape ``box.shape``, or one label for all; 0 erases.
        mask : ndarray of bool, optional
            Which voxels to change; by default those whose label is not 0.
        """
        new, mask = self._painting(box, labels, mask)
        if mask.any():
            with self._changing:
                self._labels.write(box, np.where(mask, new, self._labels.read(box)))

    def painted(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> LabelPatch | None:
        """What `paint` would change, None where nothing differs; parameters and errors as there."""
        new, mask = self._painting(box, labels, mask)
        if not np.can_cast(new.dtype, np.uint8):
            raise InvalidInput(f"Labels of {box} must be uint8, got {new.dtype}.")
        before = self._labels.read(box)
        return LabelPatch.between(box, before, np.where(mask, new, before)) if mask.any() else None

    def _painting(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
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
        return new, mask

    def counts(self) -> dict[int, int]:
        """Annotated voxels by class, without the unlabelled; reads only chunks that changed since the last call."""
        with self._counting:
            labels, revision = self._labels, self._labels.revision  # before: what is written meanwhile is counted anew
            if self._counted is None or self._counted[:2] != (labels, revision):
                self._counted = (labels, revision, self._count(labels))
            return dict(self._counted[2])

    def _count(self, labels: LabelStore) -> dict[int, int]:
        known, self._counts = self._counts, {}
        total = np.zeros(MOST_CLASSES + 1, np.int64)
        for chunk in labels.chunks():
            version, counts = known.get(chunk.box, (None, None))
            if counts is None or version != chunk.version:
                counts = np.bincount(labels.read(chunk.box).ravel())
            self._counts[chunk.box] = (chunk.version, counts)
            total[: len(counts)] += counts
        return {k: int(n) for k, n in enumerate(total) if k and n}
