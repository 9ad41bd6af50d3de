"""The held-out scores of a model as figures for people: what each is, and of which data.

A model's ``scores.json`` holds, where something annotated was held out::

    dice, iou, mean, mean_iou, n_voxels   voxels of classes, or of channels that are learnt from objects
    truth                                 digest of the images, boxes and labels that were scored
    objects                               single objects, as the model's decoder makes them, where they are learnt:
        average_precision_50, average_precision, of_class, voi_split, voi_merge, nerl, truth (a digest of its own)
    boxes, volumes                        where that is
    live                                  scores of validation strokes of Live, which are no held-out ones
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Comparability = Literal["same", "other", "unknown"]
"""Whether two models were scored on the same truth."""


@dataclass(frozen=True)
class ScoreFigure:
    """A score with its explanation.

    Parameters
    ----------
    key : str
        Under which JSON output has it.
    title : str
        Short, as in a table.
    text : str
        The value.
    tip : str
        What it is, and on how many voxels or objects.
    """

    key: str
    title: str
    text: str
    tip: str


def figures_of(scores: Mapping[str, Any]) -> list[ScoreFigure]:
    """The figures that a model has, the one that decides first; none where nothing was scored."""
    return [*_of_voxels(scores), *_of_objects(scores.get("objects") or {})]


def values_of(scores: Mapping[str, Any]) -> dict[str, float]:
    """The same figures as numbers, by name."""
    objects = scores.get("objects") or {}
    found = {
        "dice": scores.get("mean"),
        "mean_iou": scores.get("mean_iou"),
        "average_precision_50": objects.get("average_precision_50"),
        "average_precision": objects.get("average_precision"),
        "voi": _sum_of(objects.get("voi_split"), objects.get("voi_merge")),
        "nerl": objects.get("nerl"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def measured_on(scores: Mapping[str, Any], when: str = "") -> str:
    """A sentence on the data that the scores are of; why there are none, where there are none.

    Parameters
    ----------
    when : str
        When the model was trained, which is when it was scored, as people read it.
    """
    if not figures_of(scores):
        if (scores.get("live") or {}).get("mean") is not None:
            return "No held-out score: Live scored it on validation strokes alone."
        return "No score: nothing annotated was held out when it was made."
    boxes = list(scores.get("boxes") or ())
    place = f"held out in {boxes[0]}" if len(boxes) == 1 else f"in {len(boxes)} held-out boxes" if boxes else "held out"
    volumes = list(scores.get("volumes") or ())
    of = f" of {', '.join(volumes)}" if volumes else ""
    objects = scores.get("objects") or {}
    n_objects = f" and {objects['truth_objects']:,} objects" if objects.get("truth_objects") else ""
    n_voxels = f"{scores.get('n_voxels') or 0:,} annotated voxels"
    return f"Of {n_voxels}{n_objects} {place}{of}{f', {when}' if when else ''}."


def comparability(scores: Mapping[str, Any], others: Mapping[str, Any]) -> Comparability:
    """Whether the scores of two models are of the same truth and channels, so that they can be compared."""
    ours, theirs = scores.get("truth"), others.get("truth")
    if not ours or not theirs:
        return "unknown"
    same_channels = set(scores.get("dice") or ()) == set(others.get("dice") or ())
    of_objects = [(one.get("objects") or {}).get("truth") for one in (scores, others)]
    same_objects = None in of_objects or of_objects[0] == of_objects[1]
    return "same" if ours == theirs and same_channels and same_objects else "other"


def comparability_note(scores: Mapping[str, Any], others: Mapping[str, Any], name: str) -> str:
    """Why scores cannot be compared with those of another model; empty where they can, or where one has none.

    Parameters
    ----------
    name : str
        Of the other model.
    """
    if not figures_of(scores) or not figures_of(others):
        return ""
    found = comparability(scores, others)
    if found == "same":
        return ""
    if found == "other":
        return f"Not to be compared with the scores of {name}: those are of another truth, or of other channels."
    return f"Whether {name} was scored on the same truth is not known: compare the numbers with care."


def _of_voxels(scores: Mapping[str, Any]) -> list[ScoreFigure]:
    n = f"{scores.get('n_voxels') or 0:,} annotated voxels"
    found = []
    if (mean := scores.get("mean")) is not None:
        names = ", ".join(name for name, value in (scores.get("dice") or {}).items() if value is not None)
        low_high = scores.get("interval")
        sure = f" 95 % interval {low_high[0]:.3f} to {low_high[1]:.3f}." if low_high else ""
        tip = (
            f"Mean Dice of {names or 'all'} on {n}: twice the overlap over the sum of both, 1 is perfect. It decides "
            f"which model is better.{sure}"
        )
        found.append(ScoreFigure("dice", "Dice", f"{mean:.3f}", tip))
    if (iou := scores.get("mean_iou")) is not None:
        tip = f"Mean over the classes of intersection over union on {n}: stricter than Dice, 1 is perfect."
        found.append(ScoreFigure("mean_iou", "mean IoU", f"{iou:.3f}", tip))
    return found


def _of_objects(objects: Mapping[str, Any]) -> list[ScoreFigure]:
    if not objects:
        return []
    n_predicted, n_true = objects.get("predicted_objects") or 0, objects.get("truth_objects") or 0
    n = f"{n_predicted:,} predicted against {n_true:,} true objects"
    how = f"as the decoder {objects.get('decoder') or 'of its recipe'} makes them"
    found = []
    for key, title, iou in (
        ("average_precision_50", "AP 0.5", "an overlap (IoU) of 0.5"),
        ("average_precision", "AP 0.5–0.95", "an overlap (IoU) of 0.5 to 0.95, the mean of ten"),
    ):
        if (value := objects.get(key)) is not None:
            lines = [
                f"Average precision at {iou}: objects found, over those found, invented and missed; 1 is perfect. "
                f"{n}, {how}."
            ]
            lines += [
                f"{name}: {'—' if one.get(key) is None else format(one[key], '.3f')} "
                f"({one['predicted_objects']:,} predicted, {one['truth_objects']:,} true)"
                for name, one in (objects.get("of_class") or {}).items()
            ]
            found.append(ScoreFigure(key, title, f"{value:.3f}", "\n".join(lines)))
    split, merge = objects.get("voi_split"), objects.get("voi_merge")
    if split is not None and merge is not None:
        tip = (
            f"Variation of information in bits on {objects.get('n_voxels') or 0:,} voxels, 0 is perfect: {split:.3f} "
            f"from splits and {merge:.3f} from mergers. Objects {how}."
        )
        found.append(ScoreFigure("voi", "VOI", f"{split + merge:.3f}", tip))
    if (nerl := objects.get("nerl")) is not None:
        tip = (
            "Normalised expected run length along skeletons of the true objects: how far one follows a neurite until "
            "the first mistake, 1 is perfect. A segment merges neurites where it holds more than "
            f"{objects.get('tolerated_nodes', 0)} nodes of each of two."
        )
        found.append(ScoreFigure("nerl", "NERL", f"{nerl:.3f}", tip))
    return found


def _sum_of(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return math.fsum(known) if len(known) == len(parts) else None
