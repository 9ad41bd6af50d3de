"""Tables and charts of a report on models: scores, objects of classes, confusion, curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from napari_pytc.plans.model_comparison import ModelComparison
from napari_pytc.plans.model_scores import comparability_note, values_of
from napari_pytc.report import charts
from napari_pytc.report.tables import Table, number

_MEANS = {"mean_iou": "mean IoU", "mean_accuracy": "mean accuracy", "accuracy": "accuracy"}
"""Scores of all classes together, besides the mean Dice."""
_FIGURES = {"average_precision_50": "AP 0.5", "average_precision": "AP 0.5-0.95", "voi": "VOI", "nerl": "NERL"}
"""Scores of single objects."""


def models_table(facts: Mapping[str, Any]) -> tuple[Table, list[str], list[charts.ScorePoint]]:
    """The table of models, sentences about them, and the points of their chart."""
    rows: list[tuple[Any, ...]] = []
    notes: list[str] = []
    points: list[charts.ScorePoint] = []
    used = next((one for one in facts["models"] if one["is_in_use"]), None)
    means = [name for name in _MEANS if any(one["scores"].get(name) is not None for one in facts["models"])]
    known = {one["id"]: values_of(one["scores"]) for one in facts["models"]}
    figures = [name for name in _FIGURES if any(name in values for values in known.values())]
    for one in facts["models"]:
        scores, limits = one["scores"], one["interval"]
        comparisons = [ModelComparison.model_validate(comparison) for comparison in one["comparisons"]]
        dice = scores.get("dice") or {}
        rows.append(
            (
                one["id"] + (" (in use)" if one["is_in_use"] else ""),
                one["parent"] or "-",
                "-" if scores.get("mean") is None else f"{scores['mean']:.3f}",
                "-" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}",
                ", ".join(f"{name} {value:.3f}" for name, value in dice.items() if value is not None) or "-",
                *(number(scores.get(name)) for name in means),
                *(number(known[one["id"]].get(name)) for name in figures),
                one.get("steps", "-"),
                round(one.get("seconds", 0)),
            )
        )
        notes += [f"{one['id']}: {comparison.sentence}" for comparison in comparisons]
        if one["problem"]:
            notes.append(f"{one['id']} is damaged: {one['problem']}")
        if used is not None and used is not one:
            note = comparability_note(scores, used["scores"], f"{used['id']}, which is in use")
            notes += [f"{one['id']}: {note}"] if note else []
        if scores.get("mean") is not None:
            is_refused = any(comparison.verdict == "worse" for comparison in comparisons)
            points.append((one["id"], scores["mean"], None if limits is None else (limits[0], limits[1]), is_refused))
    shown = (*(_MEANS[name] for name in means), *(_FIGURES[name] for name in figures))
    columns = ("model", "parent", "mean", "95 %", "Dice", *shown, "steps", "seconds")
    return Table(columns, rows), notes, points


def objects_table(facts: Mapping[str, Any]) -> Table | None:
    """Average precision of the objects of each class of each model; None where no model learns objects of classes."""
    rows = [
        (
            model["id"],
            name,
            number(one["average_precision_50"]),
            number(one["average_precision"]),
            one["predicted_objects"],
            one["truth_objects"],
        )
        for model in facts["models"]
        for name, one in ((model["scores"].get("objects") or {}).get("of_class") or {}).items()
    ]
    columns = ("model", "class", "AP, IoU 0.5", "AP, IoU 0.5 to 0.95", "objects predicted", "true objects")
    return Table(columns, rows) if rows else None


def confusion_table(facts: Mapping[str, Any]) -> Table | None:
    """Voxels by true and predicted class of the model in use; None where it has no such score."""
    used = next((one for one in facts["models"] if one["is_in_use"]), None)
    found = None if used is None else used["scores"].get("confusion")
    if not found:
        return None
    rows = [(name, *voxels) for name, voxels in zip(found["classes"], found["voxels"], strict=True)]
    return Table(("voxels that are ...", *(f"as {name}" for name in found["classes"])), rows)


def curves(facts: Mapping[str, Any]) -> list[Markup]:
    """Charts of the losses and of the scores while training."""
    colours = {one["name"]: one["colour"] for one in facts["classes"]}
    found = []
    for run in facts["runs"]:
        if run["kind"] not in ("train", "live"):
            continue
        scores = {
            _curve_title(name): points
            for name, points in run["curves"].items()
            if name.startswith(("dice/", "instant/", "network/", *_MEANS, *_FIGURES)) and name != "network/loss"
        }
        loss = {name: run["curves"].get(name, []) for name in ("loss", "network/loss")}
        found.append(charts.curves(f"{run['subject']}: loss", loss, "step"))
        found.append(charts.curves(f"{run['subject']}: score while training", scores, "step", colours))
    return [Markup(chart) for chart in found if chart]


def _curve_title(name: str) -> str:
    kind, _, of = name.partition("/")
    if kind in _FIGURES:
        return f"{_FIGURES[kind]} {of}".strip()
    return _MEANS.get(name) or of or name
