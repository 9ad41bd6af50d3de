"""Single objects to learn from, on disk."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import CHUNK_SHAPE, LabelStore, StoredChunk


class ObjectStore:
    """Ids of objects on the voxels of a volume, uint32: 0 = not annotated; made on disk with the first of them.

    Cost and memory follow what is marked, never the volume. All methods may be called from any thread.

    Parameters
    ----------
    folder : Path
        Where it is, or will be.
    shape : tuple of int
        Of the volume, along z, y, x in voxels.
    changing : callable
        Gives the lock that keeps other threads from changing objects; whatever else the journal writes has the same.
    """

    dtype = np.dtype(np.uint32)

    def __init__(
        self,
        folder: Path,
        shape: Shape,
        space: VoxelSpace,
        changing: Callable[[], AbstractContextManager[None]],
        writable: bool = True,
    ) -> None:
        self.folder, self.shape, self.space, self.writable = folder, shape, space, writable
        self.changing = changing
        z, y, x = (min(c, n) for c, n in zip(CHUNK_SHAPE, shape, strict=True))
        self.chunk_shape: Shape = (z, y, x)
        self._labels: LabelStore | None = None
        self._counting = threading.Lock()
        self._counts: dict[Box, tuple[tuple[int, int, int], np.ndarray, np.ndarray]] = {}

    @property
    def exists(self) -> bool:
        """Whether anything was ever marked."""
        return (self.folder / "zarr.json").exists()

    @property
    def revision(self) -> int:
        """Grows with every change, also one by another process; 0 before the first."""
        found = self._opened()
        return 0 if found is None else found.revision

    def chunks(self) -> list[StoredChunk]:
        """The chunks on disk, each with a version that differs when it was written again; reads no voxel."""
        found = self._opened()
        return [] if found is None else found.chunks()

    def boxes(self) -> list[StoredChunk]:
        """The same; all else is 0."""
        return self.chunks()

    def read(self, box: Box) -> np.ndarray:
        """Ids of a box within the volume, uint32, shape ``box.shape``."""
        found = self._opened()
        return np.zeros(box.shape, np.uint32) if found is None else found.read(box)

    def write(self, box: Box, data: np.ndarray) -> None:
        """Replace the ids of a box, durably; errors as in `LabelStore.write`."""
        with self.changing():
            self._made().write(box, data)

    def painted(self, box: Box, labels: np.ndarray, mask: np.ndarray | None = None) -> LabelPatch | None:
        """What these ids would change, None where nothing differs.

        Parameters
        ----------
        mask : ndarray of bool, optional
            Which voxels to change; by default those whose id is not 0.
        """
        before = self.read(box)
        where = labels != 0 if mask is None else mask
        return LabelPatch.between(box, before, np.where(where, labels, before).astype(np.uint32))

    def counts(self) -> dict[int, int]:
        """Marked voxels by id, without the unlabelled; reads only chunks that changed since the last call."""
        with self._counting:
            known, self._counts = self._counts, {}
            total: dict[int, int] = {}
            for chunk in self.chunks():
                version, ids, numbers = known.get(chunk.box, (None, None, None))
                if ids is None or numbers is None or version != chunk.version:
                    ids, numbers = np.unique(self.read(chunk.box), return_counts=True)
                self._counts[chunk.box] = (chunk.version, ids, numbers)
                for id, n in zip(ids.tolist(), numbers.tolist(), strict=True):
                    total[id] = total.get(id, 0) + n
            total.pop(0, None)
            return total

    def _opened(self) -> LabelStore | None:
        if self._labels is None and self.exists:
            self._labels = LabelStore.open(self.folder, self.writable)
        return self._labels

    def _made(self) -> LabelStore:
        found = self._opened()
        if found is not None:
            return found
        if not self.writable:
            raise VolumeError(f"The objects {self.folder} are open for reading only.")
        shutil.rmtree(self.folder, ignore_errors=True)  # what a kill left half made: nothing was written into it
        attributes = {"holds": "objects"}
        self._labels = LabelStore.create(self.folder, self.shape, self.dtype, self.space, attributes=attributes)
        return self._labels
