"""State of a journal: its position, and the documents that it has open."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidEdit, ProjectError
from napari_pytc.proofreading.changes import Target
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.journal.journal_file import JournalFile
from napari_pytc.proofreading.paint_document import PaintDocument

NO_SEGMENTS = ("There is no segmentation to edit yet.", "Make one under Segment, or activate one.")


class Documents(Protocol):
    """Documents that a journal's edits change."""

    @property
    def annotations(self) -> PaintStore | None:
        """The strokes; None where there are none to edit."""

    @property
    def objects(self) -> PaintStore | None:
        """The objects to learn from; None where there are none to edit."""

    def open(self, segmentation: str) -> LabelDocument:
        """A segmentation by id, as last flushed; raises a `PytcError` where it is gone or damaged."""


class JournalState:
    """The journal's file, its place in it, and what it changes; for one thread at a time.

    Parameters
    ----------
    position : int
        The last entry that is done.
    segmentation : str, optional
        The current segmentation.
    document : LabelDocument, optional
        The same, once it was opened.
    n_logged : int
        The last row of the log.
    strokes_done : int
        Up to which row of the log all strokes and objects are on the disk.
    """

    def __init__(self, file: JournalFile, documents: Documents) -> None:
        self.file, self.documents = file, documents
        self.document: LabelDocument | None = None
        self.position = int(file.meta("position", "0"))
        self.segmentation: str | None = file.meta("segmentation") or None
        self.n_logged = file.last_logged()
        self.strokes_done = int(file.meta("strokes_done", "0"))

    def current(self) -> LabelDocument | None:
        """The current segmentation, opened with its first use; errors as in `open`."""
        if self.document is None and self.segmentation is not None:
            self.document = self.open(self.segmentation)
        return self.document

    def changing(self, target: Target) -> AbstractContextManager[None]:
        """Keep others from changing strokes and objects between reading and writing them."""
        store = self._store(target)
        return nullcontext() if store is None else store.changing()

    def paint_document(self, target: Target) -> PaintDocument:
        """The strokes, or the objects to learn from; an `InvalidEdit` where there are none to edit."""
        store = self._store(target)
        if store is None:
            what = "objects to learn from" if target == "objects" else "strokes"
            raise InvalidEdit(f"There are no {what} to edit here.", "Open the project they belong to.")
        return PaintDocument(store, target)

    def _store(self, target: Target) -> PaintStore | None:
        if target == "segments":
            return None
        return self.documents.annotations if target == "annotations" else self.documents.objects

    def open(self, segmentation: str) -> LabelDocument:
        """A segmentation as of the journal: what it has not flushed is made again."""
        document = self.documents.open(segmentation)
        if document.log_index > self.n_logged and self.file.writable:
            # The journal was moved away: rows it gets from now on must come after what the segmentation has.
            with self.file.changing() as connection:
                connection.execute("DELETE FROM sqlite_sequence WHERE name = 'log'")
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('log', ?)", (document.log_index,))
            self.n_logged = document.log_index
        query = "segmentation = ? AND target = 'segments' AND kind != 'switch'"
        for _, direction, row in self.file.logged(document.log_index, query, segmentation):
            change = self.file.change(row)
            document.apply(change if direction > 0 else change.inverse())
        stored = self.file.meta(f"checksum:{segmentation}")
        if stored and stored != document.present_checksum():
            raise ProjectError(
                f"The segmentation {segmentation} does not agree with the journal.",
                "One of them was replaced by an older copy. Rebuild it: napari-pytc replay.",
            )
        return document

    def repeat_strokes(self) -> None:
        """Make the strokes and objects again that may not have reached the disk before the last kill."""
        store = self.documents.annotations
        if store is None or not store.writable:
            return
        for n, direction, row in self.file.logged(self.strokes_done, "target != 'segments'"):
            change = self.file.change(row)
            self.paint_document(change.target).apply(change if direction > 0 else change.inverse())
            self.strokes_done = n
