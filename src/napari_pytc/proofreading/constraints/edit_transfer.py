"""Transfer of the edits of one segmentation to another one of the same volume; none is silently dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import AliasChoices, Field, ValidationError

from napari_pytc.errors import InvalidEdit, VolumeError
from napari_pytc.files import write_text_durably
from napari_pytc.geometry import Voxel
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.constraints.edit_constraints import EditConstraints
from napari_pytc.proofreading.constraints.reconcile import Reconciler
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

CARRIED = "carried.json"
Outcome = Literal["carried", "holds", "lost"]
_ROUNDS = 3


class TransferredEdit(Settings):
    """Outcome of the transfer of one edit of the former segmentation."""

    constraints: EditConstraints = Field(
        validation_alias=AliasChoices("constraints", "asked"),
        serialization_alias="asked",  # as the files of all versions call it
    )
    outcome: Outcome = Field(description="Carried over; it holds already; or it no longer applies.")
    reason: str = Field("", description="Why it no longer applies.")

    @property
    def title(self) -> str:
        """The entry of the journal, with the ids of the former segmentation."""
        return self.constraints.title

    @property
    def place(self) -> Voxel:
        """The voxel of the edit."""
        return self.constraints.place


class TransferReport(Settings):
    """Outcomes of all edits of the former segmentation, as kept beside the new one."""

    former: str = Field(description="Id of the former segmentation.")
    edits: tuple[TransferredEdit, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """Number of edits with this outcome."""
        return sum(edit.outcome == outcome for edit in self.edits)

    @property
    def lost(self) -> list[TransferredEdit]:
        """Edits that no longer apply."""
        return [edit for edit in self.edits if edit.outcome == "lost"]

    @property
    def holding(self) -> list[EditConstraints]:
        """Constraints that hold without an edit of the new segmentation: a transfer from it has to go on with them."""
        holding = [edit.constraints for edit in self.edits if edit.outcome == "holds"]
        return [constraints for constraints in holding if not constraints.is_nothing]

    def save(self, folder: Path) -> None:
        """Keep it beside a segmentation."""
        try:
            write_text_durably(folder / CARRIED, self.model_dump_json(exclude_defaults=True, by_alias=True))
        except OSError as error:
            raise VolumeError(
                f"The list of carried edits could not be written to {folder}: {error.strerror or error}.",
                "Free space on the disk, then do it again.",
            ) from error

    @classmethod
    def load(cls, folder: Path) -> TransferReport | None:
        """The report that `save` wrote; None where nothing was carried over, or it cannot be read."""
        try:
            return cls.model_validate(json.loads((folder / CARRIED).read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError):
            return None


@dataclass(frozen=True)
class Transfer:
    """Changes of the new segmentation, to be made in this order, and the outcome of each edit."""

    changes: list[Change] = field(default_factory=list)
    edits: list[TransferredEdit] = field(default_factory=list)


def transfer(
    old: LabelDocument,
    constraints: Sequence[EditConstraints],
    new: LabelDocument,
    report: ProgressCallback = lambda done, total: None,
    check: Callable[[], None] = lambda: None,
) -> Transfer:
    """Bring a new segmentation in line with the constraints of edits of an old one, in their order.

    Locked segments come first, so that no other edit changes them. As a cut may part what an earlier merge joined, all
    is gone through again until nothing is left to do, and the outcome of an edit is what is so in the end. Doing it
    twice changes nothing the second time.

    Parameters
    ----------
    old : LabelDocument
        With all the edits.
    constraints : sequence of EditConstraints
        Of `anchor_constraints`, and what an earlier transfer found to hold.
    new : LabelDocument
        Is changed, in memory; a journal can make the changes again.
    report : callable
        Called with the number of edits done in this round, and their total.
    check : callable
        Called before each edit; raises to give up.
    """
    work = _Work(Reconciler(old, new, constraints), new, check)
    order = sorted(constraints, key=lambda one: not one.locked)
    for round_number in range(_ROUNDS):
        n_before = len(work.changes)
        for number, one in enumerate(order):
            report(number, len(order))
            work.reconcile(one, is_first=round_number == 0)
        if len(work.changes) == n_before:
            break
    return Transfer(work.changes, [work.outcome(one) for one in constraints])


class _Work:
    def __init__(self, reconciler: Reconciler, new: LabelDocument, check: Callable[[], None]) -> None:
        self._reconciler, self._new, self._check = reconciler, new, check
        self.changes: list[Change] = []
        self._helped: set[int] = set()
        self._refused: dict[int, str] = {}

    def reconcile(self, constraints: EditConstraints, is_first: bool) -> None:
        """Make the edits that the constraints of one edit need."""
        self._refused.pop(id(constraints), None)
        for edit, _ in self._reconciler.steps(constraints):
            self._check()
            if edit is None:
                continue
            try:
                change = edit.plan(self._new)
            except InvalidEdit as error:
                self._refused[id(constraints)] = error.message
                continue
            self._new.apply(change)
            self.changes.append(change)
            self._helped.add(id(constraints))
        if is_first:
            self._reconciler.remember(constraints)

    def outcome(self, constraints: EditConstraints) -> TransferredEdit:
        """The outcome of one edit after all rounds."""
        self._check()
        missing = next((reason for _, reason in self._reconciler.steps(constraints)), "")
        if missing:
            return TransferredEdit(
                constraints=constraints, outcome="lost", reason=self._refused.get(id(constraints)) or missing
            )
        return TransferredEdit(
            constraints=constraints, outcome="carried" if id(constraints) in self._helped else "holds"
        )
