"""The journal as the window steps through it: undo, redo, jumps and checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject, Signal

from napari_pytc.ui.proofreading.desk import Desk

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.journal import Entry
    from napari_pytc.session.proofreading import Proofreader
    from napari_pytc.ui.workspace import Workspace

Found = TypeVar("Found")


class Past(QObject):
    """What was done, of segments and strokes alike, and the ways back and forth. Nothing here waits.

    Parameters
    ----------
    workspace : Workspace
        Whose journal it is.
    desk : Desk
        Drops what is proposed before a step, and tells what came of it.
    """

    changed = Signal()
    """`entries` is another list."""

    def __init__(self, workspace: Workspace, desk: Desk) -> None:
        super().__init__(desk)
        self._workspace, self._desk = workspace, desk
        self.entries: list[Entry] = []
        """The oldest first; those taken back, which can be made again, are at the end."""
        self._is_asked = False
        workspace.segments.history_changed.connect(self._look)
        workspace.segments.opened.connect(self._look)
        self._look()

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

    def undo(self) -> None:
        """Take the last edit or stroke back."""
        self._step(lambda proofreader: proofreader.undo(), "taken back", "There is nothing to take back.")

    def redo(self) -> None:
        """Make it again."""
        self._step(lambda proofreader: proofreader.redo(), "made again", "There is nothing to make again.")

    def jump(self, entry: int) -> None:
        """Take back or make again until an entry is the last one that is done; 0 is the beginning."""
        if self._refuses():
            return
        self._desk.forget()
        self._desk.say("One moment …")

        def take(changes: list[Change]) -> None:
            n = len(changes)
            self._desk.say(f"{n} {'step' if n == 1 else 'steps'} done." if n else "That is where you are.")

        self._when_saved(lambda: self._do(lambda proofreader: proofreader.jump(entry), take))

    def checkpoint(self, name: str) -> None:
        """Give the present state a name."""
        if self._refuses():
            return
        self._when_saved(
            lambda: self._do(
                lambda proofreader: proofreader.checkpoint(name),
                lambda nothing: self._desk.say(f"Checkpoint “{name}” is set."),
            )
        )

    def _refuses(self) -> bool:
        if self._workspace.is_changeable:
            return False
        reason = "no project is open." if self._workspace.session is None else "this project is open for reading only."
        self._desk.say(f"Nothing can be undone: {reason}", refused=True)
        return True

    def _step(self, step: Callable[[Proofreader], Change | None], done: str, nothing: str) -> None:
        if self._refuses():
            return
        self._desk.forget()

        def take(change: Change | None) -> None:
            self._desk.say(nothing if change is None else f"{change.title}: {done}.")

        self._when_saved(lambda: self._do(step, take))

    def _do(self, work: Callable[[Proofreader], Found], then: Callable[[Found], object]) -> None:
        self._workspace.segments.do(work, then, self._desk.refuse, receiver=self)

    def _when_saved(self, then: Callable[[], object]) -> None:
        """Strokes on their way to the journal come first, or an undo would take back what was before them."""
        layers = self._workspace.layers
        if layers is None:
            then()
        else:
            layers.flush(then, self._desk.refuse)

    def _look(self) -> None:
        """Read the journal's list, once however often it changes meanwhile."""
        if self._is_asked:
            return
        if self._workspace.segments.proofreader is None:
            self._take([])
            return
        self._is_asked = True

        def read(proofreader: Proofreader) -> list[Entry]:
            self._is_asked = False  # what changes from now on is asked for again
            return proofreader.entries()

        self._do(read, self._take)

    def _take(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.changed.emit()


def past_of(workspace: Workspace, desk: Desk) -> Past:
    """The one past of a workspace."""
    return desk.findChild(Past) or Past(workspace, desk)
