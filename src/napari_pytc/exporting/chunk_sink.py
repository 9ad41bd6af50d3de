"""One array of a chunked export on disk: written block by block, and read back for the next level of a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from napari_pytc.errors import VolumeError
from napari_pytc.files import wait_for_all
from napari_pytc.geometry import Box, Shape, VoxelSpace, cells
from napari_pytc.volumes.kvstore import tensorstore_reason

# Levels are read back soon after they were written, but each voxel once.
_CACHE_BYTES = 0
# Enough for all cores while some wait for the disk; tensorstore has a copy of each until it is written.
_CHUNKS_AT_ONCE = 32


class ChunkSink:
    """A tensorstore of axes (z, y, x) or (c, z, y, x), its first voxel at 0.

    Parameters
    ----------
    folder : Path
        Where the export grows, for messages.
    array : tensorstore.TensorStore
        As `open_chunks` opens it, its axes in order.
    chunk_shape : Shape
        Along z, y, x.
    channels : tuple of str
        Names along the first axis; none for (z, y, x).
    """

    def __init__(
        self, folder: Path, array: Any, chunk_shape: Shape, space: VoxelSpace, channels: tuple[str, ...] = ()
    ) -> None:
        self._folder, self._array = folder, array
        self.chunk_shape, self.space, self.channels = chunk_shape, space, channels
        self.dtype: np.dtype = np.dtype(array.dtype.numpy_dtype)
        n_z, n_y, n_x = array.shape[-3:]
        self.shape: Shape = (n_z, n_y, n_x)

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box as they were written."""
        with tensorstore_errors(self._folder):
            return np.asarray(self._array[self._index(box)].read().result())

    def write(self, box: Box, data: np.ndarray) -> None:
        """Store the voxels of a box; they are on disk when this returns."""
        data = np.ascontiguousarray(data, self.dtype)
        with tensorstore_errors(self._folder):
            pieces = cells(box, self.chunk_shape)
            for first in range(0, len(pieces), _CHUNKS_AT_ONCE):
                wait_for_all(
                    [
                        self._array[self._index(piece)].write(data[self._index(piece.relative_to(box.start))])
                        for piece in pieces[first : first + _CHUNKS_AT_ONCE]
                    ]
                )

    def _index(self, box: Box) -> tuple[slice, ...]:
        return (slice(None), *box.slices) if self.channels else box.slices


def open_chunks(folder: Path, spec: dict[str, Any]) -> Any:
    """Make an array that tensorstore writes; its files are on the disk, not only in a buffer, after each write."""
    context = {"cache_pool": {"total_bytes_limit": _CACHE_BYTES}, "file_io_sync": True}
    with tensorstore_errors(folder):
        return ts.open({**spec, "context": context}, create=True, open=True).result()


@contextmanager
def tensorstore_errors(folder: Path) -> Iterator[None]:
    """Errors of tensorstore as those of a volume."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise VolumeError(
            f"{folder} cannot be written: {tensorstore_reason(error)}.", "Check the disk, or export elsewhere."
        ) from error
