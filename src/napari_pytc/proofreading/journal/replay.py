"""Rebuilding of a segmentation from the decoded one and the journal, to check the saved one or to replace it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from napari_pytc.errors import VolumeError
from napari_pytc.files import put_in_place, sync_folder, temporary_beside
from napari_pytc.labels.saved_state import EDITS, STATE
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.journal.journal import Journal

_FLUSH_BYTES = 128 * 2**20


@dataclass(frozen=True, slots=True)
class Replay:
    """Result of a replay.

    Parameters
    ----------
    n_edits : int
        Entries of the journal that were made again.
    checksum : str
        Of the rebuilt segmentation, worked out from all its edited voxels, its table and its notes.
    stored : str
        The journal's checksum; empty where the segmentation was never edited.
    """

    segmentation: str
    n_edits: int
    checksum: str
    stored: str

    @property
    def agrees(self) -> bool:
        """Whether the rebuilt segmentation has the checksum in the journal."""
        return not self.stored or self.stored == self.checksum


def replay(
    journal: Journal,
    segmentation: Segmentation,
    save: bool = False,
    report: Callable[[int], None] | None = None,
) -> Replay:
    """Rebuild a segmentation beside the present one.

    Memory is bounded: voxels are flushed as they come.

    Parameters
    ----------
    save : bool
        Put the rebuilt edits in the place of the present ones, if they agree with the journal.
    report : callable, optional
        Called with the number of edits made so far.

    Raises
    ------
    ProjectError
        If an entry of the journal is damaged.
    VolumeError
        If the disk refuses; the present files are intact.
    """
    aside = temporary_beside(segmentation.folder / "replay")
    try:
        aside.mkdir()
        document = LabelDocument(segmentation, folder=aside)
        n_edits = 0
        for _, change in journal.edits_of(segmentation.record.id):
            document.apply(change)
            n_edits += 1
            if document.dirty_bytes > _FLUSH_BYTES:
                document.flush(0)
            if report is not None:
                report(n_edits)
        document.flush(journal.n_logged)
        identity = segmentation.record.id
        found = Replay(identity, n_edits, document.checksum(), journal.stored_checksum(identity))
        if save and found.agrees:
            # Without a state the segmentation cannot be mistaken for a good one if this is cut short.
            (segmentation.folder / STATE).unlink(missing_ok=True)
            put_in_place(aside / EDITS, segmentation.folder / EDITS)
            os.replace(aside / STATE, segmentation.folder / STATE)
            sync_folder(segmentation.folder)
            journal.reload()
        return found
    except OSError as error:
        raise VolumeError(
            f"The segmentation {segmentation.folder} could not be rebuilt: {error.strerror or error}.",
            "Free space on the disk and check its permissions.",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
