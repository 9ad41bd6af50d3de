"""What proofreading teaches, collected for a training."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.session.core import SessionCore
from napari_pytc.session.segment_jobs import SegmentationFolders

if TYPE_CHECKING:
    from napari_pytc.proofreading.corrections import CorrectionSettings, CorrectionsInfo
    from napari_pytc.proofreading.journal import Journal

MINUTES = 5.0
"""How long a training from corrections takes, where nobody says."""
_TRIES = 3


class Correcting(SessionCore):
    """The part of a session that makes training material of edits."""

    def collect_corrections(
        self,
        report: Callable[[int, int], None] | None = None,
        settings: CorrectionSettings | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> CorrectionsInfo:
        """Bring what edits teach up to date with the journal; any thread.

        Only what changed since the last time is worked out again. Corrections of earlier segmentations, whose edits
        are still in effect, are kept: they are as true as before.

        Parameters
        ----------
        report : callable, optional
            Called with the number of chunks of a segmentation that are done and their total.
        settings : CorrectionSettings, optional
            How far around an edit it says something; other ones than last time collect all anew.
        check : callable
            Called before each chunk; raises to give up.

        Returns
        -------
        CorrectionsInfo
            Edits in effect that teach, by kind, and voxels of which they say something.

        Raises
        ------
        ProjectError
            If the project may not be changed.
        PytcError
            If a segmentation or the journal is damaged, or the disk refuses.
        """
        from napari_pytc.proofreading.corrections import CorrectionsInfo

        self._check_changeable()
        journal = self._proofreader.journal
        if journal is None:
            return CorrectionsInfo()
        for _ in range(_TRIES):
            logged = journal.n_logged
            found = self._collected(journal, report, settings, check)
            if journal.n_logged == logged:
                return found
        with self._proofreader.editing():  # somebody edits faster than edits are collected
            return self._collected(journal, report, settings, check)

    def corrections(self) -> CorrectionsInfo:
        """What was collected last; any thread."""
        from napari_pytc.proofreading.corrections import Corrections, CorrectionsInfo

        return sum((Corrections(place).info() for place in self._stores()), CorrectionsInfo())

    def corrections_to_learn(self, plan: TrainPlan) -> tuple[Path, str | None]:
        """The folder of what was collected last, and the class that keeps objects apart where a plan learns classes.

        Raises
        ------
        ProjectError
            If nothing was collected.
        InvalidInput
            If the plan cannot learn from corrections.
        """
        if not self.corrections().n_voxels:
            raise ProjectError(
                "There are no corrections to learn from.",
                "Merge, split, lock or paint segments in the panel Proofread first.",
            )
        return self._folder.corrections, self.check_corrections_teach(plan)

    def check_corrections_teach(self, plan: TrainPlan) -> str | None:
        """The class that keeps objects apart where a plan learns classes; None where it learns objects.

        Raises
        ------
        InvalidInput
            If the plan cannot learn from corrections.
        """
        from napari_pytc.decoding.evidence import boundary_class_of

        if plan.target.kind != "classes":
            return None
        if plan.network.learns_from == "voxels":
            raise InvalidInput(
                f"The network {plan.network.kind!r} learns from painted voxels alone, not from corrections.",
                "Train a network that sees patches, such as the recipe fast, then predict and segment with it.",
            )
        current = self._proofreader.segmentation
        chosen = {} if current is None else SegmentationFolders(self._folder).job_of(current)
        names = [c.name for c in self.classes]
        found = boundary_class_of(names, chosen.get("boundary_class"))
        if found not in names:
            raise InvalidInput(
                f"Corrections of segments say where objects meet, but none of the classes {', '.join(names)} does.",
                "Learn instances, by the recipe neurites, or name a class membrane.",
            )
        return str(found)

    @property
    def corrections_revision(self) -> str:
        """Differs after every collection that found something new; empty without any."""
        from napari_pytc.proofreading.corrections import Corrections

        parts = [f"{place.stem} {Corrections(place).revision}" for place in self._stores()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""

    def correction_plan(self, parent: str | Path | None = None, minutes: float = MINUTES) -> TrainPlan:
        """The plan of a parent, by default the active model, for a short training from corrections.

        Raises
        ------
        ModelError
            If there is no such model.
        """
        plan = read_model_info(self.resolve_model(parent)).plan
        return plan.for_corrections(minutes)

    def _collected(
        self,
        journal: Journal,
        report: Callable[[int, int], None] | None,
        settings: CorrectionSettings | None,
        check: Callable[[], None],
    ) -> CorrectionsInfo:
        from napari_pytc.proofreading.corrections import Corrections, CorrectionsInfo

        edits: dict[str, set[int]] = {}
        for entry in journal.entries():
            if entry.target == "segments" and entry.kind != "switch" and not entry.is_undone:
                edits.setdefault(entry.segmentation, set()).add(entry.id)
        found = CorrectionsInfo()
        for segmentation in sorted({*edits, *(place.stem for place in self._stores())}):
            store = Corrections(self._folder.corrections / f"{segmentation}.zarr", self.held_out, settings)
            if segmentation not in edits:
                shutil.rmtree(store.folder, ignore_errors=True)
            elif (self._folder.segments / segmentation / "segmentation.json").is_file():
                found += store.collect(segmentation, journal, report, check)
            elif store.edits == edits[segmentation]:  # the segmentation was deleted: what was said of it stays
                found += store.info()
            else:
                shutil.rmtree(store.folder, ignore_errors=True)
        return found

    def _stores(self) -> list[Path]:
        folder = self._folder.corrections
        return sorted(place for place in folder.glob("*.zarr") if (place / "zarr.json").is_file())

    def resolve_model(self, model: str | Path | None = None) -> Path:
        """The folder of a model, by default the active one."""
        raise NotImplementedError
