"""Corrections: training labels collected from the edits of proofreading."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.errors import InvalidInput
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.session.models import Models
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.proofreading.proofreader import Proofreader
from napari_pytc.session.runs.segmentation_runs import SegmentationFolders

if TYPE_CHECKING:
    from napari_pytc.labels.store import LabelStore
    from napari_pytc.proofreading.constraints.training_labels import CorrectionSettings, CorrectionsInfo
    from napari_pytc.proofreading.journal.journal import Journal

MINUTES = 5.0
"""Default length of a training from corrections."""
_TRIES = 3


class Corrections:
    """The training labels that follow from the edits of a volume."""

    def __init__(
        self, state: VolumeState, proofreader: Proofreader, models: Models, folders: SegmentationFolders
    ) -> None:
        self._state, self._proofreader, self._models, self._folders = state, proofreader, models, folders
        self._folder = state.folder

    def collect(
        self,
        report: ProgressCallback | None = None,
        settings: CorrectionSettings | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> CorrectionsInfo:
        """Bring the training labels of edits up to date with the journal; any thread.

        Only what changed since the last time is computed again. Corrections of earlier segmentations, whose edits
        are still in effect, are kept: they are as true as before.

        Parameters
        ----------
        report : callable, optional
            Called with the number of chunks of a segmentation that are done and their total.
        settings : CorrectionSettings, optional
            Reach of the labels around an edit; other settings than last time collect everything anew.
        check : callable
            Called before each chunk; raises to give up.

        Returns
        -------
        CorrectionsInfo
            Edits in effect that are training data, by kind, and the number of labelled voxels.

        Raises
        ------
        ProjectError
            If the project may not be changed.
        PytcError
            If a segmentation or the journal is damaged, or the disk refuses.
        """
        from napari_pytc.proofreading.constraints.training_labels import CorrectionsInfo

        self._state.check_changeable()
        journal = self._proofreader.journal
        if journal is None:
            return CorrectionsInfo()
        for _ in range(_TRIES):
            logged = journal.n_logged
            found = self._collected(journal, report, settings, check)
            if journal.n_logged == logged:
                return found
        with self._proofreader.editing():  # edits are made faster than they are collected
            return self._collected(journal, report, settings, check)

    def info(self) -> CorrectionsInfo:
        """Summary of the last collection; any thread."""
        from napari_pytc.proofreading.constraints.training_labels import CorrectionsInfo, TrainingLabels

        return sum((TrainingLabels(place).info() for place in self._stores()), CorrectionsInfo())

    def stores(self) -> list[LabelStore]:
        """The labels of the last collection, a store for each segmentation; any thread.

        Raises
        ------
        PytcError
            If one is damaged.
        """
        from napari_pytc.labels.store import LabelStore

        return [LabelStore.open(place) for place in self._stores()]

    @property
    def folder(self) -> Path:
        """The folder of what was collected, which may not exist."""
        return self._folder.corrections

    def boundary_class(self, plan: TrainPlan) -> str | None:
        """The class that keeps objects apart where a plan learns classes; None where it learns objects.

        Raises
        ------
        InvalidInput
            If the plan cannot learn from corrections.
        """
        from napari_pytc.decoding.evidence import boundary_class_of

        if plan.target.learns_objects:
            return None
        if plan.network.learns_from == "voxels":
            raise InvalidInput(
                f"The network {plan.network.kind!r} learns from painted voxels alone, not from corrections.",
                "Train a network that sees patches, such as the recipe fast, then predict and segment with it.",
            )
        current = self._proofreader.segmentation
        chosen = {} if current is None else self._folders.job_of(current)
        names = self._state.project.description.class_names
        found = boundary_class_of(names, chosen.get("boundary_class"))
        if found not in names:
            raise InvalidInput(
                f"Corrections of segments say where objects meet, but none of the classes {', '.join(names)} does.",
                "Learn instances, by the recipe neurites, or name a class membrane.",
            )
        return str(found)

    @property
    def revision(self) -> str:
        """Digest that differs after every collection with a new result; empty without any."""
        return corrections_revision(self._folder.corrections)

    def plan(self, parent: str | Path | None = None, minutes: float = MINUTES) -> TrainPlan:
        """The plan of a parent, by default the active model, for a short training from corrections.

        Raises
        ------
        ModelError
            If there is no such model.
        """
        plan = read_model_info(self._models.resolve(parent)).plan
        return plan.for_corrections(minutes)

    def _collected(
        self,
        journal: Journal,
        report: ProgressCallback | None,
        settings: CorrectionSettings | None,
        check: Callable[[], None],
    ) -> CorrectionsInfo:
        from napari_pytc.proofreading.constraints.training_labels import CorrectionsInfo, TrainingLabels

        edits: dict[str, set[int]] = {}
        for entry in journal.entries():
            if entry.target == "segments" and entry.kind != "switch" and not entry.is_undone:
                edits.setdefault(entry.segmentation, set()).add(entry.id)
        found = CorrectionsInfo()
        for segmentation in sorted({*edits, *(place.stem for place in self._stores())}):
            store = TrainingLabels(
                self._folder.corrections / f"{segmentation}.zarr", self._state.record.held_out, settings
            )
            if segmentation not in edits:
                shutil.rmtree(store.folder, ignore_errors=True)
            elif (self._folder.segments / segmentation / "segmentation.json").is_file():
                found += store.collect(segmentation, journal, report, check)
            elif store.edits == edits[segmentation]:  # the segmentation was deleted: its labels stay valid
                found += store.info()
            else:
                shutil.rmtree(store.folder, ignore_errors=True)
        return found

    def _stores(self) -> list[Path]:
        return _stores_in(self._folder.corrections)


def corrections_revision(folder: Path) -> str:
    """Digest of the corrections in a folder, which differs after every collection with a new result; empty for none."""
    from napari_pytc.proofreading.constraints.training_labels import TrainingLabels

    parts = [f"{place.stem} {TrainingLabels(place).revision}" for place in _stores_in(folder)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""


def _stores_in(folder: Path) -> list[Path]:
    return sorted(place for place in folder.glob("*.zarr") if (place / "zarr.json").is_file())
