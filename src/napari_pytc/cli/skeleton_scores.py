"""Comparison of segments with skeletons, for `evaluate --skeletons`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Group

from napari_pytc.cli.label_comparison import checked_region, with_notes
from napari_pytc.cli.options import output_of, refuse_given
from napari_pytc.cli.output import Output, Reply, table
from napari_pytc.skeletons.units import SUFFIX, MergedBy, SkeletonUnit

if TYPE_CHECKING:
    from napari_pytc.geometry import Box
    from napari_pytc.skeletons.teasar import Teasar
    from napari_pytc.volumes.spec import ReadOptions

_OF_TRUTH_VOLUME = ("truth_channel", "truth_axes", "truth_time", "teasar_scale", "teasar_constant")


@dataclass(frozen=True)
class SkeletonRequest:
    """The volumes and numbers of `evaluate --skeletons`, as they were typed."""

    predicted: str
    truth: str
    of_prediction: ReadOptions
    of_truth: ReadOptions
    values: dict[int, int]
    region: Box | None
    ignore: int | None
    unit: SkeletonUnit | None
    tolerated_nodes: int
    merged_by: MergedBy


def evaluate_against_skeletons(
    asked: SkeletonRequest, context: typer.Context, scale: float | None, constant: float | None
) -> Reply:
    """Judge segments by skeletons in SWC files, or of true labels."""
    from napari_pytc.skeletons.teasar import Teasar

    path = Path(asked.truth).expanduser()
    if path.suffix.lower() == SUFFIX or (path.is_dir() and any(path.glob(f"*{SUFFIX}"))):
        refuse_given(context, _OF_TRUTH_VOLUME, "of a truth of labels.", "Leave them out: the truth is skeletons.")
        figures = _against_files(asked, path, output_of(context))
    else:
        refuse_given(context, ("unit",), "of SWC files, but the truth is a volume.", "Leave it out.")
        figures = _against_labels(asked, Teasar(1.5 if scale is None else scale, constant), output_of(context))
    return Reply(figures, Group(_skeletons_table(figures), *(f"Note: {note}" for note in figures["notes"])))


def _against_files(asked: SkeletonRequest, path: Path, output: Output) -> dict[str, Any]:
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
    region = checked_region(asked.region, Box.of_shape(source.shape))
    labels = comparable(source, asked.values)
    with output.counting("evaluate") as report:
        figures = evaluate_skeletons(
            labels, truth, source.space, region, asked.tolerated_nodes, report, asked.merged_by
        )
    return with_notes(figures, region, [*source_notes(source), *notes])


def _against_labels(asked: SkeletonRequest, teasar: Teasar, output: Output) -> dict[str, Any]:
    """Figures on skeletons of the true labels, in voxels of the truth."""
    from napari_pytc.annotations.label_pair import pair_labels
    from napari_pytc.metrics import evaluate_skeletons
    from napari_pytc.skeletons.teasar import skeletonise_segments
    from napari_pytc.volumes.opening import open_labels

    predicted, truth = open_labels(asked.predicted, asked.of_prediction), open_labels(asked.truth, asked.of_truth)
    pair = pair_labels(predicted, truth, asked.values, classes=False)
    region = checked_region(asked.region, pair.box)
    space, notes = truth.space, list(pair.notes)
    if not space.known and predicted.space.known:
        space = predicted.space
        notes.append("The truth says no voxel size: that of the prediction was taken.")
    with output.counting("skeletons of the truth") as report:
        found = list(skeletonise_segments(pair.truth, space, region, teasar=teasar, report=report))
    found = [one for one in found if one.segment != asked.ignore]
    with output.counting("evaluate") as report:
        figures = evaluate_skeletons(
            pair.predicted, found, space, region, asked.tolerated_nodes, report, asked.merged_by
        )
    return with_notes(figures, region, notes)


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
