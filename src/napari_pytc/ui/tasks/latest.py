"""Work of which only the newest result counts, as while a slider is moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_pytc.errors import PytcError
from napari_pytc.ui.tasks.background import Background


class Latest(QObject):
    """One thread and one call that waits for it: a newer one takes its place."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = Background(self)
        self._waiting: tuple[Callable[[], Any], Callable[[Any], object], Callable[[PytcError], object]] | None = None
        self._is_running = False
        self._is_open = True

    def run(
        self,
        work: Callable[[], Any],
        on_result: Callable[[Any], object],
        on_error: Callable[[PytcError], object] = lambda error: None,
    ) -> None:
        """Call `work` in the thread, now or once the call that it is at has ended, unless a newer one comes."""
        if not self._is_open:
            return
        if self._is_running:
            self._waiting = (work, on_result, on_error)
            return
        self._is_running = True

        def end(tell: Callable[[Any], object], outcome: Any) -> None:
            self._is_running = False
            tell(outcome)
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                self.run(*waiting)

        self._thread.run(work, lambda found: end(on_result, found), lambda error: end(on_error, error), receiver=self)

    def drop(self) -> None:
        """Forget the call that waits."""
        self._waiting = None

    def close(self) -> None:
        """End the thread; may be called twice."""
        self._is_open, self._waiting = False, None
        self._thread.close()
