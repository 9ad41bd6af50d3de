"""The current segmentation in the window: opened, edited and followed without making the window wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.proofreading.changes import Change
from napari_pytc.ui.tasks.background import Background

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.session.proofreading.proofreader import Proofreader
    from napari_pytc.session.session import Session

Result = TypeVar("Result")


class CurrentSegments(QObject):
    """A project's `Proofreader` as the window sees it: every signal comes in the Qt thread, every edit leaves it.

    Edits have a thread of their own, so that one does not wait for files that are read meanwhile.
    """

    opened = Signal()
    """`proofreader` is there, or no longer."""
    document_changed = Signal()
    """Another segmentation is current, or none; `document` is its document."""
    edited = Signal(object)
    """A `Change` that was made, also by undo and redo; only the session reports painted strokes."""
    history_changed = Signal()
    """The journal has other entries, or is at another one."""
    busy_changed = Signal()
    """An edit is under way, or is not any more: see `is_busy`."""
    failed = Signal(object)
    """A `PytcError`: the segmentation or the journal cannot be opened."""

    _changed_anywhere = Signal(object)
    _history_anywhere = Signal()
    _switched_anywhere = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = Background(self)
        self._session: Session | None = None
        self._proofreader: Proofreader | None = None
        self._document: LabelDocument | None = None
        self._n_busy = 0
        self._changed_anywhere.connect(self._on_changed)
        self._history_anywhere.connect(self._on_history)
        self._switched_anywhere.connect(self._open_document)

    @property
    def proofreader(self) -> Proofreader | None:
        """The journal and the document under it; None before it was opened. Its methods may wait: see `do`."""
        return self._proofreader

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation; None where there is none."""
        return self._document

    @property
    def is_busy(self) -> bool:
        """Whether an edit is under way."""
        return self._n_busy > 0

    def open(self, session: Session) -> None:
        """Open the journal of a project; `opened` and `document_changed` are emitted once it is open."""
        self.close()
        self._session = session

        def find() -> tuple[Proofreader, LabelDocument | None]:
            proofreader = session.proofreader
            return proofreader, proofreader.document

        def take(found: tuple[Proofreader, LabelDocument | None]) -> None:
            if session is not self._session:
                return
            self._proofreader, self._document = found
            self._proofreader.changed.connect(self._relay_changed)
            self._proofreader.history_changed.connect(self._relay_history)
            self._proofreader.switched.connect(self._relay_switched)
            self.opened.emit()
            self.document_changed.emit()
            self.history_changed.emit()

        def fail(error: PytcError) -> None:
            if session is self._session:
                self.failed.emit(error)

        self._thread.run(find, take, fail, receiver=self)

    def do(
        self,
        work: Callable[[Proofreader], Result],
        on_result: Callable[[Result], object] = lambda result: None,
        on_error: Callable[[PytcError], object] | None = None,
        receiver: QObject | None = None,
    ) -> None:
        """Call `work` with the proofreader in the thread of edits, then `on_result` in this one.

        Calls are worked off one after another, in their order. Errors go to `on_error`, or to `failed` without it.
        """
        proofreader = self._proofreader
        if proofreader is None:
            (on_error or self.failed.emit)(ProjectError("The project is still being opened.", "Try again in a moment."))
            return
        self._count(1)

        def succeed(result: Result) -> None:
            self._count(-1)
            on_result(result)

        def fail(error: PytcError) -> None:
            self._count(-1)
            (on_error or self.failed.emit)(error)

        self._thread.run(lambda: work(proofreader), succeed, fail, receiver=receiver or self)

    def close(self) -> None:
        """Release the project; its session closes the journal."""
        proofreader, self._proofreader = self._proofreader, None
        had_document = self._document is not None
        self._session = self._document = None
        self._n_busy = 0
        if proofreader is not None:
            proofreader.changed.disconnect(self._relay_changed)
            proofreader.history_changed.disconnect(self._relay_history)
            proofreader.switched.disconnect(self._relay_switched)
            self.opened.emit()
        if had_document:
            self.document_changed.emit()

    def shutdown(self) -> None:
        """End the thread; may be called twice."""
        self._thread.close()

    # ---- private

    def _relay_changed(self, change: Change) -> None:
        """Called in any thread, as the next two."""
        self._changed_anywhere.emit(change)

    def _relay_history(self) -> None:
        self._history_anywhere.emit()

    def _relay_switched(self, segmentation: str | None) -> None:
        self._switched_anywhere.emit()

    def _open_document(self) -> None:
        """Another segmentation is current: its document may have to be opened."""
        proofreader = self._proofreader
        if proofreader is None:
            return

        def take(document: LabelDocument | None) -> None:
            if proofreader is self._proofreader:
                self._document = document
                self.document_changed.emit()

        self._thread.run(lambda: proofreader.document, take, self.failed.emit, receiver=self)

    def _on_changed(self, change: Change) -> None:
        if self._proofreader is not None:
            self.edited.emit(change)

    def _on_history(self) -> None:
        if self._proofreader is not None:
            self.history_changed.emit()

    def _count(self, step: int) -> None:
        before, self._n_busy = self.is_busy, max(0, self._n_busy + step)
        if before != self.is_busy:
            self.busy_changed.emit()
