"""Carrying edits from one segmentation to the next, and the snapshot that decoding reuses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from napari_pytc.errors import ProjectError
from napari_pytc.files import put_in_place, temporary_beside
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.labels.saved_state import EDITS, STATE
from napari_pytc.proofreading.constraints.edit_constraints import anchor_constraints
from napari_pytc.proofreading.constraints.edit_transfer import Transfer, TransferReport, transfer
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.proofreading.proofreader import Proofreader

MARK = "Before retraining"
"""Name of the checkpoint before the switch, for going back."""
_TRIES = 3


def snapshot(folder: Path, target: Path, check: Callable[[], None]) -> int:
    """Keep a segmentation as it is, while somebody may go on editing it; its edits must have been flushed.

    Supervoxels and tables, which are never written again, are linked where the file system can do that.

    Returns
    -------
    int
        Number of files.
    """
    aside = temporary_beside(target)
    n_files = 0

    def keep(source: str, copy: str) -> str:
        nonlocal n_files
        check()
        n_files += 1
        changes = Path(source).name.startswith(STATE) or EDITS in Path(source).relative_to(folder).parts
        if not changes:
            with suppress(OSError):
                os.link(source, copy)
                return copy
        return str(shutil.copy2(source, copy))

    try:
        with disk_errors(target, "The copy of the segmentation"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder, aside, copy_function=keep)
            put_in_place(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return n_files


def carry(
    proofreader: Proofreader,
    former: str,
    segmentation: str,
    report: ProgressCallback,
    check: Callable[[], None],
) -> TransferReport:
    """Make a segmentation current with the edits of a former one; any thread.

    The transfer is computed on a copy first: until then nothing is changed, and giving up leaves everything as it was.
    If an edit is made meanwhile, it is computed again.

    Returns
    -------
    TransferReport
        The outcome of each edit; the same is kept beside the segmentation.
    """
    for attempt in range(_TRIES):
        patiently = attempt < _TRIES - 1  # in the last try, edits wait until the transfer is done
        with nullcontext() if patiently else proofreader.editing():
            logged, found = _compute(proofreader, former, segmentation, report, check)
            with proofreader.editing():
                journal = proofreader.journal
                if journal is not None and journal.n_logged == logged:
                    carried = TransferReport(former=former, edits=tuple(found.edits))
                    carried.save(proofreader.documents.place(segmentation))
                    if journal.segmentation != segmentation:
                        named = {entry: name for entry, name, _ in journal.checkpoints()}.get(journal.position)
                        proofreader.checkpoint(f"{MARK}; {named}" if named else MARK)  # the user's name stays
                    changes = [replace(change, title=f"{change.title} (carried over)") for change in found.changes]
                    proofreader.switch(segmentation, changes)
                    return carried
    raise AssertionError("nobody edits while the lock is held")


def _compute(
    proofreader: Proofreader,
    former: str,
    segmentation: str,
    report: ProgressCallback,
    check: Callable[[], None],
) -> tuple[int, Transfer]:
    """The transfer, and up to which entry of the journal it was computed."""
    journal = proofreader.journal
    if journal is None:
        raise ProjectError("The project has no history of edits.", "Segment, then proofread first.")
    logged = journal.n_logged
    if journal.segmentation == segmentation:  # some of it was made before a kill
        proofreader.flush()
    old = journal.document_of(former)
    before = TransferReport.load(proofreader.documents.place(former))
    constraints = [
        *([] if before is None else before.holding),
        *anchor_constraints(old, journal.edits_of(former, latest_first=True)),
    ]
    # A document of its own, so that nobody sees intermediate states.
    new = proofreader.documents.open(segmentation)
    return logged, transfer(old, constraints, new, report, check)
