"""Pseudo-labels: confident predictions of the instant model where nobody painted, as training targets.

A network that sees a few dozen labelled voxels a patch learns slowly. The instant model is trained on the same strokes
in a second; its confident predictions (Lee 2013, "Pseudo-label") train the network on the bulk of the tissue, while the
strokes, which count more, correct the instant model's errors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from napari_pytc.caching import ChunkCache
from napari_pytc.geometry import Box, Shape, Tile, TileGrid
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel

_BLOCK: Shape = (16, 128, 128)
_SECTION: Shape = (1, 256, 256)
"""For filters in the plane: larger, because what lies around a block is computed too, and is a quarter here."""
_CACHE_BYTES = 2**28


class PseudoLabels:
    """The classes of a teacher model where it is confident, computed block by block as training reads them.

    Parameters
    ----------
    teacher : TrainedModel
        Usually a filter bank.
    image : TrainingImage
        The image as the network sees it, held-out boxes blank; there are no pseudo-labels in them.
    confidence : float
        Least probability of a pseudo-label.
    between : callable, optional
        Called before each block that is computed; may wait.
    n_volumes : int
        Number of volumes that share the memory for blocks.
    """

    def __init__(
        self,
        teacher: TrainedModel,
        image: TrainingImage,
        confidence: float,
        between: Callable[[], None] = lambda: None,
        n_volumes: int = 1,
    ) -> None:
        self._inferer = Inferer(teacher.network, teacher.limits, torch.device("cpu"), Precision())
        self._n_classes = len(teacher.info.classes)
        self._image = image
        self._confidence = confidence
        self._between = between
        block = _SECTION if teacher.limits.halo[0] == 0 else _BLOCK
        grid = TileGrid(image.whole, block, teacher.limits.halo, alignment=teacher.limits.alignment)
        self._blocks = ChunkCache(grid, self._predict, np.uint8, _CACHE_BYTES // n_volumes)

    def read(self, box: Box) -> np.ndarray:
        """Pseudo-labels of a box within the volume: 0 = not sure, n_classes + k = probably the k-th class."""
        return self._blocks.read(box)

    def _predict(self, tile: Tile) -> np.ndarray:
        self._between()
        probabilities = self._inferer(self._image.read(tile.read), tile.inner)
        confidence, best = probabilities.max(dim=0)
        sure = confidence >= self._confidence
        labels = torch.where(sure, best + 1 + self._n_classes, torch.zeros_like(best)).to(torch.uint8).numpy()
        for hidden in self._image.hidden:
            common = hidden.intersect(tile.write)
            if not common.is_empty:
                labels[common.relative_to(tile.write.start).slices] = 0
        return labels
