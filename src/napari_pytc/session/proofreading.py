"""The current segmentation and the journal under it, as one thing that any thread may use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pytc.errors import ProjectError
from napari_pytc.proofreading.changes import Change

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.edits import Edit
    from napari_pytc.proofreading.journal import Entry, Journal
    from napari_pytc.proofreading.queue import ReviewQueue


class Proofreader:
    """Edits of the current segmentation and of the strokes, all through one journal.

    Get it with `Session.proofreader`. All methods may be called from any thread; edits wait for one another. Signals
    are emitted by the thread that made the change, after it: connect to them with ``thread="main"``.
    """

    changed = Signal(Change)
    """After an edit, undo, redo or jump: what was done, in the direction in which it was done. Strokes that the window
    writes are not told here: whoever paints knows."""
    history_changed = Signal()
    """The list of `entries` or the position in it is another one."""
    switched = Signal(object)
    """Another segmentation is current: its id, or None."""

    def __init__(self, documents: ProjectDocuments, check_changeable: Callable[[], None], read_only: bool) -> None:
        self._documents, self._check, self._read_only = documents, check_changeable, read_only
        self._editing = threading.RLock()
        self._journal: Journal | None = None
        self._queue: tuple[str, ReviewQueue] | None = None
        self._is_closed = False

    @property
    def segmentation(self) -> str | None:
        """Id of the current segmentation; None before the first."""
        return self.journal.segmentation

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation with all edits; None where there is none."""
        with self._editing:
            return self.journal.document

    @property
    def journal(self) -> Journal:
        """The journal; it refuses changes where the session is read-only."""
        from napari_pytc.proofreading.journal import Journal

        with self._editing:
            if self._is_closed:
                raise ProjectError("The project is closed.", "Open it again.")
            if self._journal is None:
                self._journal = Journal(self._documents.journal, self._documents, writable=not self._read_only)
            return self._journal

    @property
    def can_edit(self) -> bool:
        """Whether the project may be changed."""
        return not self._read_only

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Keep other threads from editing in the block; taken before `AnnotationStore.changing`, never after."""
        with self._editing:
            yield

    def preview(self, edit: Edit | dict[str, Any]) -> Change:
        """What an edit would change; nothing is changed.

        Raises
        ------
        InvalidEdit
            Where the edit is refused: why, in one sentence.
        """
        return _parsed(edit).plan(self._document())

    def apply(self, edit: Edit | dict[str, Any]) -> Change:
        """Make an edit, durably: it is in the journal when this returns; errors as in `preview`."""
        with self._changing():
            change = self.journal.apply(_parsed(edit))
        self._tell([change])
        return change

    def record(self, change: Change) -> None:
        """Make a change of strokes that is worked out already; whoever paints knows, so that `changed` is silent."""
        with self._changing():
            self.journal.apply_change(change)
        self.history_changed.emit()

    def undo(self) -> Change | None:
        """Take the last entry back; what was done, or None where there is nothing to take back."""
        return self._step("undo")

    def redo(self) -> Change | None:
        """Make the entry again that was taken back last; None where there is none."""
        return self._step("redo")

    def jump(self, entry: int) -> list[Change]:
        """Undo or redo until this entry is the last one that is done; 0 is the beginning. What was done, in order."""

    def entries(self) -> list[Entry]:
        """The journal, the oldest entry first, those taken back included."""
        return self.journal.entries()

    def checkpoint(self, name: str) -> None:
        """Give the present place in the journal a name."""
        with self._changing():
            self.journal.checkpoint(name)
        self.history_changed.emit()

    def queue(self) -> ReviewQueue:
        """What to look at next in the current segmentation; the decisions are kept in the journal's file."""

    def switch(self, segmentation: str | None) -> None:
        """Make another segmentation current, as an entry of the journal."""

    def flush(self) -> None:
        """Write all edits into the segmentation's folder, for other processes; the journal had them before."""

    def close(self) -> None:
        """Flush and let go of the files; may be called twice."""
