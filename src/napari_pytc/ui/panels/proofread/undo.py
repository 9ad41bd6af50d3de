"""Undo and redo in the window, jumps to any state, and checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject, Signal

from napari_pytc.ui.panels.proofread.editor import MOST_SELECTED, EditedProject, SegmentEditor

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.journal.journal import Entry
    from napari_pytc.session.proofreading.proofreader import Proofreader

Result = TypeVar("Result")


class UndoHistory(QObject):
    """Edits and strokes in the journal, with undo and redo of both. Nothing here waits.

    Parameters
    ----------
    project : EditedProject
        The project of the journal.
    editor : SegmentEditor
        Drops what is proposed before a step, and shows what came of it.
    """

    changed = Signal()
    """`entries` or `locked_reason` is another one."""

    def __init__(self, project: EditedProject, editor: SegmentEditor) -> None:
        super().__init__(editor)
        self._project, self._editor = project, editor
        self.entries: list[Entry] = []
        """The oldest first; those taken back, which can be made again, are at the end."""
        self._is_reading = False
        project.segments.history_changed.connect(self._read)
        project.segments.opened.connect(self._read)
        project.session_changed.connect(self.changed)
        self._read()

    @property
    def locked_reason(self) -> str:
        """Reason why the journal cannot be changed; empty if it can."""
        return self._project.locked_reason

    @property
    def position(self) -> int:
        """The last entry that is done; 0 if none is."""
        return max((entry.id for entry in self.entries if not entry.is_undone), default=0)

    @property
    def can_undo(self) -> bool:
        """Whether something is left to take back."""
        return any(not entry.is_undone and not entry.sealed for entry in self.entries)

    @property
    def can_redo(self) -> bool:
        """Whether something was taken back."""
        return any(entry.is_undone for entry in self.entries)

    def why_not_jump(self, entry: int | None) -> str:
        """Reason why `jump` cannot go to an entry, 0 for the beginning and None for no choice; empty if it can."""
        if entry is None:
            return "no line is selected."
        position = self.position
        if entry == position:
            return "it is the present state."
        sealed = [e for e in self.entries if entry < e.id <= position and e.sealed]
        return sealed[-1].sealed if sealed else ""

    def undo(self) -> None:
        """Take the last edit or stroke back."""
        self._step(lambda proofreader: proofreader.undo(), "taken back", "There is nothing to take back.")

    def redo(self) -> None:
        """Make the edit or stroke again that was taken back last."""
        self._step(lambda proofreader: proofreader.redo(), "made again", "There is nothing to make again.")

    def jump(self, entry: int) -> None:
        """Take back or make again until an entry is the last one that is done; 0 is the beginning."""
        if self._refuse_if_locked():
            return
        self._editor.discard()
        self._editor.show_message("One moment …")

        def on_result(changes: list[Change]) -> None:
            n = len(changes)
            self._editor.show_message(f"{n} {'step' if n == 1 else 'steps'} done." if n else "That is where you are.")

        self._when_saved(lambda: self._do(lambda proofreader: proofreader.jump(entry), on_result))

    def checkpoint(self, name: str) -> None:
        """Give the present state a name."""
        if self._refuse_if_locked():
            return
        self._when_saved(
            lambda: self._do(
                lambda proofreader: proofreader.checkpoint(name),
                lambda nothing: self._editor.show_message(f"Checkpoint “{name}” is set."),
            )
        )

    def show_entry(self, entry: Entry) -> None:
        """Fly to the place of an entry, and select its segments as far as they are there."""
        if not entry.box.is_empty:
            self._editor.go_to(entry.box)
        document = self._editor.document
        if entry.segments and not entry.is_undone and document is not None and entry.segmentation == document.id:
            self._editor.select_ids(entry.segments[:MOST_SELECTED])

    # ---- private

    def _refuse_if_locked(self) -> bool:
        if self.locked_reason:
            self._editor.show_message(f"Nothing can be undone: {self.locked_reason}", refused=True)
        return bool(self.locked_reason)

    def _step(self, step: Callable[[Proofreader], Change | None], done: str, nothing: str) -> None:
        if self._refuse_if_locked():
            return
        self._editor.discard()

        def on_result(change: Change | None) -> None:
            self._editor.show_message(nothing if change is None else f"{change.title}: {done}.")

        self._when_saved(lambda: self._do(step, on_result))

    def _do(self, work: Callable[[Proofreader], Result], then: Callable[[Result], object]) -> None:
        self._project.segments.do(work, then, self._editor.show_error, receiver=self)

    def _when_saved(self, then: Callable[[], object]) -> None:
        """Call back once strokes on their way to the journal are in it, or an undo would take back the entry before."""
        layers = self._project.layers
        if layers is None:
            then()
        else:
            layers.flush(then, self._editor.show_error)

    def _read(self) -> None:
        """Read the journal's list, once however often it changes meanwhile."""
        if self._is_reading:
            return
        if self._project.segments.proofreader is None:
            self._set_entries([])
            return
        self._is_reading = True

        def read(proofreader: Proofreader) -> list[Entry]:
            self._is_reading = False  # what changes from now on is read again
            return proofreader.entries()

        self._do(read, self._set_entries)

    def _set_entries(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.changed.emit()
