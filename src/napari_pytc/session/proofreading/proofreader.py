"""The proofreader of a project: the current segmentation and the journal, for any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pytc.errors import InvalidEdit, ProjectError, PytcError
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.proofreading.changes import Change
from napari_pytc.session.proofreading.documents import ProjectDocuments

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.edits import Edit
    from napari_pytc.proofreading.journal.journal import Entry, Journal
    from napari_pytc.proofreading.review.queue import ReviewQueue


@dataclass(frozen=True, slots=True)
class Replayed:
    """Result of replaying the journal of a segmentation.

    Parameters
    ----------
    n_edits : int
        Entries of the journal that were made again.
    checksum : str
        Checksum of the replayed segmentation: of all its edited voxels, its table and its notes.
    stored : str
        Checksum in the journal with the last edit; empty where there never was one.
    present : str
        Checksum of the segmentation's folder with the edits not flushed yet; as `checksum` where it is not current.
    """

    segmentation: str
    n_edits: int
    checksum: str
    stored: str
    present: str

    @property
    def agrees(self) -> bool:
        """Whether all checksums are the same."""
        return self.checksum == self.present and self.stored in ("", self.checksum)


class Proofreader:
    """Edits of the current segmentation and of the strokes, all through one journal.

    All methods may be called from any thread; edits wait for one another. Signals
    are emitted by the thread that made the change, after it: connect to them with ``thread="main"``.

    The journal's file is made by the first edit. Where a project has none, or is open for reading only, methods
    that only read work, and changes are refused.
    """

    changed = Signal(Change)
    """An edit, undo, redo or jump was made; carries the change in the direction in which it was made. Not
    emitted for strokes that somebody paints: the caller painted them."""
    history_changed = Signal()
    """The `entries` or the position in them changed."""
    switched = Signal(object)
    """Another segmentation is current, or the current one was partitioned anew: its id, or None."""

    def __init__(
        self,
        documents: ProjectDocuments,
        journal: Journal | None,
        check_changeable: Callable[[], None],
        check_strokes: Callable[[int], None],
    ) -> None:
        self.documents, self._journal = documents, journal  # opened by the journal, and read beside it
        self._check_changeable, self._check_strokes = check_changeable, check_strokes
        self._queue: tuple[LabelDocument, ReviewQueue] | None = None
        self._is_closed = False

    @property
    def can_edit(self) -> bool:
        """Whether the project may be changed."""
        return self.documents.writable and not self._is_closed

    @property
    def journal(self) -> Journal | None:
        """The journal; None before the first edit."""
        known = self._journal
        if known is not None:  # without waiting for an edit that is on its way
            return known
        with self.editing():
            if self._is_closed:
                raise ProjectError("The project is closed.", "Open it again.")
            if self._journal is None and self.documents.journal.exists():
                self._journal = self._open_journal()
            return self._journal

    @property
    def segmentation(self) -> str | None:
        """Id of the current segmentation; None where there is none."""
        journal = self.journal
        return None if journal is None else journal.segmentation

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation with all its edits; None where there is none.

        Raises
        ------
        PytcError
            If it is gone or damaged.
        """
        journal = self.journal
        return None if journal is None else journal.document

    @property
    def position(self) -> int:
        """Id of the last entry that is done; 0 at the beginning."""
        journal = self.journal
        return 0 if journal is None else journal.position

    def editing(self) -> AbstractContextManager[None]:
        """Keep other threads from editing within the block: the lock of the strokes, so that there is only one."""
        return self.documents.annotations.changing()

    def preview(self, edit: Edit | dict[str, Any]) -> Change:
        """Compute the change of an edit without making it.

        Raises
        ------
        InvalidEdit
            Where the edit is refused; gives the reason in one sentence.
        """
        journal = self.journal
        if journal is None:
            raise InvalidEdit("There is no segmentation to edit yet.", "Make one under Segment, or activate one.")
        return journal.plan(_parsed(edit))

    def apply(self, edit: Edit | dict[str, Any]) -> Change:
        """Make an edit, durably: it is in the journal when this returns; errors as in `preview`."""
        with self._changing() as journal:
            change = journal.plan(_parsed(edit))
            if change.target == "annotations":
                self._check_strokes(max(int(patch.after.max(initial=0)) for patch in change.patches))
            change = journal.apply_change(change)
        self._announce([change])
        return change

    def rehearse(
        self, edits: Sequence[Edit | dict[str, Any]], report: ProgressCallback | None = None
    ) -> tuple[list[Change], InvalidEdit | None]:
        """Compute the changes of edits in turn without making them, up to the first that is refused, and its error.

        Works where the project is open for reading only.
        """
        made: list[Change] = []
        refusal: InvalidEdit | None = None
        with self.editing():
            document = self.document
            try:
                for number, edit in enumerate(edits, start=1):
                    made.append(self.preview(edit))
                    if made[-1].target == "segments" and document is not None:
                        document.apply(made[-1])
                    if report is not None:
                        report(number, len(edits))
            except InvalidEdit as error:
                refusal = error
            finally:
                for change in reversed(made):
                    if change.target == "segments" and document is not None:
                        document.apply(change.inverse())
        return made, refusal

    def record(self, change: Change) -> None:
        """Record a change of strokes; `changed` is not emitted, since the caller painted the strokes."""
        with self._changing() as journal:
            journal.apply_change(change)
        self.history_changed.emit()

    def undo(self) -> Change | None:
        """Take the last entry back; returns the change, or None where there is nothing to take back.

        Raises
        ------
        InvalidEdit
            If the entry cannot be undone any more: why.
        """
        done = self._step(lambda journal: [journal.undo()])
        return done[0] if done else None

    def redo(self) -> Change | None:
        """Make the entry again that was taken back last; None where there is none."""
        done = self._step(lambda journal: [journal.redo()])
        return done[0] if done else None

    def jump(self, entry: int) -> list[Change]:
        """Undo or redo until this entry is the last one that is done; 0 is the beginning.

        Returns
        -------
        list of Change
            The changes that were made, in order; where there is more than one, without their voxels.

        Raises
        ------
        InvalidEdit
            If there is no such entry, or one on the way cannot be undone any more.
        """
        return self._step(lambda journal: journal.jump(entry))

    def entries(self) -> list[Entry]:
        """The journal, the oldest entry first, those taken back included."""
        journal = self.journal
        return [] if journal is None else journal.entries()

    def checkpoint(self, name: str) -> None:
        """Give the present place in the journal a name."""
        with self._changing() as journal:
            journal.checkpoint(name)
        self.history_changed.emit()

    def queue(self) -> ReviewQueue:
        """The review queue of the current segmentation, with its decisions.

        Raises
        ------
        InvalidEdit
            If there is no segmentation.
        """
        from napari_pytc.proofreading.review.queue import ReviewQueue

        with self.editing():
            document = self.document
            if document is None:
                raise InvalidEdit("There is no segmentation to review yet.", "Make one under Segment, or activate one.")
            if self._queue is None or self._queue[0] is not document:
                self._queue = (document, ReviewQueue(document))
            return self._queue[1]

    def switch(self, segmentation: str | None, changes: Sequence[Change] = ()) -> None:
        """Make another segmentation current, or none, as an entry of the journal; then changes of it, each an entry."""
        from napari_pytc.proofreading.edits import SwitchSegmentation

        with self._changing() as journal:
            former, made = journal.segmentation, []
            if former != segmentation:
                made.append(journal.apply(SwitchSegmentation(before=former, after=segmentation)))
            made += [journal.apply_change(change) for change in changes]
        self._announce(made, former, segmentation)

    def has_edits(self, segmentation: str) -> bool:
        """Whether a segmentation was ever edited, also where all of it was taken back."""
        journal = self.journal
        return journal is not None and bool(journal.stored_checksum(segmentation))

    def reopen(self, between: Callable[[], object]) -> None:
        """Close journal and document, call `between`, which may change their files, and open them again."""
        with self._changing():
            self._close_journal()
            between()
            segmentation = self.segmentation
        self.history_changed.emit()
        self.switched.emit(segmentation)

    def seal_strokes(self, reason: str) -> None:
        """End the undo of all strokes so far, because what they refer to is about to be removed."""
        with self.editing():
            journal = self.journal
            if journal is not None:
                journal.seal("annotations", reason)

    def flush(self) -> None:
        """Write all edits into the segmentation's folder, for other processes; the journal had them before.

        Raises
        ------
        ProjectError
            Where the project is open for reading only, and another program has edits that it has not written yet.
        """
        with self.editing():
            journal = self.journal
            document = None if journal is None else journal.document  # opened, so that what a kill left is written too
            if journal is None or document is None:
                return
            if self.documents.writable:
                journal.flush()
            elif not _is_flushed(document):
                raise ProjectError(
                    "Another program has the project open, with edits that it has not written back yet.",
                    "Close the project there, or wait for a moment when nobody edits, then do this again.",
                )

    def replay(self, segmentation: str, mend: bool = False, report: ProgressCallback | None = None) -> Replayed:
        """Replay the journal on the decoding of a segmentation, and compare the result with what is stored.

        Parameters
        ----------
        mend : bool
            Put what was made in the place of what is stored, where it agrees with the journal.

        Raises
        ------
        PytcError
            If the segmentation is gone, or an entry of the journal is damaged.
        """
        from napari_pytc.labels.segmentation import Segmentation
        from napari_pytc.proofreading.document import LabelDocument
        from napari_pytc.proofreading.journal.replay import replay

        with self.editing():
            if mend:
                self._check_changeable()
            found = Segmentation.open(self.documents.place(segmentation))
            journal = self.journal
            if journal is None:
                checksum = LabelDocument(found, writable=False).checksum()
                return Replayed(segmentation, 0, checksum, "", checksum)
            total = sum(e.segmentation == segmentation and _is_of_segments(e) for e in journal.entries())
            made = replay(journal, found, mend, report and (lambda done: report(done, total)))
            present = made.checksum
            if journal.segmentation == segmentation:
                try:
                    document = journal.document
                    present = "" if document is None else document.checksum()
                except PytcError:  # it does not agree with the journal, or is damaged
                    present = "damaged"
            return Replayed(segmentation, made.n_edits, made.checksum, made.stored, present)

    def close(self) -> None:
        """Flush and close the files; may be called twice."""
        with self.editing():
            self._is_closed = True
            with suppress(PytcError):  # a full disk: no edit is lost, the journal has them all
                self._close_journal()

    @contextmanager
    def _changing(self) -> Iterator[Journal]:
        with self.editing():
            self._check_changeable()
            if self._journal is None:
                self._journal = self._open_journal()
            yield self._journal

    def _open_journal(self) -> Journal:
        from napari_pytc.proofreading.journal.journal import Journal

        return Journal(self.documents.journal, self.documents, self.documents.writable)

    def _close_journal(self) -> None:
        journal, self._journal, self._queue = self._journal, None, None
        if journal is not None:
            journal.close()

    def _step(self, step: Callable[[Journal], Sequence[Change | None]]) -> list[Change]:
        with self._changing() as journal:
            former = journal.segmentation
            changes = [change for change in step(journal) if change is not None]
            segmentation = journal.segmentation
        self._announce(changes, former, segmentation)
        return changes

    def _announce(self, changes: Sequence[Change], former: str | None = None, now: str | None = None) -> None:
        if former != now:
            self.switched.emit(now)
        for change in changes:
            self.changed.emit(change)
        if changes:
            self.history_changed.emit()


def _parsed(edit: Edit | dict[str, Any]) -> Edit:
    from napari_pytc.proofreading.edits import parse_edit

    found: Edit = parse_edit(edit) if isinstance(edit, dict) else edit
    if found.kind == "switch":
        raise InvalidEdit("Segmentations are not switched by an edit.", "Activate the one that is wanted.")
    return found


def _is_of_segments(entry: Entry) -> bool:
    return entry.target == "segments" and entry.kind != "switch"


def _is_flushed(document: LabelDocument) -> bool:
    """Whether the folder holds what the journal has."""
    from napari_pytc.labels.saved_state import SavedState

    saved = SavedState.load(document.segmentation.folder)
    if saved is None:
        return document.log_index == 0 and document.revision == 0
    return tuple(int(value) for value in saved.digests) == document.digests
