"""Painted labels on disk: the strokes of a volume, and its object labels."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import CHUNK_SHAPE, LabelStore, StoredChunk

MOST_CLASSES = 255
_HOLDS = {np.dtype(np.uint8): "annotations", np.dtype(np.uint32): "objects"}
_KEPT_BYTES = 32 * 2**20
"""Chunks of the last change that are kept in memory for the next one."""


class PaintStore:
    """Labels that people paint on the voxels of a volume; an `AnnotationSource` that can be changed.

    uint8 labels are strokes: 0 = not annotated, k = k-th class. uint32 labels are objects: 0 = not annotated,
    `BACKGROUND` = no object is here, any other number is an object's id. Either lies in a `LabelStore`, which the first
    label makes where it is missing.

    Painted labels are on the disk when a method returns. Only chunks that hold labels have a file, so cost and memory
    follow what was painted, never the volume. All methods may be called from any thread.

    Parameters
    ----------
    folder : Path
        Folder of the store; the first label makes it where it is missing.
    shape : tuple of int
        Of the volume, along z, y, x in voxels.
    dtype : dtype
        uint8 or uint32.
    lock : RLock, optional
        Keeps other threads from changing labels; stores that one journal changes share it.
    """

    def __init__(
        self,
        folder: str | Path,
        shape: Shape,
        space: VoxelSpace,
        dtype: np.dtype | type = np.uint8,
        writable: bool = True,
        lock: threading.RLock | None = None,
    ) -> None:
        self.folder, self.shape, self.space, self.writable = Path(folder), shape, space, writable
        self.dtype = np.dtype(dtype)
        z, y, x = (min(c, n) for c, n in zip(CHUNK_SHAPE, shape, strict=True))
        self.chunk_shape: Shape = (z, y, x)
        self.lock = lock or threading.RLock()
        self._labels: LabelStore | None = None
        self._kept: tuple[int, dict[Box, np.ndarray]] = (-1, {})  # whole chunks, as of a revision
        self._counting = threading.Lock()
        self._counts: dict[Box, tuple[tuple[int, int, int], dict[int, int]]] = {}
        self._counted: tuple[LabelStore, int, dict[int, int]] | None = None

    @classmethod
    def create(
        cls,
        folder: str | Path,
        shape: Shape,
        space: VoxelSpace,
        revision: int = 0,
        dtype: np.dtype | type = np.uint8,
    ) -> PaintStore:
        """Make an empty store for a volume of this shape; parameters and errors as in `LabelStore.create`."""
        store = cls(folder, shape, space, dtype)
        store._labels = store._create(revision)
        return store

    @classmethod
    def open(cls, folder: str | Path, writable: bool = True, dtype: np.dtype | type = np.uint8) -> PaintStore:
        """Open a store that is on the disk; errors as in `LabelStore.open`."""
        labels = LabelStore.open(folder, writable)
        store = cls(folder, labels.shape, labels.space, dtype, writable)
        if labels.dtype != store.dtype:
            raise InvalidInput(
                f"Painted labels are {store.dtype}, but {folder} holds {labels.dtype}.", "Name another folder."
            )
        store._labels, store.chunk_shape = labels, labels.chunk_shape
        return store

    @property
    def exists(self) -> bool:
        """Whether it is on the disk: object labels are not before the first one."""
        return self._labels is not None or (self.folder / "zarr.json").exists()

    @property
    def revision(self) -> int:
        """Grows with every change, also one by another process; 0 before the first."""
        labels = self._opened()
        return 0 if labels is None else labels.revision

    def chunks(self) -> list[StoredChunk]:
        """The disjoint chunks, cut at the volume's edge, that hold labels; all else is 0. Reads no voxel."""
        labels = self._opened()
        return [] if labels is None else labels.chunks()

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box within the volume, shape ``box.shape``."""
        self._check_within(box)
        labels = self._opened()
        return np.zeros(box.shape, self.dtype) if labels is None else labels.read(box)

    def write(self, box: Box, data: np.ndarray) -> None:
        """Replace the labels of a box; 0 erases.

        Raises
        ------
        InvalidInput
            If the box reaches beyond the volume or the labels are not of its shape and the store's type.
        VolumeError
            If the disk refuses; labels saved before are intact.
        """
        with self.lock:
            self._made().write(box, data)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other threads from changing labels in the block."""
        with self.lock:
            yield

    def wait(self) -> None:
        """Return when no other thread changes labels any more."""
        with self.lock:
            return

    def become(self, other: PaintStore) -> None:
        """Show the labels of another store from now on, for all users of this one."""
        with self.lock, self._counting:
            self._labels, self.folder = other._labels, other.folder
            self._counts.clear()
            self._kept = (-1, {})

    def paint(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> None:
        """Change the labels of some voxels of a box and leave the others as they are.

        Parameters
        ----------
        labels : ndarray or int
            Of shape ``box.shape``, or one label for all; 0 erases.
        mask : ndarray of bool, optional
            Mask of the voxels to change; by default those whose label is not 0.
        """
        new, mask = self._checked(box, labels, mask)
        if mask.any():
            with self.lock:
                self.write(box, np.where(mask, new, self.read(box)))

    def patch_of(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> LabelPatch | None:
        """The change that `paint` would make, None where nothing differs; parameters and errors as there."""
        new, mask = self._checked(box, labels, mask)
        if not mask.any():
            return None
        before = self.read(box)
        return LabelPatch.between(box, before, np.where(mask, new, before))

    def rebase(self, patch: LabelPatch) -> LabelPatch | None:
        """A patch as a change of what is on the disk, None where nothing differs.

        It is the same patch where `before` is what is there; else something was changed since it was painted. The
        chunks are read once, here, and `apply` goes on with them.
        """
        with self.lock:
            before = np.empty(patch.box.shape, self.dtype)
            for box, labels in self._load(patch).items():
                common = box.intersect(patch.box)
                before[common.relative_to(patch.box.start).slices] = labels[common.relative_to(box.start).slices]
            return patch.rebased(before)

    def apply(self, patches: Sequence[LabelPatch]) -> None:
        """Write patches, one after the other, durably; doing it twice is the same as once.

        Each chunk is written once, and read unless it is known from the last change.

        Raises
        ------
        VolumeError
            If the disk refuses; what was written is taken back where the disk lets it.
        """
        with self.lock:
            labels = self._made()
            changed = [self._load(patch) for patch in patches]
            former = {box: chunk for chunks in changed for box, chunk in chunks.items()}
            after = {box: chunk.copy() for box, chunk in former.items()}
            for patch, chunks in zip(patches, changed, strict=True):
                patch.apply_to_chunks({box: after[box] for box in chunks})
            self._kept = (-1, {})
            try:
                labels.write_boxes(after)
            except VolumeError:
                with suppress(VolumeError):
                    labels.write_boxes(former)
                raise
            if sum(chunk.nbytes for chunk in after.values()) <= _KEPT_BYTES:
                self._kept = (labels.revision, after)

    def counts(self) -> dict[int, int]:
        """Painted voxels by label, without the unlabelled; reads only chunks that changed since the last call."""
        with self._counting:
            labels = self._opened()
            if labels is None:
                return {}
            revision = labels.revision  # before: what is written meanwhile is counted anew
            if self._counted is None or self._counted[:2] != (labels, revision):
                self._counted = (labels, revision, self._count(labels, revision))
            return dict(self._counted[2])

    def _count(self, labels: LabelStore, revision: int) -> dict[int, int]:
        known, self._counts = self._counts, {}
        kept_revision, kept = self._kept
        if kept_revision != revision:
            kept = {}
        total: dict[int, int] = {}
        for chunk in labels.chunks():
            version, counts = known.get(chunk.box, (None, None))
            if counts is None or version != chunk.version:
                counts = _count_labels(kept[chunk.box] if chunk.box in kept else labels.read(chunk.box))
            self._counts[chunk.box] = (chunk.version, counts)
            for label, n in counts.items():
                total[label] = total.get(label, 0) + n
        total.pop(0, None)
        return dict(sorted(total.items()))

    def _load(self, patch: LabelPatch) -> dict[Box, np.ndarray]:
        """Labels of the whole chunks that a patch changes, as they are on the disk; not to be written into."""
        self._check_within(patch.box)
        revision = self.revision
        kept_revision, kept = self._kept
        if kept_revision != revision:
            kept = {}
        boxes = patch.chunks(self.chunk_shape, self.shape)
        found = {box: kept[box] if box in kept else self.read(box) for box in boxes}
        self._kept = (revision, kept | found)
        return found

    def _check_within(self, box: Box) -> None:
        if not Box.of_shape(self.shape).contains(box):
            raise InvalidInput(f"The box {box} does not lie within the volume {Box.of_shape(self.shape)}.")

    def _checked(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        new = np.asarray(labels)
        if new.ndim == 0:
            largest = int(np.iinfo(self.dtype).max)
            if not 0 <= int(new) <= largest:
                raise InvalidInput(f"A label lies between 0 and {largest}, got {int(new)}.")
            new = np.full(box.shape, int(new), self.dtype)
        mask = new != 0 if mask is None else np.asarray(mask, bool)
        if new.shape != box.shape or mask.shape != box.shape:
            raise InvalidInput(
                f"Labels and mask of {box} must have shape {box.shape}, got {new.shape} and {mask.shape}."
            )
        if not np.can_cast(new.dtype, self.dtype):
            raise InvalidInput(f"Labels of {box} must be {self.dtype}, got {new.dtype}.")
        return new.astype(self.dtype, copy=False), mask

    def _opened(self) -> LabelStore | None:
        if self._labels is None and self.exists:
            self._labels = LabelStore.open(self.folder, self.writable)
        return self._labels

    def _made(self) -> LabelStore:
        labels = self._opened()
        if labels is not None:
            return labels
        if not self.writable:
            raise VolumeError(f"The labels {self.folder} are open for reading only.")
        shutil.rmtree(self.folder, ignore_errors=True)  # what a kill left half made: nothing was written into it
        self._labels = self._create()
        return self._labels

    def _create(self, revision: int = 0) -> LabelStore:
        attributes = {"holds": _HOLDS[self.dtype]}
        return LabelStore.create(
            self.folder, self.shape, self.dtype, self.space, attributes=attributes, revision=revision
        )


def _count_labels(labels: np.ndarray) -> dict[int, int]:
    if labels.dtype.itemsize == 1:  # faster than sorting
        counts = np.bincount(labels.ravel())
        return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}
    ids, counts = np.unique(labels, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))
