"""Layer of a prediction's uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.canvas.arrays import VolumeArray
from napari_pytc.ui.canvas.section_cache import SectionCache, SectionReader
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort
from napari_pytc.ui.tasks.timers import throttler
from napari_pytc.volumes.zarr_output import ChunkedArray

_COLOUR = "#ff9f1c"
_CACHE_BYTES = 64 * 2**20
_PATIENCE_S = 0.008
_REFRESH_MS = 100


def uncertainty(probabilities: np.ndarray, of_classes: Sequence[int]) -> np.ndarray:
    """Uncertainty of a prediction, uint8: 0 is sure, 255 a tie; 0 also where nothing was predicted.

    Of classes it is ``1 - (p1 - p2)``, the most probable against the next (margin sampling: Scheffer, Decomain & Wrobel
    2001). Channels that are no classes are questions of yes and no, each as doubtful as ``1 - |2 p - 1|``; of those it
    is the mean.

    Parameters
    ----------
    probabilities : ndarray
        (c, ...) uint8, 255 for 1.
    of_classes : sequence of int
        The channels that are classes; fewer than two count as none.
    """
    if len(of_classes) < 2:
        doubts = 255 - np.abs(2 * probabilities.astype(np.int16) - 255)
        found = np.round(doubts.mean(axis=0)).astype(np.uint8)
    else:
        best = probabilities[of_classes[0]].copy()
        second = np.zeros_like(best)
        for channel in of_classes[1:]:
            np.maximum(second, np.minimum(best, probabilities[channel]), out=second)
            np.maximum(best, probabilities[channel], out=best)
        found = 255 - (best - second)
    found[~probabilities.any(axis=0)] = 0
    return found


class UncertaintyLayer(QObject):
    """Shows the uncertainty of the prediction on the canvas; nothing is read or computed while it is off.

    Parameters
    ----------
    viewer, reader, space, focus :
        As of `PredictionLayers`.
    above : callable
        The layer that it lies below of.
    """

    failed = Signal(object)
    """A `PytcError`: the prediction cannot be read."""
    added = Signal(object)
    """The layer, when it comes."""
    switched = Signal(bool)
    """The layer was switched on or off, by the user or by code."""

    _arrived = Signal()

    def __init__(
        self,
        viewer: ViewerPort,
        reader: SectionReader,
        space: VoxelSpace,
        above: Callable[[], Any],
        focus: Callable[[], Sequence[float]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._reader, self._space, self._above, self._focus = viewer, reader, space, above, focus
        self._source: ChunkedArray | None = None
        self._of_classes: list[int] = []
        self._cache: SectionCache | None = None
        self._is_wanted = self._has_failed = False
        self.layer: Any = None
        self._refreshing = throttler(self, _REFRESH_MS, self._refresh)
        self._arrived.connect(self._refreshing.throttle)

    @property
    def is_on(self) -> bool:
        """Whether it is shown, or will be with the next prediction."""
        return self._viewer.is_visible(self.layer) if self._viewer.has(self.layer) else self._is_wanted

    def switch(self, on: bool) -> None:
        """Show it or not."""
        self._is_wanted = on
        if self._viewer.has(self.layer):
            self._viewer.set_visible(self.layer, on)
        elif on:
            self._show()
        self.switched.emit(on)

    def put(self, source: ChunkedArray | None, of_classes: Sequence[int] = ()) -> None:
        """Another prediction is shown, or none."""
        self._is_wanted = self.is_on
        self._source, self._of_classes, self._has_failed = source, list(of_classes), False
        if self._cache is not None:
            self._cache.close()
            self._cache = None
        if source is None:
            self._refreshing.cancel()
            self._viewer.remove(self.layer)
            self.layer = None
        elif self._is_wanted or self._viewer.has(self.layer):
            self._show()

    def renew(self, boxes: Sequence[Box]) -> None:
        """Voxels of the prediction are new."""
        if self._cache is not None:
            self._cache.renew(boxes)

    # ---- private

    def _show(self) -> None:
        if self._source is None:
            return
        array = VolumeArray(self._open(self._source))
        if self._viewer.has(self.layer):
            self._viewer.set_data(self.layer, array)
            return
        style = LayerStyle("Uncertainty", "uncertainty", _COLOUR, contrast_limits=(0.0, 255.0), blending="additive")
        self.layer = self._viewer.add_image(array, self._space, style)
        self._viewer.put_below(self.layer, self._above())
        self.added.emit(self.layer)

    def _open(self, source: ChunkedArray) -> SectionCache:
        if self._cache is None:
            of_classes = self._of_classes
            self._cache = SectionCache(
                lambda box: uncertainty(source.read(box), of_classes),
                source.shape,
                np.dtype(np.uint8),
                self._reader,
                n_bytes=_CACHE_BYTES,
                patience_s=_PATIENCE_S,
                on_arrival=self._arrived.emit,
                on_error=self._report_once,
                focus=self._focus,
            )
        return self._cache

    def _refresh(self) -> None:
        self._viewer.refresh(self.layer)

    def _report_once(self, error: object) -> None:
        """Called in the reader's thread."""
        if not self._has_failed:
            self._has_failed = True
            self.failed.emit(error)
