"""Prediction of the view, tile after tile."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from napari_pytc.geometry import Box
from napari_pytc.learning.live.prediction_store import TileWriter
from napari_pytc.learning.live.tiles import tile_shape_of, tiles_in_view
from napari_pytc.plans.live_messages import LiveView


class ViewPredictor:
    """Predicts the tiles in view that the model in use has not predicted yet.

    Parameters
    ----------
    volume : Box
        The whole volume.
    scale : tuple of float
        Length of a voxel along each axis.
    """

    def __init__(self, volume: Box, scale: tuple[float, float, float], writer: TileWriter) -> None:
        self._volume, self._scale, self._writer = volume, scale, writer
        self._predicted: set[Box] = set()
        self._interim_tiles: set[Box] = set()
        self._has_unreported_interim = False
        self._queue: tuple[LiveView, list[Box]] | None = None
        self._seconds = 0.0
        self.n_invalidated = 0
        """Number of times that all predicted tiles became out of date."""
        self.view_seconds = 0.0
        """Seconds that the last complete view took."""

    def invalidate(self) -> None:
        """Note that the model in use has changed: all predicted tiles are out of date."""
        self._predicted.clear()
        self._interim_tiles.clear()
        self._queue = None
        self.n_invalidated += 1

    def is_done(self, view: LiveView) -> bool:
        """Whether all tiles of a view are predicted by the model in use."""
        return not self._tiles(view)

    def pending(self, view: LiveView) -> list[Box]:
        """The tiles of a view that are out of date, nearest to its centre first."""
        return list(self._tiles(view))

    def predict_next(
        self, view: LiveView, predict: Callable[[Box], Tensor], interim: Callable[[Box], Tensor | None] | None = None
    ) -> None:
        """Predict and write the tile that is nearest to the view's centre of those that are out of date.

        Parameters
        ----------
        interim : callable, optional
            Gives a quicker prediction of a tile to show until then, or None where none is needed. All tiles of the view
            get it before the first one is predicted.
        """
        tiles = self._tiles(view)
        started = time.monotonic()
        if not self._write_interim(tiles, interim):
            box = tiles.pop(0)
            self._writer.write(box, predict(box))
            self._predicted.add(box)
        if not tiles:
            self._writer.wait()
        self._seconds += time.monotonic() - started
        if not tiles:
            self.view_seconds, self._seconds = self._seconds, 0.0

    def _write_interim(self, tiles: list[Box], interim: Callable[[Box], Tensor | None] | None) -> bool:
        """Write the interim prediction of one tile, if any needs it."""
        if interim is None:
            return False
        for box in tiles:
            if box not in self._interim_tiles:
                self._interim_tiles.add(box)
                found = interim(box)
                if found is not None:
                    self._writer.write(box, found)
                    self._has_unreported_interim = True
                    return True
        if self._has_unreported_interim:
            self._writer.wait()  # else the last of them would be reported after a slow tile only
            self._has_unreported_interim = False
        return False

    def _tiles(self, view: LiveView) -> list[Box]:
        if self._queue is None or self._queue[0] != view:
            tiles = tiles_in_view(view.box, self._volume, tile_shape_of(view.box), self._scale)
            self._queue, self._seconds = (view, [box for box in tiles if box not in self._predicted]), 0.0
        return self._queue[1]
