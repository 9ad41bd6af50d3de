"""Functions that the commands on a project share: opening it, and its records as JSON and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from napari_pytc.cli.output import table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.session.records import ModelRecord
    from napari_pytc.session.session import Session


def open_session(folder: Path, volume: str | None = None, read_only: bool = False) -> Session:
    """Open a project at a volume; read-only where the command changes nothing, so that it works beside a window.

    Raises
    ------
    InvalidInput
        If it has several volumes and none was named, or none of that name; the message lists them.
    """
    session = open_project(folder, volume, read_only)
    try:
        session.volumes.resolve(volume)
    except InvalidInput:
        session.close()
        raise
    return session


def open_project(folder: Path, volume: str | None = None, read_only: bool = False) -> Session:
    """Open a project for a command on all of it, at its first volume unless one is named."""
    from napari_pytc.session.session import Session

    return Session.open(folder, read_only=read_only, volume=volume)


def volume_option(session: Session) -> str:
    """The option that names a session's volume in another command, with a space before; empty where it is the only."""
    return session.project.description.option(session.image.volume)


_FIGURES = {"mean_iou": "mean IoU", "average_precision_50": "AP 0.5", "voi": "VOI", "nerl": "NERL"}
"""Figures beside the Dice in the table of models; which of them a model has depends on what it learns."""


def model_documents(records: Sequence[ModelRecord]) -> list[dict[str, Any]]:
    """Models as JSON.

    ``figures`` are the scores in a row, ``measured`` says of which data they are, ``same_truth_as_active`` is "same",
    "other" or "unknown", and None where one of the two has no score.
    """
    active = next((record for record in records if record.active), None)
    return [_model_document(record, active) for record in records]


def _model_document(record: ModelRecord, active: ModelRecord | None) -> dict[str, Any]:
    from napari_pytc.plans.model_scores import comparability, measured_on, values_of

    refusal, figures = record.refusal, values_of(record.scores)
    both = active is not None and figures and values_of(active.scores)
    return {
        **record.model_dump(mode="json"),
        "worse_than": None if refusal is None else refusal.baseline,
        "figures": figures,
        "measured": "" if record.problem else measured_on(record.scores),
        "same_truth_as_active": comparability(record.scores, active.scores) if active is not None and both else None,
    }


def comparison_lines(session: Session, model: str) -> list[str]:
    """Comparison of a new model with others, and whether it is put to use; empty where there is nothing to report."""
    records = {record.id: record for record in session.models.records()}
    record = records.get(model)
    if record is None:
        return []
    lines = [comparison.sentence for comparison in record.comparisons]
    used = next((one.id for one in records.values() if one.active), None)
    if used != model:
        lines.append(
            f"Predictions go on with {used}; to use the new one all the same: "
            f"napari-pytc models {session.folder} --use {model}"
        )
    return lines


def prediction_choice(session: Session, model: str | None, prediction: str | None) -> str | Path | None:
    """The prediction that --model or --prediction names; only one may be given. None for the newest prediction."""
    if model is not None and prediction is not None:
        raise InvalidInput("Give --model or --prediction, not both.")
    if model is None:
        return prediction
    from napari_pytc.plans.model_folder import read_model_info

    return session.predictions.newest_of(read_model_info(session.models.resolve(model)).id)


def scores_text(scores: Mapping[str, Any]) -> str:
    """Dice of each class for people; a dash where nothing was held out."""
    dice = scores.get("dice") or {}
    parts = [f"{name} {value:.3f}" for name, value in dice.items() if value is not None]
    return ", ".join(parts) or "-"


def score_rows(scores: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    """Rows of class, Dice, IoU; of several volumes all together first, then each."""
    dice, iou = scores.get("dice") or {}, scores.get("iou") or {}
    rows = [(str(name), value, iou.get(name)) for name, value in dice.items()]
    for volume, of_volume in (scores.get("volumes") or {}).items():
        rows += [(f"{volume}: {name}", value, other) for name, value, other in score_rows(of_volume)]
    return rows


def _interval_text(scores: Mapping[str, Any]) -> str | None:
    """The 95 % confidence interval of the mean score, as text."""
    from napari_pytc.plans.model_comparison import interval_of

    interval = interval_of(scores)
    return None if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"


def models_table(models: Sequence[Mapping[str, Any]]) -> Table:
    """The models of a project for people; a star marks the one that is used if none is named.

    The gain is that over the parent, or else over the model that was in use, and then over the latter.
    """
    from napari_pytc.plans.model_comparison import comparisons
    from napari_pytc.plans.model_scores import values_of

    columns = (
        "", "id", "name", "date", "recipe", "predicts in", "parent", "Dice, held out", "mean", "95 %",
        *_FIGURES.values(), "gain", "same truth",
    )  # fmt: skip
    rows = [
        (
            "*" if model["active"] else "",
            model["id"],
            model["name"] if model["name"] != model["id"] else None,
            model["created"][:16].replace("T", " "),
            model["recipe"],
            _windows_text(model),
            model["parent"],
            model["problem"] or scores_text(model["scores"]),
            model["scores"].get("mean"),
            _interval_text(model["scores"]),
            *(values_of(model["scores"]).get(key) for key in _FIGURES),
            " ".join(comparison.short for comparison in comparisons(model["scores"])) or None,
            {"other": "no", "unknown": "not known"}.get(model.get("same_truth_as_active") or ""),
        )
        for model in models
    ]
    if any(row[5] for row in rows):  # else all are of exact tiles, as most projects' are
        rows = [(*row[:5], row[5] or "exact tiles", *row[6:]) for row in rows]
    shown = [k for k in range(len(columns)) if k == 0 or any(row[k] for row in rows)]
    return table("Models", [columns[k] for k in shown], [[row[k] for k in shown] for row in rows])


def _windows_text(model: Mapping[str, Any]) -> str | None:
    """What a model of windows predicts in; None for exact tiles."""
    return "overlapping windows" if str(model["tiling"]).startswith("overlapping windows") else None
