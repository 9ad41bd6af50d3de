"""The live prediction on the disk, written tile after tile."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.volumes.channels import NOTE, ClassRole, prediction_attributes
from napari_pytc.volumes.zarr_output import ChunkedArray, create_ome_zarr, open_ome_zarr

_CHUNK: Shape = (4, 128, 128)
"""Flat, because the view is one section most of the time."""
_MOST_WRITING = 2


def open_live_prediction(path: Path, shape: Shape, space: VoxelSpace, classes: tuple[str, ...]) -> ChunkedArray:
    """Open the live prediction; one of another shape or other classes is replaced."""
    if path.exists():
        try:
            found = open_ome_zarr(path, writable=True, synced=False)
            if found.shape == shape and found.channels == classes and found.space == space:
                return found
        except VolumeError:
            pass  # half deleted; it is computed again anyway
        shutil.rmtree(path, ignore_errors=True)
    said = prediction_attributes([ClassRole(name=name) for name in classes], {})
    z, y, x = (min(c, n) for c, n in zip(_CHUNK, shape, strict=True))
    create_ome_zarr(
        path,
        shape,
        np.dtype(np.uint8),
        space,
        channels=classes,
        chunk_shape=(z, y, x),
        attributes={NOTE: {"live": True, **said}},
    )
    return open_ome_zarr(path, writable=True, synced=False)


class TileWriter:
    """Writes tiles in a thread while the next is computed, and reports each once it is written.

    Nothing waits for the disk itself: tiles that a power cut takes are predicted again.
    """

    def __init__(self, store: ChunkedArray, ctx: JobContext) -> None:
        self._store, self._ctx = store, ctx
        self._pool = ThreadPoolExecutor(1, "live: write")
        self._writing: list[tuple[Box, Future[None]]] = []

    def write(self, box: Box, probabilities: torch.Tensor) -> None:
        """Begin to write the probabilities (k, *box.shape) of a tile."""
        data = (probabilities * 255).round_().to(torch.uint8).numpy()
        self._writing.append((box, self._pool.submit(self._store.write, box, data)))
        while len(self._writing) > _MOST_WRITING:
            self._report_first()
        self.report_written()

    def report_written(self) -> None:
        """Report the tiles that are written."""
        while self._writing and self._writing[0][1].done():
            self._report_first()

    def wait(self) -> None:
        """Wait until all tiles are written, and report them."""
        while self._writing:
            self._report_first()

    def _report_first(self) -> None:
        box, written = self._writing.pop(0)
        written.result()
        self._ctx.artifact("prediction", box)

    def close(self) -> None:
        """Finish writing and end the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()
