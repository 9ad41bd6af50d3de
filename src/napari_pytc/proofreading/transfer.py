"""Edits of one segmentation carried over to another one of the same volume; none is silently dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import InvalidEdit, VolumeError
from napari_pytc.proofreading.asked import Asked
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.edits.base import Point
from napari_pytc.proofreading.fulfilment import Fulfilment
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

CARRIED = "carried.json"
Outcome = Literal["carried", "holds", "lost"]
_ROUNDS = 3


class CarriedEdit(Settings):
    """What became of an edit of the former segmentation."""

    asked: Asked
    outcome: Outcome = Field(description="Carried over; it holds already; or it no longer applies.")
    reason: str = Field("", description="Why it no longer applies.")

    @property
    def title(self) -> str:
        """The entry of the journal, with the ids of the former segmentation."""
        return self.asked.title

    @property
    def place(self) -> Point:
        """Where to look."""
        return self.asked.place


class Carried(Settings):
    """What became of all edits of the former segmentation, as kept beside the new one."""

    former: str = Field(description="Id of the former segmentation.")
    edits: tuple[CarriedEdit, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """How many edits had this outcome."""
        return sum(edit.outcome == outcome for edit in self.edits)

    @property
    def lost(self) -> list[CarriedEdit]:
        """Those that no longer apply."""
        return [edit for edit in self.edits if edit.outcome == "lost"]

    @property
    def held(self) -> list[Asked]:
        """What holds without an edit of the new segmentation that says so: the next one has to be asked for it too."""
        return [edit.asked for edit in self.edits if edit.outcome == "holds" and not edit.asked.is_nothing]

    def save(self, folder: Path) -> None:
        """Keep it beside a segmentation."""
        try:
            write_text_durably(folder / CARRIED, self.model_dump_json(exclude_defaults=True))
        except OSError as error:
            raise VolumeError(
                f"The list of carried edits could not be written to {folder}: {error.strerror or error}.",
                "Free space on the disk, then do it again.",
            ) from error

    @classmethod
    def load(cls, folder: Path) -> Carried | None:
        """What `save` wrote; None where nothing was carried over, or it cannot be read."""
        try:
            return cls.model_validate(json.loads((folder / CARRIED).read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError):
            return None


@dataclass(frozen=True)
class Transfer:
    """Changes of the new segmentation, to be made in this order, and what became of each edit."""

    changes: list[Change] = field(default_factory=list)
    edits: list[CarriedEdit] = field(default_factory=list)


def transfer(
    old: LabelDocument,
    asked: Sequence[Asked],
    new: LabelDocument,
    report: Callable[[int, int], None] = lambda done, total: None,
    check: Callable[[], None] = lambda: None,
) -> Transfer:
    """Make on a new segmentation what edits of an old one ask, in their order.

    Locked segments come first, so that no other edit changes them. As a cut may part what an earlier merge joined, all
    is gone through again until nothing is left to do, and what is told of an edit is what is so in the end. Doing it
    twice changes nothing the second time.

    Parameters
    ----------
    old : LabelDocument
        With all the edits.
    asked : sequence of Asked
        Of `asked_of`, and what an earlier transfer found to hold.
    new : LabelDocument
        Is changed, in memory; a journal can make the changes again.
    report : callable
        Called with the number of edits done in this round, and their total.
    check : callable
        Called before each edit; raises to give up.
    """
    work = _Work(Fulfilment(old, new, asked), new, check)
    order = sorted(asked, key=lambda one: not one.locked)
    for round_number in range(_ROUNDS):
        n_before = len(work.changes)
        for number, one in enumerate(order):
            report(number, len(order))
            work.fulfil(one, is_first=round_number == 0)
        if len(work.changes) == n_before:
            break
    return Transfer(work.changes, [work.outcome(one) for one in asked])


class _Work:
    def __init__(self, fulfilment: Fulfilment, new: LabelDocument, check: Callable[[], None]) -> None:
        self._fulfilment, self._new, self._check = fulfilment, new, check
        self.changes: list[Change] = []
        self._helped: set[int] = set()
        self._refused: dict[int, str] = {}

    def fulfil(self, asked: Asked, is_first: bool) -> None:
        """Make the edits that one asks."""
        self._refused.pop(id(asked), None)
        for edit, _ in self._fulfilment.needs(asked):
            self._check()
            if edit is None:
                continue
            try:
                change = edit.plan(self._new)
            except InvalidEdit as error:
                self._refused[id(asked)] = error.message
                continue
            self._new.apply(change)
            self.changes.append(change)
            self._helped.add(id(asked))
        if is_first:
            self._fulfilment.remember(asked)

    def outcome(self, asked: Asked) -> CarriedEdit:
        """What is so in the end."""
        self._check()
        missing = next((reason for _, reason in self._fulfilment.needs(asked)), "")
        if missing:
            return CarriedEdit(asked=asked, outcome="lost", reason=self._refused.get(id(asked)) or missing)
        return CarriedEdit(asked=asked, outcome="carried" if id(asked) in self._helped else "holds")
