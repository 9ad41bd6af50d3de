"""What the commands on a project share: opening it, and its records as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from napari_pytc.cli.output import table
from napari_pytc.errors import InvalidInput, ProjectError

if TYPE_CHECKING:
    from napari_pytc.session.records import ModelRecord
    from napari_pytc.session.session import Session


def open_session(folder: Path, read_only: bool = False) -> Session:
    """Open a project; read-only where the command changes nothing, so that it works beside an open window."""
    from napari_pytc.session.session import Session

    return Session.open(folder, read_only=read_only)


def model_document(record: ModelRecord) -> dict[str, Any]:
    """A model as JSON."""
    refusal = record.refusal
    return {**record.model_dump(mode="json"), "worse_than": None if refusal is None else refusal.baseline}


def standing_lines(session: Session, model: str) -> list[str]:
    """How a new model compares with others, and whether it is put to use; none where there is nothing to say."""
    records = {record.id: record for record in session.models()}
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


def prediction_of(session: Session, model: str) -> Path:
    """The folder of the newest prediction that a model made.

    Raises
    ------
    ProjectError
        If it made none.
    """
    from napari_pytc.learning.model_folder import read_model_info

    wanted = read_model_info(session.resolve_model(model)).id
    records = [record for record in session.predictions() if record.model == wanted]
    finished = [record for record in records if record.state == "finished"] or records
    if finished:
        return finished[-1].folder
    raise ProjectError(
        f"The project {session.folder} has no prediction of model {wanted!r}.",
        f"Make one: napari-pytc predict {session.folder} --model {wanted}.",
    )


def prediction_choice(session: Session, model: str | None, prediction: str | None) -> str | Path | None:
    """What --model and --prediction name, of which one may be given; None for the newest prediction."""
    if model is not None and prediction is not None:
        raise InvalidInput("Give --model or --prediction, not both.")
    return prediction if model is None else prediction_of(session, model)


def scores_text(scores: Mapping[str, Any]) -> str:
    """Dice of each class for people; a dash where nothing was held out."""
    dice = scores.get("dice") or {}
    parts = [f"{name} {value:.3f}" for name, value in dice.items() if value is not None]
    return ", ".join(parts) or "-"


def score_rows(scores: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    """Rows of class, Dice, IoU."""
    dice, iou = scores.get("dice") or {}, scores.get("iou") or {}
    return [(str(name), value, iou.get(name)) for name, value in dice.items()]


def _interval_text(scores: Mapping[str, Any]) -> str | None:
    """Where the mean score lies with 95 % certainty."""
    from napari_pytc.learning.verdicts import interval_of

    interval = interval_of(scores)
    return None if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"


def models_table(models: Sequence[Mapping[str, Any]]) -> Table:
    """The models of a project for people; a star marks the one that is used if none is named.

    The gain is that over the parent, or else over the model that was in use, and then over the latter.
    """
    from napari_pytc.learning.verdicts import comparisons

    columns = ("", "id", "name", "date", "recipe", "parent", "Dice, held out", "mean", "95 %", "gain")
    rows = [
        (
            "*" if model["active"] else "",
            model["id"],
            model["name"] if model["name"] != model["id"] else None,
            model["created"][:16].replace("T", " "),
            model["recipe"],
            model["parent"],
            model["problem"] or scores_text(model["scores"]),
            model["scores"].get("mean"),
            _interval_text(model["scores"]),
            " ".join(comparison.short for comparison in comparisons(model["scores"])) or None,
        )
        for model in models
    ]
    shown = [k for k in range(len(columns)) if k == 0 or any(row[k] for row in rows)]
    return table("Models", [columns[k] for k in shown], [[row[k] for k in shown] for row in rows])
