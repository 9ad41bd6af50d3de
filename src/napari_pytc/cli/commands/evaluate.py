"""The command that compares labels with the truth: evaluate."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import (
    AsJson,
    Axes,
    BoxText,
    Channel,
    MissingSections,
    TeasarConstant,
    TeasarScale,
    Time,
    output_of,
    read_box,
    read_options,
    refuse_given,
)
from napari_pytc.cli.output import Reply, table
from napari_pytc.cli.skeleton_scores import SkeletonRequest, checked_region, evaluate_against_skeletons, with_notes
from napari_pytc.errors import InvalidInput
from napari_pytc.skeletons.units import SkeletonUnit

if TYPE_CHECKING:
    from napari_pytc.annotations.label_pair import LabelPair
    from napari_pytc.volumes.source import VolumeSource
    from napari_pytc.volumes.spec import ReadOptions

_MOST_COLUMNS = 12
"""A confusion matrix of more classes is in --json only."""
_OF_SKELETONS = ("voxel_size", "unit", "tolerated_nodes", "teasar_scale", "teasar_constant")


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("evaluate", rich_help_panel="Results")(evaluate)


def evaluate(
    context: typer.Context,
    predicted: Annotated[str, typer.Argument(metavar="PREDICTED[:DATASET]", help="Labels to judge.")],
    truth: Annotated[
        str,
        typer.Argument(
            metavar="TRUTH[:DATASET]",
            help="Labels that are right; with --skeletons also an SWC file or a folder of them.",
        ),
    ],
    classes: Annotated[
        bool,
        typer.Option(
            "--classes",
            help="Dice, IoU and accuracy of each class, their means, and the confusion matrix (the default).",
        ),
    ] = False,
    instances: Annotated[
        bool,
        typer.Option("--instances", help="Variation of information (bits), adapted Rand error and average precision."),
    ] = False,
    predicted_classes: Annotated[
        str | None,
        typer.Option(
            "--predicted-classes",
            metavar="PATH[:DATASET]",
            help="With --instances: classes of the predicted voxels, for an average precision of each class.",
        ),
    ] = None,
    truth_classes: Annotated[
        str | None, typer.Option("--truth-classes", metavar="PATH[:DATASET]", help="The same of the truth.")
    ] = None,
    skeletons: Annotated[
        bool,
        typer.Option(
            "--skeletons",
            help="Expected run length, also normalised (ERL, NERL), and variation of information at the nodes of "
            "skeletons; of labels they are made by TEASAR.",
        ),
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
    voxel_size: Annotated[
        str | None,
        typer.Option("--voxel-size", metavar="Z,Y,X", help="Of skeletons, in nm; by default what the files say."),
    ] = None,
    unit: Annotated[
        SkeletonUnit | None,
        typer.Option(help="Unit of SWC files; by default what they say, else um."),
    ] = None,
    tolerated_nodes: Annotated[
        int,
        typer.Option(
            "--tolerated-nodes",
            metavar="N",
            min=0,
            help="A segment merges skeletons where it holds more than N nodes of each of two.",
        ),
    ] = 0,
    teasar_scale: TeasarScale = None,
    teasar_constant: TeasarConstant = None,
    as_json: AsJson = False,
) -> Reply:
    """Compare labels with the truth, and tell what was compared and what was left out.

    Volumes of other shapes are compared where they overlap, by the origins in their files. Of classes, numbers follow
    the names that the files have for them.
    """
    if sum((classes, instances, skeletons)) > 1:
        raise InvalidInput("Give one of --classes, --instances and --skeletons, not both.")
    region, values = read_box(box), _numbers(mapped)
    of_classes = (predicted_classes, truth_classes)
    if any(of_classes) and not (instances and all(of_classes)):
        raise InvalidInput(
            "An average precision of each class needs --instances, --predicted-classes and --truth-classes.",
            "Give all three, or none.",
        )
    if skeletons:
        of_prediction = read_options(voxel_size, channel, axes, time, missing_sections)
        of_truth = read_options(voxel_size, truth_channel, truth_axes, truth_time, missing_sections)
        left_out = None if ignore == -1 else ignore
        asked = SkeletonRequest(
            predicted, truth, of_prediction, of_truth, values, region, left_out, unit, tolerated_nodes
        )
        return evaluate_against_skeletons(asked, context, teasar_scale, teasar_constant)
    refuse_given(context, _OF_SKELETONS, "of --skeletons.", "Add --skeletons, or leave them out.")
    ours = read_options(None, channel, axes, time, missing_sections)
    theirs = read_options(None, truth_channel, truth_axes, truth_time, missing_sections)
    from napari_pytc.annotations.label_pair import pair_labels
    from napari_pytc.metrics import evaluate_classes, evaluate_instances
    from napari_pytc.volumes.opening import open_labels

    pair = pair_labels(open_labels(predicted, ours), open_labels(truth, theirs), values, classes=not instances)
    region = checked_region(region, pair.box)
    left_out = {None: None if instances else 0, -1: None}.get(ignore, ignore)
    names, notes, figures = pair.names, pair.notes, dict[str, Any]()
    known = None
    if predicted_classes is not None and truth_classes is not None:
        known = _classes_of_objects(pair, (predicted_classes, ours), (truth_classes, theirs))
    with output_of(context).counting("evaluate") as report:
        if instances:
            readers = None if known is None else (known.predicted, known.truth)
            figures = evaluate_instances(pair.predicted, pair.truth, left_out, region, report, readers)
        else:
            figures = evaluate_classes(pair.predicted, pair.truth, left_out, region, report=report)
    if known is not None:
        names, notes = known.names, tuple(dict.fromkeys([*notes, *known.notes]))
    if not instances or known is not None:
        figures["names"] = {str(number): name for number, name in names.items()}
    shown = _instances_tables(figures) if instances else _classes_tables(figures)
    return Reply(with_notes(figures, region, notes), Group(*shown, *(f"Note: {note}" for note in figures["notes"])))


def _classes_of_objects(
    pair: LabelPair, predicted: tuple[str, ReadOptions], truth: tuple[str, ReadOptions]
) -> LabelPair:
    """Classes of objects that are compared, in the same voxels; read as the objects are."""
    from napari_pytc.annotations.label_pair import pair_labels

    known = pair_labels(_open_classes(*predicted), _open_classes(*truth), classes=True)
    for role, ours, theirs in (("prediction", known.predicted, pair.predicted), ("truth", known.truth, pair.truth)):
        if (ours.source.shape, ours.offset) != (theirs.source.shape, theirs.offset):
            raise InvalidInput(
                f"Classes and instances of the {role} must be of the same voxels, got {tuple(ours.source.shape)} and "
                f"{tuple(theirs.source.shape)}.",
                "Give classes of the volume that the instances are of.",
            )
    return known


def _open_classes(path: str, options: ReadOptions) -> VolumeSource:
    """Classes as the options of their objects say; where these do not fit, a file that leaves no choice."""
    from napari_pytc.errors import VolumeError
    from napari_pytc.volumes.opening import open_labels

    try:
        return open_labels(path, options)
    except VolumeError:
        with suppress(VolumeError):
            return open_labels(path)
        raise


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


def _classes_tables(figures: dict[str, Any]) -> list[Any]:
    scores = ("dice", "iou", "class_accuracy")
    rows: list[tuple[Any, ...]] = [
        (_class_title(figures, key), *(figures[score][key] for score in scores)) for key in figures["dice"]
    ]
    rows.append(("mean", *(figures[f"mean_{score.removeprefix('class_')}"] for score in scores)))
    rows.append(("all voxels", None, None, figures["pixel_accuracy"]))
    confusion = figures["confusion"]
    titles = [_class_title(figures, str(number)) for number in confusion["classes"]]
    shown = [table("Classes", ("class", "Dice", "IoU", "accuracy"), rows)]
    if len(titles) <= _MOST_COLUMNS:
        of_true = [(title, *voxels) for title, voxels in zip(titles, confusion["voxels"], strict=True)]
        shown.append(table("Confusion", ("voxels that are ...", *(f"as {title}" for title in titles)), of_true))
    return shown


def _class_title(figures: dict[str, Any], key: str) -> str:
    return f"{key} {figures['names'][key]}" if key in figures["names"] else key


def _instances_tables(figures: dict[str, Any]) -> list[Any]:
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
            (_class_title(figures, key), *(found[name] for name in columns))
            for key, found in figures["of_class"].items()
        ]
        means = (figures["mean_average_precision_50"], figures["mean_average_precision"])
        heads = ("class", "AP, IoU 0.5", "AP, IoU 0.5 to 0.95", "predicted", "true")
        shown.append(table("Average precision of each class", heads, [*of_class, ("mean", *means, None, None)]))
    return shown
