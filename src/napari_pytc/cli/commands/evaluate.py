"""The command that compares labels with the truth: evaluate."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_pytc.cli.class_scores import ClassRequest, evaluate_class_files
from napari_pytc.cli.instance_scores import InstanceRequest, evaluate_instance_files
from napari_pytc.cli.label_comparison import ComparedFile, mapped_values
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
from napari_pytc.cli.output import Reply
from napari_pytc.cli.skeleton_scores import SkeletonRequest, evaluate_against_skeletons
from napari_pytc.errors import InvalidInput
from napari_pytc.skeletons.units import MergedBy, SkeletonUnit

_OF_SKELETONS = ("voxel_size", "unit", "tolerated_nodes", "merged_by", "teasar_scale", "teasar_constant")

Predicted = Annotated[str, typer.Argument(metavar="PREDICTED[:DATASET]", help="Labels to judge.")]
Truth = Annotated[
    str,
    typer.Argument(
        metavar="TRUTH[:DATASET]",
        help="Labels that are right; with --skeletons also an SWC file or a folder of them.",
    ),
]
OfClasses = Annotated[
    bool,
    typer.Option(
        "--classes", help="Dice, IoU and accuracy of each class, their means, and the confusion matrix (the default)."
    ),
]
OfInstances = Annotated[
    bool,
    typer.Option("--instances", help="Variation of information (bits), adapted Rand error and average precision."),
]
PredictedClasses = Annotated[
    str | None,
    typer.Option(
        "--predicted-classes",
        metavar="PATH[:DATASET]",
        help="With --instances: classes of the predicted voxels, for an average precision of each class.",
    ),
]
TruthClasses = Annotated[
    str | None, typer.Option("--truth-classes", metavar="PATH[:DATASET]", help="The same of the truth.")
]
OfSkeletons = Annotated[
    bool,
    typer.Option(
        "--skeletons",
        help="Expected run length, also normalised (ERL, NERL), and variation of information at the nodes of "
        "skeletons; of labels they are made by TEASAR.",
    ),
]
Ignore = Annotated[
    int | None,
    typer.Option(metavar="TRUTH_ID", help="Truth id to leave out; for classes 0 unless said; -1: none."),
]
Mapped = Annotated[
    str | None,
    typer.Option("--map", metavar="VALUE=NUMBER,...", help="Values that count as others in both, as 255=1."),
]
TruthChannel = Annotated[
    int | None, typer.Option("--truth-channel", metavar="N", min=0, help="As --channel, of the truth.")
]
TruthAxes = Annotated[str | None, typer.Option("--truth-axes", metavar="LETTERS", help="As --axes, of the truth.")]
TruthTime = Annotated[int | None, typer.Option("--truth-time", metavar="N", min=0, help="As --time, of the truth.")]
SkeletonVoxelSize = Annotated[
    str | None,
    typer.Option("--voxel-size", metavar="Z,Y,X", help="Of skeletons, in nm; by default what the files say."),
]
Unit = Annotated[SkeletonUnit | None, typer.Option(help="Unit of SWC files; by default what they say, else um.")]
ToleratedNodes = Annotated[
    int,
    typer.Option(
        "--tolerated-nodes",
        metavar="N",
        min=0,
        help="A segment merges skeletons where it holds more than N nodes of each of two.",
    ),
]
MergedEdges = Annotated[
    MergedBy,
    typer.Option(
        "--merged-by",
        help="Edges that a merger spoils: all on the segment, or those of the skeletons that it merges, as in BANIS.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("evaluate", rich_help_panel="Results")(evaluate)


def evaluate(
    context: typer.Context,
    predicted: Predicted,
    truth: Truth,
    classes: OfClasses = False,
    instances: OfInstances = False,
    predicted_classes: PredictedClasses = None,
    truth_classes: TruthClasses = None,
    skeletons: OfSkeletons = False,
    ignore: Ignore = None,
    mapped: Mapped = None,
    box: BoxText = None,
    channel: Channel = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    truth_channel: TruthChannel = None,
    truth_axes: TruthAxes = None,
    truth_time: TruthTime = None,
    voxel_size: SkeletonVoxelSize = None,
    unit: Unit = None,
    tolerated_nodes: ToleratedNodes = 0,
    merged_by: MergedEdges = "segment",
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
    given = [path for path in (predicted_classes, truth_classes) if path is not None]
    if given and not (instances and len(given) == 2):
        raise InvalidInput(
            "An average precision of each class needs --instances, --predicted-classes and --truth-classes.",
            "Give all three, or none.",
        )
    if not skeletons:
        refuse_given(context, _OF_SKELETONS, "of --skeletons.", "Add --skeletons, or leave them out.")
    region, values = read_box(box), mapped_values(mapped)
    ours = read_options(voxel_size, channel, axes, time, missing_sections)
    theirs = read_options(voxel_size, truth_channel, truth_axes, truth_time, missing_sections)
    left_out = None if ignore == -1 else ignore
    if skeletons:
        asked = SkeletonRequest(
            predicted, truth, ours, theirs, values, region, left_out, unit, tolerated_nodes, merged_by
        )
        return evaluate_against_skeletons(asked, context, teasar_scale, teasar_constant)
    files, output = (ComparedFile(predicted, ours), ComparedFile(truth, theirs)), output_of(context)
    if instances:
        of_objects = (ComparedFile(given[0], ours), ComparedFile(given[1], theirs)) if given else None
        return evaluate_instance_files(InstanceRequest(*files, of_objects, values, region, left_out), output)
    return evaluate_class_files(ClassRequest(*files, values, region, 0 if ignore is None else left_out), output)
