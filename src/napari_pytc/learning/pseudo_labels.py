"""Confident guesses of the instant model where nobody painted: dense targets from a few strokes.

A network that sees a few dozen labelled voxels a patch learns slowly. The instant model is trained on the same strokes
in a second; its confident predictions (Lee 2013, "Pseudo-label") teach the network the bulk of the tissue, while the
strokes, which count more, teach it what the instant model gets wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.learning.arithmetic import Arithmetic
from napari_pytc.learning.data import TrainingImage
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.model import TrainedModel

_BLOCK: Shape = (16, 128, 128)
_SECTION: Shape = (1, 256, 256)
"""For filters in the plane: larger, because what lies around a block is computed too, and is a quarter here."""
_KEPT_VOXELS = 2**28


class PseudoLabels:
    """The teacher's classes where it is sure, block by block as training asks for them.

    Parameters
    ----------
    teacher : TrainedModel
        Usually a filter bank.
    image : TrainingImage
        What the network sees, held-out boxes blank; no guess is made in them.
    confidence : float
        Least probability of a guess.
    between : callable, optional
        Called before each block that is computed; may wait.
    """

    def __init__(
        self,
        teacher: TrainedModel,
        image: TrainingImage,
        confidence: float,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._inferer = Inferer(teacher.network, teacher.limits, torch.device("cpu"), Arithmetic())
        self._n_classes = len(teacher.info.classes)
        self._image = image
        self._confidence = confidence
        self._between = between
        block = _SECTION if teacher.limits.halo[0] == 0 else _BLOCK
        self._grid = TileGrid(image.whole, block, teacher.limits.halo, alignment=teacher.limits.alignment)
        self._load = lru_cache(maxsize=_KEPT_VOXELS // math.prod(block))(self._guess)

    def read(self, box: Box) -> np.ndarray:
        """Guesses of a box within the volume: 0 = not sure, n_classes + k = probably the k-th class."""
        found = np.empty(box.shape, np.uint8)
        for index in self._grid.overlapping(box):
            block = self._grid[index].write
            common = block.intersect(box)
            found[common.relative_to(box.start).slices] = self._load(index)[common.relative_to(block.start).slices]
        return found

    def _guess(self, index: int) -> np.ndarray:
        self._between()
        tile = self._grid[index]
        probabilities = self._inferer(self._image.read(tile.read), tile.inner)
        confidence, best = probabilities.max(dim=0)
        sure = confidence >= self._confidence
        guessed = torch.where(sure, best + 1 + self._n_classes, torch.zeros_like(best)).to(torch.uint8).numpy()
        for hidden in self._image.hidden:
            common = hidden.intersect(tile.write)
            if not common.is_empty:
                guessed[common.relative_to(tile.write.start).slices] = 0
        return guessed
