"""Editable label volumes: decoded labels, changes since, and changes that are not on the disk yet."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator

import numpy as np

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, ChunkIndex, Shape, VoxelSpace
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import LabelStore

CACHE_BYTES = 256 * 2**20
_BATCH_BYTES = 64 * 2**20
_LARGEST = 2**32 - 2


class EditableLabels:
    """uint32 labels whose changes stay in memory until `flush`; the base is never written to.

    ::

        read(box)  =  chunks in memory  >  edits store (k + 1 = now k, 0 = as in the base)  >  base store

    Chunks that were read or changed are kept, the changed ones until they are flushed and the others up to
    `cache_bytes`. All methods may be called from any thread.

    Parameters
    ----------
    base : LabelStore
        uint32, as decoded.
    edits : LabelStore, optional
        uint32 of the same shape. Without it nothing can be flushed.
    """

    def __init__(self, base: LabelStore, edits: LabelStore | None, cache_bytes: int = CACHE_BYTES) -> None:
        if base.dtype != np.uint32 or (edits is not None and (edits.dtype, edits.shape) != (np.uint32, base.shape)):
            raise InvalidInput(
                f"Editable labels are uint32 with edits of the same shape, got {base.dtype} of {base.shape}"
                + ("." if edits is None else f" and {edits.dtype} of {edits.shape}.")
            )
        self._base, self._edits = base, edits
        self._lock = threading.RLock()
        self._chunks: ByteBoundedCache[ChunkIndex, np.ndarray] = ByteBoundedCache(cache_bytes)
        self._dirty: dict[ChunkIndex, np.ndarray] = {}  # pinned in the cache
        chunks = [] if edits is None else edits.chunks()
        self._on_disk = {index for chunk in chunks for index in self._indices(chunk.box)}

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""
        return self._base.shape

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self._base.space

    @property
    def chunk_shape(self) -> Shape:
        """Shape of the pieces that are read, kept and written."""
        return self._base.chunk_shape

    @property
    def dirty_bytes(self) -> int:
        """Memory of changes that are not on the disk yet."""
        with self._lock:
            return sum(chunk.nbytes for chunk in self._dirty.values())

    def read(self, box: Box) -> np.ndarray:
        """Present labels of a box within the volume, uint32, shape ``box.shape``.

        Raises
        ------
        VolumeError
            If the disk refuses.
        """
        self._check_inside(box)
        labels = np.empty(box.shape, np.uint32)
        if box.is_empty:
            return labels
        with self._lock:
            for batch in _batches(self._indices(box), max(1, _BATCH_BYTES // self._chunk_bytes)):
                for index, chunk in self._load(batch).items():
                    whole = self._box(index)
                    common = whole.intersect(box)
                    inner = common.relative_to(whole.start).slices
                    labels[common.relative_to(box.start).slices] = chunk[inner]
                self._chunks.evict()
        return labels

    def load(self, boxes: Iterable[Box]) -> None:
        """Read the chunks of some boxes, so that a change of them meets no disk error; errors as in `read`."""
        with self._lock:
            for box in boxes:
                self._check_inside(box)
                self._load(list(self._indices(box)))

    def apply(self, patch: LabelPatch) -> None:
        """Write a patch, in memory only; errors as in `read`, in which case nothing is changed."""
        self._check_inside(patch.box)
        if patch.after.dtype != np.uint32:
            raise InvalidInput(f"A patch of these labels is uint32, got {patch.after.dtype}.")
        with self._lock:
            changed = self._load([self._index(box) for box in patch.chunks(self.chunk_shape, self.shape)])
            patch.apply_to_chunks({self._box(index): chunk for index, chunk in changed.items()})
            for index, chunk in changed.items():
                self._dirty[index] = chunk
                self._chunks.put(index, chunk, pinned=True, evict=False)
            self._chunks.evict()

    def edited_boxes(self) -> list[Box]:
        """The disjoint chunks that may differ from the base, in order."""
        with self._lock:
            return [self._box(index) for index in sorted(self._on_disk | set(self._dirty))]

    def read_base(self, box: Box) -> np.ndarray:
        """Labels of a box as decoded."""
        return self._base.read(box)

    def flush(self) -> None:
        """Write the changes into the edits store, durably.

        Raises
        ------
        VolumeError
            If the disk refuses; what is not written yet stays in memory, and flushing again goes on.
        """
        with self._lock:
            if not self._dirty:
                return
            if self._edits is None or not self._edits.writable:
                raise VolumeError("Edits of a segmentation that is open for reading only cannot be saved.")
            for index in sorted(self._dirty):
                box, now = self._box(index), self._dirty[index]
                if now.max(initial=0) > _LARGEST:
                    raise InvalidInput(f"A label is at most {_LARGEST}, got {int(now.max())}.")
                self._edits.write(box, np.where(now == self._base.read(box), np.uint32(0), now + np.uint32(1)))
                self._on_disk.add(index)
                del self._dirty[index]
                self._chunks.unpin(index)

    def _load(self, indices: list[ChunkIndex]) -> dict[ChunkIndex, np.ndarray]:
        """Bring chunks into memory, where they stay at least until the next `evict`."""
        loaded = {index: chunk for index in indices if (chunk := self._chunks.find(index)) is not None}
        missing = [index for index in indices if index not in loaded]
        if not missing:
            return loaded
        # One read for all of them where they lie together: the store decodes chunks side by side.
        low = [min(index[axis] for index in missing) for axis in range(3)]
        high = [max(index[axis] for index in missing) + 1 for axis in range(3)]
        together = np.prod([b - a for a, b in zip(low, high, strict=True)]) <= 2 * len(missing)
        hull = self._box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        block = self._base.read(hull) if together else None
        for index in missing:
            box = self._box(index)
            part = self._base.read(box) if block is None else block[box.relative_to(hull.start).slices].copy()
            if self._edits is not None and index in self._on_disk:
                edits = self._edits.read(box)
                part = np.where(edits == 0, part, edits - np.uint32(1))
            loaded[index] = part
            self._chunks.put(index, part, evict=False)
        return loaded

    @property
    def _chunk_bytes(self) -> int:
        z, y, x = self._base.chunk_shape
        return 4 * z * y * x

    def _indices(self, box: Box) -> Iterator[ChunkIndex]:
        """The chunks that share a voxel with a box, in order."""
        ranges = [
            range(a // n, -(-b // n)) for a, b, n in zip(box.start, box.stop, self._base.chunk_shape, strict=True)
        ]
        if not box.is_empty:
            yield from itertools.product(ranges[0], ranges[1], ranges[2])

    def _index(self, box: Box) -> ChunkIndex:
        """The chunk that begins where a box does."""
        z, y, x = (a // n for a, n in zip(box.start, self.chunk_shape, strict=True))
        return (z, y, x)

    def _box(self, index: ChunkIndex, stop: ChunkIndex | None = None) -> Box:
        """The voxels of a chunk, or of all chunks from one up to another, cut at the volume's edge."""
        stop = stop or (index[0] + 1, index[1] + 1, index[2] + 1)
        chunk = self._base.chunk_shape
        start = tuple(i * n for i, n in zip(index, chunk, strict=True))
        end = tuple(min(i * n, most) for i, n, most in zip(stop, chunk, self.shape, strict=True))
        return Box(start, end)  # type: ignore[arg-type]

    def _check_inside(self, box: Box) -> None:
        if not Box.of_shape(self.shape).contains(box):
            raise InvalidInput(f"The box {box} does not lie within the volume {Box.of_shape(self.shape)}.")


def _batches(indices: Iterator[ChunkIndex], size: int) -> Iterator[list[ChunkIndex]]:
    while batch := list(itertools.islice(indices, size)):
        yield batch
