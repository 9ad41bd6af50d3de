"""Evaluation of label volumes against the truth, block by block, for `napari-pytc evaluate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.geometry.label_reader import LabelReader
from napari_pytc.metrics.instances import InstanceCounts
from napari_pytc.metrics.overlap import ClassCounts, mean_of_known

BLOCK_SHAPE: Shape = (32, 256, 256)


def evaluate_classes(
    predicted: LabelReader,
    truth: LabelReader,
    ignore: int | None = 0,
    box: Box | None = None,
    classes: Sequence[int] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Dice, IoU and accuracy of each class, their means, and the confusion matrix.

    Parameters
    ----------
    predicted, truth : LabelReader
        Class labels 0 to 255 of the same shape.
    ignore : int, optional
        Truth value that means "not annotated"; its voxels are left out. None counts every voxel.
    box : Box, optional
        Box to compare; the whole volume by default.
    classes : sequence of int, optional
        The classes to report; by default those met in either volume.
    report : callable, optional
        Called with the number of blocks done and their total.

    Returns
    -------
    dict
        ``dice``, ``iou`` and ``class_accuracy`` (the part of a class that was found) by class, as ``{"1": ...}``; None
        for a class that neither volume holds, or not the truth. ``mean_dice``, ``mean_iou`` and ``mean_accuracy`` are
        means of these, ``pixel_accuracy`` the part of all voxels whose class is right. ``confusion`` has ``classes``
        and ``voxels``, a row for each true class with those predicted as each. ``compared`` has the numbers of
        ``voxels`` in the box, of those ``compared`` and ``left_out``, and ``truth_0``, those whose truth is 0;
        ``notes`` say it in sentences.
    """
    counts = ClassCounts(ignore)
    for _, ours, theirs in _blocks(predicted, truth, box, report):
        counts.add(ours, theirs)
    if not counts.n_voxels:
        raise InvalidInput(
            f"There is nothing to compare: every voxel of the truth is {ignore}, which means not annotated.",
            "Check the truth volume, or name another truth id to ignore (--ignore; -1: none).",
        )
    scores = {
        "dice": counts.dice(classes), "iou": counts.iou(classes), "class_accuracy": counts.class_accuracy(classes)
    }  # fmt: skip
    found: dict[str, Any] = {
        name: {str(k): _or_none(v) for k, v in of_class.items()} for name, of_class in scores.items()
    }
    for name, of_class in scores.items():
        found[f"mean_{name.removeprefix('class_')}"] = _or_none(mean_of_known(of_class.values()))
    listed, voxels = counts.confusion_of(classes)
    found |= {
        "pixel_accuracy": _or_none(counts.pixel_accuracy()),
        "confusion": {"classes": listed, "voxels": voxels.tolist()},
    }
    of_truth = counts.truth_values()
    compared = _compared(counts.n_voxels, counts.n_ignored, of_truth.get(0, 0))
    return {
        **found,
        "compared": compared,
        "notes": _class_notes(compared, ignore, [k for k in of_truth if k != ignore]),
    }


def evaluate_instances(
    predicted: LabelReader,
    truth: LabelReader,
    ignore: int | None = None,
    box: Box | None = None,
    report: Callable[[int, int], None] | None = None,
    classes: tuple[LabelReader, LabelReader] | None = None,
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
        Box to compare; the whole volume by default.
    report : callable, optional
        Called with the number of blocks done and their total.
    classes : pair of LabelReader, optional
        Classes of the voxels, predicted and true, of the same shape, for an average precision of each class. An
        object's class is that of most of its voxels, not counting 0.

    Returns
    -------
    dict
        ``voi_split`` = H(predicted | truth), ``voi_merge`` = H(truth | predicted), ``arand``;
        ``average_precision_at`` = TP / (TP + FP + FN) by IoU threshold from 0.5 to 0.95, ``average_precision`` its mean
        and ``average_precision_50`` the one at 0.5. None where nothing is left to compare. ``compared`` has the numbers
        of voxels as of `evaluate_classes`, and of objects in both volumes; ``notes`` say it in sentences. With
        `classes` also ``of_class``, by class the two average precisions and the numbers of objects, and their means
        over the classes of the truth, ``mean_average_precision`` and ``mean_average_precision_50``.
    """
    counts = InstanceCounts(with_classes=classes is not None)
    for tile, ours, theirs in _blocks(predicted, truth, box, report):
        known = None if classes is None else (classes[0].read(tile), classes[1].read(tile))
        counts.add(ours, theirs, known)
    figures = counts.figures(ignore)
    n_objects = {name: figures.pop(name) for name in ("predicted_objects", "truth_objects")}
    n_left_out, n_of_truth_0 = counts.n_voxels_of(ignore), counts.n_voxels_of(0)
    compared = _compared(counts.n_voxels - n_left_out, n_left_out, n_of_truth_0) | n_objects
    notes = [*_instance_notes(compared, ignore), *counts.notes()]
    return {**figures, "compared": compared, "notes": notes}


def _compared(n_compared: int, n_left_out: int, n_truth_0: int) -> dict[str, int]:
    n_voxels = n_compared + n_left_out
    return {"voxels": n_voxels, "compared": n_compared, "left_out": n_left_out, "truth_0": n_truth_0}


def _class_notes(compared: dict[str, int], ignore: int | None, classes: Sequence[int]) -> list[str]:
    """What was compared and left out, where it may surprise."""
    notes = [_compared_note(compared, ignore, "not annotated" if ignore == 0 else "ignored")]
    if ignore == 0 and compared["left_out"] and len(classes) == 1:
        notes.append(
            f"Beside 0 the truth holds the class {classes[0]} alone, so that a prediction of {classes[0]} everywhere "
            "scores 1. If 0 is background, as in a mask: --ignore -1."
        )
    return notes


def _instance_notes(compared: dict[str, int], ignore: int | None) -> list[str]:
    notes = [_compared_note(compared, ignore, "ignored")]
    if ignore is None and compared["truth_0"]:
        notes.append(
            f"{_of_all(compared['truth_0'], compared)} have the truth 0: the adapted Rand error leaves them out, the "
            "average precision takes 0 for background, the variation of information for one more object. To leave them "
            "out of all: --ignore 0."
        )
    return notes


def _compared_note(compared: dict[str, int], ignore: int | None, why: str) -> str:
    if not compared["left_out"]:
        return f"All {compared['voxels']} voxels were compared."
    return (
        f"{_of_all(compared['compared'], compared)} were compared; {compared['left_out']} whose truth is {ignore} were "
        f"left out as {why}."
    )


def _of_all(n: int, compared: dict[str, int]) -> str:
    return f"{n} of {compared['voxels']} voxels ({n / compared['voxels']:.1%})"


def _blocks(
    predicted: LabelReader, truth: LabelReader, box: Box | None, report: Callable[[int, int], None] | None
) -> Iterator[tuple[Box, np.ndarray, np.ndarray]]:
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
        yield tile.write, predicted.read(tile.write), truth.read(tile.write)
        if report is not None:
            report(tile.index + 1, len(grid))


def _or_none(value: float) -> float | None:
    """The value, None for nan, which JSON lacks."""
    return None if math.isnan(value) else value
