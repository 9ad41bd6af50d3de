"""Predicting what is looked at: tile after tile, the stale ones only."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from napari_pytc.geometry import Box
from napari_pytc.learning.live.messages import View
from napari_pytc.learning.live.prediction_store import TileWriter
from napari_pytc.learning.live.tiles import tile_shape_of, tiles_in_view


class ViewPainter:
    """Which tiles in view the model on show has not predicted yet.

    Parameters
    ----------
    volume : Box
        All there is.
    scale : tuple of float
        Length of a voxel along each axis.
    """

    def __init__(self, volume: Box, scale: tuple[float, float, float], writer: TileWriter) -> None:
        self._volume, self._scale, self._writer = volume, scale, writer
        self._predicted: set[Box] = set()
        self._answered: set[Box] = set()
        self._is_answering = False
        self._queue: tuple[View, list[Box]] | None = None
        self._seconds = 0.0
        self.n_renewed = 0
        """How often all that was predicted became stale."""
        self.view_seconds = 0.0
        """How long the last view took that was predicted as a whole."""

    def renew(self) -> None:
        """What is on show changed: all that was predicted is stale, what waits is dropped."""
        self._predicted.clear()
        self._answered.clear()
        self._queue = None
        self.n_renewed += 1

    def is_done(self, view: View) -> bool:
        """Whether all of a view is as the model on show says."""
        return not self._tiles(view)

    def waiting(self, view: View) -> list[Box]:
        """The tiles of a view that are to be predicted, nearest to its centre first."""
        return list(self._tiles(view))

    def advance(
        self, view: View, predict: Callable[[Box], Tensor], at_once: Callable[[Box], Tensor | None] | None = None
    ) -> None:
        """Predict and write the stale tile that is nearest to the view's centre.

        Parameters
        ----------
        at_once : callable, optional
            A quicker answer to show until then, or None where none is needed; before any tile is predicted, all of the
            view is answered so.
        """
        tiles = self._tiles(view)
        started = time.monotonic()
        if not self._answer_at_once(tiles, at_once):
            box = tiles.pop(0)
            self._writer.write(box, predict(box))
            self._predicted.add(box)
        if not tiles:
            self._writer.wait()
        self._seconds += time.monotonic() - started
        if not tiles:
            self.view_seconds, self._seconds = self._seconds, 0.0

    def _answer_at_once(self, tiles: list[Box], answer: Callable[[Box], Tensor | None] | None) -> bool:
        """Write one quick answer, if any tile needs it."""
        if answer is None:
            return False
        for box in tiles:
            if box not in self._answered:
                self._answered.add(box)
                found = answer(box)
                if found is not None:
                    self._writer.write(box, found)
                    self._is_answering = True
                    return True
        if self._is_answering:
            self._writer.wait()  # else the last of them would be told of after a slow tile only
            self._is_answering = False
        return False

    def _tiles(self, view: View) -> list[Box]:
        if self._queue is None or self._queue[0] != view:
            tiles = tiles_in_view(view.box, self._volume, tile_shape_of(view.box), self._scale)
            self._queue, self._seconds = (view, [box for box in tiles if box not in self._predicted]), 0.0
        return self._queue[1]
