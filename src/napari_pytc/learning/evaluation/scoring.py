"""Scores on the held-out boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.held_out_blocks import HeldOutBlocks, Part
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.plans.normalisation import ImageNormalisation

SCORED_TILE: Shape = (64, 256, 256)
"""Held-out boxes are scored in tiles of this shape."""
_FOUND, _PREDICTED, _TRUE, _CONFUSED = range(4)
"""Columns of the counts of a class; from the last one on, those of a confusion matrix."""


class VolumeScorer(Protocol):
    """Scorer of networks on the held-out boxes of one volume."""

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""

    @property
    def n_rows(self) -> int:
        """Rows of the counts of a block."""

    @property
    def n_columns(self) -> int:
        """Columns of the counts of a block."""

    def count(
        self, inferer: BoxInferer, check: Callable[[], None] = ..., normalisation: ImageNormalisation | None = None
    ) -> np.ndarray:
        """Counts that a score is made of, (blocks, ...), for the same blocks whatever the network; blocks add up."""

    def summary(self, sums: np.ndarray) -> dict[str, Any]:
        """The score of counts that were added up over blocks."""

    def means(self, sums: np.ndarray) -> np.ndarray:
        """The mean scores of several such sums (n, ...); nan where a sum holds nothing to score."""

    def truth(self) -> Iterator[tuple[Box, np.ndarray]]:
        """The boxes that are predicted for a score, with the labels that count; all else is 0."""


class HeldOutScorer:
    """Dice and IoU of a network on the annotated voxels of the held-out boxes.

    Parameters
    ----------
    most_voxels : int
        At most about this many voxels are predicted a time; a larger part is sampled, always the same.
    part : str
        The part of the `HeldOutBlocks` to score.
    channels : mapping of int to int, optional
        The number of the class, from 0, of each channel of the network that is one; by default all are, in order.
    """

    def __init__(
        self,
        data: VolumeData,
        normalisation: ImageNormalisation,
        most_voxels: int,
        part: Part = "all",
        channels: Mapping[int, int] | None = None,
    ) -> None:
        self._channels = slice(None) if channels is None else list(channels)
        self._numbers = np.array(range(len(data.classes)) if channels is None else list(channels.values()))
        self._data = data
        self._normalisation = normalisation
        read = data.annotations.read
        hulls = [hull_of_labels(read(tile), tile) for tile in data.scored_tiles(SCORED_TILE)]
        self._blocks = HeldOutBlocks(hulls, read, len(data.classes), data.space)
        self._is_counted = self._blocks.of_part(part)
        self._boxes = chosen_boxes(hulls, most_voxels) if self._is_counted.any() else []

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""
        return len(self._boxes)

    @property
    def n_rows(self) -> int:
        """One a class."""
        return len(self._data.classes)

    @property
    def n_columns(self) -> int:
        """Voxels that are found, predicted and true, and those predicted as each class."""
        return _CONFUSED + len(self._data.classes)

    def score(self, inferer: BoxInferer, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Scores by class name.

        Parameters
        ----------
        check : callable
            Called before each box; raises to give up.

        Returns
        -------
        dict
            ``dice`` and ``iou`` (class name to number, None where neither truth nor prediction has the class), ``mean``
            (mean Dice of the classes in the truth), ``mean_iou`` of the classes that either has, ``accuracy`` (voxels
            whose class is right), ``mean_accuracy`` (mean over the classes of the truth of the part that was found),
            ``confusion`` (``classes``, and ``voxels``: a row for each true class with those predicted as each) and
            ``n_voxels``.
        """
        return self.summary(self.count(inferer, check).sum(axis=0))

    def count(
        self,
        inferer: BoxInferer,
        check: Callable[[], None] = lambda: None,
        normalisation: ImageNormalisation | None = None,
    ) -> np.ndarray:
        """Voxels of each class that are found, predicted and true, and of a true class those predicted as each class.

        An array (blocks, classes, 3 + classes); see `VolumeScorer`.
        """
        n, whole = len(self._data.classes), Box.of_shape(self._data.source.shape)
        counts = np.zeros((len(self._blocks), n, self.n_columns))
        scaling = normalisation or self._normalisation

        def read(box: Box) -> np.ndarray:
            return scaling.apply(self._data.source.read(box))

        for box in self._boxes:
            check()
            found = inferer.predict_box(read, box, whole)[self._channels]
            predicted = self._numbers[found.argmax(0).numpy()]
            truth, block = self._data.annotations.read(box).astype(np.int64), self._blocks.numbers(box)
            is_counted = self._counted(truth, block)
            voxels, truth, predicted = (
                block[is_counted].astype(np.int64) * n,
                truth[is_counted] - 1,
                predicted[is_counted],
            )
            for kind, keys in (
                (_FOUND, (voxels + truth)[truth == predicted]),
                (_PREDICTED, voxels + predicted),
                (_TRUE, voxels + truth),
            ):
                counts[..., kind] += np.bincount(keys, minlength=counts[..., kind].size).reshape(-1, n)
            confused = np.bincount((voxels + truth) * n + predicted, minlength=len(counts) * n * n)
            counts[..., _CONFUSED:] += confused.reshape(-1, n, n)
        return counts[counts.any(axis=(1, 2))]

    def truth(self) -> Iterator[tuple[Box, np.ndarray]]:
        """See `VolumeScorer`."""
        for box in self._boxes:
            truth = self._data.annotations.read(box).astype(np.int64)
            yield box, np.where(self._counted(truth, self._blocks.numbers(box)), truth, 0)

    def _counted(self, truth: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Mask of the voxels of a box that count."""
        found = np.isin(truth - 1, self._numbers)
        found[found] = self._is_counted[block[found]]
        return found

    def summary(self, sums: np.ndarray) -> dict[str, Any]:
        """See `VolumeScorer`."""
        names, mean = self._data.classes, float(self.means(sums[None])[0])
        both = sums[:, _PREDICTED] + sums[:, _TRUE]
        found, true = sums[:, _FOUND], sums[:, _TRUE]
        with np.errstate(invalid="ignore", divide="ignore"):  # nan for a class that is not there
            mean_iou = mean_of_known(found / (both - found))
            mean_accuracy = mean_of_known(found / true)
        return {
            "dice": {name: _ratio(2 * s[_FOUND], b) for name, s, b in zip(names, sums, both, strict=True)},
            "iou": {name: _ratio(s[_FOUND], b - s[_FOUND]) for name, s, b in zip(names, sums, both, strict=True)},
            "mean": None if math.isnan(mean) else mean,
            "mean_iou": _or_none(mean_iou),
            "accuracy": _ratio(float(found.sum()), float(true.sum())),
            "mean_accuracy": _or_none(mean_accuracy),
            "confusion": {
                "classes": list(names),
                "voxels": sums[:, _CONFUSED : _CONFUSED + len(names)].astype(int).tolist(),
            },
            "n_voxels": int(sums[:, _TRUE].sum()),
            "boxes": [str(box) for box in self._data.own_held_out],
        }

    def means(self, sums: np.ndarray) -> np.ndarray:
        """Mean Dice of the classes in the truth; see `VolumeScorer`."""
        true = sums[..., _TRUE]
        dice = 2 * sums[..., _FOUND] / np.maximum(sums[..., _PREDICTED] + true, 1)
        return mean_of_known(np.where(true > 0, dice, np.nan))


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean along the last axis of what is not nan; nan where all is."""
    known = np.isfinite(values)
    n = known.sum(axis=-1)
    return np.where(n > 0, np.where(known, values, 0).sum(axis=-1) / np.maximum(n, 1), np.nan)


def _or_none(value: np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def hull_of_labels(labels: np.ndarray, box: Box) -> Box:
    """The hull of the labelled voxels of a box."""
    voxels = np.argwhere(labels)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
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
