"""Comparison of classes with the truth, for `evaluate --classes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group

from napari_pytc.cli.label_comparison import ComparedFile, checked_region, class_title, with_notes
from napari_pytc.cli.output import Output, Reply, table

if TYPE_CHECKING:
    from napari_pytc.geometry import Box

_MOST_COLUMNS = 12
"""A confusion matrix of more classes is in --json only."""


@dataclass(frozen=True)
class ClassRequest:
    """The volumes of `evaluate --classes`; `ignore` is the true class that is left out."""

    predicted: ComparedFile
    truth: ComparedFile
    values: dict[int, int]
    region: Box | None
    ignore: int | None


def evaluate_class_files(asked: ClassRequest, output: Output) -> Reply:
    """Judge classes by true classes."""
    from napari_pytc.annotations.label_pair import pair_labels
    from napari_pytc.metrics import evaluate_classes

    pair = pair_labels(asked.predicted.open(), asked.truth.open(), asked.values, classes=True)
    region = checked_region(asked.region, pair.box)
    with output.counting("evaluate") as report:
        figures = evaluate_classes(pair.predicted, pair.truth, asked.ignore, region, report=report)
    figures["names"] = {str(number): name for number, name in pair.names.items()}
    figures = with_notes(figures, region, pair.notes)
    return Reply(figures, Group(*_tables(figures), *(f"Note: {note}" for note in figures["notes"])))


def _tables(figures: dict[str, Any]) -> list[Any]:
    scores = ("dice", "iou", "class_accuracy")
    rows: list[tuple[Any, ...]] = [
        (class_title(figures, key), *(figures[score][key] for score in scores)) for key in figures["dice"]
    ]
    rows.append(("mean", *(figures[f"mean_{score.removeprefix('class_')}"] for score in scores)))
    rows.append(("all voxels", None, None, figures["pixel_accuracy"]))
    confusion = figures["confusion"]
    titles = [class_title(figures, str(number)) for number in confusion["classes"]]
    shown = [table("Classes", ("class", "Dice", "IoU", "accuracy"), rows)]
    if len(titles) <= _MOST_COLUMNS:
        of_true = [(title, *voxels) for title, voxels in zip(titles, confusion["voxels"], strict=True)]
        shown.append(table("Confusion", ("voxels that are ...", *(f"as {title}" for title in titles)), of_true))
    return shown
