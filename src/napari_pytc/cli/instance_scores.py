"""Comparison of single objects with the truth, for `evaluate --instances`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group

from napari_pytc.cli.label_comparison import ComparedFile, checked_region, class_title, with_notes
from napari_pytc.cli.output import Output, Reply, table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.annotations.label_pair import LabelPair
    from napari_pytc.geometry import Box


@dataclass(frozen=True)
class InstanceRequest:
    """The volumes of `evaluate --instances`.

    Parameters
    ----------
    classes : pair of ComparedFile, optional
        Classes of the predicted and of the true voxels.
    ignore : int, optional
        The true id that is left out.
    """

    predicted: ComparedFile
    truth: ComparedFile
    classes: tuple[ComparedFile, ComparedFile] | None
    values: dict[int, int]
    region: Box | None
    ignore: int | None


def evaluate_instance_files(asked: InstanceRequest, output: Output) -> Reply:
    """Judge objects by true objects, of each class where classes are given."""
    from napari_pytc.annotations.label_pair import pair_labels
    from napari_pytc.metrics import evaluate_instances

    pair = pair_labels(asked.predicted.open(), asked.truth.open(), asked.values, classes=False)
    region = checked_region(asked.region, pair.box)
    known = None if asked.classes is None else _classes_of_objects(pair, *asked.classes)
    readers = None if known is None else (known.predicted, known.truth)
    with output.counting("evaluate") as report:
        figures = evaluate_instances(pair.predicted, pair.truth, asked.ignore, region, report, readers)
    notes = pair.notes
    if known is not None:
        notes = tuple(dict.fromkeys([*notes, *known.notes]))
        figures["names"] = {str(number): name for number, name in known.names.items()}
    figures = with_notes(figures, region, notes)
    return Reply(figures, Group(*_tables(figures), *(f"Note: {note}" for note in figures["notes"])))


def _classes_of_objects(pair: LabelPair, predicted: ComparedFile, truth: ComparedFile) -> LabelPair:
    """Classes of objects that are compared, in the same voxels; read as the objects are."""
    from napari_pytc.annotations.label_pair import pair_labels

    known = pair_labels(predicted.open_beside(), truth.open_beside(), classes=True)
    for role, ours, theirs in (("prediction", known.predicted, pair.predicted), ("truth", known.truth, pair.truth)):
        if (ours.source.shape, ours.offset) != (theirs.source.shape, theirs.offset):
            raise InvalidInput(
                f"Classes and instances of the {role} must be of the same voxels, got {tuple(ours.source.shape)} and "
                f"{tuple(theirs.source.shape)}.",
                "Give classes of the volume that the instances are of.",
            )
    return known


def _tables(figures: dict[str, Any]) -> list[Any]:
    rows: list[tuple[Any, ...]] = [
        ("split (bits)", figures["voi_split"]),
        ("merge (bits)", figures["voi_merge"]),
        ("adapted Rand error", figures["arand"]),
        ("average precision, IoU 0.5", figures["average_precision_50"]),
        ("average precision, IoU 0.5 to 0.95", figures["average_precision"]),
        ("objects predicted", figures["compared"]["predicted_objects"]),
        ("objects in the truth", figures["compared"]["truth_objects"]),
    ]
    shown = [table("Instances", ("figure", "value"), rows)]
    if "of_class" in figures:
        columns = ("average_precision_50", "average_precision", "predicted_objects", "truth_objects")
        of_class = [
            (class_title(figures, key), *(found[name] for name in columns))
            for key, found in figures["of_class"].items()
        ]
        means = (figures["mean_average_precision_50"], figures["mean_average_precision"])
        heads = ("class", "AP, IoU 0.5", "AP, IoU 0.5 to 0.95", "predicted", "true")
        shown.append(table("Average precision of each class", heads, [*of_class, ("mean", *means, None, None)]))
    return shown
