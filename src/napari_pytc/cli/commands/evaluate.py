"""The command that compares labels with the truth: evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
from napari_pytc.cli.output import Output, Reply, table
from napari_pytc.errors import InvalidInput
from napari_pytc.skeletons.units import SUFFIX, SkeletonUnit

if TYPE_CHECKING:
    from napari_pytc.geometry import Box
    from napari_pytc.skeletons.teasar import Teasar
    from napari_pytc.volumes.spec import ReadOptions

_OF_SKELETONS = ("voxel_size", "unit", "tolerated_nodes", "teasar_scale", "teasar_constant")
_OF_TRUTH_VOLUME = ("truth_channel", "truth_axes", "truth_time", "teasar_scale", "teasar_constant")


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
    classes: Annotated[bool, typer.Option("--classes", help="Dice and IoU of each class (the default).")] = False,
    instances: Annotated[
        bool,
        typer.Option("--instances", help="Variation of information (bits), adapted Rand error and average precision."),
    ] = False,
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
    teasar_scale: TeasarScale = 1.5,
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
    if skeletons:
        of_prediction = read_options(voxel_size, channel, axes, time, missing_sections)
        of_truth = read_options(voxel_size, truth_channel, truth_axes, truth_time, missing_sections)
        left_out = None if ignore == -1 else ignore
        asked = _Asked(predicted, truth, of_prediction, of_truth, values, region, left_out, unit, tolerated_nodes)
        return _reply_on_skeletons(asked, context, teasar_scale, teasar_constant)
    refuse_given(context, _OF_SKELETONS, "of --skeletons.", "Add --skeletons, or leave them out.")
    ours = read_options(None, channel, axes, time, missing_sections)
    theirs = read_options(None, truth_channel, truth_axes, truth_time, missing_sections)
    from napari_pytc.annotations.label_pair import pair_labels
    from napari_pytc.metrics import evaluate_classes, evaluate_instances
    from napari_pytc.volumes.opening import open_labels

    pair = pair_labels(open_labels(predicted, ours), open_labels(truth, theirs), values, classes=not instances)
    region = _region(region, pair.box)
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


@dataclass(frozen=True)
class _Asked:
    """What `evaluate --skeletons` was asked."""

    predicted: str
    truth: str
    of_prediction: ReadOptions
    of_truth: ReadOptions
    values: dict[int, int]
    region: Box | None
    ignore: int | None
    unit: SkeletonUnit | None
    tolerated_nodes: int


def _reply_on_skeletons(asked: _Asked, context: typer.Context, scale: float, constant: float | None) -> Reply:
    from napari_pytc.skeletons.teasar import Teasar

    path = Path(asked.truth).expanduser()
    if path.suffix.lower() == SUFFIX or (path.is_dir() and any(path.glob(f"*{SUFFIX}"))):
        refuse_given(context, _OF_TRUTH_VOLUME, "of a truth of labels.", "Leave them out: the truth is skeletons.")
        figures = _against_files(asked, path, output_of(context))
    else:
        refuse_given(context, ("unit",), "of SWC files, but the truth is a volume.", "Leave it out.")
        figures = _against_labels(asked, Teasar(scale, constant), output_of(context))
    return Reply(figures, Group(_skeletons_table(figures), *(f"Note: {note}" for note in figures["notes"])))


def _against_files(asked: _Asked, path: Path, output: Output) -> dict[str, Any]:
    """Figures on given skeletons, in voxels of the prediction."""
    from napari_pytc.annotations.importing import source_notes
    from napari_pytc.annotations.label_pair import comparable
    from napari_pytc.geometry import Box
    from napari_pytc.metrics import evaluate_skeletons
    from napari_pytc.skeletons.swc import read_skeletons
    from napari_pytc.volumes.opening import open_labels

    source = open_labels(asked.predicted, asked.of_prediction)
    truth, notes = read_skeletons(path, source.space, asked.unit)
    truth = [one for one in truth if one.segment != asked.ignore]
    region = _region(asked.region, Box.of_shape(source.shape))
    labels = comparable(source, asked.values)
    with output.counting("evaluate") as report:
        figures = evaluate_skeletons(labels, truth, source.space, region, asked.tolerated_nodes, report)
    return _told(figures, region, [*source_notes(source), *notes])


def _against_labels(asked: _Asked, teasar: Teasar, output: Output) -> dict[str, Any]:
    """Figures on skeletons of the true labels, in voxels of the truth."""
    from napari_pytc.annotations.label_pair import pair_labels
    from napari_pytc.metrics import evaluate_skeletons
    from napari_pytc.skeletons.teasar import skeletonise_segments
    from napari_pytc.volumes.opening import open_labels

    predicted, truth = open_labels(asked.predicted, asked.of_prediction), open_labels(asked.truth, asked.of_truth)
    pair = pair_labels(predicted, truth, asked.values, classes=False)
    region = _region(asked.region, pair.box)
    space, notes = truth.space, list(pair.notes)
    if not space.known and predicted.space.known:
        space = predicted.space
        notes.append("The truth says no voxel size: that of the prediction was taken.")
    with output.counting("skeletons of the truth") as report:
        found = list(skeletonise_segments(pair.truth, space, region, teasar=teasar, report=report))
    found = [one for one in found if one.segment != asked.ignore]
    with output.counting("evaluate") as report:
        figures = evaluate_skeletons(pair.predicted, found, space, region, asked.tolerated_nodes, report)
    return _told(figures, region, notes)


def _region(asked: Box | None, whole: Box) -> Box:
    if asked is not None and not whole.contains(asked):
        raise InvalidInput(f"The box to compare must lie within {whole}, where both volumes are, got {asked}.")
    return asked or whole


def _told(figures: dict[str, Any], region: Box, notes: Sequence[str]) -> dict[str, Any]:
    """The figures with what the files made necessary."""
    figures["compared"]["box"] = str(region)
    figures["notes"] = [*notes, *figures["notes"]]
    return figures


def _skeletons_table(figures: dict[str, Any]) -> Any:
    unit = figures["unit"]
    rows: list[tuple[Any, ...]] = [
        ("normalised expected run length (NERL)", figures["nerl"]),
        (f"expected run length (ERL, {unit})", figures["erl"]),
        (f"the same without any mistake ({unit})", figures["erl_of_truth"]),
        ("split at nodes (bits)", figures["voi_split"]),
        ("merge at nodes (bits)", figures["voi_merge"]),
        *((f"path length {name}", share) for name, share in figures["share"].items()),
        ("edges between two segments", figures["split_edges"]),
        ("segments that merge skeletons", figures["merging_segments"]),
        ("skeletons", figures["compared"]["skeletons"]),
        (f"their path length ({unit})", figures["length"]),
    ]
    return table("Skeletons", ("figure", "value"), rows)


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
