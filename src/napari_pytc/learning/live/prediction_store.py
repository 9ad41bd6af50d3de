"""The prediction that live learning writes: tile after tile, each of the newest model."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.volumes.channels import KEY as CHANNELS
from napari_pytc.volumes.channels import ClassRole, roles_to_json
from napari_pytc.volumes.zarr_output import ChunkedArray, create_ome_zarr, open_ome_zarr

_CHUNK: Shape = (4, 128, 128)
"""Flat: what is looked at is one section at a time."""
_NOTE = "napari_pytc"
_MOST_WRITING = 2


def open_live_prediction(path: Path, shape: Shape, space: VoxelSpace, classes: tuple[str, ...]) -> ChunkedArray:
    """The store of a live prediction; one of another shape or other classes is made anew."""
    if path.exists():
        try:
            found = open_ome_zarr(path, writable=True, synced=False)
            if found.shape == shape and found.channels == classes and found.space == space:
                return found
        except VolumeError:
            pass  # half deleted: what was in it is computed again anyway
        shutil.rmtree(path, ignore_errors=True)
    roles = roles_to_json([ClassRole(name=name) for name in classes])
    z, y, x = (min(c, n) for c, n in zip(_CHUNK, shape, strict=True))
    create_ome_zarr(
        path,
        shape,
        np.dtype(np.uint8),
        space,
        channels=classes,
        chunk_shape=(z, y, x),
        attributes={_NOTE: {"live": True, CHANNELS: roles}},
    )
    return open_ome_zarr(path, writable=True, synced=False)


class TileWriter:
    """Writes tiles in a thread, so that the next is computed meanwhile; tells of each once it is there.

    Nothing waits for the disk itself: what a power cut takes is predicted again.
    """

    def __init__(self, store: ChunkedArray, ctx: JobContext) -> None:
        self._store, self._ctx = store, ctx
        self._pool = ThreadPoolExecutor(1, "live: write")
        self._writing: list[tuple[Box, Future[None]]] = []

    def write(self, box: Box, probabilities: torch.Tensor) -> None:
        """Put the probabilities (k, *box.shape) of a tile on their way."""
        data = (probabilities * 255).round_().to(torch.uint8).numpy()
        self._writing.append((box, self._pool.submit(self._store.write, box, data)))
        while len(self._writing) > _MOST_WRITING:
            self._tell_first()
        self.tell_done()

    def tell_done(self) -> None:
        """Tell of the tiles that are there."""
        while self._writing and self._writing[0][1].done():
            self._tell_first()

    def wait(self) -> None:
        """Wait until all tiles are there, and tell of them."""
        while self._writing:
            self._tell_first()

    def _tell_first(self) -> None:
        box, written = self._writing.pop(0)
        written.result()
        self._ctx.artifact("prediction", box)

    def close(self) -> None:
        """Write what is on its way and end the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()
