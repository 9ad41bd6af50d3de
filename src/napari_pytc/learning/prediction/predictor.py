"""What predicts volumes: the Protocols of predictors and inferers, and the tiles that are written meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from napari_pytc.geometry import Box, Shape, Tile, TileGrid
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.prefetch import helper_thread
from napari_pytc.volumes.source import ImageSource, VolumeSink

ReadImage = Callable[[Box], np.ndarray]
"""Normalised intensities float32, (c, *box.shape), of a box that lies within the volume."""


class BoxInferer(Protocol):
    """A network on its device that predicts boxes of a volume; exact or in windows, as the network allows."""

    def predict_box(self, read: ReadImage, box: Box, whole: Box) -> Tensor:
        """Probabilities (k, *box.shape), float32 on the CPU.

        Parameters
        ----------
        read : callable
            Reads the normalised image, as much of it around the box as is needed.
        box : Box
            A box of the volume.
        whole : Box
            The whole volume.
        """


class FinishedTiles(Protocol):
    """The ledger of tiles that are on disk."""

    def done(self) -> set[int]:
        """Indices of the finished tiles."""

    def mark(self, index: int) -> None:
        """Record a tile as finished."""


@dataclass(frozen=True)
class PredictionReport:
    """Report of a prediction: tiles in all and before it, voxels written, and seconds."""

    tiles: int
    tiles_done_before: int
    voxels: int
    seconds: float

    @property
    def mvoxel_per_s(self) -> float:
        """Millions of voxels written a second."""
        return self.voxels / 1e6 / max(self.seconds, 1e-9)


class Predictor(Protocol):
    """Predicts volumes of any size in bounded memory; what is finished stays finished."""

    @property
    def tile_shape(self) -> Shape:
        """Voxels that are written at a time."""

    @property
    def n_unknown(self) -> int:
        """Intensities in the tiles predicted so far that are no finite numbers; the mean was taken in their place."""

    def grid(self, source: ImageSource, box: Box) -> TileGrid:
        """The tiles that cover a box of a volume."""

    def n_computed(self, source: ImageSource, box: Box, indices: Iterable[int] | None = None) -> int:
        """Voxels that the network computes for tiles of a box, by default for all."""

    def for_view(self, source: ImageSource, part: Box) -> Predictor:
        """The same with tiles in which a part of the volume is there soonest."""

    def predict(
        self,
        source: ImageSource,
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
        source, sink : ImageSource, VolumeSink
            Raw intensities (c, z, y, x), and (c, z, y, x) probabilities; a uint8 sink gets them times 255.
        box : Box
            Voxels to predict, within the volume.
        ctx : JobContext
            Gets progress and finished boxes; a cancel is checked between pieces.
        focus : sequence of float, optional
            Tiles nearest to this voxel come first.
        done : FinishedTiles, optional
            Tiles finished before are left out; those finished now are recorded.
        """


class OutputTiles:
    """Writes tiles in a thread, notes them in the ledger and reports them; leaving it writes what was computed.

    Parameters
    ----------
    sink : VolumeSink
        (c, z, y, x); one of uint8 gets probabilities times 255.
    n_tiles : int
        All tiles of the prediction.
    done : FinishedTiles, optional
        The ledger.
    n_parts : int
        Parts of a tile in which progress is reported, where it takes long.
    """

    def __init__(
        self, sink: VolumeSink, ctx: JobContext, n_tiles: int, done: FinishedTiles | None, n_parts: int = 1
    ) -> None:
        self._sink, self._ctx, self._n_tiles, self._ledger, self._n_parts = sink, ctx, n_tiles, done, n_parts
        self.before = set() if done is None else done.done()
        """Indices of the tiles that were finished before."""
        self._n_done, self._voxels, self._started = len(self.before), 0, time.monotonic()
        self._is_of_bytes = np.dtype(getattr(sink, "dtype", np.float32)) == np.uint8
        self._writing: deque[tuple[Tile, Future[None]]] = deque()
        self._thread = helper_thread("write")
        self._n_put, self._reported = self._n_done, -1
        self._report_progress(self._n_done)

    def put(self, tile: Tile, probabilities: Tensor) -> None:
        """Write a tile while the next is computed; at most one waits."""
        written = self._thread.submit(_write, self._sink, tile.write, probabilities, self._is_of_bytes)
        self._writing.append((tile, written))
        self._n_put += 1
        self._finish(most=1)

    def advance(self, share: float) -> None:
        """Report that a share of the next tile is computed."""
        self._report_progress(self._n_put + share)

    def report(self) -> PredictionReport:
        """The report of what was written."""
        return PredictionReport(self._n_tiles, len(self.before), self._voxels, time.monotonic() - self._started)

    def __enter__(self) -> OutputTiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Also after a cancel: what was computed is kept.
        with self._thread:
            self._finish(most=0)

    def _finish(self, most: int) -> None:
        while self._writing and (len(self._writing) > most or self._writing[0][1].done()):
            tile, written = self._writing.popleft()
            written.result()
            if self._ledger is not None:
                self._ledger.mark(tile.index)
            self._n_done, self._voxels = self._n_done + 1, self._voxels + tile.write.size
            self._ctx.artifact("prediction", tile.write)
            self._report_progress(self._n_done)

    def _report_progress(self, n_tiles: float) -> None:
        if (parts := int(n_tiles * self._n_parts)) > self._reported:
            self._reported = parts
            self._ctx.report(parts, self._n_tiles * self._n_parts, "predicting")


@torch.inference_mode()
def _write(sink: VolumeSink, box: Box, probabilities: Tensor, as_bytes: bool) -> None:
    # In place: memory that the system hands out anew costs more than the arithmetic on it.
    data = probabilities.mul_(255).round_().to(torch.uint8) if as_bytes else probabilities
    sink.write(box, data.numpy())
