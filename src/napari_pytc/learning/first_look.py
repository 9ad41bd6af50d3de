"""What the user looks at, predicted before the large tiles of the volume around it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.context import JobContext, JobMessage
from napari_pytc.learning.prediction import TiledPredictor
from napari_pytc.learning.tile_shape import CHUNK
from napari_pytc.volumes.source import VolumeSink, VolumeSource

_WORTH = 0.5
"""The first look reads at most this share of the voxels that the tiles read which show the same."""


def look_first(
    view: Box,
    predictor: TiledPredictor,
    source: VolumeSource,
    sink: VolumeSink,
    box: Box,
    ctx: JobContext,
    finished: Collection[int],
) -> bool:
    """Predict what is in view in small tiles, unless it is there already or its large tiles come nearly as soon.

    None of these tiles counts as finished: the prediction of everything goes over them again, with the same result.

    Parameters
    ----------
    view : Box
        What is looked at; the part of it within `box` is predicted, its middle first.
    box : Box
        What the predictor is about to predict.
    finished : collection of int
        Tiles of that which are on the disk.

    Returns
    -------
    bool
        Whether anything was predicted.
    """
    part = view.intersect(box)
    if part.is_empty:
        return False
    grid = predictor.grid(source, box)
    wanted = [index for index in grid.overlapping(part) if index not in finished]
    small = predictor.with_tiles(_small_tile(predictor))
    n_read = sum(tile.read.size for tile in small.grid(source, part))
    if n_read > _WORTH * sum(grid[index].read.size for index in wanted):
        return False
    small.predict(source, sink, part, _Aside(ctx), focus=part.centre)
    return True


def _small_tile(predictor: TiledPredictor) -> Shape:
    """A chunk of a prediction on disk, so that the first one is there at once."""
    z, y, x = (math.lcm(c, a) for c, a in zip(CHUNK, predictor.limits.alignment, strict=True))
    return (z, y, x)


class _Aside:
    """A job's context that is told what is new on the disk, but no progress: it is not a part of the work."""

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx

    def report(self, done: int, total: int, note: str = "") -> None:
        """Progress stays at the beginning."""
        self._ctx.report(0, 1, "predicting what is in view")

    def metric(self, name: str, step: int, value: float) -> None:
        """As the job's."""
        self._ctx.metric(name, step, value)

    def artifact(self, kind: str, box: Box) -> None:
        """As the job's."""
        self._ctx.artifact(kind, box)

    def warn(self, message: str) -> None:
        """As the job's."""
        self._ctx.warn(message)

    def messages(self) -> Iterator[JobMessage]:
        """As the job's."""
        return self._ctx.messages()

    def check(self) -> None:
        """As the job's."""
        self._ctx.check()
