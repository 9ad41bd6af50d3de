"""The first contrast of an image: the range of its type, then limits from samples of it, then the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_pytc.ui.canvas.viewer.port import ViewerPort
from napari_pytc.ui.tasks.background import Background
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.statistics import IntensityStatistics, sample_statistics

_BLOCKS = 24
_ROOM = 0.12


def widest(image: VolumeSource) -> tuple[float, float]:
    """The limits of an image before any sample was read."""
    dtype = np.dtype(image.dtype)
    return (0.0, 1.0) if dtype.kind == "f" else (float(max(0, np.iinfo(dtype).min)), float(np.iinfo(dtype).max))


def limits(found: IntensityStatistics) -> tuple[float, float]:
    """Limits of the dark and the bright voxels, with some room: nobody sees where to paint in plain black or white."""
    room = _ROOM * (found.high - found.low)
    return (found.low - room, found.high + room) if room > 0 else (found.low, found.low + 1)


def find_contrast(viewer: ViewerPort, image: VolumeSource, layer: Callable[[], Any], background: Background) -> None:
    """Look at samples of an image in the helper thread and set its layer's contrast, unless the user has meanwhile.

    Parameters
    ----------
    layer : callable
        The image's layer by then.
    """

    def put(found: IntensityStatistics) -> None:
        if viewer.contrast(layer()) == widest(image):  # not the user's
            low, high = limits(found)
            is_byte = image.dtype == np.uint8
            extent = (0.0, 255.0) if is_byte else (min(found.minimum, low), max(found.maximum, high))
            viewer.set_contrast(layer(), (max(low, extent[0]), min(high, extent[1])), extent)

    background.run(lambda: sample_statistics(image, n_blocks=_BLOCKS), put, lambda error: None)
