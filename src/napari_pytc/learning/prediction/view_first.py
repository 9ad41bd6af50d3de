"""Prediction of the box in view before the large tiles of the volume around it."""

from __future__ import annotations

from collections.abc import Collection

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext, PassingContext
from napari_pytc.learning.prediction.predictor import Predictor
from napari_pytc.volumes.source import ImageSource, VolumeSink

_WORTH = 0.5
"""Tiles of the view cost at most this share of the voxels that the large tiles around it cost."""


def predict_view_first(
    view: Box,
    predictor: Predictor,
    source: ImageSource,
    sink: VolumeSink,
    box: Box,
    ctx: JobContext,
    finished: Collection[int],
) -> bool:
    """Predict the box in view in small tiles, unless it is there already or its large tiles come nearly as soon.

    None of these tiles counts as finished: the prediction of everything goes over them again, with the same result.

    Parameters
    ----------
    view : Box
        The box in view; the part of it within `box` is predicted, its middle first.
    box : Box
        The box that the predictor is about to predict.
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
    wanted = [index for index in predictor.grid(source, box).overlapping(part) if index not in finished]
    small = predictor.for_view(source, part)
    if small.n_computed(source, part) > _WORTH * predictor.n_computed(source, box, wanted):
        return False
    small.predict(source, sink, part, _ViewContext(ctx), focus=part.centre)
    return True


class _ViewContext(PassingContext):
    """A job's context that passes on new voxels, but no progress: the view is predicted again with its tiles."""

    def report(self, done: int, total: int, note: str = "") -> None:
        """Progress stays at the beginning."""
        super().report(0, 1, "predicting what is in view")
