"""From one segmentation to the next: what it leaves on the disk, and its edits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.durable import put_folder_in_place, temporary_beside
from napari_pytc.errors import ProjectError
from napari_pytc.labels.saved_state import EDITS, STATE
from napari_pytc.proofreading.asked import asked_of
from napari_pytc.proofreading.transfer import Carried, Transfer, transfer
from napari_pytc.session.project import disk_errors

if TYPE_CHECKING:
    from napari_pytc.session.proofreading import Proofreader
    from napari_pytc.session.session import Session

MARK = "Before retraining"
"""The checkpoint that leads back."""
_TRIES = 3


def snapshot(folder: Path, target: Path, check: Callable[[], None]) -> int:
    """Keep a segmentation as it is, while somebody may go on editing it; its edits must have been flushed.

    What is never written again, supervoxels and tables, is linked where the file system can do that.

    Returns
    -------
    int
        How many files there are.
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
            put_folder_in_place(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return n_files


def carry(
    session: Session,
    former: str,
    segmentation: str,
    report: Callable[[int, int], None],
    check: Callable[[], None],
) -> Carried:
    """Make a segmentation current with the edits of a former one; any thread.

    What is to be made is worked out on the side first: until then nothing is changed, and giving up leaves everything
    as it was. Where somebody edits meanwhile, it is worked out again.

    Returns
    -------
    Carried
        What became of each edit; the same is kept beside the segmentation.
    """
    proofreader = session.proofreader()
    for attempt in range(_TRIES):
        patiently = attempt < _TRIES - 1  # in the end, who edits faster than edits are carried over has to wait
        with nullcontext() if patiently else proofreader.editing():
            logged, found = _worked_out(proofreader, former, segmentation, report, check)
            with proofreader.editing():
                journal = proofreader.journal
                if journal is not None and journal.n_logged == logged:
                    carried = Carried(former=former, edits=tuple(found.edits))
                    carried.save(session.segmentation_folder(segmentation))
                    if journal.segmentation != segmentation:
                        named = {entry: name for entry, name, _ in journal.checkpoints()}.get(journal.position)
                        proofreader.checkpoint(f"{MARK}; {named}" if named else MARK)  # the user's name stays
                    told = [replace(change, title=f"{change.title} (carried over)") for change in found.changes]
                    proofreader.switch(segmentation, told)
                    return carried
    raise AssertionError("nobody edits while the lock is held")


def _worked_out(
    proofreader: Proofreader,
    former: str,
    segmentation: str,
    report: Callable[[int, int], None],
    check: Callable[[], None],
) -> tuple[int, Transfer]:
    """What is to be made, and up to where the journal was looked at."""
    journal = proofreader.journal
    if journal is None:
        raise ProjectError("The project has no history of edits.", "Segment, then proofread first.")
    logged = journal.n_logged
    if journal.segmentation == segmentation:  # some of it was made before a kill
        proofreader.flush()
    old = journal.document_of(former)
    before = Carried.load(proofreader.documents.place(former))
    asked = [*([] if before is None else before.held), *asked_of(old, journal.edits_of(former))]
    # A document of its own: what is tried on it is seen by nobody.
    new = proofreader.documents.open(segmentation)
    return logged, transfer(old, asked, new, report, check)
