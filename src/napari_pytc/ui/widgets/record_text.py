"""Predictions, segmentations and models in a few words, for lists and combo boxes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from napari_pytc.geometry import Box

if TYPE_CHECKING:
    from napari_pytc.session.records import PredictionRecord

_DATED = re.compile(r"^\d{8}-\d{4}-")
"""Beginning of the default names of models."""


def short_name(name: str) -> str:
    """The name of a model, prediction or segmentation without the date that default names begin with."""
    return _DATED.sub("", name)


def short_date(created: str, has_room: bool = True) -> str:
    """An ISO date and time in local time, short; empty if it is none.

    Today "08:31"; else "21 Nov 08:31", or "21 Nov" where there is no room.
    """
    try:
        moment = datetime.fromisoformat(created).astimezone()
    except ValueError:
        return ""
    if moment.date() == datetime.now(moment.tzinfo).date():
        return moment.strftime("%H:%M")
    return moment.strftime("%d %b %H:%M" if has_room else "%d %b")


def long_date(created: str) -> str:
    """An ISO date and time in local time: "21 Nov 2026 08:31"."""
    return datetime.fromisoformat(created).astimezone().strftime("%d %b %Y %H:%M")


def region_text(box: Box | None) -> str:
    """The part of a volume that something is of: "everything", "box 1×512×512"."""
    return "everything" if box is None else "box " + "×".join(str(n) for n in box.shape)


def prediction_text(record: PredictionRecord) -> str:
    """A prediction's model, time and region as text: "fast, 18:42, everything"."""
    parts = (short_name(record.model), short_date(record.created), region_text(record.box))
    return ", ".join(filter(None, parts))


def preferred_prediction(records: Sequence[PredictionRecord], picked: str) -> int:
    """Index of the prediction to work with: the one picked by hand, or the newest that is finished; -1 if none.

    Parameters
    ----------
    records : sequence of PredictionRecord
        The newest first.
    picked : str
        Id of the one that was picked by hand; empty for none.
    """
    ids = [record.id for record in records]
    finished = (number for number, record in enumerate(records) if record.state == "finished")
    return ids.index(picked) if picked in ids else next(finished, 0 if records else -1)
