"""Agreement of single objects, of all and of those of each class, from counts gathered block by block."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from napari_pytc.metrics.objects import ObjectScore, average_precision, classes_of_objects
from napari_pytc.metrics.overlap import mean_of_known
from napari_pytc.metrics.partitions import ContingencyTable


class InstanceCounts:
    """Overlaps of predicted and true objects, and the classes of both.

    Parameters
    ----------
    with_classes : bool
        Whether classes of the voxels are counted, too, for scores of each class. An object's class is that of most of
        its voxels, not counting 0.
    """

    def __init__(self, with_classes: bool = False) -> None:
        self._table = ContingencyTable()
        self._votes = (ContingencyTable(), ContingencyTable()) if with_classes else ()

    def add(
        self, predicted: np.ndarray, truth: np.ndarray, classes: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        """Count the voxels of a block.

        Parameters
        ----------
        predicted, truth : ndarray
            Ids of objects from 0, of the same shape.
        classes : pair of ndarray, optional
            Class of each voxel, predicted and true; with `with_classes`.
        """
        self._table.add(predicted, truth)
        for votes, labels, known in zip(self._votes, (predicted, truth), classes or (), strict=bool(classes)):
            votes.add(labels, known)

    @property
    def n_voxels(self) -> int:
        """Number of voxels that were counted."""
        return int(self._table.overlaps()[2].sum())

    def n_voxels_of(self, truth: int | None) -> int:
        """Number of voxels of a true id; 0 for None."""
        _, of_truth, count = self._table.overlaps()
        return 0 if truth is None else int(count[of_truth == truth].sum())

    def figures(self, ignore: int | None = None) -> dict[str, Any]:
        """Scores as `evaluate_instances` describes them, with the numbers of objects, as JSON values."""
        split, merge = self._table.variation_of_information(ignore)
        arand = self._table.adapted_rand_error(0 if ignore is None else ignore)
        scores = average_precision(self._table, ignore=ignore)
        return {
            "voi_split": _or_none(split),
            "voi_merge": _or_none(merge),
            "arand": _or_none(arand),
            **_precision(scores),
            "average_precision_at": {f"{one.threshold:g}": _or_none(one.average_precision) for one in scores},
            **self._of_classes(ignore),
        }

    def notes(self) -> list[str]:
        """What is to be told of objects without a class."""
        numbers = [sum(not number for number in classes_of_objects(votes).values()) for votes in self._votes]
        if not any(numbers):
            return []
        return [
            f"{numbers[0]} predicted and {numbers[1]} true objects have no voxel with a class: they count in no class."
        ]

    def _of_classes(self, ignore: int | None) -> dict[str, Any]:
        """Average precisions of each class, and their means over the classes of the truth; empty without classes."""
        if not self._votes:
            return {}
        of_predicted, of_truth = (classes_of_objects(votes) for votes in self._votes)
        of_truth.pop(ignore if ignore is not None else 0, None)
        found: dict[str, dict[str, Any]] = {}
        for number in sorted({*of_predicted.values(), *of_truth.values()} - {0}):
            ours, theirs = ([k for k, one in known.items() if one == number] for known in (of_predicted, of_truth))
            one = _precision(average_precision(self._table, ignore=ignore, objects=(ours, theirs)))
            if one["predicted_objects"] or one["truth_objects"]:
                found[str(number)] = one
        in_truth = [one for one in found.values() if one["truth_objects"]]
        names = ("average_precision", "average_precision_50")
        return {"of_class": found} | {
            f"mean_{name}": _or_none(mean_of_known(one[name] for one in in_truth)) for name in names
        }


def _precision(scores: list[ObjectScore]) -> dict[str, Any]:
    """Average precisions, over all thresholds and at the first, and the numbers of objects."""
    first = scores[0]
    return {
        "average_precision": _or_none(float(np.mean([one.average_precision for one in scores]))),
        "average_precision_50": _or_none(first.average_precision),
        "predicted_objects": first.n_found + first.n_invented,
        "truth_objects": first.n_found + first.n_missed,
    }


def _or_none(value: float) -> float | None:
    """The value, None for nan, which JSON lacks."""
    return None if math.isnan(value) else value
