"""Overlap of classes: Dice, intersection over union (IoU) and accuracies, from counts gathered block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from napari_pytc.errors import InvalidInput

_N_VALUES = 256


class ClassCounts:
    """Confusion counts: voxels of each predicted class in each true class.

    ::

                      predicted
                    0   1   2  ...
        truth  0  [ .   .   .      ]     voxels whose truth is `ignore` are left out,
               1  [ .   a   b      ]     so that their row stays empty
               2  [ .   c   d      ]

    Parameters
    ----------
    ignore : int, optional
        Truth value that means "not annotated"; None counts every voxel.

    Attributes
    ----------
    n_ignored : int
        Voxels that were left out.
    """

    def __init__(self, ignore: int | None = 0) -> None:
        self.ignore = ignore
        self.confusion = np.zeros((_N_VALUES, _N_VALUES), np.int64)
        self.n_ignored = 0
        self._n_of_truth = np.zeros(_N_VALUES, np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count the voxels of a block.

        Parameters
        ----------
        predicted, truth : ndarray
            Class labels of the same shape, integer or bool, from 0 to 255.

        Raises
        ------
        InvalidInput
            Where shapes differ or a value is no class label.
        """
        if predicted.shape != truth.shape:
            raise InvalidInput(f"Prediction and truth must have one shape, got {predicted.shape} and {truth.shape}.")
        predicted, truth = _as_classes(predicted, "prediction"), _as_classes(truth, "truth")
        joint = truth.astype(np.uint16).ravel() * np.uint16(_N_VALUES) + predicted.ravel()
        counts = np.bincount(joint, minlength=_N_VALUES**2).reshape(_N_VALUES, _N_VALUES)
        self._n_of_truth += counts.sum(axis=1)
        if self.ignore is not None and 0 <= self.ignore < _N_VALUES:
            self.n_ignored += int(counts[self.ignore].sum())
            counts[self.ignore] = 0
        self.confusion += counts

    @property
    def n_voxels(self) -> int:
        """Number of voxels counted."""
        return int(self.confusion.sum())

    def truth_values(self) -> dict[int, int]:
        """Voxels of each value of the truth, also of `ignore`."""
        return {int(k): int(self._n_of_truth[k]) for k in np.flatnonzero(self._n_of_truth)}

    def classes(self) -> list[int]:
        """The classes in the prediction or the truth, without `ignore`."""
        return [int(k) for k in self._met() if k != self.ignore]

    def dice(self, classes: Sequence[int] | None = None) -> dict[int, float]:
        """Dice coefficient 2 TP / (2 TP + FP + FN) per class; nan for a class absent from both."""
        return {k: _ratio(2 * tp, 2 * tp + fp + fn) for k, tp, fp, fn in self._outcomes(classes)}

    def iou(self, classes: Sequence[int] | None = None) -> dict[int, float]:
        """Intersection over union TP / (TP + FP + FN) per class; nan for a class absent from both."""
        return {k: _ratio(tp, tp + fp + fn) for k, tp, fp, fn in self._outcomes(classes)}

    def class_accuracy(self, classes: Sequence[int] | None = None) -> dict[int, float]:
        """Found part of each class, TP / (TP + FN); nan for a class that is not in the truth."""
        return {k: _ratio(tp, tp + fn) for k, tp, _, fn in self._outcomes(classes)}

    def pixel_accuracy(self) -> float:
        """Voxels whose class is right, as a part of all that count; nan without voxels."""
        return _ratio(int(np.trace(self.confusion)), self.n_voxels)

    def confusion_of(self, classes: Sequence[int] | None = None) -> tuple[list[int], np.ndarray]:
        """The classes, and the voxels of each true one (rows) that were predicted as each (columns).

        Without `classes` these are all that are met, with those that only the prediction has. With them, voxels that
        were predicted as another class are left out.
        """
        chosen = list(map(int, self._met() if classes is None else classes))
        return chosen, self.confusion[np.ix_(chosen, chosen)]

    def _met(self) -> np.ndarray:
        return np.flatnonzero(self.confusion.sum(axis=0) + self.confusion.sum(axis=1))

    def _outcomes(self, classes: Sequence[int] | None) -> list[tuple[int, int, int, int]]:
        predicted, truth = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        hits = np.diagonal(self.confusion)
        return [
            (int(k), int(hits[k]), int(predicted[k] - hits[k]), int(truth[k] - hits[k]))
            for k in (self.classes() if classes is None else classes)
        ]


def _as_classes(labels: np.ndarray, role: str) -> np.ndarray:
    if labels.dtype == np.uint8:
        return labels
    if labels.dtype.kind not in "bui":
        raise InvalidInput(
            f"Class labels must be integers, but the {role} holds {labels.dtype}.",
            "Give a label volume, for example one made with `export --what classes`.",
        )
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high >= _N_VALUES:
        raise InvalidInput(
            f"Class labels must lie in 0 to {_N_VALUES - 1}, but the {role} holds {low} to {high}.",
            "If the volume holds instances, evaluate it with --instances.",
        )
    return labels.astype(np.uint8)


def mean_of_known(values: Iterable[float]) -> float:
    """The mean of what is not nan; nan where all is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
