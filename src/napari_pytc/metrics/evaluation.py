"""Compare two label volumes block by block, as `napari-pytc evaluate` does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.metrics.objects import average_precision
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.metrics.partitions import ContingencyTable

BLOCK_SHAPE: Shape = (32, 256, 256)


class LabelReader(Protocol):
    """What is needed of a label volume; every `VolumeSource` has it."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""

    def read(self, box: Box) -> np.ndarray:
        """The labels of a box within the volume."""


def evaluate_classes(
    predicted: LabelReader,
    truth: LabelReader,
    ignore: int | None = 0,
    box: Box | None = None,
    classes: Sequence[int] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, float | None]]:
    """Dice and IoU of each class.

    Parameters
    ----------
    predicted, truth : LabelReader
        Class labels 0 to 255 of the same shape.
    ignore : int, optional
        Truth value that means "not annotated"; its voxels are left out. None counts every voxel.
    box : Box, optional
        Where to compare; everywhere by default.
    classes : sequence of int, optional
        The classes to tell of; by default those met in either volume.
    report : callable, optional
        Called with the number of blocks done and their total.

    Returns
    -------
    dict
        ``{"dice": {"1": ...}, "iou": {"1": ...}}``; None for a class that neither volume holds.
    """
    counts = ClassCounts(ignore)
    for ours, theirs in _blocks(predicted, truth, box, report):
        counts.add(ours, theirs)
    if not counts.n_voxels:
        raise InvalidInput(
            f"There is nothing to compare: every voxel of the truth is {ignore}, which means not annotated.",
            "Check the truth volume, or name another truth id to ignore.",
        )
    scores = {"dice": counts.dice(classes), "iou": counts.iou(classes)}
    return {name: {str(k): _or_none(v) for k, v in of_class.items()} for name, of_class in scores.items()}


def evaluate_instances(
    predicted: LabelReader,
    truth: LabelReader,
    ignore: int | None = None,
    box: Box | None = None,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Variation of information (bits), adapted Rand error and average precision.

    Parameters
    ----------
    predicted, truth : LabelReader
        Instance ids from 0, of the same shape.
    ignore : int, optional
        Truth id whose voxels are left out of all figures. By default the variation of information counts every voxel
        and the adapted Rand error leaves truth 0 out, as the functions of these names in scikit-image do, and the
        average precision takes 0 for background.
    box : Box, optional
        Where to compare; everywhere by default.
    report : callable, optional
        Called with the number of blocks done and their total.

    Returns
    -------
    dict
        ``voi_split`` = H(predicted | truth), ``voi_merge`` = H(truth | predicted), ``arand``;
        ``average_precision_at`` = TP / (TP + FP + FN) by IoU threshold from 0.5 to 0.95, ``average_precision`` its mean
        and ``average_precision_50`` the one at 0.5. None where nothing is left to compare.
    """
    table = ContingencyTable()
    for ours, theirs in _blocks(predicted, truth, box, report):
        table.add(ours, theirs)
    split, merge = table.variation_of_information(ignore)
    arand = table.adapted_rand_error(0 if ignore is None else ignore)
    scores = average_precision(table, ignore=ignore)
    precision = {f"{score.threshold:g}": _or_none(score.average_precision) for score in scores}
    mean = float(np.mean([score.average_precision for score in scores]))
    return {
        "voi_split": _or_none(split),
        "voi_merge": _or_none(merge),
        "arand": _or_none(arand),
        "average_precision": _or_none(mean),
        "average_precision_50": precision["0.5"],
        "average_precision_at": precision,
    }


def _blocks(
    predicted: LabelReader, truth: LabelReader, box: Box | None, report: Callable[[int, int], None] | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if tuple(predicted.shape) != tuple(truth.shape):
        raise InvalidInput(
            f"Prediction and truth must have one shape, got {tuple(predicted.shape)} and {tuple(truth.shape)}.",
            "Compare volumes of the same voxels; crop the larger one to them first.",
        )
    whole = Box.of_shape(truth.shape)
    box = whole if box is None else box
    if box.is_empty or not whole.contains(box):
        raise InvalidInput(f"The box to compare must hold voxels and lie within {whole}, got {box}.")
    grid = TileGrid(box, BLOCK_SHAPE)
    for tile in grid:
        yield predicted.read(tile.write), truth.read(tile.write)
        if report is not None:
            report(tile.index + 1, len(grid))


def _or_none(value: float) -> float | None:
    """JSON has no nan."""
    return None if math.isnan(value) else value
