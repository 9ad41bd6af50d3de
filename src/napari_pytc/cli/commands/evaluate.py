"""The command that compares labels with the truth: evaluate."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import (
    AsJson,
    Axes,
    BoxText,
    Channel,
    MissingSections,
    Time,
    output_of,
    read_box,
    read_options,
)
from napari_pytc.cli.output import Reply, table
from napari_pytc.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("evaluate", rich_help_panel="Results")(evaluate)


def evaluate(
    context: typer.Context,
    predicted: Annotated[str, typer.Argument(metavar="PREDICTED[:DATASET]", help="Labels to judge.")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH[:DATASET]", help="Labels that are right.")],
    classes: Annotated[bool, typer.Option("--classes", help="Dice and IoU of each class (the default).")] = False,
    instances: Annotated[
        bool,
        typer.Option("--instances", help="Variation of information (bits), adapted Rand error and average precision."),
    ] = False,
    ignore: Annotated[
        int | None,
        typer.Option(metavar="TRUTH_ID", help="Truth id to leave out; for classes 0 unless said; -1: none."),
    ] = None,
    mapped: Annotated[
        str | None,
        typer.Option("--map", metavar="VALUE=NUMBER,...", help="Values that count as others in both, as 255=1."),
    ] = None,
    box: BoxText = None,
    channel: Channel = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    truth_channel: Annotated[
        int | None, typer.Option("--truth-channel", metavar="N", min=0, help="As --channel, of the truth.")
    ] = None,
    truth_axes: Annotated[
        str | None, typer.Option("--truth-axes", metavar="LETTERS", help="As --axes, of the truth.")
    ] = None,
    truth_time: Annotated[
        int | None, typer.Option("--truth-time", metavar="N", min=0, help="As --time, of the truth.")
    ] = None,
    as_json: AsJson = False,
) -> Reply:
    """Compare labels with the truth, and tell what was compared and what was left out.

    Volumes of other shapes are compared where they overlap, by the origins in their files. Of classes, numbers follow
    the names that the files have for them.
    """
    if classes and instances:
        raise InvalidInput("Give --classes or --instances, not both.")
    region, values = read_box(box), _numbers(mapped)
    ours = read_options(None, channel, axes, time, missing_sections)
    theirs = read_options(None, truth_channel, truth_axes, truth_time, missing_sections)
    from napari_pytc.annotations.label_pair import pair_labels
    from napari_pytc.metrics import evaluate_classes, evaluate_instances
    from napari_pytc.volumes.opening import open_labels

    pair = pair_labels(open_labels(predicted, ours), open_labels(truth, theirs), values, classes=not instances)
    if region is not None and not pair.box.contains(region):
        raise InvalidInput(f"The box to compare must lie within {pair.box}, where both volumes are, got {region}.")
    region = region or pair.box
    left_out = {None: None if instances else 0, -1: None}.get(ignore, ignore)
    judge = evaluate_instances if instances else evaluate_classes
    with output_of(context).counting("evaluate") as report:
        figures: dict[str, Any] = judge(pair.predicted, pair.truth, ignore=left_out, box=region, report=report)
    figures["compared"]["box"] = str(region)
    figures["notes"] = [*pair.notes, *figures["notes"]]
    if not instances:
        figures["names"] = {str(number): name for number, name in pair.names.items()}
    shown = _instances_table(figures) if instances else _classes_table(figures)
    return Reply(figures, Group(shown, *(f"Note: {note}" for note in figures["notes"])))


def _numbers(text: str | None) -> dict[int, int]:
    """Values and numbers of --map; names have no meaning here."""
    from napari_pytc.annotations.label_transform import LabelTransform

    found: dict[int, int] = {}
    for value, number in LabelTransform.parse_values(text).items():
        if not isinstance(number, int) or number < 0:
            raise InvalidInput(
                f"evaluate maps values to numbers from 0, got {value}={number}.", "For example: --map 255=1."
            )
        found[value] = number
    return found


def _classes_table(figures: dict[str, Any]) -> Any:
    rows = [
        (
            f"{key} {figures['names'][key]}" if key in figures["names"] else key,
            figures["dice"][key],
            figures["iou"][key],
        )
        for key in figures["dice"]
    ]
    return table("Classes", ("class", "Dice", "IoU"), rows)


def _instances_table(figures: dict[str, Any]) -> Any:
    rows: list[tuple[Any, ...]] = [
        ("split (bits)", figures["voi_split"]),
        ("merge (bits)", figures["voi_merge"]),
        ("adapted Rand error", figures["arand"]),
        ("average precision, IoU 0.5", figures["average_precision_50"]),
        ("average precision, IoU 0.5 to 0.95", figures["average_precision"]),
        ("objects predicted", figures["compared"]["predicted_objects"]),
        ("objects in the truth", figures["compared"]["truth_objects"]),
    ]
    return table("Instances", ("figure", "value"), rows)
