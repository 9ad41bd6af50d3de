"""Prediction of volumes of any size: read and normalise | infer | write, in tiles whose joins cannot be seen."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from napari_pytc.geometry import Box, Shape, Tile, TileGrid
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.pipeline import helper_thread, work_ahead
from napari_pytc.volumes.source import VolumeSink, VolumeSource


class FinishedTiles(Protocol):
    """The ledger of tiles that are on disk."""

    def done(self) -> set[int]:
        """Indices of the finished tiles."""

    def mark(self, index: int) -> None:
        """Record a tile as finished."""


@dataclass(frozen=True)
class PredictionReport:
    """What a prediction did: tiles in all and before it, voxels written, and how long it took."""

    tiles: int
    tiles_done_before: int
    voxels: int
    seconds: float

    @property
    def mvoxel_per_s(self) -> float:
        """Millions of voxels written a second."""
        return self.voxels / 1e6 / max(self.seconds, 1e-9)


class TiledPredictor:
    """Predicts a volume tile by tile.

    ::

        reader thread          this thread             writer thread
        read, normalise, pad   network, softmax        round to the sink's type, write
              --- 2 tiles --->              --- 2 tiles --->

    Memory depends on the tile, never on the volume. Tiles overlap by the halo the network needs and are cut to their
    write boxes, so that the result equals that of the network applied to the volume in one piece (for networks that
    treat every place alike: batch norm does, instance norm does not).

    Parameters
    ----------
    inferer : Inferer
        The network on its device.
    normalisation : Normalisation
        What the network expects of intensities.
    tile_shape : Shape
        Voxels written at a time.
    """

    def __init__(self, inferer: Inferer, normalisation: Normalisation, tile_shape: Shape) -> None:
        self._inferer = inferer
        self._normalisation = normalisation
        self.tile_shape = tile_shape

    @property
    def limits(self) -> NetworkLimits:
        """Halo and alignment of the tiles."""
        return self._inferer.limits

    def with_tiles(self, tile_shape: Shape) -> TiledPredictor:
        """The same network with tiles of another shape."""
        return TiledPredictor(self._inferer, self._normalisation, tile_shape)

    def grid(self, source: VolumeSource, box: Box) -> TileGrid:
        """The tiles that cover a box of a volume."""
        whole = Box.of_shape(source.shape)
        return TileGrid(box, self.tile_shape, self.limits.halo, whole, self.limits.alignment)

    def predict(
        self,
        source: VolumeSource,
        sink: VolumeSink,
        box: Box,
        ctx: JobContext,
        *,
        focus: Sequence[float] | None = None,
        done: FinishedTiles | None = None,
    ) -> PredictionReport:
        """Write the probabilities of a box.

        Parameters
        ----------
        source, sink : VolumeSource, VolumeSink
            Raw intensities, and (c, z, y, x) probabilities; a uint8 sink gets them times 255.
        box : Box
            Voxels to predict, within the volume.
        ctx : JobContext
            Told progress and finished boxes; asked between tiles whether to go on.
        focus : sequence of float, optional
            Tiles nearest to this voxel come first.
        done : FinishedTiles, optional
            Tiles finished before are left out; those finished now are recorded.
        """
        grid = self.grid(source, box)
        before = done.done() if done is not None else set()
        order = iter(grid.nearest_first(focus, source.space.voxel_size_nm)) if focus is not None else range(len(grid))
        todo = (grid[index] for index in order if index not in before)
        n_done, n_before, voxels, started = len(before), len(before), 0, time.monotonic()
        ctx.report(n_done, len(grid), "predicting")
        as_bytes = np.dtype(getattr(sink, "dtype", np.float32)) == np.uint8

        def finish(writing: deque[tuple[Tile, Future[None]]], most: int) -> None:
            nonlocal n_done, voxels
            while writing and (len(writing) > most or writing[0][1].done()):
                tile, written = writing.popleft()
                written.result()
                if done is not None:
                    done.mark(tile.index)
                n_done, voxels = n_done + 1, voxels + tile.write.size
                ctx.artifact("prediction", tile.write)
                ctx.report(n_done, len(grid), "predicting")

        writing: deque[tuple[Tile, Future[None]]] = deque()
        with helper_thread("write") as pool, closing(self._read(source, todo)) as images:
            try:
                for tile, image in images:
                    ctx.check()
                    probabilities = self._inferer(image, tile.inner)
                    writing.append((tile, pool.submit(_write, sink, tile.write, probabilities, as_bytes)))
                    finish(writing, most=1)
                    ctx.check()
            finally:
                # Also after a cancel: what was computed is kept.
                finish(writing, most=0)
        return PredictionReport(len(grid), n_before, voxels, time.monotonic() - started)

    def _read(self, source: VolumeSource, tiles: Iterator[Tile]) -> Generator[tuple[Tile, np.ndarray], None, None]:
        def make(tile: Tile) -> tuple[Tile, np.ndarray]:
            return tile, self._normalisation.apply(source.read(tile.read))

        return work_ahead(make, tiles, name="read")


@torch.inference_mode()
def _write(sink: VolumeSink, box: Box, probabilities: torch.Tensor, as_bytes: bool) -> None:
    # In place: memory that the system hands out anew costs more than the arithmetic on it.
    data = probabilities.mul_(255).round_().to(torch.uint8) if as_bytes else probabilities
    sink.write(box, data.numpy())
