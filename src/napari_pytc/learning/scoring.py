"""Scores on the held-out boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.data import TrainingData
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.metrics.overlap import ClassCounts

SCORED_TILE: Shape = (64, 256, 256)
"""Held-out boxes are scored in tiles of this shape."""


class Scorer(Protocol):
    """Scores a network on the held-out boxes."""

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""

    def score(self, inferer: Inferer, check: Callable[[], None] = ...) -> dict[str, Any]:
        """``dice`` and ``iou`` by name, and the ``mean`` that decides which weights are the best."""


class HeldOutScorer:
    """Dice and IoU of a network on the annotated voxels of the held-out boxes.

    Parameters
    ----------
    most_voxels : int
        At most about this many voxels are predicted a time; a larger part is sampled, always the same.
    """

    def __init__(self, data: TrainingData, normalisation: Normalisation, most_voxels: int) -> None:
        self._data = data
        self._normalisation = normalisation
        tiles = data.scored_tiles(SCORED_TILE)
        self._boxes = chosen_boxes([hull_of_labels(data.annotations.read(tile), tile) for tile in tiles], most_voxels)

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""
        return len(self._boxes)

    def score(self, inferer: Inferer, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Scores by class name.

        Parameters
        ----------
        check : callable
            Called before each box; raises to give up.

        Returns
        -------
        dict
            ``dice`` and ``iou`` (class name to number, None where neither truth nor prediction has the class), ``mean``
            (mean Dice of the classes in the truth) and ``n_voxels``.
        """
        counts = ClassCounts(ignore=0)
        whole = Box.of_shape(self._data.source.shape)
        for box in self._boxes:
            check()
            read = box.grow(inferer.limits.halo).aligned(inferer.limits.alignment).intersect(whole)
            image = self._normalisation.apply(self._data.source.read(read))
            probabilities = inferer(image, box.relative_to(read.start))
            counts.add(probabilities.argmax(0).numpy().astype(np.uint8) + 1, self._data.annotations.read(box))
        names = self._data.classes
        ids = range(1, len(names) + 1)
        dice, iou = counts.dice(ids), counts.iou(ids)
        in_truth = [k for k in ids if counts.confusion[k].any()]
        return {
            "dice": {names[k - 1]: _number(dice[k]) for k in ids},
            "iou": {names[k - 1]: _number(iou[k]) for k in ids},
            "mean": float(np.mean([dice[k] for k in in_truth])) if in_truth else None,
            "n_voxels": counts.n_voxels,
            "boxes": [str(box) for box in self._data.held_out],
        }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def hull_of_labels(labels: np.ndarray, box: Box) -> Box:
    """The hull of what is labelled in a box."""
    places = np.argwhere(labels)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    return Box(tuple(low), tuple(high)).shift(box.start)


def chosen_boxes(boxes: Sequence[Box], most_voxels: int) -> list[Box]:
    """Boxes spread over all, up to a number of voxels; at least one."""
    order = np.random.default_rng(0).permutation(len(boxes))
    chosen: list[Box] = []
    for index in order:
        room = most_voxels - sum(box.size for box in chosen)
        if not chosen or boxes[index].size <= room:
            chosen.append(_cut(boxes[index], most_voxels) if not chosen else boxes[index])
    return chosen


def _cut(box: Box, most_voxels: int) -> Box:
    """The middle of a box, of at most about `most_voxels`."""
    if box.size <= most_voxels:
        return box
    share = (most_voxels / box.size) ** (1 / 3)
    shape = [max(1, int(n * share)) for n in box.shape]
    return Box.at([s + (n - m) // 2 for s, n, m in zip(box.start, box.shape, shape, strict=True)], shape)
